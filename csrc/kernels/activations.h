/* The activations of a vector and their derivatives in terms of the output, which is what a tape keeps.
 *
 * In float32, sigmoid is within 1.0 ULP of the exact value and tanh within 1.5, measured over all floats; both are
 * monotone. NaN stays NaN, the infinities saturate, tanh is odd to the bit. (Without a fused multiply-add: 1.4 and 1.9
 * ULP, and neighbors may fall by one ULP.) Both are built on one exponential:
 *
 *     w = n ln 2 - r, |r| <= ln(2)/2;   exp(-w) = s (1 + p) with s = 2^-n, p = expm1(r) = r + r^2 P(r)
 *
 * P is a minimax polynomial of (expm1(r) - r) / r^2, its coefficients rounded; the relative error of p is below 0.23
 * (float32) and 0.01 (float64) of an epsilon. ln 2 is split in two so that n * high is exact. -n is rounded by adding
 * 1.5 * 2^23 (float64: 2^52) and the exponent bias, which leaves the exponent of 2^-n in the low bits.
 *
 * Both are quotients whose numerator and divisor are known to twice the precision, since s p is exact. The quotient of
 * their leading parts is corrected by its residual, which a fused multiply-add gives exactly:
 *
 *     (N + N') / (D + D') = q + ((N - q D) + (N' - q D')) / D   with q = N / D rounded
 *
 * This costs 1 % of a cell with AVX-512 and nothing with AVX2, since it replaces one coefficient of P, the two branches
 * that tanh had and sign flips; it took the largest errors from 1.7 and 1.9 ULP to 1.0 and 1.5.
 *
 * P is evaluated in pairs of coefficients, by Horner's rule in r^2: as many operations as in r, a shorter chain. Tried
 * without gain: Estrin's scheme (a still shorter chain needs more copies of constants); constants as whole vectors in
 * memory (a tenth fewer instructions in the cell, same time); on AVX-512, vrcp14 with Newton steps instead of divisions
 * (llvm-mca: 112 cycles per vector of units, not 84: ports 0 and 5 are the bottleneck). */
#ifndef LSTM_ACTIVATIONS_H
#define LSTM_ACTIVATIONS_H

#include "../compiler.h"
#include "../lstm_fast.h"
#include "../exp_constants.h"
#include "../real.h"
#include "vector.h"

/* EXP_MOST: exp(-w) is 0 from there on. EXP_LEAST: the smallest w for which 1 / exp(-w) is still a normal number. */
#ifdef LSTM_DOUBLE
static const real exp_coefficients[] = LSTM_EXP_COEFFICIENTS_F64;
#define EXP_ROUND (0x1.8p52 + 1023)
#define EXP_LN2_HIGH LSTM_LN2_HIGH_F64
#define EXP_LN2_LOW LSTM_LN2_LOW_F64
#define EXP_LEAST (-709.)
#define EXP_MOST 709.
#define MANTISSA_BITS 52
#define SIGN_BIT INT64_MIN
#define LOG1P_TERMS 17
#else
static const real exp_coefficients[] = {0x1.6d7256p-10f, 0x1.122680p-7f, 0x1.5554c8p-5f, 0x1.5554b2p-3f, 0x1p-1f};
#define EXP_ROUND (0x1.8p23f + 127)
#define EXP_LN2_HIGH 0x1.63p-1f
#define EXP_LN2_LOW (-0x1.bd0106p-13f)
#define EXP_LEAST (-87.9f)
#define EXP_MOST 88.f
#define MANTISSA_BITS 23
#define SIGN_BIT INT32_MIN
#define LOG1P_TERMS 8
#endif

enum { N_COEFFICIENTS = sizeof exp_coefficients / sizeof(real) }; /* odd */

ALWAYS_INLINE vec one(void) { return broadcast((real)1); }
ALWAYS_INLINE vec zero(void) { return broadcast((real)0); }

ALWAYS_INLINE vec vabs(vec z) { return (vec)((bits)z & ((bits){0} + ~SIGN_BIT)); }
/* |m| with the sign of z, for m >= 0. */
ALWAYS_INLINE vec with_sign_of(vec z, vec m) { return (vec)((bits)m | ((bits)z & SIGN_BIT)); }

/* ---- sigmoid and tanh -------------------------------------------------------------------------------------------- */

/* The argument x of a sigmoid or a tanh with the exponential that it needs: exp(-w) = s + s p. */
struct argument {
    vec x, w, s, p;
};

ALWAYS_INLINE struct argument for_sigmoid(vec x) {
    return (struct argument){.x = x, .w = at_least(broadcast(EXP_LEAST), at_most(broadcast(EXP_MOST), x))};
}

/* w = |2x| */
ALWAYS_INLINE struct argument for_tanh(vec x) {
    return (struct argument){.x = x, .w = at_most(broadcast(EXP_MOST), vabs(x + x))};
}

