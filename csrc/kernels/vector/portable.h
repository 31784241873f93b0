/* The portable instruction set: 16-byte vectors in whatever registers the compiler chooses. Without fused multiply-add:
 * the same sums in the same order, but each product is rounded too. */
#ifndef LSTM_VECTOR_PORTABLE_H
#define LSTM_VECTOR_PORTABLE_H

#include "sixteen_bytes.h"

/* Tile sizes: see tile.h. */
#define TILE_ROWS 3
#define TILE_PANELS(rows) ((rows) == 1 ? 3 : 1)
#define PAIRS_BELOW 0

ALWAYS_INLINE vec vfma(vec a, vec b, vec c) { return a * b + c; }
ALWAYS_INLINE vec vfnma(vec a, vec b, vec c) { return c - a * b; }
ALWAYS_INLINE vec vfnms(vec a, vec b, vec c) { return -(a * b) - c; }

#ifndef LSTM_DOUBLE
ALWAYS_INLINE vec load_half(const uint16_t *p) {
    const bits half = {p[0], p[1], p[2], p[3]}, fraction = half & 0x3ff, magnitude = half & 0x7fff;
    const vec subnormal = __builtin_convertvector(fraction, vec) * 0x1p-24f;
    const bits is_normal = magnitude >= 0x400, normal = (magnitude << 13) + (112 << 23);
    return (vec)(((normal & is_normal) | ((bits)subnormal & ~is_normal)) | ((half & 0x8000) << 16));
}
#endif

#endif
