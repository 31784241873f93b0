/* sigmoid and tanh of a vector, at most 2 ULP from the exact value (measured over all floats: sigmoid 1.5, tanh 1.95); NaN
 * stays NaN, the infinities saturate, tanh is odd to the bit.
 *
 *     z = n ln 2 + r, |r| <= ln(2)/2;   exp(z) = s (1 + p) with s = 2^n, p = expm1(r) = r + r^2 P(r)
 * P: near-minimax polynomial of (expm1(r) - r) / r^2 (Chebyshev fit with 60 digits, coefficients rounded), relative
 * error of expm1(r) below 0.03 (f32) and 0.01 (f64) of an epsilon. ln 2 is split in two so that n * high is exact.
 * n is rounded by adding 1.5 * 2^23 (f64: 2^52), which leaves n in the low bits, ready to be moved to the exponent.
 * What follows is built from s and p, so that each of 1 + exp(z), exp(z) - 1 is rounded once or hardly more; the textbook
 * forms e / (1 + e) and -m / (m + 2) of a rounded e or m reached 2.3 and 2.5 ULP.
 * Tried: a shorter chain by Estrin's scheme, or several activations interleaved, gains nothing (the sum of operations is what
 * costs), nor do the constants as whole vectors in memory, which save a tenth of the cell's instructions; without `rest` the
 * sigmoid is 2.02 ULP off at 2^24 and 3 % of a step of H = 64 faster. */

#if REAL_IS_FLOAT
static const REAL NAME(exp_p)[] = {0x1.a124f2p-13f, 0x1.6d4324p-10f, 0x1.1110e0p-7f, 0x1.5554eap-5f, 0x1.555556p-3f, 0x1p-1f};
#define EXP_ROUND 0x1.8p23f
#define EXP_LN2_HIGH 0x1.63p-1f
#define EXP_LN2_LOW (-0x1.bd0106p-13f)
#define EXP_LOWEST (-88.f)  /* 2^n is 0 there */
#define EXP_HIGHEST 87.9f   /* n is 127, and 1 / exp(z) is no normal number any more */
#define EXP_MANTISSA_BITS 23
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
#define EXP_HIGHEST 709.
#define EXP_MANTISSA_BITS 52
#define SIGN_BIT INT64_MIN
#endif

/* For EXP_LOWEST <= z <= EXP_HIGHEST or NaN: exp(z) = *s + *s * p, returns p. */
ALWAYS_INLINE VEC NAME(exp_parts)(VEC z, VEC *s) {
    VEC rounded = V(fma)(z, V(broadcast)((REAL)0x1.71547652b82fep+0), V(broadcast)(EXP_ROUND));
    VEC n = rounded - V(broadcast)(EXP_ROUND);
    VEC r = V(fma)(n, V(broadcast)(-EXP_LN2_HIGH), z);
    r = V(fma)(n, V(broadcast)(-EXP_LN2_LOW), r);
    *s = (VEC)(((BITS)rounded << EXP_MANTISSA_BITS) + (BITS)V(broadcast)((REAL)1)); /* (not an integer constant: 3 instructions) */
    VEC p = V(broadcast)(NAME(exp_p)[0]);
#pragma GCC unroll 16
    for (size_t k = 1; k < sizeof NAME(exp_p) / sizeof(REAL); k++)
        p = V(fma)(p, r, V(broadcast)(NAME(exp_p)[k]));
    return V(fma)(r * r, p, r);
}

/* 1 / (1 + exp(-x)): 1 + s + s p, where s p is exact and 1 + s is too but for large s, whose lost part is `rest`. */
ALWAYS_INLINE VEC NAME(sigmoid)(VEC x) {
    const VEC one = V(broadcast)((REAL)1);
    VEC s, p = NAME(exp_parts)(V(at_least)(V(broadcast)(EXP_LOWEST), V(at_most)(V(broadcast)(EXP_HIGHEST), -x)), &s);
    const VEC sum = one + s, rest = one - (sum - s);
    return one / (sum + V(fma)(s, p, rest));
}

/* With e = exp(-|2x|): (1 - e) / (1 + e) where e is large, 1 - 2e / (1 + e) where it is small, with the sign of x. */
ALWAYS_INLINE VEC NAME(tanh)(VEC x) {
    const VEC one = V(broadcast)((REAL)1);
    VEC s, p = NAME(exp_parts)(V(at_least)(V(broadcast)(EXP_LOWEST), (VEC)((BITS)(x + x) | SIGN_BIT)), &s);
    const VEC divisor = V(fma)(s, p, s + one), twice = s + s;
    const BITS is_small = divisor < V(broadcast)((REAL)1.3125);
    const VEC quotient = V(choose)(is_small, V(fma)(twice, p, twice), V(fma)(-s, p, one - s)) / divisor;
    const VEC magnitude = V(choose)(is_small, one - quotient, quotient);
    return (VEC)((BITS)magnitude | ((BITS)x & SIGN_BIT));
}
