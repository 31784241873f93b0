/* bfloat16 without dedicated instructions: the left operand is kept as float32, weights are widened by a shift. Results
 * are bitwise equal to VDPBF16PS: odd products before even ones, each a fused multiply-add, subnormals flushed. */
#ifndef LSTM_BFLOAT16_BY_SHIFTS_H
#define LSTM_BFLOAT16_BY_SHIFTS_H

#include "../../../compiler.h"
#include "../../vector.h"

typedef float bfloat16_number;

/* The upper halves hold the rounded numbers, the lower ones zero. Round to nearest even; subnormal numbers become zero;
 * NaN stays NaN. */
ALWAYS_INLINE bits rounded_bfloat16(vec v) {
    const bits b = (bits)v, magnitude = b & INT32_MAX, upper = broadcast_bits(-65536);
    const bits is_nan = magnitude > 0x7f800000, is_subnormal = magnitude < 0x00800000;
    const bits rounded = (b + 0x7fff + ((b >> 16) & 1)) & upper;
    return (is_nan & ((b | 0x00400000) & upper)) | (is_subnormal & (b & INT32_MIN))
           | (~(is_nan | is_subnormal) & rounded);
}

ALWAYS_INLINE void round_bfloat16(bfloat16_number *p, vec v) { store(p, (vec)rounded_bfloat16(v)); }

/* In memory the even number comes first. */
ALWAYS_INLINE bits pair_bfloat16(vec even, vec odd) {
    const vec low = LOW_HALF_FIRST ? even : odd, high = LOW_HALF_FIRST ? odd : even;
    return rounded_bfloat16(high) | (bits)((lanes_u32)rounded_bfloat16(low) >> 16);
}

struct bfloat16_pair {
    vec even, odd;
};

ALWAYS_INLINE struct bfloat16_pair bfloat16_left(const bfloat16_number *p) {
    return (struct bfloat16_pair){broadcast(p[0]), broadcast(p[1])};
}

ALWAYS_INLINE struct bfloat16_pair bfloat16_right(const uint16_t *p) {
    const bits b = *(const unaligned_bits *)p;
    const vec low = (vec)(b << 16), high = (vec)(b & broadcast_bits(-65536));
    return LOW_HALF_FIRST ? (struct bfloat16_pair){low, high} : (struct bfloat16_pair){high, low};
}

ALWAYS_INLINE vec number_of_pair(struct bfloat16_pair pair, bool is_odd) { return is_odd ? pair.odd : pair.even; }

ALWAYS_INLINE vec multiply_bfloat16(struct bfloat16_pair left, struct bfloat16_pair right, vec sum) {
    return vfma(left.even, right.even, vfma(left.odd, right.odd, sum));
}

#endif
