/* The activations of a vector and their derivatives in terms of the output, which is what a tape keeps.
 *
 * sigmoid and tanh are within 2 ULP of the exact value (measured over all floats: sigmoid 1.5, tanh 1.95); NaN stays
 * NaN, the infinities saturate, tanh is odd to the bit. Both are built on one exponential:
 *
 *     z = n ln 2 + r, |r| <= ln(2)/2;   exp(z) = s (1 + p) with s = 2^n, p = expm1(r) = r + r^2 P(r)
 *
 * P is a near-minimax polynomial of (expm1(r) - r) / r^2 (Chebyshev fit with 60 digits, coefficients rounded); the
 * relative error of expm1(r) is below 0.03 (float32) and 0.01 (float64) of an epsilon. ln 2 is split in two so that n *
 * high is exact. n is rounded by adding 1.5 * 2^23 (float64: 2^52) and the exponent bias, which leaves the exponent of
 * 2^n in the low bits. Working with s and p rounds each of 1 + exp(z) and exp(z) - 1 once or hardly more; the textbook
 * forms e / (1 + e) and -m / (m + 2) of a rounded e or m reached 2.3 and 2.5 ULP.
 *
 * Tried without gain: Estrin's scheme (the shorter chain needs more copies of constants); constants as whole vectors in
 * memory (a tenth fewer instructions in the cell, same time); folding the sign flip of sigmoid into the constants; on
 * AVX-512, vrcp14 with Newton steps instead of divisions (llvm-mca: 112 cycles per vector of units, not 84: ports 0 and
 * 5 are the bottleneck). Dropping `rest` in sigmoid is 3 % faster at H = 64 but 2.02 ULP off at 2^24. */
#ifndef LSTM_ACTIVATIONS_H
#define LSTM_ACTIVATIONS_H

#include <stddef.h>

#include "../compiler.h"
#include "../lstm_fast.h"
#include "../real.h"
#include "vector.h"

/* EXP_LOWEST: 2^n is 0 there. EXP_HIGHEST: the largest z whose 1 / exp(z) is still a normal number. */
#ifdef LSTM_DOUBLE
static const real exp_coefficients[] = {0x1.1f730349868cep-29,
                                        0x1.af4de97ca4194p-26,
                                        0x1.27e4db646b17ep-22,
                                        0x1.71de0231960ebp-19,
                                        0x1.a01a01a6d889cp-16,
                                        0x1.a01a01abe7fe1p-13,
                                        0x1.6c16c16c162d4p-10,
                                        0x1.11111111100dcp-7,
                                        0x1.5555555555556p-5,
                                        0x1.5555555555557p-3,
                                        0x1p-1};
#define EXP_ROUND (0x1.8p52 + 1023)
#define EXP_LN2_HIGH 0x1.62e42feep-1
#define EXP_LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST (-709.)
#define EXP_HIGHEST 709.
#define MANTISSA_BITS 52
#define SIGN_BIT INT64_MIN
#define LOG1P_TERMS 17
#else
static const real exp_coefficients[] = {0x1.a124f2p-13f, 0x1.6d4324p-10f, 0x1.1110e0p-7f,
                                        0x1.5554eap-5f,  0x1.555556p-3f,  0x1p-1f};
#define EXP_ROUND (0x1.8p23f + 127)
#define EXP_LN2_HIGH 0x1.63p-1f
#define EXP_LN2_LOW (-0x1.bd0106p-13f)
#define EXP_LOWEST (-88.f)
#define EXP_HIGHEST 87.9f
#define MANTISSA_BITS 23
#define SIGN_BIT INT32_MIN
#define LOG1P_TERMS 8
#endif

ALWAYS_INLINE vec one(void) { return broadcast((real)1); }
ALWAYS_INLINE vec zero(void) { return broadcast((real)0); }

/* ---- sigmoid and tanh -------------------------------------------------------------------------------------------- */

/* The argument x of a sigmoid or a tanh with the exponential that it needs: exp(z) = s + s p. */
struct argument {
    vec x, z, s, p;
};

