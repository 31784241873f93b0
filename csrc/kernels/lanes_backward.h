/* A backward step with one model in each lane (csrc/lane_args.h): the operations of step_backward.h, product.h and
 * outer.h. */
#ifndef LSTM_KERNELS_LANES_BACKWARD_H
#define LSTM_KERNELS_LANES_BACKWARD_H

#include <string.h>

#include "../compiler.h"
#include "../lane_args.h"
#include "../real.h"
#include "cell.h"
#include "lanes_forward.h"
#include "table.h"
#include "vector.h"

/* ---- products with the weights ----------------------------------------------------------------------------------- */

/* y[r][c] = sum of d_gates[r][unit][gate] w[gate * H + unit][c] over units and, within a unit, gates, for n columns. */
ALWAYS_INLINE void lane_columns(const int rows, const int n, int64_t H, const real *d_gates, const real *w,
                                int64_t columns, real *to) {
    const int64_t per_block = LSTM_SUM_BLOCK / LSTM_GATES;
    vec y[MOST_SUMS];
    UNROLL
    for (int j = 0; j < rows * n; j++) y[j] = zero();
    for (int64_t begin = 0; begin < H; begin += per_block) {
        const int64_t end = H - begin < per_block ? H : begin + per_block;
        vec acc[MOST_SUMS];
        UNROLL
        for (int j = 0; j < rows * n; j++) acc[j] = zero();
        for (int64_t u = begin; u < end; u++) {
            UNROLL
            for (int gate = 0; gate < LSTM_GATES; gate++) {
                const real *row = w + (gate * H + u) * columns * VL;
                vec d[LANE_ROWS];
                UNROLL
                for (int r = 0; r < rows; r++) d[r] = load(d_gates + ((r * H + u) * LSTM_GATES + gate) * VL);
                UNROLL
                for (int j = 0; j < n; j++) {
                    const vec l = load(row + j * VL);
                    UNROLL
                    for (int r = 0; r < rows; r++) acc[r * n + j] = vfma(d[r], l, acc[r * n + j]);
                }
            }
        }
        UNROLL
        for (int j = 0; j < rows * n; j++) y[j] += acc[j];
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int j = 0; j < n; j++) store(to + (r * columns + j) * VL, y[r * n + j]);
    }
}

/* The product d_gates w, for d_h and d_x; n_rows: of rows_at_once. */
NEVER_INLINE void lane_product_backward(int64_t n_rows, int64_t H, const real *d_gates, const real *w, int64_t columns,
                                        real *to) {
    int64_t c = 0;
    for (; LANE_ROWS == 4 && n_rows == 4 && c + 4 <= columns; c += 4)
        lane_columns(LANE_ROWS, 4, H, d_gates, w + c * VL, columns, to + c * VL);
    for (; n_rows == 2 && c + 4 <= columns; c += 4) lane_columns(2, 4, H, d_gates, w + c * VL, columns, to + c * VL);
    for (int64_t begin = c; n_rows; n_rows--, d_gates += LSTM_GATES * H * VL, to += columns * VL) {
        for (c = begin; c + 8 <= columns; c += 8) lane_columns(1, 8, H, d_gates, w + c * VL, columns, to + c * VL);
        for (; c + 4 <= columns; c += 4) lane_columns(1, 4, H, d_gates, w + c * VL, columns, to + c * VL);
        for (; c < columns; c++) lane_columns(1, 1, H, d_gates, w + c * VL, columns, to + c * VL);
    }
}

/* ---- weight gradients -------------------------------------------------------------------------------------------- */

/* rows x columns sums of a block. */
ALWAYS_INLINE void lane_outer(const int columns, const struct lstm_lane_sums *s, const real *left, const real *right,
                              int64_t left_step, int64_t right_step, real *y, int64_t y_row) {
    vec acc[LSTM_GATES * 4];
    UNROLL
    for (int k = 0; k < LSTM_GATES * columns; k++) acc[k] = zero();
    for (int64_t k = 0; k < s->n; k++, left += left_step, right += right_step) {
        vec d[LSTM_GATES];
        UNROLL
        for (int g = 0; g < LSTM_GATES; g++) d[g] = load(right + g * VL);
        UNROLL
        for (int c = 0; c < columns; c++) {
            const vec l = load(left + c * VL);
            UNROLL
            for (int g = 0; g < LSTM_GATES; g++) acc[g * columns + c] = vfma(l, d[g], acc[g * columns + c]);
        }
    }
    UNROLL
    for (int g = 0; g < LSTM_GATES; g++) {
        UNROLL
        for (int c = 0; c < columns; c++) {
            real *to = y + g * y_row + c * VL;
            vec sum = acc[g * columns + c];
            if (!s->is_first) sum += load(to);
            store(to, sum);
        }
    }
}

