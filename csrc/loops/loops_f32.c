/* The loops for float32. */
#include "../kernels/kernels.h"

#define REAL float
#define NAME(word) word##_f32
#define DTYPE LSTM_F32
#include "loops_body.h"
