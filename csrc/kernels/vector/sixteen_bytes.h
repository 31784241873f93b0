/* Shared by the instruction sets with 16-byte vectors: nothing but the compiler's vector extensions. */
#ifndef LSTM_VECTOR_SIXTEEN_BYTES_H
#define LSTM_VECTOR_SIXTEEN_BYTES_H

#include "../../compiler.h"
#include "../../real.h"

#define VECTOR_BYTES 16
typedef real vec VECTOR_OF(VECTOR_BYTES);
typedef real_bits bits VECTOR_OF(VECTOR_BYTES);
typedef uint32_t lanes_u32 VECTOR_OF(VECTOR_BYTES);

ALWAYS_INLINE vec hold(vec v) { return v; }

#ifdef LSTM_DOUBLE
ALWAYS_INLINE vec broadcast(real s) { return (vec){s, s}; }
ALWAYS_INLINE vec load_first(const real *p, int64_t n) {
    (void)n;
    return (vec){p[0], 0};
}
ALWAYS_INLINE void store_first(real *p, vec v, int64_t n) {
    (void)n;
    p[0] = v[0];
}
#else
ALWAYS_INLINE vec broadcast(real s) { return (vec){s, s, s, s}; }
ALWAYS_INLINE vec load_first(const real *p, int64_t n) { return (vec){p[0], n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, 0}; }
ALWAYS_INLINE void store_first(real *p, vec v, int64_t n) {
    for (int64_t k = 0; k < n; k++) p[k] = v[k];
}
#endif

/* (Not vselect of vector.h, which needs the types of this file.) */
ALWAYS_INLINE vec at_least(vec low, vec v) {
    const bits is_low = v < low;
    return (vec)(((bits)low & is_low) | ((bits)v & ~is_low));
}
ALWAYS_INLINE vec at_most(vec high, vec v) {
    const bits is_high = v > high;
    return (vec)(((bits)high & is_high) | ((bits)v & ~is_high));
}

ALWAYS_INLINE lanes_u32 multiply_even(lanes_u32 a, lanes_u32 b) {
    const uint64_t first = (uint64_t)a[0] * b[0], second = (uint64_t)a[2] * b[2];
    return (lanes_u32){(uint32_t)first, (uint32_t)(first >> 32), (uint32_t)second, (uint32_t)(second >> 32)};
}
ALWAYS_INLINE lanes_u32 reverse_fours(lanes_u32 v) { return (lanes_u32){v[3], v[2], v[1], v[0]}; }

#endif
