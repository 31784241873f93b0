/* One time step backward: the product d_h_next = d_gates_next W_hh of a tile, then the cell backward. Panels are
 * vectors of hidden units. */
#ifndef LSTM_KERNELS_STEP_BACKWARD_H
#define LSTM_KERNELS_STEP_BACKWARD_H

#include <stddef.h>

#include "../compiler.h"
#include "../format.h"
#include "../real.h"
#include "cell.h"
#include "norm.h"
#include "product.h"
#include "table.h"
#include "tile.h"
#include "tiles.h"
#include "vector.h"

/* ---- LSTM -------------------------------------------------------------------------------------------------------- */

/* Prefetches what the previous step will read from the tape: it has left the cache, and its rows are too short for the
 * hardware prefetcher (training 1-4 % faster; prefetching in forward what the next step will write made it 2-5 %
 * slower). */
ALWAYS_INLINE void prefetch_previous_step(const struct lstm_step_backward *s, int64_t b, int64_t unit) {
    const real *gates = s->gates + b * s->gates_stride + unit * LSTM_GATES - s->gates_step;
    for (int64_t k = 0; k < LSTM_GATES * VL; k += 64 / (int64_t)sizeof(real)) __builtin_prefetch(gates + k);
    __builtin_prefetch(s->c_prev + b * s->c_stride + unit - s->c_step);
    if (s->d_output.data) __builtin_prefetch(s->d_output.data + row_offset(&s->d_output, b) + unit - s->d_output_step);
}

ALWAYS_INLINE void unit_backward(const struct lstm_variant *v, const struct lstm_step_backward *s, int64_t b,
                                 int64_t unit, vec d_h) {
    const int64_t at = b * s->c_stride + unit;
    const real *gates = s->gates + b * s->gates_stride + unit * LSTM_GATES;
    const vec c_prev = load(s->c_prev + at), o = load(gates + LSTM_GATE_O * VL);
    const vec c = v ? recompute_c(v, gates, c_prev) : load(s->c + at), tanh_c = cell_activation(v, c);
    const vec d_c = vfma(d_h * o, cell_activation_slope(v, tanh_c), load(s->d_c + at));
    if (v && s->unprojected) store_lanes(s->unprojected + b * s->hidden_size + unit, o * tanh_c, s->hidden_size - unit);
    const struct unit_gradients states = {.c = c, .c_prev = c_prev, .tanh_c = tanh_c, .d_h = d_h, .d_c = d_c};
    store(s->d_c + at, gates_backward(v, unit, gates, states, s->d_gates + b * s->d_gates_stride + unit * LSTM_GATES,
                                      s->terms + b * s->terms_stride));
}

ALWAYS_INLINE void units_backward(const struct lstm_variant *v, const struct lstm_step_backward *s, int64_t row,
                                  int64_t panel, int rows, int n, const vec *sums) {
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < n; k++) {
            const int64_t b = row + r, unit = (panel * LSTM_PANEL_VECTORS + k) * VL;
            vec d_h = *sums++;
            if (s->d_output.data)
                d_h += load_lanes(s->d_output.data + row_offset(&s->d_output, b) + unit, s->hidden_size - unit);
            prefetch_previous_step(s, b, unit);
            unit_backward(v, s, b, unit, d_h);
        }
}

NEVER_INLINE void plain_backward(const void *step, int64_t row, int64_t panel, int rows, int n, const vec *sums) {
    units_backward(NULL, step, row, panel, rows, n, sums);
}

NEVER_INLINE void simple_backward(const void *step, int64_t row, int64_t panel, int rows, int n, const vec *sums) {
    const struct lstm_step_backward *s = step;
    const struct lstm_variant v = simplified(s->variant);
    units_backward(&v, s, row, panel, rows, n, sums);
}

NEVER_INLINE void variant_backward(const void *step, int64_t row, int64_t panel, int rows, int n, const vec *sums) {
    const struct lstm_step_backward *s = step;
    units_backward(s->variant, s, row, panel, rows, n, sums);
}

static finish_tile *cell_of(const struct lstm_step_backward *s) {
    return !s->variant ? plain_backward : s->variant->is_simple ? simple_backward : variant_backward;
}

/* ---- plain RNN --------------------------------------------------------------------------------------------------- */

NEVER_INLINE void rnn_backward(const void *step, int64_t row, int64_t panel, int rows, int n, const vec *sums) {
    const struct lstm_step_backward *s = step;
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < n; k++) {
            const int64_t b = row + r, unit = (panel * LSTM_PANEL_VECTORS + k) * VL, left = s->hidden_size - unit;
            vec d_h = *sums++;
            if (s->d_output.data) d_h += load_lanes(s->d_output.data + row_offset(&s->d_output, b) + unit, left);
            const vec h = load_lanes(s->h.data + row_offset(&s->h, b) + unit, left);
            store(s->d_gates + b * s->d_gates_stride + unit, rnn_cell_backward(s->cell, h, d_h));
        }
}

/* ---- the kernels ------------------------------------------------------------------------------------------------- */

/* The cell of an LSTM for given sums. */
static void update_sums_backward(const struct lstm_step_backward *s, int64_t row, int64_t panel, int rows, int n,
                                 const void *sums) {
    cell_of(s)(s, row, panel, rows, n, sums);
}

