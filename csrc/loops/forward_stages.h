/* A forward step in stages, for options that act on whole rows or on states:
 *
 *   1. the effective states: after resets, h_prev also after recurrent dropout (states.h)
 *   2. the fused step; with layer norm instead the recurrent product, its norm and the cell
 *   3. the projection
 *   4. zoneout */
#ifndef LSTM_FORWARD_STAGES_H
#define LSTM_FORWARD_STAGES_H

#include "../compiler.h"
#include "../kernels/table.h"
#include "../plan.h"
#include "../real.h"
#include "blocks.h"
#include "forward_pass.h"
#include "masks.h"
#include "sequences.h"
#include "states.h"

/* The intermediate results of the stages of a pass. */
static void plan_stages(const struct forward_run *run, struct forward_pass *p, const struct lstm_packed *packed) {
    const struct lstm_forward *a = run->args;
    const int64_t B = a->call.B, width = run->d.gates_width, direction = p->direction;
    const int64_t index = p->layer * a->call.model.num_directions + direction;
    const struct lstm_forward_plan *plan = &run->plan;
    p->restart = restart_of(&a->call, a->packed, packed, index, forward_workspace(run, plan->recurrent_masks),
                            run->d.R);
    p->h_effective = forward_workspace(run, plan->h_effective + direction * plan->h_effective_bytes);
    p->c_effective = forward_workspace(run, plan->c_effective + direction * plan->c_effective_bytes);
    p->unprojected = forward_workspace(run, plan->unprojected + direction * plan->unprojected_bytes);
    if (!a->call.model.layer_norm) return;
    p->a_h = (struct directed_sequence){.data = forward_workspace(run, plan->a_h + direction * plan->a_h_bytes),
                                        .row_stride = width};
    if (!p->gates_are_kept) return;
    real *a_x = (real *)((char *)a->tape + run->tape.a_x + index * run->tape.gates_bytes);
    real *a_h = (real *)((char *)a->tape + run->tape.a_h + index * run->tape.gates_bytes);
    p->a_x = (struct directed_sequence){.data = a_x, .step_stride = B * width, .row_stride = width};
    p->a_h = (struct directed_sequence){.data = a_h, .step_stride = B * width, .row_stride = width};
}

static void effective_states(const struct forward_run *run, const struct forward_pass *p, int64_t step,
                             struct lstm_step *s) {
    const struct lstm_call *call = &run->args->call;
    const int64_t R = run->d.R, width = run->d.H_padded;
    const bool has_c = call->resets && p->c;
    for (int64_t k = 0; k < s->n_rows; k++) {
        const int64_t r = p->row_begin + k;
        effective_h(call, &p->restart, step, r, R, s->h_prev.data + row_offset(&s->h_prev, k), p->h_effective + r * R);
        if (has_c) effective_c(call, &p->restart, step, r, width, s->c_prev + k * width, p->c_effective + r * width);
    }
    s->h_prev = (struct lstm_rows){p->h_effective + p->row_begin * R, R, NULL};
    if (has_c) s->c_prev = p->c_effective + p->row_begin * width;
}

/* The recurrent product into a_h, its norm added to the gates, and the cell. */
static bool layer_norm_step(const struct forward_run *run, const struct forward_pass *p, const struct lstm_step *s,
                            real *a_h) {
    const struct lstm_call *call = &run->args->call;
    const int64_t width = run->d.gates_width;
    const struct lstm_product product = {.n_rows = s->n_rows,
                                         .depth = s->h_size,
                                         .n_columns = width,
                                         .panel_begin = p->panel_begin,
                                         .panel_end = p->panel_end,
                                         .gates_per_unit = 1,
                                         .format = s->format,
                                         .a = s->h_prev,
                                         .b = s->weight_hh,
                                         .format_args = s->format_args,
                                         .y = {a_h, width, NULL}};
    if (!run_product(p->worker, call, &run->d, product)) return false;
    const struct lstm_norm norm = {.n_rows = s->n_rows,
                                   .hidden_size = s->hidden_size,
                                   .a = a_h,
                                   .a_stride = width,
                                   .weight = p->vectors + run->d.vectors.norm_hh,
                                   .start = s->gates,
                                   .start_stride = s->gates_stride,
                                   .y = s->gates,
                                   .y_stride = s->gates_stride};
    kernels_of(call)->norm(&norm);
    kernels_of(call)->cell(s);
    return true;
}

static void zoneout_rows(const struct forward_run *run, const struct forward_pass *p, const struct lstm_step *before,
                         const struct lstm_step *s, int64_t step) {
    const struct lstm_call *call = &run->args->call;
    const int64_t H = call->model.hidden_size, R = run->d.R;
    const uint32_t index = (uint32_t)p->restart.index;
    for (int64_t k = 0; k < s->n_rows; k++) {
        const int64_t r = p->row_begin + k, t = time_of(call, p->direction, step, r), b = batch_row(call, r);
        const struct mask_row mask_h = mask_of(call, call->zoneout_h, STREAM_ZONEOUT_H + index, t, b);
        const struct mask_row mask_c = mask_of(call, call->zoneout_c, STREAM_ZONEOUT_C + index, t, b);
        const bool restarts = restarts_at(call, p->direction, step, r);
        const real *h_prev = restarts ? p->restart.h : before->h_prev.data + row_offset(&before->h_prev, k);
        if (call->zoneout_h > 0) zoneout(mask_h, R, h_prev, before->h.data + row_offset(&before->h, k));
        if (call->zoneout_c > 0) zoneout(mask_c, H, s->c_prev + k * s->c_stride, s->c + k * s->c_stride);
    }
}

/* fused: the step as for a plain cell. (Not inlined, which would slow down the loop of plain cells.) */
NEVER_INLINE bool run_stages(const struct forward_run *run, const struct forward_pass *p,
                             const struct block_limits *most, const struct lstm_step *fused, int64_t step,
                             int64_t gates_from) {
    const struct lstm_call *call = &run->args->call;
    const int64_t H = call->model.hidden_size, R = run->d.R, row = p->row_begin;
    struct lstm_step s = *fused;
    if (lstm_changes_states(call)) effective_states(run, p, step, &s);
    if (call->model.proj_size) s.h = (struct lstm_rows){p->unprojected + row * H, H, NULL};
    if (call->model.layer_norm) {
        const int64_t a_h_step = p->a_x.data ? step - gates_from : 0;
        if (!layer_norm_step(run, p, &s, row_at(&p->a_h, a_h_step, row))) return false;
    } else if (!run_step(call, p, most, &s))
        return false;
    if (call->model.proj_size) {
        const struct lstm_product projection = {.n_rows = s.n_rows,
                                                .depth = H,
                                                .n_columns = R,
                                                .panel_end = n_panels(&run->d, R),
                                                .gates_per_unit = 1,
                                                .format = s.format,
                                                .a = s.h,
                                                .b = p->weight_hr,
                                                .format_args = s.format_args,
                                                .y = fused->h};
        if (!run_product(p->worker, call, &run->d, projection)) return false;
    }
    if (call->zoneout_h > 0 || call->zoneout_c > 0) zoneout_rows(run, p, fused, &s, step);
    return true;
}

#endif
