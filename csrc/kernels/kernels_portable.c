/* Kernels for portable; setup.py gives this file its flags. */
#define ISA _portable
#define VECTOR_BYTES 16
#include "kernels_body.h"
