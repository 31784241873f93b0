/* Where the arrays of a layer are; sets up a forward pass over it. */
#ifndef LSTM_FORWARD_PLAN_H
#define LSTM_FORWARD_PLAN_H

#include "../format.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "blocks.h"
#include "forward_pass.h"
#include "forward_stages.h"
#include "sequences.h"

static real *c_of_layer(const struct forward_run *run, int64_t layer, int64_t direction) {
    const struct lstm_forward *a = run->args;
    if (!run->d.has_c) return NULL;
    const int64_t index = layer * a->call.model.num_directions + direction;
    return (real *)(a->tape ? (char *)a->tape + run->tape.c + index * run->tape.c_bytes
                            : (char *)a->workspace + run->plan.c + index * run->plan.c_bytes);
}

/* The output of a layer. In inference, the last layer writes to the caller's array. */
static struct lstm_sequence output_of_layer(const struct forward_run *run, int64_t layer, int64_t segment_begin) {
    const struct lstm_forward *a = run->args;
    const int64_t W = run->d.output_width;
    if (a->tape)
        return (struct lstm_sequence){(char *)a->tape + run->tape.h + layer * run->tape.h_bytes, a->call.B * W, W};
    if (layer == a->call.model.num_layers - 1) return a->output;
    const int64_t buffer = run->team.split == LSTM_SPLIT_LAYERS
                               ? LSTM_WAVEFRONT_BUFFERS * layer
                                     + segment_begin / run->plan.segment_steps % LSTM_WAVEFRONT_BUFFERS
                               : layer % 2;
    real *between = forward_workspace(run, run->plan.between + buffer * run->plan.between_bytes);
    return (struct lstm_sequence){between - segment_begin * a->call.B * W, a->call.B * W, W};
}

static struct lstm_sequence input_of_layer(const struct forward_run *run, int64_t layer, int64_t segment_begin) {
    const struct lstm_forward *a = run->args;
    if (layer == 0) return input_sequence(&a->call, a->x);
    struct lstm_sequence x = output_of_layer(run, layer - 1, segment_begin);
    if (a->tape && a->call.dropout > 0) x.data = (char *)a->tape + run->tape.dropped + (layer - 1) * run->tape.h_bytes;
    return x;
}

/* The running h of a layer and direction: in the caller's h_n or, with lengths, in the sorted order, in the
 * workspace. */
static real *h_state_of(const struct forward_run *run, int64_t index) {
    const struct lstm_forward *a = run->args;
    real *states = a->call.lengths ? forward_workspace(run, run->plan.h_state) : (real *)a->h_n;
    return states + index * a->call.B * run->d.R;
}

/* The worker's rows and panels. */
static void plan_shares(const struct forward_run *run, struct forward_pass *p) {
    struct lstm_worker rows = *p->worker, panels = *p->worker;
    const int64_t D = run->args->call.model.num_directions;
    const bool is_team = p->worker->size > 1;
    p->shares_units = is_team && run->team.split == LSTM_SPLIT_UNITS;
    if (p->shares_units || run->team.split == LSTM_SPLIT_LAYERS) rows.rank = 0, rows.size = 1;
    if (!p->shares_units) panels.rank = 0, panels.size = 1;
    if (is_team && run->team.split == LSTM_SPLIT_DIRECTIONS) {
        rows.rank = (int)(p->worker->rank / D);
        rows.size = (int)((p->worker->size + D - 1 - p->direction) / D);
    }
    share_rows(&run->args->call, &rows, &p->row_begin, &p->row_end);
    lstm_share(&panels, n_panels(&run->d, run->d.gates_width), &p->panel_begin, &p->panel_end);
}

static struct forward_pass plan_forward_pass(const struct forward_run *run, struct lstm_worker *worker, int64_t layer,
                                             int64_t direction, int64_t begin, int64_t end) {
    const struct lstm_forward *a = run->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t B = a->call.B, R = run->d.R, width = run->d.gates_width;
    const int64_t index = layer * model->num_directions + direction;
    const char *weights = a->packed;
    struct lstm_packed packed;
    lstm_plan_packed(model, a->call.isa, false, layer, direction, &packed);
    const struct lstm_sequence x = input_of_layer(run, layer, begin), h = output_of_layer(run, layer, begin);
    struct forward_pass p = {
        .worker = worker,
        .layer = layer,
        .direction = direction,
        .input_size = lstm_layer_input(model, layer),
        .step_begin = begin,
        .step_end = end,
        .looks_up = lstm_looks_up(model, layer),
        .gates_are_kept = a->tape && run->d.keeps_gates && !a->call.recompute_gates,
        .weight_ih = weights + packed.weight_ih,
        .weight_hh = weights + packed.weight_hh,
        .weight_hr = weights + packed.weight_hr,
        .scale_ih = (const float *)(weights + packed.scale_ih),
        .scale_hh = (const float *)(weights + packed.scale_hh),
        .operands = forward_workspace(run, run->plan.operands + worker->rank * run->plan.operands_bytes),
        .bias = (const real *)(weights + packed.bias),
        .vectors = (const real *)(weights + packed.vectors),
        .has_stages = run->has_stages,
        .h_state = h_state_of(run, index),
        .c = c_of_layer(run, layer, direction),
        .c_step_stride = a->tape ? B * run->d.H_padded : 0};
    const int64_t layer_gates = run->team.split == LSTM_SPLIT_LAYERS ? worker->rank : 0;
    char *gates = p.gates_are_kept
                      ? (char *)a->tape + run->tape.gates + index * run->tape.gates_bytes
                      : (char *)a->workspace + run->plan.gates + (direction + layer_gates) * run->plan.gates_bytes;
    p.gates = (struct directed_sequence){.data = (real *)gates, .step_stride = B * width, .row_stride = width};
    if (run->has_stages) plan_stages(run, &p, &packed);
    plan_shares(run, &p);
    int64_t *offsets = (int64_t *)((char *)a->workspace + run->plan.offsets) + direction * 4 * B;
    const bool writes_output = !a->tape && layer == model->num_layers - 1;
    p.x = directed_sequence_of(&a->call, &x, direction, 0, layer == 0, p.row_begin, p.row_end, offsets);
    p.h = directed_sequence_of(&a->call, &h, direction, direction * R, writes_output, p.row_begin, p.row_end,
                               offsets + 2 * B);
    return p;
}

#endif
