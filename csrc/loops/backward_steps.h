/* Backward over a chunk, parts 1 and 2 (backward.h): the recurrence, and the gradients of its inputs. */
#ifndef LSTM_BACKWARD_STEPS_H
#define LSTM_BACKWARD_STEPS_H

#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "backward_pass.h"
#include "backward_stages.h"
#include "blocks.h"
#include "sequences.h"

/* ---- 1: the recurrence ------------------------------------------------------------------------------------------- */

/* One step of rows [row, row_end), of which either all or none have a following step in this chunk. */
static bool backward_step(const struct backward_run *run, const struct backward_pass *p, int64_t step, int64_t row,
                          int64_t row_end, bool has_next) {
    const int64_t H = run->args->call.model.hidden_size;
    const struct panel_range panels = panels_of(run, p, H);
    const int64_t panel_flops = 2 * run->d.n_gates * H * LSTM_PANEL_VECTORS * run->d.vector;
    const int64_t rows_step = most_rows(run->args->call.model.format, block_size(row_end - row, panel_flops));
    const int64_t panel_step = block_size(panels.end - panels.begin, panel_flops * rows_step);
    struct lstm_step_backward whole = step_arguments(run, p, step, p->begin);
    if (has_next) whole.d_gates_next = d_gates_at(run, p, p->first_row[step + 1 - p->begin]);
    for (; row < row_end; row += rows_step) {
        struct lstm_step_backward s = whole;
        advance_to_rows(p, &s, step, row, row_end - row < rows_step ? row_end : row + rows_step);
        for (s.panel_begin = panels.begin; s.panel_begin < panels.end; s.panel_begin = s.panel_end) {
            s.panel_end = panels.end - s.panel_begin < panel_step ? panels.end : s.panel_begin + panel_step;
            step_backward_of(&run->args->call, has_next)(&s);
            const int64_t flops = panel_flops * (s.panel_end - s.panel_begin) * s.n_rows;
            if (lstm_cancelled(p->worker, flops) && !p->shares_units) return false;
        }
    }
    return true;
}

/* Steps [from, to) of the chunk; the steps after them are already done. False: interrupted. */
static bool backward_steps(const struct backward_run *run, const struct backward_pass *p, int64_t from, int64_t to) {
    const struct lstm_call *call = &run->args->call;
    for (int64_t step = to - 1; step >= from; step--) {
        const int64_t row = p->row_begin, row_end = active_end(call, step, row, p->row_end);
        const int64_t next_end = step == p->end - 1 ? row : active_end(call, step + 1, row, row_end);
        if (p->has_stages) {
            if (!run_stages_backward(run, p, step, p->begin, row_end)) return false;
        } else if (!backward_step(run, p, step, row, next_end, true)
                   || !backward_step(run, p, step, next_end, row_end, false))
            return false;
        if (p->shares_units && !lstm_barrier(p->worker)) return false;
    }
    return true;
}

/* ---- 2: the gradients of the inputs ------------------------------------------------------------------------------ */

/* d_h before the chunk, unless already computed by the stages of its first step. */
static bool backward_h(const struct backward_run *run, const struct backward_pass *p) {
    const struct lstm_call *call = &run->args->call;
    const int64_t R = run->d.R, row = p->row_begin;
    const struct panel_range panels = panels_of(run, p, R);
    const struct lstm_product product = {.n_rows = active_end(call, p->begin, row, p->row_end) - row,
                                         .depth = call->model.hidden_size,
                                         .n_columns = R,
                                         .panel_begin = panels.begin,
                                         .panel_end = panels.end,
                                         .gates_per_unit = (int)run->d.n_gates,
                                         .a = {d_gates_at(run, p, row), run->plan.d_gates_stride, NULL},
                                         .format = call->model.format,
                                         .b = p->weight_hh,
                                         .format_args = {.operands = p->operands},
                                         .y = {p->d_h + row * R, R, NULL}};
    return p->has_stages || run_product(p->worker, call, &run->d, product);
}

/* The active rows of d_x in steps [from, to). */
static struct lstm_rows d_x_of_steps(const struct lstm_call *call, const struct backward_pass *p, int64_t from,
                                     int64_t to) {
    if (call->B == 1) return (struct lstm_rows){row_at(&p->d_x, from, 0), p->d_x.step_stride, NULL};
    if (!call->lengths) return rows_at(&p->d_x, from, 0, call->B);
    int64_t *offset = p->chunk_offsets;
    for (int64_t step = from; step < to; step++)
        for (int64_t r = 0; r < p->first_row[step + 1 - p->begin] - p->first_row[step - p->begin]; r++)
            *offset++ = row_at(&p->d_x, step, r) - p->d_x.data;
    return (struct lstm_rows){p->d_x.data, 0, p->chunk_offsets};
}

/* d_x of steps [from, to) of the chunk, whose active rows are contiguous in d_gates: a single product if all of them
 * are this worker's and the rows of d_x are evenly spaced or, with lengths, have one offset each. */
static bool backward_x(const struct backward_run *run, const struct backward_pass *p, int64_t from, int64_t to,
                       bool adds) {
    const struct lstm_call *call = &run->args->call;
    const int64_t I = p->input_size, row = p->row_begin, stride = run->plan.d_gates_stride;
    const struct panel_range panels = panels_of(run, p, I);
    if (!p->d_x.data) return true;
    real *d_a_x = call->model.layer_norm ? backward_workspace(run, run->plan.d_a_x) : p->d_gates;
    struct lstm_product product = {.depth = call->model.hidden_size,
                                   .n_columns = I,
                                   .panel_begin = panels.begin,
                                   .panel_end = panels.end,
                                   .gates_per_unit = (int)run->d.n_gates,
                                   .format = call->model.format,
                                   .b = p->weight_ih,
                                   .format_args = {.operands = p->operands},
                                   .add = adds};
    const bool has_all = row == 0 && p->row_end == call->B;
    const bool is_one = has_all && (call->lengths || call->B == 1 || p->d_x.step_stride == call->B * p->d_x.row_stride);
    for (int64_t step = from; step < to; step += is_one ? to - from : 1) {
        const int64_t k = p->first_row[step - p->begin];
        product.n_rows = is_one ? p->first_row[to - p->begin] - k : active_end(call, step, row, p->row_end) - row;
        product.a = (struct lstm_rows){d_a_x + (k + row) * stride, stride, NULL};
        product.y = is_one ? d_x_of_steps(call, p, from, to) : rows_at(&p->d_x, step, row, row + product.n_rows);
        if (!run_product(p->worker, call, &run->d, product)) return false;
    }
    return true;
}

#endif