/* The cells of a step whose d_h_next is given. */
static void cells_backward(const struct lstm_step_backward *s, finish_tile *finish) {
    const int64_t H = s->hidden_size;
    for (int64_t row = 0; row < s->n_rows; row++)
        for (int64_t panel = s->panel_begin; panel < s->panel_end; panel++) {
            const int64_t unit = panel * LSTM_PANEL_VECTORS * VL, n = panel_width(panel, (H + VL - 1) / VL);
            const real *d_h_next = s->d_h_next + row * s->d_h_next_stride + unit;
            vec sums[LSTM_PANEL_VECTORS];
            for (int64_t v = 0; v < n; v++) sums[v] = load_lanes(d_h_next + v * VL, H - unit - v * VL);
            finish(s, row, panel, 1, (int)n, sums);
        }
}

static void step_backward(const struct lstm_step_backward *s) {
    const bool is_lstm = s->cell == LSTM_CELL_LSTM;
    finish_tile *finish = is_lstm ? cell_of(s) : rnn_backward;
    if (!s->d_gates_next) {
        cells_backward(s, finish);
        return;
    }
    const struct lstm_product product = {.n_rows = s->n_rows,
                                         .depth = s->hidden_size,
                                         .n_columns = s->hidden_size,
                                         .panel_begin = s->panel_begin,
                                         .panel_end = s->panel_end,
                                         .gates_per_unit = is_lstm ? LSTM_GATES : 1,
                                         .format = LSTM_FORMAT_REAL,
                                         .a = {(real *)s->d_gates_next, s->d_gates_stride, NULL},
                                         .b = s->weight_hh};
    multiply(&product, (struct sums){NULL, 0}, s->descending, finish, s);
}

/* ---- the cell alone, with layer norm of c ------------------------------------------------------------------------ */

/* One row. Until the end, the row's norm_c terms hold n, the normalized c, and its norm_c_bias terms hold d_normed,
 * the gradient of the cell activation's argument. */
static void norm_row_backward(const struct lstm_variant *v, const struct lstm_step_backward *s, int64_t b) {
    const int64_t H = s->hidden_size;
    real *terms = s->terms + b * s->terms_stride, *n_row = terms + v->norm_c_terms;
    real *d_normed_row = terms + v->norm_c_bias_terms, *d_c_row = s->d_c + b * s->c_stride;
    const real *gates = s->gates + b * s->gates_stride, *c_prev_row = s->c_prev + b * s->c_stride;
    const real *d_h_row = s->d_h_next + b * s->d_h_next_stride;
    for (int64_t unit = 0; unit < H; unit += VL)
        store(n_row + unit, recompute_c(v, gates + unit * LSTM_GATES, load(c_prev_row + unit)));
    const struct moments moments = moments_of(n_row, 1, H);
    struct partial_sums sum_d_n = {0}, sum_d_n_n = {0};
    for (int64_t first = 0; first < H; first += SUM_LANES) {
        UNROLL
        for (int part = 0; part < SUM_PARTS; part++) {
            const int64_t unit = first + part * VL;
            if (unit >= H) break;
            const vec n = normalize(moments, load(n_row + unit)), weight = load(v->norm_c + unit);
            const vec tanh_c = cell_activation(v, vfma(n, weight, load(v->norm_c_bias + unit)));
            const vec o = load(gates + unit * LSTM_GATES + LSTM_GATE_O * VL),
                      d_h = load_lanes(d_h_row + unit, H - unit);
            const vec d_normed = d_h * o * cell_activation_slope(v, tanh_c);
            sum_d_n.part[part] += without_padding(d_normed * weight, H - unit);
            sum_d_n_n.part[part] += without_padding(d_normed * weight * n, H - unit);
            store(n_row + unit, n);
            store(d_normed_row + unit, d_normed);
        }
    }
    const struct gradient_means means = gradient_means_of(sum_d_n, sum_d_n_n, (real)H);
    for (int64_t unit = 0; unit < H; unit += VL) {
        const vec n = load(n_row + unit), weight = load(v->norm_c + unit), d_normed = load(d_normed_row + unit);
        const vec tanh_c = cell_activation(v, vfma(n, weight, load(v->norm_c_bias + unit)));
        const vec d_h = load_lanes(d_h_row + unit, H - unit), o = load(gates + unit * LSTM_GATES + LSTM_GATE_O * VL);
        const vec d_c = load(d_c_row + unit) + normalize_backward(moments, means, n, d_normed * weight);
        const vec c_prev = load(c_prev_row + unit), c = recompute_c(v, gates + unit * LSTM_GATES, c_prev);
        if (s->unprojected) store_lanes(s->unprojected + b * H + unit, o * tanh_c, H - unit);
        store(n_row + unit, d_normed * n);
        const struct unit_gradients states = {.c = c, .c_prev = c_prev, .tanh_c = tanh_c, .d_h = d_h, .d_c = d_c};
        store(d_c_row + unit, gates_backward(v, unit, gates + unit * LSTM_GATES, states,
                                             s->d_gates + b * s->d_gates_stride + unit * LSTM_GATES, terms));
    }
}

/* The kernel. */
static void cell_backward(const struct lstm_step_backward *s) {
    for (int64_t row = 0; row < s->n_rows; row++) norm_row_backward(s->variant, s, row);
}

#endif