ALWAYS_INLINE struct argument for_sigmoid(vec x) {
    return (struct argument){.x = x, .z = at_least(broadcast(EXP_LOWEST), at_most(broadcast(EXP_HIGHEST), -x))};
}

/* z = -|2x| */
ALWAYS_INLINE struct argument for_tanh(vec x) {
    return (struct argument){.x = x, .z = at_least(broadcast(EXP_LOWEST), (vec)((bits)(x + x) | SIGN_BIT))};
}

/* s and p of n arguments, whose z is in EXP_LOWEST .. EXP_HIGHEST or NaN. Each is one long chain of dependent
 * operations; interleaving those of the first and of the second half of a cell makes the cell 14-18 % faster. (GCC
 * partly undoes it; preventing that with empty asm statements gained nothing more.) */
#define MOST_ARGUMENTS 3
ALWAYS_INLINE void exponentials(const int n, struct argument *a) {
    vec r[MOST_ARGUMENTS];
    UNROLL
    for (int j = 0; j < n; j++) a[j].s = vfma(a[j].z, broadcast((real)0x1.71547652b82fep+0), broadcast(EXP_ROUND));
    UNROLL
    for (int j = 0; j < n; j++) r[j] = vfma(a[j].s - broadcast(EXP_ROUND), broadcast(-EXP_LN2_HIGH), a[j].z);
    UNROLL
    for (int j = 0; j < n; j++) r[j] = vfma(a[j].s - broadcast(EXP_ROUND), broadcast(-EXP_LN2_LOW), r[j]);
    UNROLL
    for (int j = 0; j < n; j++) {
        a[j].s = (vec)((bits)a[j].s << MANTISSA_BITS);
        a[j].p = broadcast(exp_coefficients[0]);
    }
    UNROLL
    for (size_t k = 1; k < sizeof exp_coefficients / sizeof(real); k++) {
        UNROLL
        for (int j = 0; j < n; j++) a[j].p = vfma(a[j].p, r[j], broadcast(exp_coefficients[k]));
    }
    UNROLL
    for (int j = 0; j < n; j++) a[j].p = vfma(r[j] * r[j], a[j].p, r[j]);
}

/* 1 / (1 + exp(-x)): the divisor is 1 + s + s p, where s p is exact, and so is 1 + s but for a large s, whose lost part
 * is `rest`. */
ALWAYS_INLINE vec sigmoid(struct argument a) {
    const vec sum = one() + a.s, rest = one() - (sum - a.s);
    return one() / (sum + vfma(a.s, a.p, rest));
}

/* With e = exp(-|2x|): (1 - e) / (1 + e) where e is large, 1 - 2e / (1 + e) where it is small, with the sign of x. (v-:
 * not libm's.) */
ALWAYS_INLINE vec vtanh(struct argument a) {
    const vec divisor = vfma(a.s, a.p, a.s + one()), twice = a.s + a.s;
    const bits is_small = divisor < broadcast((real)1.3125);
    const vec quotient = vselect(is_small, vfma(twice, a.p, twice), vfma(-a.s, a.p, one() - a.s)) / divisor;
    const vec magnitude = vselect(is_small, one() - quotient, quotient);
    return (vec)((bits)magnitude | ((bits)a.x & SIGN_BIT));
}

ALWAYS_INLINE vec sigmoid_of(vec x) {
    struct argument a = for_sigmoid(x);
    exponentials(1, &a);
    return sigmoid(a);
}

ALWAYS_INLINE vec tanh_of(vec x) {
    struct argument a = for_tanh(x);
    exponentials(1, &a);
    return vtanh(a);
}

/* ---- the other activations ------------------------------------------------------------------------------------------
 * ONNX's eleven. Formulas and kinks are those of lstm_fast/reference/activations.py. */

ALWAYS_INLINE struct argument exponential_of_negative(vec z) {
    struct argument a = {.z = at_least(broadcast(EXP_LOWEST), z)};
    exponentials(1, &a);
    return a;
}

/* exp(z) for z <= 0. */
ALWAYS_INLINE vec exp_of_negative(vec z) {
    const struct argument a = exponential_of_negative(z);
    return vfma(a.s, a.p, a.s);
}

