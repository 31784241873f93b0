/* A step with one model in each lane (csrc/lane_args.h). Every array is transposed as it is read, so that a vector
 * holds one number of each model. The sums and the cell use the operations of tile.h and cell.h in the same order, with
 * models in place of units. */
#ifndef LSTM_KERNELS_LANES_FORWARD_H
#define LSTM_KERNELS_LANES_FORWARD_H

#include "../compiler.h"
#include "../lane_args.h"
#include "../real.h"
#include "cell.h"
#include "table.h"
#include "transpose.h"
#include "vector.h"

/* ---- transposition ----------------------------------------------------------------------------------------------- */

/* n numbers of each model, `stride` apart, into n vectors. from NULL: zeros. Hardware does not prefetch the rows of
 * this many models, so the numbers of the next call, which are `next` later, are prefetched (0: none). */
NEVER_INLINE void into_lanes(int64_t n, const real *from, int64_t stride, int64_t next, real *to) {
    int64_t begin = 0;
    for (int64_t k = 0; !from && k < n; k++) store(to + k * VL, zero());
    if (!from) return;
#ifdef HAS_PERMUTE_TWO
    for (; n - begin >= VL / 2; begin += VL) {
        const int64_t count = n - begin < VL ? n - begin : VL;
        vec rows[VECTOR_BYTES / sizeof(real)];
        UNROLL
        for (int lane = 0; lane < (int)VL; lane++) rows[lane] = load_lanes(from + lane * stride + begin, count);
        for (int64_t lane = 0; next && lane < VL; lane++) __builtin_prefetch(from + lane * stride + begin + next);
        transpose(rows);
        UNROLL
        for (int k = 0; k < (int)VL; k++)
            if (k < count) store(to + (begin + k) * VL, rows[k]);
        if (count < VL) return;
    }
#else
    (void)next;
#endif
    for (int64_t lane = 0; lane < VL; lane++)
        for (int64_t k = begin; k < n; k++) to[k * VL + lane] = from[lane * stride + k];
}

NEVER_INLINE void out_of_lanes(int64_t n, const real *from, real *to, int64_t stride, int64_t next) {
    int64_t begin = 0;
#ifdef HAS_PERMUTE_TWO
    for (; n - begin >= VL / 2; begin += VL) {
        const int64_t count = n - begin < VL ? n - begin : VL;
        vec rows[VECTOR_BYTES / sizeof(real)];
        UNROLL
        for (int k = 0; k < (int)VL; k++) rows[k] = k < count ? load(from + (begin + k) * VL) : zero();
        transpose(rows);
        UNROLL
        for (int lane = 0; lane < (int)VL; lane++) store_lanes(to + lane * stride + begin, rows[lane], count);
        for (int64_t lane = 0; next && lane < VL; lane++) __builtin_prefetch(to + lane * stride + begin + next, 1);
        if (count < VL) return;
    }
#else
    (void)next;
#endif
    for (int64_t lane = 0; lane < VL; lane++)
        for (int64_t k = begin; k < n; k++) to[lane * stride + k] = from[k * VL + lane];
}

static real *lane_row(const struct lstm_lane_sequence *s, int64_t t, int64_t b) {
    return (real *)s->data + t * s->step_stride + b * s->row_stride;
}

/* Rows b .. b + n of step t, `width` numbers each: at once if they follow one another, so that vectors are full. sign:
 * -1 if the preceding rows are read next, else 1. */
