/* Backward with a team whose workers own whole layers, or whole directions. They take the recurrences side by side; the
 * weight gradients of a chunk follow, which all workers share as in any split. So each layer or direction has its own
 * d_gates of a chunk. The results are bitwise equal to one thread's, because chunks and the order of each sum are the
 * same. */
#ifndef LSTM_BACKWARD_SPLITS_H
#define LSTM_BACKWARD_SPLITS_H

#include "../lstm_fast.h"
#include "../real.h"
#include "../split.h"
#include "../threads.h"
#include "backward_pass.h"
#include "backward_plan.h"
#include "backward_steps.h"
#include "backward_weights.h"
#include "masks.h"
#include "sequences.h"

/* Sets the chunk [begin, end) of a pass; first_row has space for LSTM_GRADIENT_ROWS + 1 numbers. */
static void begin_chunk(const struct lstm_call *call, struct backward_pass *p, int64_t begin, int64_t end,
                        int64_t *first_row) {
    first_row[0] = 0;
    for (int64_t step = begin; step < end; step++)
        first_row[step + 1 - begin] = first_row[step - begin] + active_end(call, step, 0, call->B);
    p->begin = begin, p->end = end, p->first_row = first_row;
}

/* The gradient of a layer's input at times [begin, end), which is the output of the layer below, through the dropout
 * between them. */
static void dropout_backward(const struct backward_run *run, int64_t layer, int64_t segment_begin, int64_t begin,
                             int64_t end, int64_t row_begin, int64_t row_end) {
    const struct lstm_call *call = &run->args->call;
    const struct lstm_sequence d = d_x_of_layer(run, layer, segment_begin);
    if (layer == 0 || call->dropout == 0) return;
    for (int64_t r = row_begin; r < row_end; r++)
        for (int64_t t = begin; t < end && t < row_length(call, r); t++) {
            real *row = (real *)d.data + t * d.step_stride + r * d.row_stride;
            apply_dropout(call, layer - 1, t, batch_row(call, r), run->d.output_width, row, row);
        }
}

/* ---- LSTM_SPLIT_LAYERS ------------------------------------------------------------------------------------------- */

/* All layers over a segment, which is one chunk: while one layer is at some steps, the layer below is at later steps,
 * and waits for this layer alone. Layers share two buffers for d_x: a layer overwrites what the layer two above wrote,
 * after the layer between has read it. False: interrupted. */
static bool backward_wavefront(const struct backward_run *run, struct lstm_worker *worker, int64_t begin, int64_t end) {
    const struct lstm_call *call = &run->args->call;
    const int64_t L = call->model.num_layers, steps = lstm_wavefront_steps(call, true);
    const int64_t n_parts = (end - begin + steps - 1) / steps;
    int64_t first_row[LSTM_GRADIENT_ROWS + 1];
    for (int64_t wave = 0; wave < n_parts + L - 1; wave++) {
        for (int64_t above = worker->rank; above < L; above += worker->size) { /* how many layers are above */
            const int64_t layer = L - 1 - above, to = end - (wave - above) * steps;
            const int64_t from = to - begin < steps ? begin : to - steps;
            if (wave < above || to <= begin) continue;
            if (above > 0) lstm_await(worker, (int)((above - 1) % worker->size), 0);
            struct backward_pass p = plan_backward_pass(run, worker, layer, 0, begin);
            begin_chunk(call, &p, begin, end, first_row);
            if (backward_steps(run, &p, from, to) && (from > begin || backward_h(run, &p)))
                backward_x(run, &p, from, to, false);
            dropout_backward(run, layer, begin, from, to, 0, call->B);
        }
        lstm_arrive(worker);
    }
    if (!lstm_barrier(worker)) return false;
    for (int64_t layer = L - 1; layer >= 0; layer--) {
        struct backward_pass p = plan_backward_pass(run, worker, layer, 0, begin);
        begin_chunk(call, &p, begin, end, first_row);
        p.is_first_product = end == call->T;
        if (!weight_gradients(run, &p, begin, end)) return false;
    }
    return true;
}

/* ---- LSTM_SPLIT_DIRECTIONS --------------------------------------------------------------------------------------- */

/* Both directions of a layer, one worker each; others help with the weight gradients. The directions meet in the middle
 * of the sequence: before it, each stores d_x; after it, each adds to the d_x that the other stored, which gives the
 * same sum. False: interrupted. */
static bool backward_directions(const struct backward_run *run, struct lstm_worker *worker, int64_t layer, int64_t T) {
    const struct lstm_call *call = &run->args->call;
    const int64_t D = call->model.num_directions;
    int64_t first_row[LSTM_GRADIENT_ROWS + 1];
    struct backward_pass passes[2];
    for (int64_t direction = 0; direction < D; direction++) {
        passes[direction] = plan_backward_pass(run, worker, layer, direction, 0);
        passes[direction].is_first_product = true;
    }
    for (int64_t end = T, begin; end > 0; end = begin) {
        begin = end > run->plan.chunk_steps ? end - run->plan.chunk_steps : 0;
        for (int64_t direction = 0; direction < D; direction++)
            begin_chunk(call, passes + direction, begin, end, first_row);
        const struct backward_pass *own = worker->rank < D ? passes + worker->rank : NULL;
        const int64_t middle = worker->rank ? T - T / 2 : T / 2; /* number of steps of the worker's own direction */
        const int64_t at = middle < begin ? begin : middle < end ? middle : end;
        const bool is_whole = own && backward_steps(run, own, begin, end) && backward_h(run, own);
        if (is_whole) backward_x(run, own, at, end, false);
        if (!lstm_barrier(worker)) return false;
        if (is_whole) backward_x(run, own, begin, at, true);
        for (int64_t direction = 0; direction < D; direction++)
            if (!weight_gradients(run, passes + direction, begin, end)) return false;
    }
    return true;
}

#endif
