/* NEON without dot products: as the portable instruction set, but with its fused multiply-add. */
#ifndef LSTM_FORMATS_NEON_H
#define LSTM_FORMATS_NEON_H

#include "portable.h"

#endif
