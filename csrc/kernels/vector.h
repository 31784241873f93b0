/* The vector vocabulary of the kernels. vector/<isa>.h defines what depends on the instruction set, this file the rest;
 * + - * / & | << on vectors are written as operators. LSTM_ISA names the instruction set that a unit is compiled for.
 *
 * From vector/<isa>.h:
 *     VECTOR_BYTES, vec, bits, lanes_u32      the types: vectors of real, of integers as wide, of 32-bit words
 *     TILE_ROWS, TILE_PANELS(rows)            the register tile, see tile.h; a constant expression,
 *                                             or tiles that are equal would not be merged (2 % of the library)
 *     PAIRS_BELOW                             fewer panels of one row are taken in pairs instead of TILE_PANELS(1)
 *     broadcast(s)
 *     vfma(a, b, c)                           a * b + c, rounded once (portable: twice)
 *     vfnma(a, b, c), vfnms(a, b, c)          c - a * b, -(a * b) - c, in the same way
 *     at_least(low, v), at_most(high, v)      the larger, the smaller; v where v is NaN
 *     load_first(p, n), store_first(p, v, n)  the first n lanes, n < VL; the rest is zero and not accessed in memory
 *     load_half(p)                            float32: VL numbers of IEEE half precision, widened exactly, subnormals
 *                                             included, in any floating-point mode
 *     hold(v)                                 v, kept in a register; GCC would otherwise load it again for each use
 *     permute_two(a, indices, b)              with HAS_PERMUTE_TWO: 16 lanes of a (indices below VL) and b
 *     multiply_even(a, b), reverse_fours(v)   64-bit products of the even lanes; each four lanes in reverse */
#ifndef LSTM_VECTOR_H
#define LSTM_VECTOR_H

#ifdef LSTM_ISA
/* Macros, as they name a file to include. */
/* clang-format off */
#define QUOTED(text) #text
#define QUOTE(text) QUOTED(text)
#define VECTOR_HEADER(isa) QUOTE(vector/isa.h)
/* clang-format on */
#include VECTOR_HEADER(LSTM_ISA)
#else
#define LSTM_ISA portable
#include "vector/portable.h"
#endif

/* Elements of a vector. */
#define VL ((int64_t)(VECTOR_BYTES / sizeof(real)))

typedef vec unaligned_vec __attribute__((aligned(sizeof(real))));
ALWAYS_INLINE vec load(const real *p) { return *(const unaligned_vec *)p; }
ALWAYS_INLINE void store(real *p, vec v) { *(unaligned_vec *)p = v; }

typedef bits unaligned_bits __attribute__((aligned(1)));
ALWAYS_INLINE bits broadcast_bits(real_bits s) { return s - (bits){0}; }

/* The first n lanes, for any n > 0. */
ALWAYS_INLINE vec load_lanes(const real *p, int64_t n) { return n < VL ? load_first(p, n) : load(p); }
ALWAYS_INLINE void store_lanes(real *p, vec v, int64_t n) {
    if (n < VL)
        store_first(p, v, n);
    else
        store(p, v);
}

/* a where the mask is set (all bits of a lane), else b. */
ALWAYS_INLINE vec vselect(bits mask, vec a, vec b) { return (vec)(((bits)a & mask) | ((bits)b & ~mask)); }

#endif
