/* Forward over time: nested loops over segments of steps, layers, directions, chunks, steps.
 *
 *   segment  each layer processes it before the next layer begins, so that the data between layers stays in the cache
 *            and the memory of inference does not grow with T (with two directions: the whole sequence)
 *   chunk    steps whose input projection is one (hoisted) product before the recurrence takes them one by one
 *
 * The running states are in h_n and in c (tape or workspace); they make each segment a continuation of the previous
 * one. A worker owns rows [row_begin, row_end) of the batch and panels [panel_begin, panel_end) of the gates: either
 * some rows and all panels, and then it never waits, or all rows and some panels (enum lstm_split). In a wavefront it
 * owns whole layers: while one layer is at a segment, the layer above is at the segment before. */
#ifndef LSTM_LOOPS_FORWARD_H
#define LSTM_LOOPS_FORWARD_H

#include <string.h>

#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../split.h"
#include "../threads.h"
#include "blocks.h"
#include "forward_pass.h"
#include "forward_plan.h"
#include "forward_steps.h"
#include "masks.h"
#include "sequences.h"
#include "states.h"
#include "variant.h"

/* ---- before and after -------------------------------------------------------------------------------------------- */

/* Copies the initial states of rows [begin, end) to h_state and c. The padding of c is zero and stays zero. */
static void start_states(const struct forward_run *run, int64_t begin, int64_t end) {
    const struct lstm_forward *a = run->args;
    const int64_t H = a->call.model.hidden_size, R = run->d.R, B = a->call.B, D = a->call.model.num_directions;
    const int64_t width = run->d.H_padded;
    if (run->has_stages) recurrent_masks(&a->call, R, begin, end, forward_workspace(run, run->plan.recurrent_masks));
    for (int64_t index = 0; index < a->call.model.num_layers * D; index++) {
        struct restart learned = {0};
        if (a->call.model.initial_state) {
            struct lstm_packed packed;
            lstm_plan_packed(&a->call.model, a->call.isa, false, index / D, index % D, &packed);
            learned = restart_of(&a->call, a->packed, &packed, index, NULL, R);
        }
        real *h = h_state_of(run, index), *c = c_of_layer(run, index / D, index % D);
        for (int64_t r = begin; r < end; r++) {
            const int64_t from = index * B + batch_row(&a->call, r);
            fill_row(h + r * R, R, R, a->h_0 ? (const real *)a->h_0 + from * R : learned.h);
            if (c) fill_row(c + r * width, H, width, a->c_0 ? (const real *)a->c_0 + from * H : learned.c);
        }
    }
}

static void finish_states(const struct forward_run *run, int64_t begin, int64_t end) {
    const struct lstm_forward *a = run->args;
    const int64_t H = a->call.model.hidden_size, R = run->d.R, B = a->call.B, D = a->call.model.num_directions;
    for (int64_t index = 0; index < a->call.model.num_layers * D; index++) {
        const real *h = h_state_of(run, index), *c = c_of_layer(run, index / D, index % D);
        for (int64_t r = begin; r < end; r++) {
            const int64_t to = index * B + batch_row(&a->call, r);
            const int64_t c_row = (a->tape ? row_length(&a->call, r) * B : 0) + r;
            if (a->call.lengths) memcpy((real *)a->h_n + to * R, h + r * R, (size_t)R * sizeof(real));
            if (c) memcpy((real *)a->c_n + to * H, c + c_row * run->d.H_padded, (size_t)H * sizeof(real));
        }
    }
}

/* Training: applies dropout to a layer's output of the segment for the next layer. The output of the last layer is
 * copied to the caller's array, so that modifying it does not affect the tape. */
static void propagate_output(const struct forward_run *run, int64_t layer, int64_t begin, int64_t end,
                             int64_t row_begin, int64_t row_end) {
    const struct lstm_forward *a = run->args;
    const int64_t W = run->d.output_width;
    const bool is_last = layer == a->call.model.num_layers - 1;
    if (!a->tape || (!is_last && a->call.dropout == 0)) return;
    const struct lstm_sequence h = output_of_layer(run, layer, begin);
    const struct lstm_sequence to = is_last ? a->output : input_of_layer(run, layer + 1, begin);
    for (int64_t r = row_begin; r < row_end; r++) {
        const int64_t n = row_length(&a->call, r), b = batch_row(&a->call, r);
        for (int64_t t = begin; t < end && t < n; t++) {
            const real *from = (real *)h.data + t * h.step_stride + r * h.row_stride;
            if (is_last)
                memcpy(caller_row(&a->call, &to, t, r), from, (size_t)W * sizeof(real));
            else
                apply_dropout(&a->call, layer, t, b, W, from, (real *)to.data + t * to.step_stride + r * to.row_stride);
        }
    }
}

