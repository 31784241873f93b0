/* int8 by products of 16 bits: two k at a time, weights widened as they are loaded. The file that includes this defines
 * widen_bytes(p), 2 VL numbers of 16 bits, and add_pairs(a, b, sum). */
#ifndef LSTM_INT8_BY_PAIRS_H
#define LSTM_INT8_BY_PAIRS_H

#include <string.h>

#include "../../compiler.h"
#include "../../kernels/vector.h"

#define INT8_GROUP 2
#define INT8_OFFSET false
typedef int16_t int8_number;
typedef int16_t narrow_words VECTOR_OF(VECTOR_BYTES / 2);

ALWAYS_INLINE void store_int8(int8_number *p, bits q) {
    const narrow_words narrow = __builtin_convertvector(q, narrow_words);
    memcpy(p, &narrow, sizeof narrow);
}

ALWAYS_INLINE bits int8_left(const int8_number *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return broadcast_bits(pair);
}

ALWAYS_INLINE bits int8_right(const int8_t *p) { return widen_bytes(p); }

ALWAYS_INLINE bits multiply_int8(bits left, bits right, bits sum) { return add_pairs(left, right, sum); }

#endif
