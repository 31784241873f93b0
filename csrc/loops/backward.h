/* Backward over time: segments from the last to the first; in each, all layers from the top; in each, its directions;
 * in each, chunks of steps. For a chunk:
 *
 *   0. recompute_gates: its gates are recomputed, all workers sharing the steps
 *   1. the recurrence: step by step, d_h and d_c go through the cell into d_gates (of the chunk); each worker takes its
 *      own rows or, with few rows, its own units
 *   2. d_h before the chunk and d_x, from d_gates: the same rows, or its own columns
 *   3. the weight gradients, [x | h_prev | 1]^T d_gates: products over up to LSTM_GRADIENT_ROWS rows; each worker owns
 *      some panels of the result, which has the layout of packed weights until the end. The sum over (t, b) runs in the
 *      reverse order of steps and rows, in blocks of LSTM_SUM_BLOCK from the end of each product
 *
 * The running gradients of the states are in d_h_0 (the caller's) and d_c (workspace). */
#ifndef LSTM_LOOPS_BACKWARD_H
#define LSTM_LOOPS_BACKWARD_H

#include <string.h>

#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../split.h"
#include "../threads.h"
#include "backward_pass.h"
#include "backward_plan.h"
#include "backward_recompute.h"
#include "backward_stages.h"
#include "backward_splits.h"
#include "backward_steps.h"
#include "backward_weights.h"
#include "blocks.h"
#include "masks.h"
#include "pack.h"
#include "sequences.h"
#include "states.h"

static bool run_backward_pass(const struct backward_run *run, struct backward_pass *p, int64_t step_begin,
                              int64_t step_end) {
    const struct lstm_call *call = &run->args->call;
    for (int64_t end = step_end, begin; end > step_begin; end = begin) {
        begin = end - step_begin > run->plan.chunk_steps ? end - run->plan.chunk_steps : step_begin;
        int64_t first_row[LSTM_GRADIENT_ROWS + 1];
        begin_chunk(call, p, begin, end, first_row);
        effective_states_of_chunk(run, p, begin, end);
        if (call->recompute_gates && run->d.keeps_gates && !recompute_gates(run, p, begin, end)) return false;
        if (backward_steps(run, p, begin, end) && backward_h(run, p)) backward_x(run, p, begin, end, p->direction > 0);
        if (!weight_gradients(run, p, begin, end)) return false;
    }
    return true;
}

/* All directions of a layer over one segment. False: interrupted. */
static bool run_layer_backward(const struct backward_run *run, struct lstm_worker *worker, int64_t layer, int64_t begin,
                               int64_t end) {
    if (worker->size > 1 && run->team.split == LSTM_SPLIT_DIRECTIONS)
        return backward_directions(run, worker, layer, end);
    for (int64_t direction = 0; direction < run->args->call.model.num_directions; direction++) {
        struct backward_pass p = plan_backward_pass(run, worker, layer, direction, begin);
        p.is_first_product = end == longest_length(&run->args->call);
        if (!run_backward_pass(run, &p, begin, end)) return false;
    }
    return true;
}

/* ---- before and after -------------------------------------------------------------------------------------------- */

static void start_gradients(const struct backward_run *run, int64_t begin, int64_t end) {
    const struct lstm_backward *a = run->args;
    const struct lstm_call *call = &a->call;
    const int64_t H = call->model.hidden_size, R = run->d.R, B = call->B, D = call->model.num_directions;
    const int64_t width = run->d.H_padded;
    const bool is_learned = call->resets && call->model.initial_state;
    recurrent_masks(call, R, begin, end, backward_workspace(run, run->plan.recurrent_masks));
    for (int64_t index = 0; index < call->model.num_layers * D; index++) {
        struct lstm_packed packed;
        lstm_plan_packed(&call->model, call->isa, true, index / D, index % D, &packed);
        const struct restart learned = restart_of(call, a->packed, &packed, index, NULL, R);
        real *d_c = backward_workspace(run, run->plan.d_c + index * run->plan.d_c_bytes);
        for (int64_t r = begin; r < end; r++) {
            const int64_t b = batch_row(call, r), from = index * B + b;
            if (!a->h_0) fill_row(initial_h_of(run, index) + b * R, R, R, learned.h);
            fill_row(d_h_state_of(run, index) + r * R, R, R, a->d_h_n ? (const real *)a->d_h_n + from * R : NULL);
            if (is_learned) fill_row(backward_workspace(run, run->plan.d_learned_h) + from * R, R, R, NULL);
            if (!run->d.has_c) continue;
            fill_row(d_c + r * width, H, width, a->d_c_n ? (const real *)a->d_c_n + from * H : NULL);
            if (is_learned) fill_row(backward_workspace(run, run->plan.d_learned_c) + from * width, width, width, NULL);
        }
    }
}

