/* Formats: how the weights that a tile multiplies are stored, and in which pieces. A format is chosen per model (enum
 * lstm_format), beside the dtype of everything else; loops/pack.h stores weights in it.
 *
 * REAL and FLOAT16 are computed with in `real` (kernels/tile.h). BFLOAT16 and INT8 have kernels of their own
 * (kernels/formats/), which round the left operand too and take k in groups: 2 numbers, or 4 or 2, lie together for each
 * column. */
#ifndef LSTM_FORMAT_H
#define LSTM_FORMAT_H

#include "lstm_fast.h"

/* W_ih of a layer; all other matrices have the model's. */
static inline enum lstm_format lstm_input_format(const struct lstm_model *model, int64_t layer) {
    return model->format == LSTM_FORMAT_INT8 && layer == 0 && !model->input_bits ? LSTM_FORMAT_REAL : model->format;
}

/* Whether the kernels are those of kernels/formats/. */
static inline bool lstm_has_groups(enum lstm_format format) {
    return format == LSTM_FORMAT_BFLOAT16 || format == LSTM_FORMAT_INT8;
}

/* Bytes of one stored weight. */
static inline int64_t lstm_format_bytes(enum lstm_format format, int64_t real_bytes) {
    return format == LSTM_FORMAT_REAL ? real_bytes : format == LSTM_FORMAT_INT8 ? 1 : 2;
}

/* The bits of a bfloat16: to nearest, ties to even; a subnormal number to zero; NaN stays NaN. */
static inline uint16_t lstm_bfloat16_of(float x) {
    union {
        float x;
        uint32_t word;
    } number = {x};
    const uint32_t word = number.word, magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)((word | 0x00400000) >> 16);
    if (magnitude < 0x00800000) return (uint16_t)(word >> 16 & 0x8000);
    return (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

/* A depth rounded up to whole groups, with zeros. */
static inline int64_t lstm_format_depth(enum lstm_format format, int64_t depth) {
    const int64_t group = format == LSTM_FORMAT_INT8 ? 4 : format == LSTM_FORMAT_BFLOAT16 ? 2 : 1;
    return (depth + group - 1) & -group;
}

/* The most rows of a kernel call of kernels/formats/, and the numbers of a row of the left operand that it rounds into its
 * workspace, four bytes each. */
#define LSTM_OPERAND_ROWS 96
static inline int64_t lstm_operand_stride(int64_t depth) { return (depth + 63) & -64; }

/* Numbers more than the depth that a row of gates may need: whole vectors are stored. */
#define LSTM_OPERAND_SLACK 63

/* The depth of BFLOAT16 rows of gates, which are rounded gate by gate, the units of each in pairs. */
static inline int64_t lstm_gates_depth(int64_t n_gates, int64_t hidden_size) {
    return n_gates * ((hidden_size + 1) & -2);
}

#endif
