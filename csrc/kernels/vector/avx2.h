/* AVX2 with FMA and F16C: 16 registers of 32 bytes. */
#ifndef LSTM_VECTOR_AVX2_H
#define LSTM_VECTOR_AVX2_H

#include <immintrin.h>

#include "../../compiler.h"
#include "../../real.h"

#define VECTOR_BYTES 32
typedef real vec VECTOR_OF(VECTOR_BYTES);
typedef real_bits bits VECTOR_OF(VECTOR_BYTES);
typedef uint32_t lanes_u32 VECTOR_OF(VECTOR_BYTES);

/* Tile sizes: see tile.h. */
#define TILE_ROWS 3
#define TILE_PANELS(rows) ((rows) == 1 ? 3 : 1)
#define PAIRS_BELOW 0

ALWAYS_INLINE vec hold(vec v) {
    __asm__("" : "+x"(v));
    return v;
}

#ifdef LSTM_DOUBLE
ALWAYS_INLINE vec broadcast(real s) { return _mm256_set1_pd(s); }
ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return _mm256_fnmadd_pd(a, b, c); }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return _mm256_fnmsub_pd(a, b, c); }
ALWAYS_INLINE vec at_least(vec low, vec v) { return _mm256_max_pd(low, v); }
ALWAYS_INLINE vec at_most(vec high, vec v) { return _mm256_min_pd(high, v); }
ALWAYS_INLINE __m256i first_lanes(int64_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
ALWAYS_INLINE vec load_first(const real *p, int64_t n) { return _mm256_maskload_pd(p, first_lanes(n)); }
ALWAYS_INLINE void store_first(real *p, vec v, int64_t n) { _mm256_maskstore_pd(p, first_lanes(n), v); }
#else
ALWAYS_INLINE vec broadcast(real s) { return _mm256_set1_ps(s); }
ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return _mm256_fnmsub_ps(a, b, c); }
ALWAYS_INLINE vec at_least(vec low, vec v) { return _mm256_max_ps(low, v); }
ALWAYS_INLINE vec at_most(vec high, vec v) { return _mm256_min_ps(high, v); }
ALWAYS_INLINE __m256i first_lanes(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
ALWAYS_INLINE vec load_first(const real *p, int64_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
ALWAYS_INLINE void store_first(real *p, vec v, int64_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
ALWAYS_INLINE vec load_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#endif

ALWAYS_INLINE lanes_u32 multiply_even(lanes_u32 a, lanes_u32 b) {
    return (lanes_u32)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
ALWAYS_INLINE lanes_u32 reverse_fours(lanes_u32 v) { return (lanes_u32)_mm256_shuffle_epi32((__m256i)v, 0x1b); }

#endif
