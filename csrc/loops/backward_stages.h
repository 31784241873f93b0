/* A backward step in stages: the stages of forward_stages.h in reverse order. Before the step, d_h and d_c are the
 * gradients of its states; afterwards, the gradients of the previous step's states. */
#ifndef LSTM_BACKWARD_STAGES_H
#define LSTM_BACKWARD_STAGES_H

#include <string.h>

#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "backward_pass.h"
#include "blocks.h"
#include "masks.h"
#include "sequences.h"
#include "states.h"

/* The effective h_prev and c_prev of steps [begin, end) of the chunk, rows as in d_gates. */
static void effective_states_of_chunk(const struct backward_run *run, const struct backward_pass *p, int64_t begin,
                                      int64_t end) {
    const struct lstm_call *call = &run->args->call;
    const int64_t R = run->d.R, width = run->d.H_padded;
    for (int64_t step = begin; step < end; step++) {
        const int64_t row_end = active_end(call, step, p->row_begin, p->row_end);
        for (int64_t r = p->row_begin; r < row_end; r++) {
            const int64_t k = p->first_row[step - begin] + r;
            const real *h_prev = step ? row_at(&p->h, step - 1, r) : p->initial_h + batch_row(call, r) * R;
            if (p->h_effective) effective_h(call, &p->restart, step, r, R, h_prev, p->h_effective + k * R);
            if (p->c_effective)
                effective_c(call, &p->restart, step, r, width, p->c + (step * call->B + r) * width,
                            p->c_effective + k * width);
        }
    }
}

/* ---- 4: zoneout -------------------------------------------------------------------------------------------------- */

static double euclidean_norm(int64_t n, const real *row) {
    double squares = 0;
    for (int64_t k = 0; k < n; k++) squares += (double)row[k] * (double)row[k];
    return __builtin_sqrt(squares);
}

/* The gradients that reach h and c of row r at a step: d_output is added, norms are recorded, and zoneout sets aside
 * the gradient of the old values. */
static void gather_gradients(const struct backward_run *run, const struct backward_pass *p, int64_t step, int64_t r,
                             const real *d_output) {
    const struct lstm_backward *a = run->args;
    const struct lstm_call *call = &a->call;
    const int64_t R = run->d.R, H = call->model.hidden_size, width = run->d.H_padded;
    const int64_t t = time_of(call, p->direction, step, r), b = batch_row(call, r), index = p->restart.index;
    real *d_h = p->d_h + r * R, *d_c = p->d_c ? p->d_c + r * width : NULL;
    for (int64_t k = 0; d_output && k < R; k++) d_h[k] += d_output[k];
    const int64_t at = (index * call->T + t) * call->B + b;
    if (a->d_h_norms) a->d_h_norms[at] = euclidean_norm(R, d_h);
    if (a->d_c_norms) a->d_c_norms[at] = euclidean_norm(H, d_c);
    if (call->zoneout_h > 0)
        zoneout_backward(mask_of(call, call->zoneout_h, STREAM_ZONEOUT_H + (uint32_t)index, t, b), R, d_h,
                         backward_workspace(run, run->plan.d_h_kept) + r * R);
    if (call->zoneout_c > 0)
        zoneout_backward(mask_of(call, call->zoneout_c, STREAM_ZONEOUT_C + (uint32_t)index, t, b), H, d_c,
                         backward_workspace(run, run->plan.d_c_kept) + r * width);
}

/* ---- 3: the projection ------------------------------------------------------------------------------------------- */

/* The projection backward: d_unprojected from d_h, which is kept for the gradient of weight_hr. k: the first row's
 * index in the chunk. */
static bool projection_backward(const struct backward_run *run, const struct backward_pass *p, int64_t k,
                                int64_t n_rows) {
    const int64_t R = run->d.R, H = run->args->call.model.hidden_size, stride = run->plan.d_h_new_stride;
    real *d_h_new = backward_workspace(run, run->plan.d_h_new) + k * stride;
    for (int64_t r = 0; r < n_rows; r++)
        fill_row(d_h_new + r * stride, R, run->d.R_padded, p->d_h + (p->row_begin + r) * R);
    real *d_unprojected = backward_workspace(run, run->plan.d_unprojected) + p->row_begin * H;
    const struct lstm_product product = {.n_rows = n_rows,
                                         .depth = R,
                                         .n_columns = H,
                                         .panel_end = n_panels(&run->d, H),
                                         .gates_per_unit = 1,
                                         .a = {d_h_new, stride, NULL},
                                         .format = run->args->call.model.format,
                                         .b = p->weight_hr,
                                         .format_args = {.operands = p->operands},
                                         .y = {d_unprojected, H, NULL}};
    return run_product(p->worker, &run->args->call, &run->d, product);
}

/* ---- 2: the norms of both products ------------------------------------------------------------------------------- */

/* Both norms backward: the gradients of the products from the gradients of the gates. row: the first row; k: its index
 * in the chunk. */
