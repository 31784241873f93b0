/* AVX2 with AVX-VNNI: VPDPBUSD on 32 bytes. */
#ifndef LSTM_FORMATS_AVX_VNNI_H
#define LSTM_FORMATS_AVX_VNNI_H

#include <immintrin.h>

#include "../../../compiler.h"
#include "../../vector.h"
#include "bfloat16_by_shifts.h"
#include "int8_by_quads.h"

#define BFLOAT16_OF avx2
#define BFLOAT16_AMX_OF avx2

ALWAYS_INLINE bits multiply_int8(bits a, bits b, bits sum) {
    return (bits)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
}

#endif
