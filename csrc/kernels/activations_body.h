/* sigmoid and tanh of a vector, at most 2 ULP from the exact value for every input (tests/test_kernels.py walks all
 * floats); NaN stays NaN, the infinities saturate, tanh is odd to the bit.
 *
 * Both rest on one exponential of a number that is not positive, so nothing overflows:
 *     z = n ln 2 + r, |r| <= ln(2)/2;   exp(z) = 2^n exp(r);   expm1(r) = r + r^2 P(r)
 * P: near-minimax polynomial of (expm1(r) - r) / r^2 (Chebyshev fit with 60 digits, coefficients rounded), relative
 * error of expm1(r) below 0.03 (f32) and 0.01 (f64) of an epsilon. ln 2 is split in two so that n * high is exact.
 * n is rounded by adding 1.5 * 2^23 (f64: 2^52), which leaves n in the low bits, ready to be moved to the exponent. */

#if REAL_IS_FLOAT
static const REAL NAME(exp_p)[] = {0x1.a124f2p-13f, 0x1.6d4324p-10f, 0x1.1110e0p-7f, 0x1.5554eap-5f, 0x1.555556p-3f, 0x1p-1f};
#define EXP_ROUND 0x1.8p23f
#define EXP_LN2_HIGH 0x1.63p-1f
#define EXP_LN2_LOW (-0x1.bd0106p-13f)
#define EXP_LOWEST (-88.f) /* 2^n is 0 there: everything below the smallest normal number is flushed to zero */
#define EXP_MANTISSA_BITS 23
#define EXP_ONE_BITS 0x3f800000
#define SIGN_BIT INT32_MIN
#else
static const REAL NAME(exp_p)[] = {0x1.1f730349868cep-29, 0x1.af4de97ca4194p-26, 0x1.27e4db646b17ep-22,
                                   0x1.71de0231960ebp-19, 0x1.a01a01a6d889cp-16, 0x1.a01a01abe7fe1p-13,
                                   0x1.6c16c16c162d4p-10, 0x1.11111111100dcp-7,  0x1.5555555555556p-5,
                                   0x1.5555555555557p-3,  0x1p-1};
#define EXP_ROUND 0x1.8p52
#define EXP_LN2_HIGH 0x1.62e42feep-1
#define EXP_LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST (-709.)
#define EXP_MANTISSA_BITS 52
#define EXP_ONE_BITS 0x3ff0000000000000
#define SIGN_BIT INT64_MIN
#endif

/* For z <= 0 (or NaN): *scale = 2^n and the result p with exp(z) = scale + scale * p. */
ALWAYS_INLINE VEC NAME(exp_parts)(VEC z, VEC *scale) {
    z = V(at_least)(V(broadcast)(EXP_LOWEST), z);
    VEC rounded = V(fma)(z, V(broadcast)((REAL)0x1.71547652b82fep+0), V(broadcast)(EXP_ROUND));
    VEC n = rounded - V(broadcast)(EXP_ROUND);
    VEC r = V(fma)(n, V(broadcast)(-EXP_LN2_HIGH), z);
    r = V(fma)(n, V(broadcast)(-EXP_LN2_LOW), r);
    *scale = (VEC)(((BITS)rounded << EXP_MANTISSA_BITS) + EXP_ONE_BITS);
    VEC p = V(broadcast)(NAME(exp_p)[0]);
#pragma GCC unroll 16
    for (size_t k = 1; k < sizeof NAME(exp_p) / sizeof(REAL); k++)
        p = V(fma)(p, r, V(broadcast)(NAME(exp_p)[k]));
    return V(fma)(r * r, p, r);
}

/* 1 / (1 + exp(-x)) = e / (1 + e) for x < 0 and 1 / (1 + e) else, with e = exp(-|x|). */
ALWAYS_INLINE VEC NAME(sigmoid)(VEC x) {
    VEC scale, one = V(broadcast)((REAL)1);
    VEC p = NAME(exp_parts)((VEC)((BITS)x | SIGN_BIT), &scale);
    VEC e = V(fma)(scale, p, scale);
    BITS negative = (BITS)x < 0;
    VEC numerator = (VEC)(((BITS)e & negative) | ((BITS)one & ~negative));
    return numerator / (one + e);
}

/* tanh(x) = -m / (m + 2) with the sign of x, m = expm1(-|2x|). */
ALWAYS_INLINE VEC NAME(tanh)(VEC x) {
    VEC scale;
    VEC p = NAME(exp_parts)((VEC)((BITS)(x + x) | SIGN_BIT), &scale);
    VEC m = V(fma)(scale, p, scale - V(broadcast)((REAL)1));
    VEC magnitude = (V(broadcast)((REAL)0) - m) / (m + V(broadcast)((REAL)2));
    return (VEC)((BITS)magnitude | ((BITS)x & SIGN_BIT));
}

static void NAME(sigmoid_map)(int64_t n, const REAL *x, REAL *y) {
    for (int64_t k = 0; k < n; k += VL)
        V(store_lanes)(y + k, NAME(sigmoid)(V(load_lanes)(x + k, n - k)), n - k);
}

static void NAME(tanh_map)(int64_t n, const REAL *x, REAL *y) {
    for (int64_t k = 0; k < n; k += VL)
        V(store_lanes)(y + k, NAME(tanh)(V(load_lanes)(x + k, n - k)), n - k);
}

#undef EXP_ROUND
#undef EXP_LN2_HIGH
#undef EXP_LN2_LOW
#undef EXP_LOWEST
#undef EXP_MANTISSA_BITS
#undef EXP_ONE_BITS
#undef SIGN_BIT
