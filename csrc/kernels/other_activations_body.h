/* The activations that a cell may have instead of sigmoid and tanh, ONNX's eleven, and their derivatives in terms of the
 * output y, because that is what a tape keeps. Formulas and kinks as in lstm_fast/reference/activations.py. */

/* exp(z) - 1 for z <= 0: s p + (s - 1), where s - 1 is exact. */
ALWAYS_INLINE VEC NAME(expm1_of_negative)(VEC z) {
    VEC s, p;
    z = V(at_least)(V(broadcast)(EXP_LOWEST), z);
    NAME(exp_parts)(1, &z, &s, &p);
    return V(fma)(s, p, s - V(broadcast)((REAL)1));
}

/* exp(z) for z <= 0. */
ALWAYS_INLINE VEC NAME(exp_of_negative)(VEC z) {
    VEC s, p;
    z = V(at_least)(V(broadcast)(EXP_LOWEST), z);
    NAME(exp_parts)(1, &z, &s, &p);
    return V(fma)(s, p, s);
}

/* log(1 + u) for 0 <= u <= 1: 2 atanh(w) = 2 (w + w^3/3 + w^5/5 ...), w = u / (2 + u) <= 1/3; what is left out is below
 * (1/9)^LOG1P_TERMS / (2 LOG1P_TERMS + 1), less than half an epsilon. */
#if REAL_IS_FLOAT
#define LOG1P_TERMS 8
#else
#define LOG1P_TERMS 17
#endif
ALWAYS_INLINE VEC NAME(log1p)(VEC u) {
    const VEC w = u / (u + V(broadcast)((REAL)2)), w2 = w * w;
    VEC sum = V(broadcast)((REAL)1 / (2 * LOG1P_TERMS - 1));
    UNROLL_BY(1)
    for (int k = 2 * LOG1P_TERMS - 3; k > 1; k -= 2) sum = V(fma)(sum, w2, V(broadcast)((REAL)1 / (REAL)k));
    return V(fma)(w * w2, sum, w) * V(broadcast)((REAL)2);
}

ALWAYS_INLINE VEC NAME(magnitude)(VEC z) { return (VEC)((BITS)z & ((BITS){0} + ~SIGN_BIT)); }

/* min and max of z and 0; both keep NaN. */
ALWAYS_INLINE VEC NAME(negative_part)(VEC z) { return V(at_most)(V(broadcast)((REAL)0), z); }
ALWAYS_INLINE VEC NAME(relu)(VEC z) { return V(at_least)(V(broadcast)((REAL)0), z); }

NEVER_INLINE VEC NAME(activate)(const struct lstm_activation *a, VEC z) {
    const VEC zero = V(broadcast)((REAL)0), one = V(broadcast)((REAL)1);
    const VEC alpha = V(broadcast)((REAL)a->alpha), beta = V(broadcast)((REAL)a->beta);
    switch (a->kind) {
    case LSTM_SIGMOID: return NAME(sigmoid)(z);
    case LSTM_RELU: return NAME(relu)(z);
    case LSTM_AFFINE: return V(fma)(alpha, z, beta);
    case LSTM_LEAKY_RELU: return V(choose)(z < zero, alpha * z, z);
    case LSTM_THRESHOLDED_RELU: return V(choose)(z < alpha, zero, z);
    case LSTM_SCALED_TANH: return alpha * NAME(tanh)(beta * z);
    case LSTM_HARD_SIGMOID: return V(at_least)(zero, V(at_most)(one, V(fma)(alpha, z, beta)));
    case LSTM_ELU: return V(choose)(z < zero, alpha * NAME(expm1_of_negative)(NAME(negative_part)(z)), z);
    case LSTM_SOFTSIGN: return z / (one + NAME(magnitude)(z));
    case LSTM_SOFTPLUS: /* max(z, 0) + log(1 + exp(-|z|)) */
        return NAME(relu)(z) + NAME(log1p)(NAME(exp_of_negative)(-NAME(magnitude)(z)));
    case LSTM_DEFAULT:
    case LSTM_TANH: break;
    }
    return NAME(tanh)(z);
}

NEVER_INLINE VEC NAME(slope)(const struct lstm_activation *a, VEC y) {
    const VEC zero = V(broadcast)((REAL)0), one = V(broadcast)((REAL)1);
    const VEC alpha = V(broadcast)((REAL)a->alpha), beta = V(broadcast)((REAL)a->beta);
    switch (a->kind) {
    case LSTM_SIGMOID: return y * (one - y);
    case LSTM_RELU:
    case LSTM_THRESHOLDED_RELU: return V(choose)(y > zero, one, zero);
    case LSTM_AFFINE: return alpha;
    case LSTM_LEAKY_RELU: return V(choose)(y <= zero, alpha, one);
    case LSTM_SCALED_TANH: return beta * (alpha - y * (y / alpha));
    case LSTM_HARD_SIGMOID: return V(choose)((y > zero) & (y < one), alpha, zero);
    case LSTM_ELU: return V(choose)(y <= zero, y + alpha, one);
    case LSTM_SOFTSIGN: {
        const VEC rest = one - NAME(magnitude)(y);
        return rest * rest;
    }
    case LSTM_SOFTPLUS: return -NAME(expm1_of_negative)(-y);
    case LSTM_DEFAULT:
    case LSTM_TANH: break;
    }
    return one - y * y;
}

static void NAME(activate_map)(struct lstm_activation a, bool is_slope, int64_t n, const REAL *x, REAL *y) {
    for (int64_t k = 0; k < n; k += VL) {
        const VEC v = V(load_lanes)(x + k, n - k);
        V(store_lanes)(y + k, is_slope ? NAME(slope)(&a, v) : NAME(activate)(&a, v), n - k);
    }
}

#undef LOG1P_TERMS
/* of activations_body.h */
#undef EXP_ROUND
#undef EXP_LN2_HIGH
#undef EXP_LN2_LOW
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef EXP_MANTISSA_BITS
#undef SIGN_BIT
