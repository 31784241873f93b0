/* The vector vocabulary of the kernels: one type per dtype and the operations that GCC's and Clang's vector extensions
 * do not spell (+ - * / & | << are written as such). The only file that names instructions. VECTOR_BYTES is set by
 * kernels_<isa>.c. */
#ifndef LSTM_KERNELS_VECTOR_H
#define LSTM_KERNELS_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline, unused))
#define NEVER_INLINE static __attribute__((noinline))

/* Before a loop of constant length: unrolled wholly, so that what its counter indexes stays in registers. UNROLL_BY: before any
 * loop, n times. (Clang reads GCC's spelling too, but then leaves short loops as they are: five times slower.) */
#define PRAGMA(words) _Pragma(#words)
#ifdef __clang__
#define UNROLL PRAGMA(clang loop unroll(full))
#define UNROLL_BY(n) PRAGMA(clang loop unroll_count(n))
#else
#define UNROLL PRAGMA(GCC unroll 24)
#define UNROLL_BY(n) PRAGMA(GCC unroll n)
#endif

typedef float vec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef double vec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int32_t bits_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int64_t bits_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint32_t lanes_u32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint64_t lanes_u64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef vec_f32 loose_vec_f32 __attribute__((aligned(4)));
typedef vec_f64 loose_vec_f64 __attribute__((aligned(8)));

ALWAYS_INLINE vec_f32 load_f32(const float *p) { return *(const loose_vec_f32 *)p; }
ALWAYS_INLINE vec_f64 load_f64(const double *p) { return *(const loose_vec_f64 *)p; }
ALWAYS_INLINE void store_f32(float *p, vec_f32 v) { *(loose_vec_f32 *)p = v; }
ALWAYS_INLINE void store_f64(double *p, vec_f64 v) { *(loose_vec_f64 *)p = v; }

/* VECTOR_BYTES / 4 numbers of IEEE half precision, widened: exact, subnormal ones too whatever the floating-point mode. */
ALWAYS_INLINE vec_f32 load_half_f32(const uint16_t *p) {
#if VECTOR_BYTES == 64
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif VECTOR_BYTES == 32
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#elif defined(LSTM_KERNELS_NEON)
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    const bits_f32 half = {p[0], p[1], p[2], p[3]}, fraction = half & 0x3ff, magnitude = half & 0x7fff;
    const vec_f32 subnormal = __builtin_convertvector(fraction, vec_f32) * 0x1p-24f;
    const bits_f32 is_normal = magnitude >= 0x400, normal = (magnitude << 13) + (112 << 23);
    return (vec_f32)(((normal & is_normal) | ((bits_f32)subnormal & ~is_normal)) | ((half & 0x8000) << 16));
#endif
}

/* Keeps v in a register: GCC would rather load it again for each use, and loads are what is short. */
#if VECTOR_BYTES == 64
#define HOLD(v) __asm__("" : "+v"(v))
#elif VECTOR_BYTES == 32
#define HOLD(v) __asm__("" : "+x"(v))
#else
#define HOLD(v) (void)(v)
#endif

