/* NEON without dot products: the portable vocabulary with NEON's fused multiply-add. */
#ifndef LSTM_FORMATS_NEON_H
#define LSTM_FORMATS_NEON_H

#include "portable.h"

#endif