static void rows_into_lanes(const struct lstm_lane_sequence *s, int64_t t, int64_t b, int64_t n, int64_t width,
                            int sign, real *to) {
    const int64_t at_once = s->row_stride == width ? n : 1;
    for (int64_t r = 0; r < n; r += at_once)
        into_lanes(at_once * width, lane_row(s, t, b + r), s->model_stride, sign * n * width, to + r * width * VL);
}
static void rows_out_of_lanes(const struct lstm_lane_sequence *s, int64_t t, int64_t b, int64_t n, int64_t width,
                              int sign, const real *from) {
    const int64_t at_once = s->row_stride == width ? n : 1;
    for (int64_t r = 0; r < n; r += at_once)
        out_of_lanes(at_once * width, from + r * width * VL, lane_row(s, t, b + r), s->model_stride, sign * n * width);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* Returns the end of the filled memory. */
static real *pack_lanes(const struct lstm_lanes *a, real *to, struct lstm_lane_weights *w) {
    const int64_t I = a->input_size, H = a->hidden_size, G = LSTM_GATES * H, stride = a->weights_stride;
    w->I = I, w->H = H;
    w->ih = to, w->hh = w->ih + G * I * VL, w->bias = w->hh + G * H * VL;
    into_lanes(G * I, a->weights.weight_ih, stride, VL, w->ih);
    into_lanes(G * H, a->weights.weight_hh, stride, VL, w->hh);
    const real *b_ih = a->weights.bias_ih, *b_hh = a->weights.bias_hh;
    for (int64_t k = 0; k < G; k++)
        for (int64_t lane = 0; lane < VL; lane++)
            w->bias[k * VL + lane] = (b_ih ? b_ih[lane * stride + k] : 0) + (b_hh ? b_hh[lane * stride + k] : 0);
    return w->bias + G * VL;
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* Rows that share each load of a weight, four chains each: as many as there are registers for. (The weights of a group
 * come from L2: 82 KB for 16 models of I, H = 4, 16.) */
#define LANE_ROWS (VECTOR_BYTES == 64 ? 4 : 2)
#define MOST_SUMS (4 * LANE_ROWS)

static int64_t rows_at_once(int64_t rows) { return rows >= LANE_ROWS ? LANE_ROWS : rows >= 2 ? 2 : 1; }

/* sums[r][j] += left[r] . right[j] for n chains of each of `rows` rows; left rows are `row` numbers apart, right rows
 * `apart`. Blocks as in tile.h. */
ALWAYS_INLINE void lane_products(const int rows, const int n, int64_t depth, const real *left, int64_t row,
                                 const real *right, int64_t apart, vec *sums) {
    for (int64_t begin = 0; begin < depth; begin += LSTM_SUM_BLOCK) {
        const int64_t end = depth - begin < LSTM_SUM_BLOCK ? depth : begin + LSTM_SUM_BLOCK;
        vec acc[MOST_SUMS];
        UNROLL
        for (int j = 0; j < rows * n; j++) acc[j] = zero();
        for (int64_t k = begin; k < end; k++) {
            vec l[LANE_ROWS];
            UNROLL
            for (int r = 0; r < rows; r++) l[r] = load(left + r * row + k * VL);
            UNROLL
            for (int j = 0; j < n; j++) {
                const vec w = load(right + j * apart + k * VL);
                UNROLL
                for (int r = 0; r < rows; r++) acc[r * n + j] = vfma(l[r], w, acc[r * n + j]);
            }
        }
        UNROLL
        for (int j = 0; j < rows * n; j++) sums[j] += acc[j];
    }
}

/* The pre-activations of `rows` rows, (4H) vectors each: eight chains or more at a time, for their latency. */
ALWAYS_INLINE void lane_rows(const int rows, const int n, const struct lstm_lane_weights *w, int64_t j, const real *x,
                             const real *h_prev, real *pre) {
    const int64_t I = w->I, H = w->H;
    vec sums[MOST_SUMS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int k = 0; k < n; k++) sums[r * n + k] = load(w->bias + (j + k) * VL);
    }
    const real *left = x, *right = w->ih + j * I * VL;
    for (int64_t part = 0, depth = I; part < 2; part++) { /* x, then h */
        lane_products(rows, n, depth, left, depth * VL, right, depth * VL, sums);
        left = h_prev, right = w->hh + j * H * VL, depth = H;
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int k = 0; k < n; k++) store(pre + (r * LSTM_GATES * H + j + k) * VL, sums[r * n + k]);
    }
}

