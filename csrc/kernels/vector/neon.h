/* NEON of AArch64: 32 registers of 16 bytes. */
#ifndef LSTM_VECTOR_NEON_H
#define LSTM_VECTOR_NEON_H

#include <arm_neon.h>

#include "sixteen_bytes.h"

/* Tile sizes: see tile.h. */
#define TILE_ROWS 6
#define TILE_PANELS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
#define PAIRS_BELOW 0

#ifdef LSTM_DOUBLE
ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return vfmaq_f64(c, a, b); }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return vfmsq_f64(c, a, b); }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return -vfmaq_f64(c, a, b); }
#else
ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return -vfmaq_f32(c, a, b); }
ALWAYS_INLINE vec load_half(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#endif

#endif
