/* AVX-512 without VNNI: VPMADDWD. */
#ifndef LSTM_FORMATS_AVX512_H
#define LSTM_FORMATS_AVX512_H

#include <immintrin.h>

#include "../../../compiler.h"
#include "../../vector.h"
#include "bfloat16_by_shifts.h"
#include "int8_by_pairs.h"

ALWAYS_INLINE bits int8_right(const int8_t *p) {
    return (bits)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
}
ALWAYS_INLINE bits multiply_int8(bits a, bits b, bits sum) {
    return sum + (bits)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}

#endif
