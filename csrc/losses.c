/* Losses over rows of predictions, in float64: a fixed sequence of IEEE operations for each number, so that training
 * runs have the same bits on every processor and with every version of NumPy. Not even a fused multiply-add, which the
 * portable build does not have: a loss is a small part of a step. */
#include "losses.h"

#include <string.h>

#include "compiler.h"
#include "exp_constants.h"

/* ---- exp and log ------------------------------------------------------------------------------------------------- */

#define EXP_LEAST (-600.) /* exp is 0 below: no subnormal number arises, which a processor may flush to zero */

ALWAYS_INLINE int64_t bits_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

ALWAYS_INLINE double of_bits(int64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x <= 0 or NaN. x = n ln 2 + r; exp(x) = 2^n (1 + r + r^2 P(r)). */
ALWAYS_INLINE double exp_of(double x) {
    static const double coefficients[] = LSTM_EXP_COEFFICIENTS_F64;
    const double round = 0x1.8p52 + 1023; /* leaves n and the bias of the exponent in the low bits */
    const double rounded = x * 0x1.71547652b82fep+0 + round, n = rounded - round;
    const double r = (x - n * LSTM_LN2_HIGH_F64) - n * LSTM_LN2_LOW_F64,
                 scale = of_bits((int64_t)((uint64_t)bits_of(rounded) << 52));
    double p = coefficients[0];
    UNROLL
    for (int k = 1; k < (int)(sizeof coefficients / sizeof *coefficients); k++) p = p * r + coefficients[k];
    return x < EXP_LEAST ? 0 : scale + scale * (r + r * r * p);
}

/* log(2^k m), m in sqrt(1/2) .. sqrt(2) or NaN: log(1 + f) = 2 atanh(s) with s = f / (2 + f). */
ALWAYS_INLINE double log_of(double k, double m) {
    const double f = m - 1, s = f / (2 + f), half = f * f / 2;
    double sum = 0; /* 2 atanh(s) / s - 2 = 2 s^2 / 3 + 2 s^4 / 5 + ... */
    UNROLL
    for (int j = 23; j > 1; j -= 2) sum = (sum + 2.0 / j) * (s * s);
    return k * LSTM_LN2_HIGH_F64 - ((half - (s * (half + sum) + k * LSTM_LN2_LOW_F64)) - f);
}

#define ROOT_HALF 0x1.6a09ep-1

/* x >= 1 or NaN */
static double log_from_one(double x) {
    const int64_t k = (bits_of(x) - bits_of(ROOT_HALF)) >> 52;
    return log_of((double)k, of_bits(bits_of(x) - (int64_t)((uint64_t)k << 52))) + (x - x);
}

/* log(1 + x) for 0 <= x <= 1 or NaN. */
ALWAYS_INLINE double log1p_to_one(double x) {
    const double y = 1 + x;
    return log_of(y < 2 * ROOT_HALF ? 0 : 1, y < 2 * ROOT_HALF ? y : y / 2) + (x - (y - 1)) / y;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* NumPy's pairwise summation: halves, down to at most 128 numbers, which are added in eight interleaved sums. */
static double sum_of(int64_t n, const double *x) {
    if (n > 128) {
        const int64_t half = n / 2 - n / 2 % 8;
        return sum_of(half, x) + sum_of(n - half, x + half);
    }
    double sum = 0;
    int64_t k = 0;
    if (n >= 8) {
        double sums[8];
        memcpy(sums, x, sizeof sums);
        for (k = 8; k < n - n % 8; k += 8) {
            UNROLL
            for (int j = 0; j < 8; j++) sums[j] += x[k + j];
        }
        sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    }
    for (; k < n; k++) sum += x[k];
    return sum;
}

void lstm_row_sums(int64_t n, int64_t m, const double *x, double *sums) {
    for (int64_t i = 0; i < n; i++) sums[i] = sum_of(m, x + i * m);
}

/* The maximum, which does not depend on the order. */
static double largest(int64_t n, const double *x) {
    double most[8];
    for (int j = 0; j < 8; j++) most[j] = x[0];
    for (int64_t k = 0; k < n - n % 8; k += 8) {
        UNROLL
        for (int j = 0; j < 8; j++) most[j] = x[k + j] > most[j] ? x[k + j] : most[j];
    }
    for (int64_t k = n - n % 8; k < n; k++) most[0] = x[k] > most[0] ? x[k] : most[0];
    for (int j = 1; j < 8; j++) most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

void lstm_cross_entropy(int64_t n, int64_t m, const double *p, const int64_t *y, double *loss, double *gradient) {
    for (int64_t i = 0; i < n; i++, p += m, gradient += m) {
        const double most = largest(m, p);
        for (int64_t k = 0; k < m; k++) gradient[k] = exp_of(p[k] - most);
        const double sum = sum_of(m, gradient);
        for (int64_t k = 0; k < m; k++) gradient[k] /= sum;
        loss[i] = log_from_one(sum);
        if (y) {
            loss[i] -= p[y[i]] - most;
            gradient[y[i]] -= 1;
        }
    }
}

void lstm_binary_cross_entropy(int64_t n, const double *p, const double *y, double *loss, double *gradient) {
    for (int64_t k = 0; k < n; k++) gradient[k] = exp_of(p[k] < 0 ? p[k] : -p[k]);
    for (int64_t k = 0; k < n; k++) loss[k] = (p[k] > 0 ? p[k] : 0) - y[k] * p[k] + log1p_to_one(gradient[k]);
    for (int64_t k = 0; k < n; k++) gradient[k] = (p[k] < 0 ? gradient[k] : 1) / (1 + gradient[k]) - y[k];
}