/* Adds the block to the sums. */
NEVER_INLINE void add_lane_block(struct lstm_lane_sums *s, int64_t columns, int64_t H) {
    const int64_t left_step = columns * VL, right_step = LSTM_GATES * VL, row = (columns + 1) * VL;
    for (int64_t u = 0; s->n && u < H; u++) {
        const real *right = s->right + u * LSTM_SUM_BLOCK * right_step;
        real *y = s->sums + u * LSTM_GATES * row;
        int64_t c = 0;
        for (; c + 4 <= columns; c += 4)
            lane_outer(4, s, s->left + c * VL, right, left_step, right_step, y + c * VL, row);
        for (; c < columns; c++) lane_outer(1, s, s->left + c * VL, right, left_step, right_step, y + c * VL, row);
        for (int64_t g = 0; g < LSTM_GATES; g++) {
            vec sum = zero();
            real *to = y + g * row + columns * VL;
            for (int64_t k = 0; k < s->n; k++) sum += load(right + k * right_step + g * VL);
            if (!s->is_first) sum += load(to);
            store(to, sum);
        }
    }
    if (s->n) s->is_first = false;
    s->n = 0;
}

/* The sums as the gradients of each model. */
static void unpack_lanes(const struct lstm_lanes *a, const real *sums) {
    const int64_t I = a->input_size, H = a->hidden_size, row = (I + H + 1) * VL, stride = a->gradients_stride;
    const struct lstm_weight_gradients *d = &a->d_weights;
    for (int64_t u = 0; u < H; u++)
        for (int64_t g = 0; g < LSTM_GATES; g++, sums += row) {
            const int64_t j = g * H + u;
            out_of_lanes(I, sums, (real *)d->d_weight_ih + j * I, stride, 0);
            out_of_lanes(H, sums + I * VL, (real *)d->d_weight_hh + j * H, stride, 0);
            if (d->d_bias_ih) out_of_lanes(1, sums + (I + H) * VL, (real *)d->d_bias_ih + j, stride, 0);
            if (d->d_bias_hh) out_of_lanes(1, sums + (I + H) * VL, (real *)d->d_bias_hh + j, stride, 0);
        }
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

NEVER_INLINE void lane_norms(int64_t H, const real *d, double *norms, int64_t stride) {
    for (int64_t lane = 0; norms && lane < VL; lane++) {
        double squares = 0;
        for (int64_t u = 0; u < H; u++) squares += (double)d[u * VL + lane] * (double)d[u * VL + lane];
        norms[lane * stride] = __builtin_sqrt(squares);
    }
}

/* The cells of a row: computes d_gates, and replaces d_c by the gradient of the previous step's c. */
NEVER_INLINE void lane_cells_backward(int64_t H, const real *gates, const real *c_prev, const real *c, const real *d_h,
                                      real *d_c, real *d_gates) {
    for (int64_t u = 0; u < H; u++) {
        const vec new_c = load(c + u * VL), tanh_c = cell_activation(NULL, new_c), d = load(d_h + u * VL);
        const vec o = load(gates + (u * LSTM_GATES + LSTM_GATE_O) * VL);
        for (int g = 0; g < LSTM_GATES; g++) __builtin_prefetch(gates + ((u - H) * LSTM_GATES + g) * VL, 0);
        __builtin_prefetch(c_prev + (u - H) * VL, 0);
        const struct unit_gradients states = {
            .c = new_c,
            .c_prev = load(c_prev + u * VL),
            .tanh_c = tanh_c,
            .d_h = d,
            .d_c = vfma(d * o, cell_activation_slope(NULL, tanh_c), load(d_c + u * VL))};
        store(d_c + u * VL,
              gates_backward(NULL, 0, gates + u * LSTM_GATES * VL, states, d_gates + u * LSTM_GATES * VL, NULL));
    }
}

/* Adds row b to the block of the weight gradients; x: its inputs in lanes. */
static void take_row(const struct lstm_lane_step_backward *s, int64_t b, const real *x, const real *d_gates) {
    const struct lstm_lanes *a = s->lanes;
    struct lstm_lane_sums *sums = s->sums;
    const int64_t I = a->input_size, H = a->hidden_size;
    real *to = sums->left + sums->n * (I + H) * VL, *right = sums->right + sums->n * LSTM_GATES * VL;
    memcpy(to, x, (size_t)(I * VL) * sizeof(real));
    if (s->h_prev)
        memcpy(to + I * VL, s->h_prev + b * H * VL, (size_t)(H * VL) * sizeof(real));
    else
        into_lanes(H, a->h_0 ? (const real *)a->h_0 + b * H : NULL, a->B * H, 0, to + I * VL);
    for (int64_t u = 0; u < H; u++) {
        UNROLL
        for (int g = 0; g < LSTM_GATES; g++)
            store(right + (u * LSTM_SUM_BLOCK * LSTM_GATES + g) * VL, load(d_gates + (u * LSTM_GATES + g) * VL));
    }
    if (++sums->n == LSTM_SUM_BLOCK) add_lane_block(sums, I + H, H);
}

/* The kernel. Rows from the last to the first, as in the sums of weight gradients. */
static void lane_step_backward(const struct lstm_lane_step_backward *s) {
    const struct lstm_lanes *a = s->lanes;
    const int64_t T = a->T, B = a->B, I = a->input_size, H = a->hidden_size, G = LSTM_GATES * H, t = s->t;
    for (int64_t b = B, n; b > 0;) {
        n = rows_at_once(b), b -= n;
        if (t < T - 1) lane_product_backward(n, H, s->d_gates + b * G * VL, s->weights.hh, H, s->d_h);
        if (a->d_output.data) rows_into_lanes(&a->d_output, t, b, n, H, -1, s->d_output);
        rows_into_lanes(&a->x, t, b, n, I, -1, s->x);
        for (int64_t k = n - 1; k >= 0; k--) {
            const int64_t row = b + k, r = t * B + row;
            real *d_h = s->d_h + k * H * VL, *d_gates = s->d_gates + row * G * VL;
            if (t == T - 1) into_lanes(H, a->d_h_n ? (const real *)a->d_h_n + row * H : NULL, B * H, 0, d_h);
            for (int64_t u = 0; a->d_output.data && u < H; u++)
                store(d_h + u * VL, load(d_h + u * VL) + load(s->d_output + (k * H + u) * VL));
            lane_norms(H, d_h, a->d_h_norms ? a->d_h_norms + r : NULL, T * B);
            lane_norms(H, s->d_c + row * H * VL, a->d_c_norms ? a->d_c_norms + r : NULL, T * B);
            lane_cells_backward(H, s->gates + row * G * VL, s->c_prev + row * H * VL, s->c + row * H * VL, d_h,
                                s->d_c + row * H * VL, d_gates);
            take_row(s, row, s->x + k * I * VL, d_gates);
        }
        if (!a->d_x.data) continue;
        lane_product_backward(n, H, s->d_gates + b * G * VL, s->weights.ih, I, s->x);
        rows_out_of_lanes(&a->d_x, t, b, n, I, -1, s->x);
    }
    if (s->ends_chunk) add_lane_block(s->sums, I + H, H);
}

static void end_lanes_backward(const struct lstm_lane_step_backward *s) {
    const struct lstm_lanes *a = s->lanes;
    const int64_t B = a->B, H = a->hidden_size, G = LSTM_GATES * H;
    for (int64_t b = 0, n; b < B; b += n) {
        n = rows_at_once(B - b);
        lane_product_backward(n, H, s->d_gates + b * G * VL, s->weights.hh, H, s->d_h);
        for (int64_t k = 0; k < n; k++) out_of_lanes(H, s->d_h + k * H * VL, (real *)a->d_h_0 + (b + k) * H, B * H, 0);
    }
    unpack_lanes(a, s->sums->sums);
}

#endif
