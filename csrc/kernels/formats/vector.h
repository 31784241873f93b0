/* The vector vocabulary of the formats, in addition to kernels/vector.h; float32 only. formats/vector/<name>.h defines
 * it; LSTM_EXTENSION names the instruction set that a unit is compiled for.
 *
 *     BFLOAT16  bfloat16_number                       a number of the rounded left operand
 *               round_bfloat16(p, v)                  stores VL rounded numbers at p
 *               pair_bfloat16(even, odd)              two rounded weights for each of VL columns
 *               bfloat16_left(p), bfloat16_right(p)   two numbers for all columns; two weights for each of VL columns
 *               multiply_bfloat16(left, right, sum)   sum + odd products, then + even ones: two fused multiply-adds
 *               number_of_pair(pair, is_odd)          one number of a left or right pair, as float32
 *     INT8      INT8_INTERLEAVE, INT8_OFFSET          see struct lstm_format_kernels
 *               int8_number, store_int8(p, q)         the left operand; q: integers from -127 to 127
 *               int8_left(p), int8_right(p)           so many numbers for all columns, weights for each of VL
 *               multiply_int8(left, right, sum)       sum + all products, exact
 *     BFLOAT16_OF, BFLOAT16_AMX_OF, INT8_OF           the instruction set whose kernels of that format serve here too;
 *                                                     with blocks: unless is_in_blocks
 *     and, with HAS_BLOCKS, for up to BLOCK_ROWS rows by a panel, strides and depth in bytes:
 *               begin_blocks(rows, rest), end_blocks()     rest: remainder of all depths that are not whole BLOCK_BYTES
 *               start_block(start)                         sets the sums (INT8: to zero)
 *               add_int8_products(left, stride, right, depth), add_bfloat16_products(...)
 *               store_block(sums)                          (rows, 4) vectors */
#ifndef LSTM_FORMATS_VECTOR_H
#define LSTM_FORMATS_VECTOR_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../vector.h"

#ifdef LSTM_EXTENSION
#include VECTOR_HEADER(LSTM_EXTENSION)
#else
#define LSTM_EXTENSION portable
#include "vector/portable.h"
#endif

/* Whether a call with n_rows rows and n_weights weights is computed in blocks. One row times bfloat16 weights is faster
 * in blocks where L2 holds the weights and L1 does not (H = 256 1.35 times, 96 and 448 1.1); smaller and larger weights
 * are up to 1.3 times slower. */
ALWAYS_INLINE bool is_in_blocks(enum lstm_format format, int64_t n_rows, int64_t n_weights) {
#ifdef HAS_BLOCKS
    if (format == LSTM_FORMAT_INT8) return n_rows >= 4;
    return n_rows > 1 || (n_weights >= 32 << 10 && n_weights <= 900 << 10);
#else
    (void)format, (void)n_rows, (void)n_weights;
    return false;
#endif
}

/* The kernels of another unit that serve a call here, or NULL; and the formats of which calls remain (constants, so
 * that nothing is compiled for the others). */
#ifdef BFLOAT16_OF
#define BFLOAT16_KERNELS JOIN(lstm_formats, BFLOAT16_OF)
extern const struct lstm_format_kernels BFLOAT16_KERNELS;
#endif
#ifdef BFLOAT16_AMX_OF
#define BFLOAT16_AMX_KERNELS JOIN(lstm_formats, BFLOAT16_AMX_OF)
extern const struct lstm_format_kernels BFLOAT16_AMX_KERNELS;
#endif
#ifdef INT8_OF
#define INT8_KERNELS JOIN(lstm_formats, INT8_OF)
extern const struct lstm_format_kernels INT8_KERNELS;
#endif

ALWAYS_INLINE const struct lstm_format_kernels *kernels_elsewhere(enum lstm_format format, int64_t n_rows,
                                                                  int64_t n_weights) {
#ifdef BFLOAT16_OF
    if (format == LSTM_FORMAT_BFLOAT16) return &BFLOAT16_KERNELS;
#endif
#ifdef BFLOAT16_AMX_OF
    if (format == LSTM_FORMAT_BFLOAT16_AMX && !is_in_blocks(format, n_rows, n_weights)) return &BFLOAT16_AMX_KERNELS;
#endif
#ifdef INT8_OF
    if (format == LSTM_FORMAT_INT8 && !is_in_blocks(format, n_rows, n_weights)) return &INT8_KERNELS;
#endif
    (void)format, (void)n_rows, (void)n_weights; /* if no kernels of other units serve here */
    return NULL;
}

ALWAYS_INLINE bool remains(enum lstm_format format) {
#ifdef BFLOAT16_OF
    if (format == LSTM_FORMAT_BFLOAT16) return false;
#endif
#if defined(BFLOAT16_AMX_OF) && !defined(HAS_BLOCKS)
    if (format == LSTM_FORMAT_BFLOAT16_AMX) return false;
#endif
#if defined(INT8_OF) && !defined(HAS_BLOCKS)
    if (format == LSTM_FORMAT_INT8) return false;
#endif
    (void)format; /* if all calls remain here */
    return true;
}

ALWAYS_INLINE bool is_int8(enum lstm_format format) {
    const bool has_others = remains(LSTM_FORMAT_BFLOAT16) || remains(LSTM_FORMAT_BFLOAT16_AMX);
    return remains(LSTM_FORMAT_INT8) && (!has_others || format == LSTM_FORMAT_INT8);
}

/* Whether the sums of a format other than INT8 are in the order of AMX. */
ALWAYS_INLINE bool is_in_order_of_amx(enum lstm_format format) {
    return remains(LSTM_FORMAT_BFLOAT16_AMX) && (!remains(LSTM_FORMAT_BFLOAT16) || format == LSTM_FORMAT_BFLOAT16_AMX);
}

#endif
