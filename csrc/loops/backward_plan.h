/* Where the arrays of a layer are; sets up a backward pass over it. */
#ifndef LSTM_BACKWARD_PLAN_H
#define LSTM_BACKWARD_PLAN_H

#include "../format.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "backward_pass.h"
#include "blocks.h"
#include "sequences.h"
#include "states.h"
#include "variant.h"

/* The gradient of a layer's input: the caller's d_x, or one of two buffers of a segment between layers. */
static struct lstm_sequence d_x_of_layer(const struct backward_run *run, int64_t layer, int64_t segment_begin) {
    const struct lstm_backward *a = run->args;
    const int64_t W = run->d.output_width, B = a->call.B;
    if (layer == 0) return a->d_x;
    real *between = backward_workspace(run, run->plan.between + layer % 2 * run->plan.between_bytes);
    return (struct lstm_sequence){between - segment_begin * B * W, B * W, W};
}

static bool has_stages_backward(const struct lstm_backward *a) { return lstm_has_stages(&a->call) || a->d_h_norms; }

/* h before the first step, (B, R): the caller's h_0, or the one that start_gradients wrote. */
static real *initial_h_of(const struct backward_run *run, int64_t index) {
    const int64_t n = run->args->call.B * run->d.R;
    if (run->args->h_0) return (real *)run->args->h_0 + index * n;
    return backward_workspace(run, run->plan.default_h_0) + (run->args->call.model.initial_state ? index * n : 0);
}

/* The running d_h of a layer and direction: in the caller's d_h_0 or, with lengths, in the sorted order, in the
 * workspace. */
static real *d_h_state_of(const struct backward_run *run, int64_t index) {
    real *d_h = run->args->call.lengths ? backward_workspace(run, run->plan.d_h) : (real *)run->args->d_h_0;
    return d_h + index * run->args->call.B * run->d.R;
}

/* Sets what the pass reads from the tape, or from the workspace in its place. */
static void plan_tape_of_pass(const struct backward_run *run, struct backward_pass *p, int64_t index) {
    const struct lstm_call *call = &run->args->call;
    const struct lstm_backward_plan *plan = &run->plan;
    const char *tape = run->args->tape;
    const bool recomputes = call->recompute_gates && run->d.keeps_gates;
    if (lstm_changes_states(call) || (recomputes && call->lengths))
        p->h_effective = backward_workspace(run, plan->h_effective);
    if (call->resets && run->d.has_c) p->c_effective = backward_workspace(run, plan->c_effective);
    if (!run->d.has_c) return;
    const int64_t gates = index * run->tape.gates_bytes;
    p->gates = recomputes ? backward_workspace(run, plan->gates) : (const real *)(tape + run->tape.gates + gates);
    p->a_x = recomputes ? backward_workspace(run, plan->a_x) : (const real *)(tape + run->tape.a_x + gates);
    p->a_h = recomputes ? backward_workspace(run, plan->a_h) : (const real *)(tape + run->tape.a_h + gates);
    p->c = (const real *)(tape + run->tape.c + index * run->tape.c_bytes);
    p->d_c = backward_workspace(run, plan->d_c + index * plan->d_c_bytes);
}

static struct backward_pass plan_backward_pass(const struct backward_run *run, struct lstm_worker *worker,
                                               int64_t layer, int64_t direction, int64_t segment_begin) {
    const struct lstm_backward *a = run->args;
    const struct lstm_call *call = &a->call;
    const struct lstm_model *model = &call->model;
    const int64_t B = call->B, R = run->d.R, W = run->d.output_width;
    const int64_t index = layer * model->num_directions + direction;
    const bool is_last = layer == model->num_layers - 1;
    char *tape = (char *)a->tape;
    const char *weights = a->packed;
    struct lstm_packed packed, sums;
    lstm_plan_packed(model, call->isa, true, layer, direction, &packed);
    lstm_plan_sums(model, call->isa, layer, direction, &sums);
    const struct lstm_sequence h = {tape + run->tape.h + layer * run->tape.h_bytes, B * W, W};
    const int64_t outputs = call->dropout > 0 ? run->tape.dropped : run->tape.h;
    const struct lstm_sequence output_below = {tape + outputs + (layer - 1) * run->tape.h_bytes, B * W, W};
    const struct lstm_sequence x = layer == 0 ? input_sequence(call, a->x) : output_below;
    const struct lstm_sequence d_output = is_last ? a->d_output : d_x_of_layer(run, layer + 1, segment_begin);
    const struct lstm_sequence d_x = d_x_of_layer(run, layer, segment_begin);
    const real *masks = backward_workspace(run, run->plan.recurrent_masks);
    struct backward_pass p = {
        .worker = worker,
        .direction = direction,
        .input_size = lstm_layer_input(model, layer),
        .row_end = B,
        .has_stages = has_stages_backward(a),
        .has_variant = run->d.has_c && (lstm_has_variant(call) || model->proj_size),
        .shares_units = run->team.split == LSTM_SPLIT_UNITS && worker->size > 1,
        .looks_up = lstm_looks_up(model, layer),
        .weight_ih = weights + packed.weight_ih,
        .weight_hh = weights + packed.weight_hh,
        .weight_hr = weights + packed.weight_hr,
        .operands = backward_workspace(run, run->plan.operands + worker->rank * run->plan.operands_bytes),
        .vectors = (const real *)(weights + packed.vectors),
        .restart = restart_of(call, weights, &packed, index, masks, R),
        .initial_h = initial_h_of(run, index),
        .d_h = d_h_state_of(run, index),
        .d_weight_ih = backward_workspace(run, run->plan.d_packed + sums.weight_ih),
        .d_weight_hh = backward_workspace(run, run->plan.d_packed + sums.weight_hh),
        .d_weight_hr = backward_workspace(run, run->plan.d_packed + sums.weight_hr),
        .d_bias = backward_workspace(run, run->plan.d_packed + sums.bias),
        .d_vectors = backward_workspace(run, run->plan.d_packed + sums.vectors)};
    const int64_t chunk = run->team.split == LSTM_SPLIT_LAYERS       ? layer
                          : run->team.split == LSTM_SPLIT_DIRECTIONS ? direction
                                                                     : 0;
    p.d_gates = backward_workspace(run, run->plan.d_gates + chunk * run->plan.d_gates_bytes);
    p.vector_terms = backward_workspace(run, run->plan.vector_terms + chunk * run->plan.vector_terms_bytes);
    if (p.has_variant) p.variant = variant_of(call, &run->d, p.vectors);
    plan_tape_of_pass(run, &p, index);
    if (run->team.split == LSTM_SPLIT_ROWS) share_rows(call, worker, &p.row_begin, &p.row_end);
    /* Each worker writes the offsets of its own rows; all are complete after the next barrier. */
    int64_t *offsets = (int64_t *)((char *)a->workspace + run->plan.offsets);
    const int64_t row = p.row_begin, end = p.row_end, h_column = direction * R;
    p.x = directed_sequence_of(call, &x, direction, 0, layer == 0, row, end, offsets);
    p.h = directed_sequence_of(call, &h, direction, h_column, false, row, end, offsets + 2 * B);
    p.d_output = directed_sequence_of(call, &d_output, direction, h_column, is_last, row, end, offsets + 4 * B);
    p.d_x = directed_sequence_of(call, &d_x, direction, 0, layer == 0, row, end, offsets + 6 * B);
    p.chunk_offsets = offsets + 8 * B;
    return p;
}

#endif
