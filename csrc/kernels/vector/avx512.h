/* AVX-512 F, DQ, VL and BW: 32 registers of 64 bytes. */
#ifndef LSTM_VECTOR_AVX512_H
#define LSTM_VECTOR_AVX512_H

#include <immintrin.h>

#include "../../compiler.h"
#include "../../real.h"

#define VECTOR_BYTES 64
typedef real vec VECTOR_OF(VECTOR_BYTES);
typedef real_bits bits VECTOR_OF(VECTOR_BYTES);
typedef uint32_t lanes_u32 VECTOR_OF(VECTOR_BYTES);

/* Tile sizes: see tile.h. */
#define TILE_ROWS 6
#define TILE_PANELS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)

/* Fewer panels of one row than these are taken in pairs, not in fours: 15 % of a step of H = 64, whose 64 KB of weights
 * are then half read from L1, as steps alternate their direction; 3-5 % at H = 80 and 96. (More panels: 2-5 % slower;
 * float64: 9 % slower at H = 32, 3 % faster at H = 48, no difference elsewhere.) */
#ifdef LSTM_DOUBLE
#define PAIRS_BELOW 0
#else
#define PAIRS_BELOW 7
#endif

ALWAYS_INLINE vec hold(vec v) {
    __asm__("" : "+v"(v));
    return v;
}

#ifdef LSTM_DOUBLE
ALWAYS_INLINE vec broadcast(real s) { return _mm512_set1_pd(s); }
ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return _mm512_fnmsub_pd(a, b, c); }
ALWAYS_INLINE vec at_least(vec low, vec v) { return _mm512_max_pd(low, v); }
ALWAYS_INLINE vec at_most(vec high, vec v) { return _mm512_min_pd(high, v); }
ALWAYS_INLINE __mmask8 first_lanes(int64_t n) { return (__mmask8)((1u << n) - 1); }
ALWAYS_INLINE vec load_first(const real *p, int64_t n) { return _mm512_maskz_loadu_pd(first_lanes(n), p); }
ALWAYS_INLINE void store_first(real *p, vec v, int64_t n) { _mm512_mask_storeu_pd(p, first_lanes(n), v); }
#else
ALWAYS_INLINE vec broadcast(real s) { return _mm512_set1_ps(s); }
#define HAS_PERMUTE_TWO
ALWAYS_INLINE vec permute_two(vec a, bits indices, vec b) { return _mm512_permutex2var_ps(a, (__m512i)indices, b); }
ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return _mm512_fnmsub_ps(a, b, c); }
ALWAYS_INLINE vec at_least(vec low, vec v) { return _mm512_max_ps(low, v); }
ALWAYS_INLINE vec at_most(vec high, vec v) { return _mm512_min_ps(high, v); }
ALWAYS_INLINE __mmask16 first_lanes(int64_t n) { return (__mmask16)((1u << n) - 1); }
ALWAYS_INLINE vec load_first(const real *p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
ALWAYS_INLINE void store_first(real *p, vec v, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
ALWAYS_INLINE vec load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#endif

ALWAYS_INLINE lanes_u32 multiply_even(lanes_u32 a, lanes_u32 b) {
    return (lanes_u32)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}
ALWAYS_INLINE lanes_u32 reverse_fours(lanes_u32 v) {
    return (lanes_u32)_mm512_shuffle_epi32((__m512i)v, _MM_PERM_ABCD);
}

#endif
