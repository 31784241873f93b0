/* The element type of a translation unit.
 *
 * Files that depend on the dtype are compiled once for float32 and once, with -DLSTM_DOUBLE, for float64 (units.py).
 * Names are plain within a unit; only the few exported symbols carry the dtype: EXPORT(lstm_pack) is lstm_pack_f32 or
 * lstm_pack_f64. */
#ifndef LSTM_REAL_H
#define LSTM_REAL_H

#include <float.h>
#include <stdint.h>

#include "lstm_fast.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float32 is not computed as such: the bits would differ (see units.py)");

#ifdef LSTM_DOUBLE
typedef double real;
typedef int64_t real_bits; /* the integer of the same width */
#define REAL_DTYPE LSTM_F64
#define EXPORT(name) name##_f64
static inline real square_root(real x) { return __builtin_sqrt(x); }
#else
typedef float real;
typedef int32_t real_bits;
#define REAL_DTYPE LSTM_F32
#define EXPORT(name) name##_f32
static inline real square_root(real x) { return __builtin_sqrtf(x); }
#endif

#endif
