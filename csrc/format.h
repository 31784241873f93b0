/* Formats: how the weights that a tile multiplies are stored and interleaved. A format is chosen per model (enum
 * lstm_format), in addition to the dtype of everything else; loops/pack.h converts weights to it. Switches over the
 * formats have no default, so that compilers name those that a new format must extend (-Wswitch).
 *
 * REAL and FLOAT16 weights are multiplied as `real` (kernels/tile.h). The others have their own kernels
 * (kernels/formats/), which also round the left operand and interleave k: 2 (both kinds of bfloat16) or 2
 * or 4 (INT8) numbers that are adjacent for each column. */
#ifndef LSTM_FORMAT_H
#define LSTM_FORMAT_H

#include "lstm_fast.h"

/* The format of a layer's W_ih; all other matrices use the model's. */
static inline enum lstm_format lstm_input_format(const struct lstm_model *model, int64_t layer) {
    return model->format == LSTM_FORMAT_INT8 && layer == 0 && !model->input_bits ? LSTM_FORMAT_REAL : model->format;
}

/* Whether a layer's x are symbols: W_ih is then packed as a table of rows of gates (loops/pack.h), always REAL. */
static inline bool lstm_looks_up(const struct lstm_model *model, int64_t layer) {
    return model->index_input && layer == 0;
}

/* Whether the numbers are bfloat16, whatever the order of their sums. */
static inline bool lstm_is_bfloat16(enum lstm_format format) {
    return format == LSTM_FORMAT_BFLOAT16 || format == LSTM_FORMAT_BFLOAT16_AMX;
}

/* Whether the format is handled by kernels/formats/: adjacent k of a column lie together. */
static inline bool lstm_is_interleaved(enum lstm_format format) {
    return lstm_is_bfloat16(format) || format == LSTM_FORMAT_INT8;
}

/* Bytes of one stored weight. */
static inline int64_t lstm_format_bytes(enum lstm_format format, int64_t real_bytes) {
    switch (format) {
    case LSTM_FORMAT_REAL: break;
    case LSTM_FORMAT_FLOAT16:
    case LSTM_FORMAT_BFLOAT16:
    case LSTM_FORMAT_BFLOAT16_AMX: return 2;
    case LSTM_FORMAT_INT8: return 1;
    }
    return real_bytes;
}

/* A number of 16 bits as a float, exactly. */
static inline float lstm_float_of_bfloat16(uint16_t half) {
    union {
        uint32_t word;
        float x;
    } number = {(uint32_t)half << 16};
    return number.x;
}
static inline float lstm_float_of_float16(uint16_t half) {
    const uint32_t magnitude = half & 0x7fff, word = (magnitude << 13) + (112u << 23);
    union {
        uint32_t word;
        float x;
    } number = {magnitude < 0x7c00 ? word : word + (112u << 23)}; /* infinity and NaN have the largest exponent */
    if (magnitude < 0x400) number.x = (float)magnitude * 0x1p-24f;
    return half & 0x8000 ? -number.x : number.x;
}

/* The bits of a bfloat16: round to nearest even; subnormal numbers become zero; NaN stays NaN. */
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

/* A depth rounded up to whole interleaves; the padding is zero. */
static inline int64_t lstm_format_depth(enum lstm_format format, int64_t depth) {
    switch (format) {
    case LSTM_FORMAT_REAL:
    case LSTM_FORMAT_FLOAT16: break;
    case LSTM_FORMAT_BFLOAT16:
    case LSTM_FORMAT_BFLOAT16_AMX: return (depth + 1) & -2;
    case LSTM_FORMAT_INT8: return (depth + 3) & -4;
    }
    return depth;
}

/* Products in a block of a BFLOAT16_AMX sum. A block is two chains of fused multiply-adds from zero, one over the even
 * and one over the odd products; their sum is added to the total. The last block may be shorter, but consists of whole
 * pairs. */
#define LSTM_AMX_BLOCK 32

/* Whether products of both depths can be summed in one pass over blocks of rows: their last blocks are full, or of the
 * same length. */
static inline bool lstm_depths_match(int64_t a, int64_t b) {
    const int64_t rest_a = lstm_format_depth(LSTM_FORMAT_BFLOAT16_AMX, a) % LSTM_AMX_BLOCK;
    const int64_t rest_b = lstm_format_depth(LSTM_FORMAT_BFLOAT16_AMX, b) % LSTM_AMX_BLOCK;
    return rest_a == 0 || rest_b == 0 || rest_a == rest_b;
}

/* Rows of a block of a weight gradient's sum. */
static inline int64_t lstm_sum_block(enum lstm_format format) {
    return format == LSTM_FORMAT_BFLOAT16_AMX ? LSTM_AMX_BLOCK : LSTM_SUM_BLOCK;
}

/* Left operands of weight gradients that are packed in blocks: one row of 16-bit numbers for each of their columns,
 * padded to whole blocks, and one block apart, so that 16 rows do not meet in the same sets of the cache. */
static inline int64_t lstm_left_stride(int64_t depth) {
    return (depth + LSTM_AMX_BLOCK - 1) / LSTM_AMX_BLOCK * LSTM_AMX_BLOCK + LSTM_AMX_BLOCK;
}

/* The integer that represents the largest magnitude of a row, in INT8 rows of 8 or 16 bits. (127 * 256: the upper part
 * of a 16-bit number is at most 127.) */
static inline int lstm_largest_integer(int bits_of_row) { return bits_of_row == 16 ? 32512 : 127; }

/* The maximum number of rows of a kernel call in kernels/formats/, and the length of a row of the rounded left operand
 * in its workspace, in numbers of four bytes. */
#define LSTM_OPERAND_ROWS 96
static inline int64_t lstm_operand_stride(int64_t depth) { return (depth + 63) & -64; }

/* Slack after a row of gates, because whole vectors are stored. */
#define LSTM_OPERAND_SLACK 63

/* The depth of BFLOAT16 rows of gates, which are stored gate by gate, each padded to whole pairs of units. */
static inline int64_t lstm_gates_depth(int64_t n_gates, int64_t hidden_size) {
    return n_gates * ((hidden_size + 1) & -2);
}

#endif
