/* int8 with instructions that multiply 16-bit numbers, two products at a time; weights are widened. */
#ifndef LSTM_INT8_BY_PAIRS_H
#define LSTM_INT8_BY_PAIRS_H

#include <string.h>

#include "../../../compiler.h"
#include "../../vector.h"

#define INT8_INTERLEAVE 2
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

#endif
