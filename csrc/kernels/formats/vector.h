/* The vector vocabulary of the formats, in addition to kernels/vector.h; float32 only. formats/vector/<name>.h defines
 * it; LSTM_EXTENSION names the instruction set that a unit is compiled for.
 *
 *     BFLOAT16  bfloat16_number                       a number of the rounded left operand
 *               round_bfloat16(p, v)                  stores VL rounded numbers at p
 *               pair_bfloat16(even, odd)              two rounded weights for each of VL columns
 *               bfloat16_left(p), bfloat16_right(p)   two numbers for all columns; two weights for each of VL columns
 *               multiply_bfloat16(left, right, sum)   sum + odd products, then + even ones: two fused multiply-adds
 *     INT8      INT8_GROUP, INT8_OFFSET               see struct lstm_format_kernels
 *               int8_number, store_int8(p, q)         the left operand; q: integers from -127 to 127
 *               int8_left(p), int8_right(p)           INT8_GROUP numbers for all columns, and weights for each of VL
 *               multiply_int8(left, right, sum)       sum + all products, exact
 *     BFLOAT16_OF, INT8_OF                            the instruction set whose kernels of that format serve here too;
 *                                                     with INT8 blocks: those of fewer rows than INT8_BLOCKS_FROM
 *     and, with HAS_INT8_BLOCKS, for up to INT8_BLOCK_ROWS rows by a panel:
 *               begin_int8_blocks(rows, depth), end_int8_blocks()
 *               multiply_int8_block(left, stride, right, depth, sums)   all products, (rows, 4) vectors */
#ifndef LSTM_FORMATS_VECTOR_H
#define LSTM_FORMATS_VECTOR_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../vector.h"

#ifdef LSTM_EXTENSION
/* clang-format off */
#define FORMAT_HEADER(name) QUOTE(vector/name.h)
/* clang-format on */
#include FORMAT_HEADER(LSTM_EXTENSION)
#else
#define LSTM_EXTENSION portable
#include "vector/portable.h"
#endif

#ifdef BFLOAT16_OF
#define BFLOAT16_KERNELS JOIN(lstm_formats, BFLOAT16_OF)
extern const struct lstm_format_kernels BFLOAT16_KERNELS;
#endif
#ifdef INT8_OF
#define INT8_KERNELS JOIN(lstm_formats, INT8_OF)
extern const struct lstm_format_kernels INT8_KERNELS;
#endif

/* INT8 rows from which a call computes blocks. */
#ifdef HAS_INT8_BLOCKS
#define INT8_BLOCKS_FROM 4
#else
#define INT8_BLOCKS_FROM INT64_MAX
#endif

/* Whether the kernels of this unit compute in INT8, once calls in formats of another unit have been passed on. */
ALWAYS_INLINE bool is_int8(enum lstm_format format) {
#if defined(BFLOAT16_OF)
    return (void)format, true;
#elif defined(INT8_OF)
    return (void)format, false;
#else
    return format == LSTM_FORMAT_INT8;
#endif
}

#endif
