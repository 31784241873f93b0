/* AVX2: VPMADDWD. (Not VPMADDUBSW, whose sums of two products saturate.) */
#ifndef LSTM_FORMATS_AVX2_H
#define LSTM_FORMATS_AVX2_H

#include <immintrin.h>

#include "../../../compiler.h"
#include "../../vector.h"
#include "bfloat16_by_shifts.h"
#include "int8_by_pairs.h"

ALWAYS_INLINE bits int8_right(const int8_t *p) {
    return (bits)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}
ALWAYS_INLINE bits multiply_int8(bits a, bits b, bits sum) {
    return sum + (bits)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

#endif
