/* No low-precision instructions: shifts and 32-bit products. */
#ifndef LSTM_FORMATS_PORTABLE_H
#define LSTM_FORMATS_PORTABLE_H

#include "../../../compiler.h"
#include "../../vector.h"
#include "bfloat16_by_shifts.h"
#include "int8_by_pairs.h"

typedef int8_t pairs_of_bytes VECTOR_OF(VECTOR_BYTES / 2);
typedef int16_t words VECTOR_OF(VECTOR_BYTES);

ALWAYS_INLINE bits int8_right(const int8_t *p) {
    pairs_of_bytes bytes;
    __builtin_memcpy(&bytes, p, sizeof bytes);
    return (bits) __builtin_convertvector(bytes, words);
}

ALWAYS_INLINE bits multiply_int8(bits a, bits b, bits sum) {
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}

#endif
