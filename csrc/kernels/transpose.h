/* The transpose of VL x VL numbers, for instruction sets with permute_two. */
#ifndef LSTM_KERNELS_TRANSPOSE_H
#define LSTM_KERNELS_TRANSPOSE_H

#include "../compiler.h"
#include "../real.h"
#include "vector.h"

#ifdef HAS_PERMUTE_TWO
/* Exchanges one bit of the indices, of row and lane. */
ALWAYS_INLINE void transpose_bit(const int bit, vec *rows) {
    bits low, high;
    UNROLL
    for (int k = 0; k < (int)VL; k++) {
        low[k] = k & bit ? (int)VL + k - bit : k;
        high[k] = k & bit ? (int)VL + k : k + bit;
    }
    UNROLL
    for (int r = 0; r < (int)VL; r++) {
        if (r & bit) continue;
        const vec a = rows[r], b = rows[r + bit];
        rows[r] = permute_two(a, low, b), rows[r + bit] = permute_two(a, high, b);
    }
}

ALWAYS_INLINE void transpose(vec *rows) {
    transpose_bit(1, rows), transpose_bit(2, rows), transpose_bit(4, rows), transpose_bit(8, rows);
}
#endif

#endif
