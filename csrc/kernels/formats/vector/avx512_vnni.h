/* AVX-512 with VNNI: VPDPBUSD. */
#ifndef LSTM_FORMATS_AVX512_VNNI_H
#define LSTM_FORMATS_AVX512_VNNI_H

#include <immintrin.h>

#include "../../../compiler.h"
#include "../../vector.h"
#include "bfloat16_by_shifts.h"
#include "int8_by_quads.h"

#define BFLOAT16_OF avx512
#define BFLOAT16_AMX_OF avx512

ALWAYS_INLINE bits multiply_int8(bits a, bits b, bits sum) {
    return (bits)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}

#endif
