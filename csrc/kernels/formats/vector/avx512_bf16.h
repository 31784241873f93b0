/* AVX-512 with VNNI and BF16: VPDPBUSD and VDPBF16PS. */
#ifndef LSTM_FORMATS_AVX512_BF16_H
#define LSTM_FORMATS_AVX512_BF16_H

#include <immintrin.h>
#include <string.h>

#include "../../../compiler.h"
#include "../../vector.h"
#include "int8_by_quads.h"

#define BFLOAT16_AMX_OF avx512
#define INT8_OF avx512_vnni

ALWAYS_INLINE bits multiply_int8(bits a, bits b, bits sum) {
    return (bits)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}

typedef uint16_t bfloat16_number;

ALWAYS_INLINE void round_bfloat16(bfloat16_number *p, vec v) {
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
    memcpy(p, &rounded, sizeof rounded);
}

ALWAYS_INLINE bits pair_bfloat16(vec even, vec odd) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)even));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)odd));
    return (bits)_mm512_or_si512(_mm512_slli_epi32(high, 16), low);
}

ALWAYS_INLINE bits bfloat16_left(const bfloat16_number *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return broadcast_bits(pair);
}

ALWAYS_INLINE bits bfloat16_right(const uint16_t *p) { return *(const unaligned_bits *)p; }

ALWAYS_INLINE vec number_of_pair(bits pair, bool is_odd) {
    return is_odd ? (vec)(pair & broadcast_bits(-65536)) : (vec)(pair << 16);
}

ALWAYS_INLINE vec multiply_bfloat16(bits left, bits right, vec sum) {
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
}

#endif
