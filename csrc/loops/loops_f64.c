/* The loops for float64. */
#include "../kernels/kernels.h"

#define REAL double
#define NAME(word) word##_f64
#define DTYPE LSTM_F64
#include "loops_body.h"
