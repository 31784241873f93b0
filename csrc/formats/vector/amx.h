/* AVX-512 with VNNI and AMX: int8 products of many rows in tile registers (formats/amx.h). (Not TDPBF16PS, which adds
 * in another order than VDPBF16PS.) */
#ifndef LSTM_FORMATS_AMX_VECTOR_H
#define LSTM_FORMATS_AMX_VECTOR_H

#include "avx512_vnni.h"

#define HAS_AMX 1

#endif
