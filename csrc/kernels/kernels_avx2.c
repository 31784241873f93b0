/* Kernels for avx2; setup.py gives this file its flags. */
#if !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#error "compile kernels_avx2.c with the flags of setup.py"
#endif
#define ISA _avx2
#define VECTOR_BYTES 32
#include "kernels_body.h"
