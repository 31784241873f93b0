/* The steps of a forward pass. For each chunk: the hoisted input projection, then the recurrence step by step. */
#ifndef LSTM_FORWARD_STEPS_H
#define LSTM_FORWARD_STEPS_H

#include <string.h>

#include "../format.h"
#include "../kernels/table.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "blocks.h"
#include "forward_pass.h"
#include "forward_stages.h"
#include "sequences.h"

/* ---- the hoisted input projection -------------------------------------------------------------------------------- */

/* Kernels of interleaved formats compute one of the two products, whose formats may differ, except where they take
 * blocks of rows: both products of BFLOAT16_AMX are then summed in one pass. With full blocks, and unless the step
 * would read W_ih from the L2, this is faster (H = 64: 1.2 x; H = 128: 1.1 x; I = H = 256: 0.8 x). */
static bool is_fused_in_blocks(const struct forward_run *run, const struct forward_pass *p) {
    const int64_t rows = format_kernels_of(&run->args->call)->block_rows;
    return rows && run->args->call.model.format == LSTM_FORMAT_BFLOAT16_AMX && p->row_end - p->row_begin >= rows
           && lstm_depths_match(p->input_size, run->d.R)
           && run->d.gates_width * p->input_size * (int64_t)sizeof(uint16_t) <= 128 << 10;
}

/* Hoisting pays off if a step has too few rows to fill a tile, or if W_ih would evict W_hh from the cache. An input of
 * one or two numbers is cheaper to multiply within the step: the gates then never go through memory. With many rows and
 * matrices larger than the L2, even one step gains (7-9 % of B = 640, H = 1024, T = 1): only one panel and one row
 * operand at a time compete for the cache. */
static bool is_worth_hoisting(const struct forward_run *run, const struct forward_pass *p) {
    const struct lstm_model *model = &run->args->call.model;
    if (p->looks_up) return true;       /* no product at all */
    if (!run->d.has_c) return true;     /* the step of a plain RNN multiplies h only */
    if (model->layer_norm) return true; /* each product is normalized separately */
    if (lstm_is_interleaved(model->format)) return !is_fused_in_blocks(run, p);
    const int64_t weight_bytes = run->d.gates_width * (p->input_size + run->d.R)
                                 * lstm_format_bytes(model->format, run->d.element_bytes);
    if (weight_bytes > (4 << 20) && p->row_end - p->row_begin >= 64) return true;
    return run->plan.chunk_steps > 1 && p->step_end - p->step_begin > 1 && p->input_size > 2
           && (p->row_end - p->row_begin < kernels_of(&run->args->call)->tile_rows || weight_bytes > 384 << 10);
}

/* Normalizes the input products `to` of steps [begin, end) into the gates. */
static void normalize_inputs(const struct forward_run *run, const struct forward_pass *p,
                             const struct directed_sequence *to, int64_t begin, int64_t end, int64_t gates_from) {
    const struct lstm_call *call = &run->args->call;
    for (int64_t step = begin; step < end; step++) {
        const struct lstm_norm norm = {.n_rows = active_end(call, step, p->row_begin, p->row_end) - p->row_begin,
                                       .hidden_size = call->model.hidden_size,
                                       .a = row_at(to, step - gates_from, p->row_begin),
                                       .a_stride = run->d.gates_width,
                                       .weight = p->vectors + run->d.vectors.norm_ih,
                                       .start = p->bias,
                                       .y = row_at(&p->gates, step - gates_from, p->row_begin),
                                       .y_stride = run->d.gates_width};
        kernels_of(call)->norm(&norm);
    }
}

/* Writes pre = x W_ih^T + bias for steps [begin, end) to the gates, with layer norm in between. Evenly spaced rows are
 * multiplied in one product; with few rows and many steps, there is one product per row. */
static bool project_inputs(const struct forward_run *run, const struct forward_pass *p, int64_t begin, int64_t end,
                           int64_t gates_from) {
    const struct lstm_call *call = &run->args->call;
    const int64_t n_steps = end - begin, n_rows = active_end(call, begin, p->row_begin, p->row_end) - p->row_begin;
    const bool is_full = p->row_begin + n_rows == active_end(call, end - 1, p->row_begin, p->row_end);
    struct lstm_product product = {.depth = p->input_size,
                                   .n_columns = run->d.gates_width,
                                   .panel_begin = p->panel_begin,
                                   .panel_end = p->panel_end,
                                   .gates_per_unit = 1,
                                   .format = lstm_input_format(&call->model, p->layer),
                                   .looks_up = p->looks_up,
                                   .b = p->weight_ih,
                                   .bias = call->model.layer_norm ? NULL : p->bias,
                                   .format_args = {p->scale_ih, p->layer ? 0 : call->model.input_bits, p->operands}};
    const struct directed_sequence *to = p->a_x.data ? &p->a_x : &p->gates;
    const bool is_even = is_full && !p->x.offsets && !p->x.packed_rows && p->x.step_stride == n_rows * p->x.row_stride
                         && p->gates.step_stride == n_rows * p->gates.row_stride;
    const bool by_row = !is_even && !p->x.packed_rows && n_steps > n_rows;
    product.n_rows = is_even ? n_rows * n_steps : by_row ? n_steps : n_rows;
    const int64_t n_products = is_even ? 1 : by_row ? n_rows : n_steps;
    for (int64_t k = 0; k < n_products; k++) {
        const int64_t step = begin + (by_row ? 0 : k), row = p->row_begin + (by_row ? k : 0);
        if (!is_full && by_row) {
            const int64_t left = row_length(call, row) - begin;
            product.n_rows = left < n_steps ? left : n_steps;
        } else if (!is_full)
            product.n_rows = active_end(call, step, p->row_begin, p->row_begin + n_rows) - p->row_begin;
        product.a = rows_at(&p->x, step, row, row + product.n_rows);
        product.y = rows_at(to, step - gates_from, row, row + product.n_rows);
        if (by_row) {
            product.a = (struct lstm_rows){row_at(&p->x, step, row), p->x.step_stride, NULL};
            product.y.stride = to->step_stride;
        }
        if (!run_product(p->worker, call, &run->d, product)) return false;
    }
    if (call->model.layer_norm) normalize_inputs(run, p, to, begin, end, gates_from);
    return true;
}

