/* Formats: how the weights that a tile multiplies are stored, and in which pieces. A format is chosen per model (enum
 * lstm_format), beside the dtype of everything else; loops/pack.h stores weights in it.
 *
 * REAL and FLOAT16 are computed with in `real` (kernels/tile.h). BFLOAT16 and INT8 have kernels of their own (formats/),
 * which round the left operand too and take k in groups: 2 numbers, or 4 or 2, lie together for each column. */
#ifndef LSTM_FORMAT_H
#define LSTM_FORMAT_H

#include "lstm_fast.h"

/* W_ih of a layer; all other matrices have the model's. */
static inline enum lstm_format lstm_input_format(const struct lstm_model *model, int64_t layer) {
    return model->format == LSTM_FORMAT_INT8 && layer == 0 && !model->int8_inputs ? LSTM_FORMAT_REAL : model->format;
}

/* Whether the kernels are those of formats/. */
static inline bool lstm_has_groups(enum lstm_format format) {
    return format == LSTM_FORMAT_BFLOAT16 || format == LSTM_FORMAT_INT8;
}

/* Bytes of one stored weight. */
static inline int64_t lstm_format_bytes(enum lstm_format format, int64_t real_bytes) {
    return format == LSTM_FORMAT_REAL ? real_bytes : format == LSTM_FORMAT_INT8 ? 1 : 2;
}

/* A depth rounded up to whole groups, with zeros. */
static inline int64_t lstm_format_depth(enum lstm_format format, int64_t depth) {
    const int64_t group = format == LSTM_FORMAT_INT8 ? 4 : format == LSTM_FORMAT_BFLOAT16 ? 2 : 1;
    return (depth + group - 1) & -group;
}

/* The most rows of a kernel call of formats/, and the numbers of a row of the left operand that it rounds into its
 * workspace, four bytes each. */
#define LSTM_OPERAND_ROWS 96
static inline int64_t lstm_operand_stride(int64_t depth) { return (depth + 63) & -64; }

#endif