/* The first n lanes (n < all), the rest zero; nothing beyond is touched. */
#if VECTOR_BYTES == 64
ALWAYS_INLINE vec_f32 load_first_f32(const float *p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
ALWAYS_INLINE vec_f64 load_first_f64(const double *p, int64_t n) { return _mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
ALWAYS_INLINE void store_first_f32(float *p, vec_f32 v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
ALWAYS_INLINE void store_first_f64(double *p, vec_f64 v, int64_t n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), v); }
#elif VECTOR_BYTES == 32
ALWAYS_INLINE __m256i first_f32(int64_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
ALWAYS_INLINE __m256i first_f64(int64_t n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
ALWAYS_INLINE vec_f32 load_first_f32(const float *p, int64_t n) { return _mm256_maskload_ps(p, first_f32(n)); }
ALWAYS_INLINE vec_f64 load_first_f64(const double *p, int64_t n) { return _mm256_maskload_pd(p, first_f64(n)); }
ALWAYS_INLINE void store_first_f32(float *p, vec_f32 v, int64_t n) { _mm256_maskstore_ps(p, first_f32(n), v); }
ALWAYS_INLINE void store_first_f64(double *p, vec_f64 v, int64_t n) { _mm256_maskstore_pd(p, first_f64(n), v); }
#else
ALWAYS_INLINE vec_f32 load_first_f32(const float *p, int64_t n) { return (vec_f32){p[0], n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, 0}; }
ALWAYS_INLINE vec_f64 load_first_f64(const double *p, int64_t n) { (void)n; return (vec_f64){p[0], 0}; }
ALWAYS_INLINE void store_first_f32(float *p, vec_f32 v, int64_t n) { for (int64_t k = 0; k < n; k++) p[k] = v[k]; }
ALWAYS_INLINE void store_first_f64(double *p, vec_f64 v, int64_t n) { (void)n; p[0] = v[0]; }
#endif

/* The first n lanes, any n up to all and beyond. */
ALWAYS_INLINE vec_f32 load_lanes_f32(const float *p, int64_t n) { return n < VECTOR_BYTES / 4 ? load_first_f32(p, n) : load_f32(p); }
ALWAYS_INLINE vec_f64 load_lanes_f64(const double *p, int64_t n) { return n < VECTOR_BYTES / 8 ? load_first_f64(p, n) : load_f64(p); }
ALWAYS_INLINE void store_lanes_f32(float *p, vec_f32 v, int64_t n) { if (n < VECTOR_BYTES / 4) store_first_f32(p, v, n); else store_f32(p, v); }
ALWAYS_INLINE void store_lanes_f64(double *p, vec_f64 v, int64_t n) { if (n < VECTOR_BYTES / 8) store_first_f64(p, v, n); else store_f64(p, v); }

ALWAYS_INLINE vec_f32 broadcast_f32(float s) {
#if VECTOR_BYTES == 64
    return _mm512_set1_ps(s);
#elif VECTOR_BYTES == 32
    return _mm256_set1_ps(s);
#else
    return (vec_f32){s, s, s, s};
#endif
}
ALWAYS_INLINE vec_f64 broadcast_f64(double s) {
#if VECTOR_BYTES == 64
    return _mm512_set1_pd(s);
#elif VECTOR_BYTES == 32
    return _mm256_set1_pd(s);
#else
    return (vec_f64){s, s};
#endif
}

/* a * b + c, rounded once (portable: twice). */
ALWAYS_INLINE vec_f32 fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) {
#if VECTOR_BYTES == 64
    return _mm512_fmadd_ps(a, b, c);
#elif VECTOR_BYTES == 32
    return _mm256_fmadd_ps(a, b, c);
#elif defined(LSTM_KERNELS_NEON)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}
ALWAYS_INLINE vec_f64 fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) {
#if VECTOR_BYTES == 64
    return _mm512_fmadd_pd(a, b, c);
#elif VECTOR_BYTES == 32
    return _mm256_fmadd_pd(a, b, c);
#elif defined(LSTM_KERNELS_NEON)
    return vfmaq_f64(c, a, b);
#else
    return a * b + c;
#endif
}

/* 64-bit products of the even lanes, and each four lanes from the last to the first: what random_body.h needs. */
#if VECTOR_BYTES == 64
ALWAYS_INLINE lanes_u32 multiply_even(lanes_u32 a, lanes_u32 b) { return (lanes_u32)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
ALWAYS_INLINE lanes_u32 reverse_fours(lanes_u32 v) { return (lanes_u32)_mm512_shuffle_epi32((__m512i)v, _MM_PERM_ABCD); }
#elif VECTOR_BYTES == 32
ALWAYS_INLINE lanes_u32 multiply_even(lanes_u32 a, lanes_u32 b) { return (lanes_u32)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
ALWAYS_INLINE lanes_u32 reverse_fours(lanes_u32 v) { return (lanes_u32)_mm256_shuffle_epi32((__m256i)v, 0x1b); }
#else
ALWAYS_INLINE lanes_u32 multiply_even(lanes_u32 a, lanes_u32 b) {
    const uint64_t first = (uint64_t)a[0] * b[0], second = (uint64_t)a[2] * b[2];
    return (lanes_u32){(uint32_t)first, (uint32_t)(first >> 32), (uint32_t)second, (uint32_t)(second >> 32)};
}
ALWAYS_INLINE lanes_u32 reverse_fours(lanes_u32 v) { return (lanes_u32){v[3], v[2], v[1], v[0]}; }
#endif

/* The larger, the smaller; v where v is not a number. */
#if VECTOR_BYTES == 64
ALWAYS_INLINE vec_f32 at_least_f32(vec_f32 low, vec_f32 v) { return _mm512_max_ps(low, v); }
ALWAYS_INLINE vec_f64 at_least_f64(vec_f64 low, vec_f64 v) { return _mm512_max_pd(low, v); }
ALWAYS_INLINE vec_f32 at_most_f32(vec_f32 high, vec_f32 v) { return _mm512_min_ps(high, v); }
ALWAYS_INLINE vec_f64 at_most_f64(vec_f64 high, vec_f64 v) { return _mm512_min_pd(high, v); }
#elif VECTOR_BYTES == 32
ALWAYS_INLINE vec_f32 at_least_f32(vec_f32 low, vec_f32 v) { return _mm256_max_ps(low, v); }
ALWAYS_INLINE vec_f64 at_least_f64(vec_f64 low, vec_f64 v) { return _mm256_max_pd(low, v); }
ALWAYS_INLINE vec_f32 at_most_f32(vec_f32 high, vec_f32 v) { return _mm256_min_ps(high, v); }
ALWAYS_INLINE vec_f64 at_most_f64(vec_f64 high, vec_f64 v) { return _mm256_min_pd(high, v); }
#endif

/* a where the mask is set (all bits of a lane), else b. */
ALWAYS_INLINE vec_f32 choose_f32(bits_f32 mask, vec_f32 a, vec_f32 b) {
    return (vec_f32)(((bits_f32)a & mask) | ((bits_f32)b & ~mask));
}
ALWAYS_INLINE vec_f64 choose_f64(bits_f64 mask, vec_f64 a, vec_f64 b) {
    return (vec_f64)(((bits_f64)a & mask) | ((bits_f64)b & ~mask));
}

#if VECTOR_BYTES == 16
ALWAYS_INLINE vec_f32 at_least_f32(vec_f32 low, vec_f32 v) { return choose_f32(v < low, low, v); }
ALWAYS_INLINE vec_f64 at_least_f64(vec_f64 low, vec_f64 v) { return choose_f64(v < low, low, v); }
ALWAYS_INLINE vec_f32 at_most_f32(vec_f32 high, vec_f32 v) { return choose_f32(v > high, high, v); }
ALWAYS_INLINE vec_f64 at_most_f64(vec_f64 high, vec_f64 v) { return choose_f64(v > high, high, v); }
#endif

#endif