/* exp(z) - 1 for z <= 0: s p + (s - 1), where s - 1 is exact. */
ALWAYS_INLINE vec expm1_of_negative(vec z) {
    const struct argument a = exponential_of_negative(z);
    return vfma(a.s, a.p, a.s - one());
}

/* log(1 + u) for 0 <= u <= 1: 2 atanh(w) = 2 (w + w^3/3 + w^5/5 ...) with w = u / (2 + u) <= 1/3; the truncated rest is
 * below (1/9)^LOG1P_TERMS / (2 LOG1P_TERMS + 1), less than half an epsilon. */
ALWAYS_INLINE vec vlog1p(vec u) {
    const vec w = u / (u + broadcast((real)2)), w2 = w * w;
    vec sum = broadcast((real)1 / (2 * LOG1P_TERMS - 1));
    UNROLL_BY(1)
    for (int k = 2 * LOG1P_TERMS - 3; k > 1; k -= 2) sum = vfma(sum, w2, broadcast((real)1 / (real)k));
    return vfma(w * w2, sum, w) * broadcast((real)2);
}

ALWAYS_INLINE vec vabs(vec z) { return (vec)((bits)z & ((bits){0} + ~SIGN_BIT)); }

/* max(z, 0) and min(z, 0); both keep NaN. */
ALWAYS_INLINE vec relu(vec z) { return at_least(zero(), z); }
ALWAYS_INLINE vec negative_part(vec z) { return at_most(zero(), z); }

NEVER_INLINE vec activate(const struct lstm_activation *a, vec z) {
    const vec alpha = broadcast((real)a->alpha), beta = broadcast((real)a->beta);
    switch (a->kind) {
    case LSTM_SIGMOID: return sigmoid_of(z);
    case LSTM_RELU: return relu(z);
    case LSTM_AFFINE: return vfma(alpha, z, beta);
    case LSTM_LEAKY_RELU: return vselect(z < zero(), alpha * z, z);
    case LSTM_THRESHOLDED_RELU: return vselect(z < alpha, zero(), z);
    case LSTM_SCALED_TANH: return alpha * tanh_of(beta * z);
    case LSTM_HARD_SIGMOID: return at_least(zero(), at_most(one(), vfma(alpha, z, beta)));
    case LSTM_ELU: return vselect(z < zero(), alpha * expm1_of_negative(negative_part(z)), z);
    case LSTM_SOFTSIGN: return z / (one() + vabs(z));
    case LSTM_SOFTPLUS: return relu(z) + vlog1p(exp_of_negative(-vabs(z))); /* max(z, 0) + log(1 + exp(-|z|)) */
    case LSTM_DEFAULT:
    case LSTM_TANH: break;
    }
    return tanh_of(z);
}

NEVER_INLINE vec activation_slope(const struct lstm_activation *a, vec y) {
    const vec alpha = broadcast((real)a->alpha), beta = broadcast((real)a->beta);
    switch (a->kind) {
    case LSTM_SIGMOID: return y * (one() - y);
    case LSTM_RELU:
    case LSTM_THRESHOLDED_RELU: return vselect(y > zero(), one(), zero());
    case LSTM_AFFINE: return alpha;
    case LSTM_LEAKY_RELU: return vselect(y <= zero(), alpha, one());
    case LSTM_SCALED_TANH: return beta * (alpha - y * (y / alpha));
    case LSTM_HARD_SIGMOID: return vselect((y > zero()) & (y < one()), alpha, zero());
    case LSTM_ELU: return vselect(y <= zero(), y + alpha, one());
    case LSTM_SOFTSIGN: return (one() - vabs(y)) * (one() - vabs(y));
    case LSTM_SOFTPLUS: return -expm1_of_negative(-y);
    case LSTM_DEFAULT:
    case LSTM_TANH: break;
    }
    return one() - y * y;
}

/* The kernel: n numbers. */
static void activate_array(struct lstm_activation a, bool slope, int64_t n, const real *x, real *y) {
    for (int64_t k = 0; k < n; k += VL) {
        const vec v = load_lanes(x + k, n - k);
        store_lanes(y + k, slope ? activation_slope(&a, v) : activate(&a, v), n - k);
    }
}

#endif