static void norms_backward(const struct backward_run *run, const struct backward_pass *p, int64_t step, int64_t begin,
                           int64_t row, int64_t k, int64_t n_rows) {
    const struct lstm_kernels *kernels = kernels_of(&run->args->call);
    const int64_t width = run->d.gates_width, stride = run->plan.d_gates_stride;
    real *terms = p->vector_terms + k * run->plan.vector_terms_stride;
    struct lstm_norm_backward norm = {.n_rows = n_rows,
                                      .hidden_size = run->args->call.model.hidden_size,
                                      .a = gates_at_step(run, p->a_x, step, begin) + row * width,
                                      .a_stride = width,
                                      .weight = p->vectors + run->d.vectors.norm_ih,
                                      .d = d_gates_at(run, p, k),
                                      .d_a = backward_workspace(run, run->plan.d_a_x) + k * stride,
                                      .d_stride = stride,
                                      .terms = terms + run->d.vectors.norm_ih,
                                      .terms_stride = run->plan.vector_terms_stride};
    kernels->norm_backward(&norm);
    norm.a = gates_at_step(run, p->a_h, step, begin) + row * width;
    norm.weight = p->vectors + run->d.vectors.norm_hh;
    norm.d_a = backward_workspace(run, run->plan.d_a_h) + k * stride;
    norm.terms = terms + run->d.vectors.norm_hh;
    kernels->norm_backward(&norm);
}

/* ---- 1: the effective states ------------------------------------------------------------------------------------- */

/* The gradient of a state before the step: through recurrent dropout, plus the part that zoneout set aside; after a
 * restart all of it belongs to the learned state. */
static void propagate_state_gradient(real *d, int64_t n, const real *mask, const real *kept, bool restarts,
                                     real *d_learned) {
    for (int64_t k = 0; mask && k < n; k++) d[k] *= mask[k];
    for (int64_t k = 0; kept && k < n; k++) d[k] += kept[k];
    for (int64_t k = 0; restarts && d_learned && k < n; k++) d_learned[k] += d[k];
    if (restarts) memset(d, 0, (size_t)n * sizeof(real));
}

static void propagate_state_gradients(const struct backward_run *run, const struct backward_pass *p, int64_t step,
                                      int64_t r) {
    const struct lstm_call *call = &run->args->call;
    const int64_t R = run->d.R, H = call->model.hidden_size, width = run->d.H_padded;
    const bool restarts = restarts_at(call, p->direction, step, r);
    const bool is_learned = call->resets && call->model.initial_state;
    const int64_t row = p->restart.index * call->B + batch_row(call, r);
    const real *mask = p->restart.masks ? p->restart.masks + r * R : NULL;
    const real *d_h_kept = call->zoneout_h > 0 ? backward_workspace(run, run->plan.d_h_kept) + r * R : NULL;
    real *d_learned_h = is_learned ? backward_workspace(run, run->plan.d_learned_h) + row * R : NULL;
    propagate_state_gradient(p->d_h + r * R, R, mask, d_h_kept, restarts, d_learned_h);
    if (!p->d_c) return;
    const real *d_c_kept = call->zoneout_c > 0 ? backward_workspace(run, run->plan.d_c_kept) + r * width : NULL;
    real *d_learned_c = is_learned ? backward_workspace(run, run->plan.d_learned_c) + row * width : NULL;
    propagate_state_gradient(p->d_c + r * width, H, NULL, d_c_kept, restarts, d_learned_c);
}

/* ---- all stages -------------------------------------------------------------------------------------------------- */

/* One step of the worker's rows up to row_end. */
static bool run_stages_backward(const struct backward_run *run, const struct backward_pass *p, int64_t step,
                                int64_t begin, int64_t row_end) {
    const struct lstm_call *call = &run->args->call;
    const int64_t R = run->d.R, H = call->model.hidden_size, stride = run->plan.d_gates_stride;
    const int64_t row = p->row_begin, k = p->first_row[step - begin] + row;
    const bool has_norm = call->model.layer_norm;
    struct lstm_step_backward s = step_arguments(run, p, step, begin);
    if (row_end <= row) return true;
    for (int64_t r = row; r < row_end; r++)
        gather_gradients(run, p, step, r, p->d_output.data ? row_at(&p->d_output, step, r) : NULL);
    if (call->model.proj_size) {
        if (!projection_backward(run, p, k, row_end - row)) return false;
        s.d_h_next = backward_workspace(run, run->plan.d_unprojected);
        s.d_h_next_stride = H;
        s.unprojected = backward_workspace(run, run->plan.unprojected) + p->first_row[step - begin] * H;
    }
    advance_to_rows(p, &s, step, row, row_end);
    s.d_output.data = NULL; /* already in d_h */
    s.panel_end = n_panels(&run->d, H);
    (has_norm ? kernels_of(call)->cell_backward : kernels_of(call)->step_backward)(&s);
    if (has_norm) norms_backward(run, p, step, begin, row, k, s.n_rows);
    real *d_a_h = has_norm ? backward_workspace(run, run->plan.d_a_h) + k * stride : s.d_gates;
    const struct lstm_product product = {.n_rows = s.n_rows,
                                         .depth = H,
                                         .n_columns = R,
                                         .panel_end = n_panels(&run->d, R),
                                         .gates_per_unit = (int)run->d.n_gates,
                                         .a = {d_a_h, stride, NULL},
                                         .format = call->model.format,
                                         .b = p->weight_hh,
                                         .format_args = {.operands = p->operands},
                                         .y = {p->d_h + row * R, R, NULL}};
    if (!run_product(p->worker, call, &run->d, product)) return false;
    for (int64_t r = row; r < row_end; r++) propagate_state_gradients(run, p, step, r);
    return true;
}

#endif