static void finish_gradients(const struct backward_run *run, int64_t begin, int64_t end) {
    const struct lstm_backward *a = run->args;
    const int64_t H = a->call.model.hidden_size, R = run->d.R, B = a->call.B;
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++)
        for (int64_t r = begin; r < end; r++) {
            const int64_t to = index * B + batch_row(&a->call, r);
            const real *d_h = d_h_state_of(run, index) + r * R;
            const real *d_c = backward_workspace(run, run->plan.d_c + index * run->plan.d_c_bytes)
                              + r * run->d.H_padded;
            if (a->call.lengths) memcpy((real *)a->d_h_0 + to * R, d_h, (size_t)R * sizeof(real));
            if (run->d.has_c) memcpy((real *)a->d_c_0 + to * H, d_c, (size_t)H * sizeof(real));
        }
    clear_padding(&a->call, &a->d_x, a->call.model.input_size, begin, end);
}

/* The gradient of a learned state, summed over the batch from the first row to the last: d_0 from sequences that began
 * with it, d_restarts from those that restarted from it. Either may be NULL. */
static void sum_learned_state(int64_t B, int64_t n, const real *d_0, const real *d_restarts, int64_t restarts_stride,
                              real *sum) {
    memset(sum, 0, (size_t)n * sizeof(real));
    for (int64_t b = 0; b < B; b++)
        for (int64_t k = 0; k < n; k++)
            sum[k] += (d_0 ? d_0[b * n + k] : 0) + (d_restarts ? d_restarts[b * restarts_stride + k] : 0);
}

/* The gradients of the learned states, once all rows are finished. */
static void learned_state_gradients(const struct backward_run *run) {
    const struct lstm_backward *a = run->args;
    const int64_t H = a->call.model.hidden_size, R = run->d.R, B = a->call.B, width = run->d.H_padded;
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++) {
        const struct lstm_weight_gradients *w = a->d_weights + index;
        const real *d_h_0 = a->h_0 ? NULL : (const real *)a->d_h_0 + index * B * R;
        const real *d_h_restarts = a->call.resets ? backward_workspace(run, run->plan.d_learned_h) + index * B * R
                                                  : NULL;
        sum_learned_state(B, R, d_h_0, d_h_restarts, R, w->d_h_0);
        if (!run->d.has_c) continue;
        const real *d_c_0 = a->c_0 ? NULL : (const real *)a->d_c_0 + index * B * H;
        const real *d_c_restarts = a->call.resets ? backward_workspace(run, run->plan.d_learned_c) + index * B * width
                                                  : NULL;
        sum_learned_state(B, H, d_c_0, d_c_restarts, width, w->d_c_0);
    }
}

/* The packed sums at an offset, from `element` on; NULL if nothing was summed. */
static const real *sums_at(const struct backward_run *run, int64_t offset, int64_t element) {
    if (!longest_length(&run->args->call)) return NULL;
    return backward_workspace(run, run->plan.d_packed + offset) + element;
}