/* The same for rows_at_once rows (4H is a multiple of 4). */
static void lane_pre(int64_t n_rows, const struct lstm_lane_weights *w, const real *x, const real *h_prev, real *pre) {
    const int64_t G = LSTM_GATES * w->H;
    for (int64_t j = 0; LANE_ROWS == 4 && n_rows == 4 && j < G; j += 4) lane_rows(LANE_ROWS, 4, w, j, x, h_prev, pre);
    for (int64_t j = 0; n_rows == 2 && j < G; j += 4) lane_rows(2, 4, w, j, x, h_prev, pre);
    for (int64_t j = 0; n_rows == 1 && j < G; j += G - j < 8 ? 4 : 8) {
        if (G - j < 8)
            lane_rows(1, 4, w, j, x, h_prev, pre);
        else
            lane_rows(1, 8, w, j, x, h_prev, pre);
    }
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

/* The cells of a row. gates NULL: not kept. Two loops as in step.h, whose iterations overlap. (The tape of a group
 * fills L2, and a row of it one page, beyond which the hardware does not prefetch.) */
NEVER_INLINE void lane_cells(int64_t H, const real *pre, const real *c_prev, real *c, real *h, real *gates) {
    for (int64_t u = 0; u < H; u++) {
        const vec sums[LSTM_GATES] = {[LSTM_GATE_I] = load(pre + (LSTM_GATE_I * H + u) * VL),
                                      [LSTM_GATE_F] = load(pre + (LSTM_GATE_F * H + u) * VL),
                                      [LSTM_GATE_G] = load(pre + (LSTM_GATE_G * H + u) * VL),
                                      [LSTM_GATE_O] = zero()};
        const struct memory m = cell_memory(NULL, 0, sums, load(c_prev + u * VL));
        store(c + u * VL, m.c);
        if (!gates) continue;
        for (int g = 0; g < LSTM_GATES; g++) __builtin_prefetch(gates + ((H + u) * LSTM_GATES + g) * VL, 1);
        __builtin_prefetch(c + (H + u) * VL, 1), __builtin_prefetch(h + (H + u) * VL, 1);
        store(gates + (u * LSTM_GATES + LSTM_GATE_I) * VL, m.i);
        store(gates + (u * LSTM_GATES + LSTM_GATE_F) * VL, m.f);
        store(gates + (u * LSTM_GATES + LSTM_GATE_G) * VL, m.g);
    }
    for (int64_t u = 0; u < H; u++) {
        const vec new_c = load(c + u * VL);
        const struct output output = cell_output(NULL, 0, load(pre + (LSTM_GATE_O * H + u) * VL), new_c, new_c);
        store(h + u * VL, output.h);
        if (gates) store(gates + (u * LSTM_GATES + LSTM_GATE_O) * VL, output.o);
    }
}

/* The kernel. */
static void lane_step(const struct lstm_lane_step *s) {
    const struct lstm_lanes *a = s->lanes;
    const int64_t B = a->B, I = a->input_size, H = a->hidden_size, G = LSTM_GATES * H;
    for (int64_t b = 0, n; b < B; b += n) {
        n = rows_at_once(B - b);
        rows_into_lanes(&a->x, s->t, b, n, I, 1, s->x);
        lane_pre(n, &s->weights, s->x, s->h_prev + b * H * VL, s->pre);
        for (int64_t r = 0; r < n; r++) {
            const int64_t row = (b + r) * H * VL;
            lane_cells(H, s->pre + r * G * VL, s->c_prev + row, s->c + row, s->h + row,
                       s->gates ? s->gates + (b + r) * G * VL : NULL);
        }
        rows_out_of_lanes(&a->output, s->t, b, n, H, 1, s->h + b * H * VL);
    }
}

#endif
