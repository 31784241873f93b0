/* sigmoid and tanh of a vector, at most 2 ULP from the exact value (measured over all floats: sigmoid 1.5, tanh 1.95); NaN
 * stays NaN, the infinities saturate, tanh is odd to the bit.
 *
 *     z = n ln 2 + r, |r| <= ln(2)/2;   exp(z) = s (1 + p) with s = 2^n, p = expm1(r) = r + r^2 P(r)
 * P: near-minimax polynomial of (expm1(r) - r) / r^2 (Chebyshev fit with 60 digits, coefficients rounded), relative
 * error of expm1(r) below 0.03 (f32) and 0.01 (f64) of an epsilon. ln 2 is split in two so that n * high is exact.
 * n is rounded by adding 1.5 * 2^23 (f64: 2^52) and the bias of exponents, which leaves the exponent of 2^n in the low bits.
 * What follows is built from s and p, so that each of 1 + exp(z), exp(z) - 1 is rounded once or hardly more; the textbook
 * forms e / (1 + e) and -m / (m + 2) of a rounded e or m reached 2.3 and 2.5 ULP.
 * Tried: a shorter chain by Estrin's scheme gains nothing (it needs more copies of constants), nor do the constants as whole
 * vectors in memory, which save a tenth of the cell's instructions, nor the sign flip of sigmoid moved into the constants. On
 * AVX-512 reciprocals by vrcp14 and Newton's steps instead of divisions: llvm-mca counts 112 cycles a vector of units, not 84,
 * because ports 0 and 5 are what is short. Without `rest` the sigmoid is 2.02 ULP off at 2^24 and 3 % of a step of H = 64
 * faster. */

#if REAL_IS_FLOAT
static const REAL NAME(exp_p)[] = {0x1.a124f2p-13f, 0x1.6d4324p-10f, 0x1.1110e0p-7f, 0x1.5554eap-5f, 0x1.555556p-3f, 0x1p-1f};
#define EXP_ROUND (0x1.8p23f + 127)
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
#define EXP_ROUND (0x1.8p52 + 1023)
#define EXP_LN2_HIGH 0x1.62e42feep-1
#define EXP_LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST (-709.)
#define EXP_HIGHEST 709.
#define EXP_MANTISSA_BITS 52
#define SIGN_BIT INT64_MIN
#endif

/* For n vectors z, each lane in EXP_LOWEST .. EXP_HIGHEST or NaN: exp(z) = s + s p. Side by side, because each is one long
 * chain: with those of a cell's first and second half together the cell takes 14-18 % less. (GCC puts part of them one after the
 * other again; keeping it from that with empty asm statements gained nothing more.) */
#define EXP_MOST 3
ALWAYS_INLINE void NAME(exp_parts)(const int n, const VEC *z, VEC *s, VEC *p) {
    VEC r[EXP_MOST];
    UNROLL
    for (int j = 0; j < n; j++) s[j] = V(fma)(z[j], V(broadcast)((REAL)0x1.71547652b82fep+0), V(broadcast)(EXP_ROUND));
    UNROLL
    for (int j = 0; j < n; j++) r[j] = V(fma)(s[j] - V(broadcast)(EXP_ROUND), V(broadcast)(-EXP_LN2_HIGH), z[j]);
    UNROLL
    for (int j = 0; j < n; j++) r[j] = V(fma)(s[j] - V(broadcast)(EXP_ROUND), V(broadcast)(-EXP_LN2_LOW), r[j]);
    UNROLL
    for (int j = 0; j < n; j++) {
        s[j] = (VEC)((BITS)s[j] << EXP_MANTISSA_BITS);
        p[j] = V(broadcast)(NAME(exp_p)[0]);
    }
    UNROLL
    for (size_t k = 1; k < sizeof NAME(exp_p) / sizeof(REAL); k++)
        UNROLL
        for (int j = 0; j < n; j++) p[j] = V(fma)(p[j], r[j], V(broadcast)(NAME(exp_p)[k]));
    UNROLL
    for (int j = 0; j < n; j++) p[j] = V(fma)(r[j] * r[j], p[j], r[j]);
}

/* 1 / (1 + exp(-x)) from z = sigmoid_z(x): 1 + s + s p, where s p is exact and 1 + s is too but for large s, whose lost part
 * is `rest`. */
ALWAYS_INLINE VEC NAME(sigmoid_z)(VEC x) { return V(at_least)(V(broadcast)(EXP_LOWEST), V(at_most)(V(broadcast)(EXP_HIGHEST), -x)); }

ALWAYS_INLINE VEC NAME(sigmoid_of)(VEC s, VEC p) {
    const VEC one = V(broadcast)((REAL)1), sum = one + s, rest = one - (sum - s);
    return one / (sum + V(fma)(s, p, rest));
}

/* With e = exp(z), z = tanh_z(x) = -|2x|: (1 - e) / (1 + e) where e is large, 1 - 2e / (1 + e) where it is small, with the sign
 * of x. */
ALWAYS_INLINE VEC NAME(tanh_z)(VEC x) { return V(at_least)(V(broadcast)(EXP_LOWEST), (VEC)((BITS)(x + x) | SIGN_BIT)); }

ALWAYS_INLINE VEC NAME(tanh_of)(VEC x, VEC s, VEC p) {
    const VEC one = V(broadcast)((REAL)1), divisor = V(fma)(s, p, s + one), twice = s + s;
    const BITS is_small = divisor < V(broadcast)((REAL)1.3125);
    const VEC quotient = V(choose)(is_small, V(fma)(twice, p, twice), V(fma)(-s, p, one - s)) / divisor;
    const VEC magnitude = V(choose)(is_small, one - quotient, quotient);
    return (VEC)((BITS)magnitude | ((BITS)x & SIGN_BIT));
}

ALWAYS_INLINE VEC NAME(sigmoid)(VEC x) {
    const VEC z = NAME(sigmoid_z)(x);
    VEC s, p;
    NAME(exp_parts)(1, &z, &s, &p);
    return NAME(sigmoid_of)(s, p);
}

ALWAYS_INLINE VEC NAME(tanh)(VEC x) {
    const VEC z = NAME(tanh_z)(x);
    VEC s, p;
    NAME(exp_parts)(1, &z, &s, &p);
    return NAME(tanh_of)(x, s, p);
}

/* sigmoids of x[0 .. n-2] and the tanh of x[n-1], side by side. */
ALWAYS_INLINE void NAME(sigmoids_and_tanh)(const int n, const VEC *x, VEC *y) {
    VEC z[EXP_MOST], s[EXP_MOST], p[EXP_MOST];
    UNROLL
    for (int j = 0; j < n; j++) z[j] = j < n - 1 ? NAME(sigmoid_z)(x[j]) : NAME(tanh_z)(x[j]);
    NAME(exp_parts)(n, z, s, p);
    UNROLL
    for (int j = 0; j < n; j++) y[j] = j < n - 1 ? NAME(sigmoid_of)(s[j], p[j]) : NAME(tanh_of)(x[j], s[j], p[j]);
}
