/* Kernels for neon; setup.py gives this file its flags. */
#if !(defined(__aarch64__))
#error "compile kernels_neon.c with the flags of setup.py"
#endif
#define ISA _neon
#define VECTOR_BYTES 16
#define LSTM_KERNELS_NEON 1
#include "kernels_body.h"