/* One layer over steps [begin, end): the worker's directions, rows and panels of it. */
static void run_layer(const struct forward_run *run, struct lstm_worker *worker, int64_t layer, int64_t begin,
                      int64_t end) {
    const struct lstm_call *call = &run->args->call;
    const int64_t D = call->model.num_directions;
    for (int64_t direction = 0; direction < D; direction++) {
        if (worker->size > 1 && run->team.split == LSTM_SPLIT_DIRECTIONS && direction != worker->rank % D) continue;
        struct forward_pass p = plan_forward_pass(run, worker, layer, direction, begin, end);
        struct lstm_variant variant;
        if (run->has_variant) variant = variant_of(call, &run->d, p.vectors), p.variant = &variant;
        run_forward_pass(run, &p);
    }
}

/* LSTM_SPLIT_LAYERS: wave w takes layer l over segment w - l. A layer waits for the one below to have finished the
 * segment and, as what flows between them has LSTM_WAVEFRONT_BUFFERS buffers, for the one above to have left the
 * buffer. (A barrier of all workers after each wave would wait for every hop between caches.) False: interrupted. */
static bool run_wavefront(const struct forward_run *run, struct lstm_worker *worker) {
    const struct lstm_call *call = &run->args->call;
    const int64_t T = longest_length(call), L = call->model.num_layers, steps = run->plan.segment_steps;
    const int64_t n_segments = (T + steps - 1) / steps;
    for (int64_t wave = 0; wave < n_segments + L - 1; wave++) {
        for (int64_t layer = worker->rank; layer < L; layer += worker->size) {
            const int64_t begin = (wave - layer) * steps, end = T - begin < steps ? T : begin + steps;
            if (begin < 0 || begin >= T) continue;
            if (layer > 0) lstm_await(worker, (int)((layer - 1) % worker->size), 0);
            if (layer < L - 1) lstm_await(worker, (int)((layer + 1) % worker->size), LSTM_WAVEFRONT_BUFFERS - 2);
            run_layer(run, worker, layer, begin, end);
            propagate_output(run, layer, begin, end, 0, call->B);
        }
        lstm_arrive(worker);
    }
    return lstm_barrier(worker);
}

/* All layers over one segment, then over the next. False: interrupted. */
static bool run_segments(const struct forward_run *run, struct lstm_worker *worker, bool waits, int64_t row_begin,
                         int64_t row_end) {
    const struct lstm_call *call = &run->args->call;
    const int64_t T = longest_length(call);
    for (int64_t begin = 0, end; begin < T; begin = end) {
        end = T - begin < run->plan.segment_steps ? T : begin + run->plan.segment_steps;
        for (int64_t layer = 0; layer < call->model.num_layers; layer++) {
            run_layer(run, worker, layer, begin, end);
            if (waits ? !lstm_barrier(worker) : lstm_cancelled(worker, 0)) return false;
            propagate_output(run, layer, begin, end, row_begin, row_end);
            if (waits && call->dropout > 0 && !lstm_barrier(worker)) return false;
        }
    }
    return true;
}

static void forward_worker(struct lstm_worker *worker, void *arguments) {
    const struct forward_run *run = arguments;
    const struct lstm_call *call = &run->args->call;
    const bool waits = worker->size > 1 && run->team.split != LSTM_SPLIT_ROWS;
    int64_t row_begin, row_end;
    share_rows(call, worker, &row_begin, &row_end);
    start_states(run, row_begin, row_end);
    if (waits && !lstm_barrier(worker)) return;
    const bool is_whole = waits && run->team.split == LSTM_SPLIT_LAYERS
                              ? run_wavefront(run, worker)
                              : run_segments(run, worker, waits, row_begin, row_end);
    if (!is_whole) return;
    finish_states(run, row_begin, row_end);
    clear_padding(call, &run->args->output, run->d.output_width, row_begin, row_end);
}

static enum lstm_status forward(const struct lstm_forward *args) {
    struct forward_run run = {.args = args, .d = lstm_dims(&args->call.model, args->call.isa)};
    const struct lstm_call *call = &args->call;
    enum lstm_status status = lstm_plan_forward(call, args->tape != NULL, &run.plan);
    if (!status && args->tape) status = lstm_plan_tape(call, &run.tape);
    if (status) return status;
    run.has_stages = lstm_has_stages(call);
    run.has_variant = lstm_has_variant(call);
    run.team = lstm_plan_team(call, false, run.has_stages);
    return lstm_parallel(call, run.team.n_threads, forward_worker, &run);
}

#endif
