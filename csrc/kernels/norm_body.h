/* Layer normalisation (Ba et al. 2016) of rows of gates or of units: n = (a - mean) / sqrt(variance + 1e-5).
 *
 * A sum over a row has the same bits for every vector length: unit k goes to the partial sum k % SUM_LANES, the gates of a
 * unit one after the other, and the partial sums are added pairwise at the end. Padding does not count. */
#define SUM_LANES 16
#ifndef NORM_EPSILON
#define NORM_EPSILON 1e-5
#endif

#define SUM_PARTS ((int)(SUM_LANES / VL))

struct NAME(lanes) {
    VEC part[SUM_LANES / VL]; /* of units unit % SUM_LANES / VL */
};

/* v with zeros from lane n on. */
ALWAYS_INLINE VEC NAME(real_lanes)(VEC v, int64_t n) {
    static const REAL lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if (__builtin_expect(n >= VL, 1)) return v;
    return V(choose)(V(load)(lane) < V(broadcast)((REAL)n), v, V(broadcast)((REAL)0));
}

static REAL NAME(total)(struct NAME(lanes) sums) {
    REAL parts[VL];
    for (int width = SUM_PARTS / 2; width; width /= 2)
        for (int k = 0; k < width; k++) sums.part[k] += sums.part[k + width];
    V(store)(parts, sums.part[0]);
    for (int width = (int)VL / 2; width; width /= 2)
        for (int k = 0; k < width; k++) parts[k] += parts[k + width];
    return parts[0];
}

struct NAME(normal) {
    VEC mean, scale; /* n = (a - mean) * scale */
};

ALWAYS_INLINE VEC NAME(normalise)(struct NAME(normal) s, VEC a) { return (a - s.mean) * s.scale; }

/* All vectors of a row of H units, each with the partial sum that it goes to: constants once unrolled, so that these stay in
 * registers (in memory they cost 4-16 % of training). The innermost loop runs once, or not at all behind the end. */
#define FOR_EACH_PART(unit, part, H) \
    for (int64_t first = 0; first < (H); first += SUM_LANES) \
        UNROLL for (int part = 0; part < SUM_PARTS; part++) \
            for (int64_t unit = first + part * VL; unit < (H) && unit <= first + part * VL; unit += VL)

/* The sum over a row of n_gates * H numbers, vectors of gates side by side, of a - mean or of its square. */
ALWAYS_INLINE REAL NAME(sum_of)(const REAL *a, const int n_gates, int64_t H, VEC mean, const bool squared) {
    struct NAME(lanes) sums = {0};
    FOR_EACH_PART(unit, part, H)
    for (int gate = 0; gate < n_gates; gate++) {
        VEC v = V(load)(a + unit * n_gates + gate * VL) - mean;
        if (squared) v *= v;
        sums.part[part] += NAME(real_lanes)(v, H - unit);
    }
    return NAME(total)(sums);
}

ALWAYS_INLINE struct NAME(normal) NAME(normal_of)(const REAL *a, const int n_gates, int64_t H) {
    const REAL n = (REAL)(n_gates * H);
    const VEC mean = V(broadcast)(NAME(sum_of)(a, n_gates, H, V(broadcast)((REAL)0), false) / n);
    const REAL variance = NAME(sum_of)(a, n_gates, H, mean, true) / n + (REAL)NORM_EPSILON;
    const REAL deviation = REAL_IS_FLOAT ? (REAL)__builtin_sqrtf((float)variance) : (REAL)__builtin_sqrt((double)variance);
    return (struct NAME(normal)){mean, V(broadcast)(1 / deviation)};
}

/* Means of d_n and of d_n n over a row; with them d_a = (d_n - mean_d - n mean_d_n) * scale. */
struct NAME(norm_means) {
    VEC d, d_n;
};

ALWAYS_INLINE VEC NAME(through_norm)(struct NAME(normal) s, struct NAME(norm_means) means, VEC n, VEC d_n) {
    return (d_n - means.d - n * means.d_n) * s.scale;
}

/* Numbers of a row of gates, padding included. */
static inline int64_t NAME(row_end)(int64_t H) { return (H + VL - 1) / VL * VL * LSTM_GATES; }

/* y = start + n weight for each row of products. */
static void NAME(norm)(const struct NAME(lstm_norm) *s) {
    for (int64_t r = 0; r < s->n_rows; r++) {
        const REAL *a = s->a + r * s->a_stride, *start = s->start + r * s->start_stride;
        REAL *y = s->y + r * s->y_stride;
        const struct NAME(normal) normal = NAME(normal_of)(a, LSTM_GATES, s->hidden_size);
        for (int64_t k = 0; k < NAME(row_end)(s->hidden_size); k += VL)
            V(store)(y + k, V(fma)(NAME(normalise)(normal, V(load)(a + k)), V(load)(s->weight + k), V(load)(start + k)));
    }
}

/* d_a from d, and the terms d n of the gradient of weight. */
static void NAME(norm_backward)(const struct NAME(lstm_norm_backward) *s) {
    const int64_t H = s->hidden_size;
    for (int64_t r = 0; r < s->n_rows; r++) {
        const REAL *a = s->a + r * s->a_stride, *d = s->d + r * s->d_stride;
        REAL *d_a = s->d_a + r * s->d_stride, *terms = s->terms + r * s->terms_stride;
        const struct NAME(normal) normal = NAME(normal_of)(a, LSTM_GATES, H);
        struct NAME(lanes) sums = {0}, products = {0};
        FOR_EACH_PART(unit, part, H)
        for (int gate = 0; gate < LSTM_GATES; gate++) {
            const int64_t k = unit * LSTM_GATES + gate * VL;
            const VEC d_n = V(load)(d + k) * V(load)(s->weight + k), n = NAME(normalise)(normal, V(load)(a + k));
            sums.part[part] += NAME(real_lanes)(d_n, H - unit);
            products.part[part] += NAME(real_lanes)(d_n * n, H - unit);
            V(store)(terms + k, V(load)(d + k) * n);
        }
        const REAL count = (REAL)(H * LSTM_GATES);
        const struct NAME(norm_means) means = {V(broadcast)(NAME(total)(sums) / count),
                                               V(broadcast)(NAME(total)(products) / count)};
        for (int64_t k = 0; k < NAME(row_end)(H); k += VL) {
            const VEC d_n = V(load)(d + k) * V(load)(s->weight + k), n = NAME(normalise)(normal, V(load)(a + k));
            V(store)(d_a + k, NAME(through_norm)(normal, means, n, d_n));
        }
    }
}