/* Copies the packed sums of a layer and direction to the caller's arrays, as far as this worker has summed them. */
static void unpack_gradients(const struct backward_run *run, const struct lstm_worker *worker, int64_t index) {
    const struct lstm_backward *a = run->args;
    const struct lstm_model *model = &a->call.model;
    const struct lstm_dims *d = &run->d, units = without_gates(d, d->H_padded), outputs = without_gates(d, d->R_padded);
    const int64_t H = model->hidden_size, R = d->R, D = model->num_directions;
    struct lstm_packed offsets;
    lstm_plan_sums(model, a->call.isa, index / D, index % D, &offsets);
    const struct lstm_weight_gradients *w = a->d_weights + index;
    unpack_columns(d, worker, H, lstm_layer_input(model, index / D), sums_at(run, offsets.weight_ih, 0),
                   w->d_weight_ih);
    unpack_columns(d, worker, H, R, sums_at(run, offsets.weight_hh, 0), w->d_weight_hh);
    if (w->d_bias_ih) unpack_columns(d, worker, H, 1, sums_at(run, offsets.bias, 0), w->d_bias_ih);
    if (w->d_bias_hh) unpack_columns(d, worker, H, 1, sums_at(run, offsets.bias, 0), w->d_bias_hh);
    if (model->proj_size) unpack_columns(&outputs, worker, R, H, sums_at(run, offsets.weight_hr, 0), w->d_weight_hr);
    if (worker->rank || !d->vectors.width) return; /* the vectors are short: one worker copies them all */
    const struct lstm_worker all = {.size = 1};
    const struct lstm_vectors *v = &d->vectors;
    for (int64_t k = 0; model->peepholes && k < 3; k++)
        unpack_columns(&units, &all, H, 1, sums_at(run, offsets.vectors, v->peephole + k * d->H_padded),
                       (real *)w->d_weight_peephole + k * H);
    if (!model->layer_norm) return;
    unpack_columns(d, &all, H, 1, sums_at(run, offsets.vectors, v->norm_ih), w->d_norm_ih_weight);
    unpack_columns(d, &all, H, 1, sums_at(run, offsets.vectors, v->norm_hh), w->d_norm_hh_weight);
    unpack_columns(&units, &all, H, 1, sums_at(run, offsets.vectors, v->norm_c), w->d_norm_c_weight);
    unpack_columns(&units, &all, H, 1, sums_at(run, offsets.vectors, v->norm_c_bias), w->d_norm_c_bias);
}

static void backward_worker(struct lstm_worker *worker, void *arguments) {
    const struct backward_run *run = arguments;
    const struct lstm_call *call = &run->args->call;
    const int64_t T = longest_length(call), L = call->model.num_layers, D = call->model.num_directions;
    int64_t row_begin, row_end;
    share_rows(call, worker, &row_begin, &row_end);
    start_gradients(run, row_begin, row_end);
    const bool waits = worker->size > 1 && run->team.split != LSTM_SPLIT_ROWS;
    if (waits && !lstm_barrier(worker)) return;
    for (int64_t end = T, begin; end > 0; end = begin) {
        begin = end > run->plan.segment_steps ? end - run->plan.segment_steps : 0;
        if (waits && run->team.split == LSTM_SPLIT_LAYERS) {
            if (!backward_wavefront(run, worker, begin, end)) return;
            continue;
        }
        for (int64_t layer = L - 1; layer >= 0; layer--) {
            if (!run_layer_backward(run, worker, layer, begin, end)) return;
            dropout_backward(run, layer, begin, begin, end, row_begin, row_end);
            if (waits && call->dropout > 0 && !lstm_barrier(worker)) return;
        }
    }
    finish_gradients(run, row_begin, row_end);
    for (int64_t index = 0; index < L * D; index++) unpack_gradients(run, worker, index);
    if (call->model.initial_state && lstm_barrier(worker) && worker->rank == 0) learned_state_gradients(run);
}

static enum lstm_status backward(const struct lstm_backward *args) {
    struct backward_run run = {.args = args, .d = lstm_dims(&args->call.model, args->call.isa)};
    const struct lstm_call *call = &args->call;
    enum lstm_status status = lstm_plan_backward(call, &run.plan);
    if (!status) status = lstm_plan_tape(call, &run.tape);
    if (status) return status;
    run.team = lstm_plan_team(call, true, has_stages_backward(args));
    return lstm_parallel(call, run.team.n_threads, backward_worker, &run);
}

#endif
