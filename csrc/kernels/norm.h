/* Layer normalization (Ba et al. 2016) of rows of gates or of units: n = (a - mean) / sqrt(variance + 1e-5).
 *
 * The sum over a row has the same bits for every vector length: unit k is added to the partial sum k % SUM_LANES, gate
 * by gate, and the partial sums are added pairwise at the end. Padding is excluded. */
#ifndef LSTM_NORM_H
#define LSTM_NORM_H

#include "../compiler.h"
#include "../real.h"
#include "table.h"
#include "vector.h"

#define NORM_EPSILON 1e-5
#define SUM_LANES 16
#define SUM_PARTS ((int)(SUM_LANES / VL))

/* The partial sums of a row. UNROLL makes their indices constant in loops over a row, so that they stay in registers
 * (in memory they cost 4-16 % of training). */
struct partial_sums {
    vec part[SUM_LANES / VL];
};

static real total(struct partial_sums sums) {
    real lanes[VL];
    for (int width = SUM_PARTS / 2; width; width /= 2)
        for (int k = 0; k < width; k++) sums.part[k] += sums.part[k + width];
    store(lanes, sums.part[0]);
    for (int width = (int)VL / 2; width; width /= 2)
        for (int k = 0; k < width; k++) lanes[k] += lanes[k + width];
    return lanes[0];
}

/* v with lanes n and above set to zero. */
ALWAYS_INLINE vec without_padding(vec v, int64_t n) {
    static const real lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if (!UNLIKELY(n < VL)) return v;
    return vselect(load(lane) < broadcast((real)n), v, broadcast((real)0));
}

/* The sum of a - mean, or of its square, over a row of n_gates * H numbers with vectors of gates side by side. */
ALWAYS_INLINE real sum_of_row(const real *a, const int n_gates, int64_t H, vec mean, const bool squared) {
    struct partial_sums sums = {0};
    for (int64_t first = 0; first < H; first += SUM_LANES) {
        UNROLL
        for (int part = 0; part < SUM_PARTS; part++) {
            const int64_t unit = first + part * VL;
            if (unit >= H) break;
            for (int gate = 0; gate < n_gates; gate++) {
                vec v = load(a + unit * n_gates + gate * VL) - mean;
                if (squared) v *= v;
                sums.part[part] += without_padding(v, H - unit);
            }
        }
    }
    return total(sums);
}

struct moments {
    vec mean, scale; /* n = (a - mean) * scale */
};

ALWAYS_INLINE struct moments moments_of(const real *a, const int n_gates, int64_t H) {
    const real count = (real)(n_gates * H);
    const vec mean = broadcast(sum_of_row(a, n_gates, H, broadcast((real)0), false) / count);
    const real variance = sum_of_row(a, n_gates, H, mean, true) / count + (real)NORM_EPSILON;
    return (struct moments){mean, broadcast(1 / square_root(variance))};
}

ALWAYS_INLINE vec normalize(struct moments m, vec a) { return (a - m.mean) * m.scale; }

/* The means of d_n and of d_n n over a row. */
struct gradient_means {
    vec d_n, d_n_n;
};

ALWAYS_INLINE struct gradient_means gradient_means_of(struct partial_sums d_n, struct partial_sums d_n_n, real count) {
    return (struct gradient_means){broadcast(total(d_n) / count), broadcast(total(d_n_n) / count)};
}

/* d_a from d_n. */
ALWAYS_INLINE vec normalize_backward(struct moments m, struct gradient_means means, vec n, vec d_n) {
    return (d_n - means.d_n - n * means.d_n_n) * m.scale;
}

/* ---- rows of gates ----------------------------------------------------------------------------------------------- */

/* The length of a row of gates, padding included. */
static inline int64_t gates_width(int64_t H) { return (H + VL - 1) / VL * VL * LSTM_GATES; }

static void norm(const struct lstm_norm *s) {
    const int64_t H = s->hidden_size;
    for (int64_t r = 0; r < s->n_rows; r++) {
        const real *a = s->a + r * s->a_stride, *start = s->start + r * s->start_stride;
        real *y = s->y + r * s->y_stride;
        const struct moments moments = moments_of(a, LSTM_GATES, H);
        for (int64_t k = 0; k < gates_width(H); k += VL)
            store(y + k, vfma(normalize(moments, load(a + k)), load(s->weight + k), load(start + k)));
    }
}

static void norm_backward(const struct lstm_norm_backward *s) {
    const int64_t H = s->hidden_size;
    for (int64_t r = 0; r < s->n_rows; r++) {
        const real *a = s->a + r * s->a_stride, *d = s->d + r * s->d_stride;
        real *d_a = s->d_a + r * s->d_stride, *terms = s->terms + r * s->terms_stride;
        const struct moments moments = moments_of(a, LSTM_GATES, H);
        struct partial_sums sum_d_n = {0}, sum_d_n_n = {0};
        for (int64_t first = 0; first < H; first += SUM_LANES) {
            UNROLL
            for (int part = 0; part < SUM_PARTS; part++) {
                const int64_t unit = first + part * VL;
                if (unit >= H) break;
                for (int gate = 0; gate < LSTM_GATES; gate++) {
                    const int64_t k = unit * LSTM_GATES + gate * VL;
                    const vec d_n = load(d + k) * load(s->weight + k), n = normalize(moments, load(a + k));
                    sum_d_n.part[part] += without_padding(d_n, H - unit);
                    sum_d_n_n.part[part] += without_padding(d_n * n, H - unit);
                    store(terms + k, load(d + k) * n);
                }
            }
        }
        const struct gradient_means means = gradient_means_of(sum_d_n, sum_d_n_n, (real)(H * LSTM_GATES));
        for (int64_t k = 0; k < gates_width(H); k += VL) {
            const vec d_n = load(d + k) * load(s->weight + k), n = normalize(moments, load(a + k));
            store(d_a + k, normalize_backward(moments, means, n, d_n));
        }
    }
}

#endif