/* ---- the recurrence ---------------------------------------------------------------------------------------------- */

static bool forward_steps(const struct forward_run *run, const struct forward_pass *p, int64_t begin, int64_t end,
                          int64_t gates_from, bool is_hoisted) {
    const struct lstm_call *call = &run->args->call;
    const int64_t R = run->d.R, width = run->d.H_padded, row = p->row_begin;
    struct lstm_step s = {.cell = call->model.cell,
                          .variant = p->variant,
                          .format = call->model.format,
                          .format_args = {p->scale_hh, 0, p->operands},
                          .update = kernels_of(call)->update,
                          .input_size = p->input_size,
                          .hidden_size = call->model.hidden_size,
                          .h_size = R,
                          .weight_ih = p->weight_ih,
                          .weight_hh = p->weight_hh,
                          .bias = p->bias,
                          .panel_begin = p->panel_begin,
                          .panel_end = p->panel_end,
                          .c_stride = width,
                          .gates_stride = p->gates.row_stride,
                          .keep_gates = p->gates_are_kept};
    const struct block_limits most = block_limits_of(run, p, R + (is_hoisted ? 0 : p->input_size));
    int64_t row_end = p->row_end;
    for (int64_t step = begin; step < end; step++) {
        const bool is_first = step == p->step_begin;
        row_end = active_end(call, step, row, row_end);
        if (row_end == row) continue; /* (only with lengths, where no barrier follows the step) */
        s.n_rows = row_end - row;
        s.descending = step & 1;
        if (!is_hoisted) s.x = rows_at(&p->x, step, row, row_end);
        s.h_prev = is_first ? (struct lstm_rows){p->h_state + row * R, R, NULL}
                            : rows_at(&p->h, step - 1, row, row_end);
        s.h = rows_at(&p->h, step, row, row_end);
        if (p->gates.data) s.gates = row_at(&p->gates, step - gates_from, row);
        if (p->c) {
            s.c_prev = p->c + step * p->c_step_stride + row * width;
            s.c = p->c + (step + (p->c_step_stride ? 1 : 0)) * p->c_step_stride + row * width;
        }
        if (!(p->has_stages ? run_stages(run, p, &most, &s, step, gates_from) : run_step(call, p, &most, &s)))
            return false;
        if (p->shares_units && !lstm_barrier(p->worker)) return false;
    }
    return true;
}

/* Copies h after the last step of the pass, or of each row, to the running state. */
static void store_h_state(const struct forward_run *run, const struct forward_pass *p) {
    const int64_t R = run->d.R;
    int64_t row_begin = p->row_begin, row_end = p->row_end;
    if (p->shares_units) lstm_share(p->worker, run->args->call.B, &row_begin, &row_end);
    for (int64_t r = row_begin; r < row_end; r++) {
        const int64_t n = row_length(&run->args->call, r), last = (n < p->step_end ? n : p->step_end) - 1;
        if (last >= p->step_begin) memcpy(p->h_state + r * R, row_at(&p->h, last, r), (size_t)R * sizeof(real));
    }
}

/* Steps [begin, end), whose input projection is one product. False: interrupted. */
static bool forward_chunk(const struct forward_run *run, const struct forward_pass *p, int64_t begin, int64_t end,
                          bool is_hoisted) {
    const int64_t gates_from = p->gates_are_kept ? 0 : begin;
    if (is_hoisted && !project_inputs(run, p, begin, end, gates_from) && !p->shares_units) return false;
    return forward_steps(run, p, begin, end, gates_from, is_hoisted);
}

static void run_forward_pass(const struct forward_run *run, const struct forward_pass *p) {
    const bool is_hoisted = is_worth_hoisting(run, p);
    const int64_t steps = is_hoisted ? run->plan.chunk_steps : run->args->call.T;
    for (int64_t begin = p->step_begin, end; begin < p->step_end; begin = end) {
        end = p->step_end - begin > steps ? begin + steps : p->step_end;
        if (!forward_chunk(run, p, begin, end, is_hoisted)) return;
    }
    store_h_state(run, p);
}

#endif
