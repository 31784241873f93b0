/* Kernels for avx512; setup.py gives this file its flags. */
#if !(defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#error "compile kernels_avx512.c with the flags of setup.py"
#endif
#define ISA _avx512
#define VECTOR_BYTES 64
#include "kernels_body.h"