/* s and p of n arguments, whose w is in EXP_LEAST .. EXP_MOST or NaN. Each is one long chain of dependent operations;
 * interleaving the chains of the first and the second half of a cell makes the cell 14-18 % faster. (GCC partly undoes
 * it; preventing that with empty asm statements gained nothing more.) */
#define MOST_ARGUMENTS 3
ALWAYS_INLINE void exponentials(const int n, struct argument *a) {
    vec r[MOST_ARGUMENTS], square[MOST_ARGUMENTS];
    UNROLL
    for (int j = 0; j < n; j++) a[j].s = vfnma(a[j].w, broadcast((real)0x1.71547652b82fep+0), broadcast(EXP_ROUND));
    UNROLL
    for (int j = 0; j < n; j++) r[j] = vfnms(a[j].s - broadcast(EXP_ROUND), broadcast(EXP_LN2_HIGH), a[j].w);
    UNROLL
    for (int j = 0; j < n; j++) r[j] = vfnma(a[j].s - broadcast(EXP_ROUND), broadcast(EXP_LN2_LOW), r[j]);
    UNROLL
    for (int j = 0; j < n; j++) {
        a[j].s = (vec)((bits)a[j].s << MANTISSA_BITS);
        square[j] = r[j] * r[j];
        a[j].p = vfma(broadcast(exp_coefficients[0]), r[j], broadcast(exp_coefficients[1]));
    }
    UNROLL
    for (int k = 2; k < N_COEFFICIENTS - 1; k += 2) {
        UNROLL
        for (int j = 0; j < n; j++) {
            const vec pair = vfma(broadcast(exp_coefficients[k]), r[j], broadcast(exp_coefficients[k + 1]));
            a[j].p = vfma(a[j].p, square[j], pair);
        }
    }
    UNROLL
    for (int j = 0; j < n; j++) a[j].p = vfma(a[j].p, r[j], broadcast(exp_coefficients[N_COEFFICIENTS - 1]));
    UNROLL
    for (int j = 0; j < n; j++) a[j].p = vfma(square[j], a[j].p, r[j]);
}

/* 1 / (1 + exp(-x)). The divisor is s p + (1 + s), rounded; its rounding error is exact, and so is (s - divisor) + 1.
 * (The quotient by Newton's method from AVX-512's rcp14 instead of a division: 3 % faster at H = 16, 2-3 % slower from
 * H = 32 on, because the cell is bound by its 140 arithmetic instructions, not by its five divisions.) */
ALWAYS_INLINE vec sigmoid(struct argument a) {
    const vec divisor = vfma(a.s, a.p, one() + a.s);
    const vec lost = vfma(a.s, a.p, (a.s - divisor) + one());
    const vec quotient = one() / divisor;
    const vec residual = vfnma(quotient, lost, vfnma(quotient, divisor, one()));
    return vfma(quotient, residual, quotient); /* the quotient is the reciprocal of the divisor, too */
}

/* With e = exp(-|2x|): (1 - e) / (1 + e), with the sign of x. The divisor is 2 - (1 - e): the rounding errors of both
 * are exact. (v-: not libm's.) */
ALWAYS_INLINE vec vtanh(struct argument a) {
    const vec numerator = vfnma(a.s, a.p, one() - a.s);
    const vec numerator_lost = vfnma(a.s, a.p, (one() - a.s) - numerator);
    const vec divisor = broadcast((real)2) - numerator;
    const vec divisor_lost = ((broadcast((real)2) - divisor) - numerator) - numerator_lost;
    const vec quotient = numerator / divisor;
    const vec residual = vfnma(quotient, divisor, numerator) + vfnma(quotient, divisor_lost, numerator_lost);
    /* 1 / divisor within 4 % for a divisor in 1 .. 2 */
    const vec reciprocal = vfma(divisor, broadcast((real)-0.5), broadcast((real)1.4571));
    return with_sign_of(a.x, vfma(residual, reciprocal, quotient));
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

ALWAYS_INLINE struct argument exponential_of_minus(vec w) {
    struct argument a = {.w = at_most(broadcast(EXP_MOST), w)};
    exponentials(1, &a);
    return a;
}

/* exp(-w) for w >= 0. */
ALWAYS_INLINE vec exp_of_minus(vec w) {
    const struct argument a = exponential_of_minus(w);
    return vfma(a.s, a.p, a.s);
}

/* exp(-w) - 1 for w >= 0: s p + (s - 1), where s - 1 is exact. */
ALWAYS_INLINE vec expm1_of_minus(vec w) {
    const struct argument a = exponential_of_minus(w);
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

/* max(z, 0); keeps NaN. */
ALWAYS_INLINE vec relu(vec z) { return at_least(zero(), z); }

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
    case LSTM_ELU: return vselect(z < zero(), alpha * expm1_of_minus(relu(-z)), z);
    case LSTM_SOFTSIGN: return z / (one() + vabs(z));
    case LSTM_SOFTPLUS: return relu(z) + vlog1p(exp_of_minus(vabs(z))); /* max(z, 0) + log(1 + exp(-|z|)) */
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
    case LSTM_SOFTPLUS: return -expm1_of_minus(y);
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
