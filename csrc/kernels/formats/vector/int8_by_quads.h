/* int8 with instructions that add four products of an unsigned and a signed byte: the left operand is stored with an
 * offset of 128, weights unchanged. */
#ifndef LSTM_INT8_BY_QUADS_H
#define LSTM_INT8_BY_QUADS_H

#include <string.h>

#include "../../../compiler.h"
#include "../../vector.h"

#define INT8_INTERLEAVE 4
#define INT8_OFFSET true
typedef uint8_t int8_number;
typedef uint8_t narrow_bytes VECTOR_OF(VECTOR_BYTES / 4);

ALWAYS_INLINE void store_int8(int8_number *p, bits q) {
    const narrow_bytes narrow = __builtin_convertvector(q + 128, narrow_bytes);
    memcpy(p, &narrow, sizeof narrow);
}

ALWAYS_INLINE bits int8_left(const int8_number *p) {
    int32_t quad;
    memcpy(&quad, p, sizeof quad);
    return broadcast_bits(quad);
}

ALWAYS_INLINE bits int8_right(const int8_t *p) { return *(const unaligned_bits *)p; }

#endif
