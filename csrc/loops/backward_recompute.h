/* Recomputed gates: with recompute_gates, a tape keeps only h and c, and the gates of a chunk are recomputed before its
 * backward steps. They are bitwise equal to the first ones, because a row of gates depends only on x, h_prev and c_prev
 * of that row. One kernel call takes all rows of many steps: no step waits for the previous one. */
#ifndef LSTM_BACKWARD_RECOMPUTE_H
#define LSTM_BACKWARD_RECOMPUTE_H

#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "backward_pass.h"
#include "blocks.h"
#include "sequences.h"

/* Rows without layer norm, block by block; s describes all rows. False: interrupted. */
static bool recompute_plain_rows(const struct backward_run *run, const struct backward_pass *p, struct lstm_step s) {
    const struct lstm_call *call = &run->args->call;
    const int64_t width = run->d.gates_width, n_rows = s.n_rows;
    const int64_t row_flops = 2 * (s.h_size + (p->looks_up ? 1 : s.input_size)) * width;
    const int64_t step = most_rows(s.format, block_size(n_rows, row_flops));
    struct lstm_product inputs = {.depth = s.input_size,
                                  .n_columns = width,
                                  .panel_end = n_panels(&run->d, width),
                                  .gates_per_unit = 1,
                                  .format = s.format,
                                  .looks_up = p->looks_up,
                                  .b = s.weight_ih,
                                  .bias = s.bias,
                                  .format_args = s.format_args};
    s.panel_end = n_panels(&run->d, width);
    for (int64_t row = 0; row < n_rows; row += step) {
        s.n_rows = n_rows - row < step ? n_rows - row : step;
        struct lstm_step one = s;
        if (p->looks_up || lstm_is_interleaved(s.format)) { /* steps in these formats take no x */
            inputs.n_rows = s.n_rows, inputs.a = s.x, inputs.y = (struct lstm_rows){s.gates, width, NULL};
            product_of(call, s.format, p->looks_up)(&inputs);
            one.x.data = NULL;
        }
        step_of(call, s.format)(&one);
        s.x = skip_rows(s.x, step), s.h_prev = skip_rows(s.h_prev, step), s.c_prev += step * s.c_stride;
        s.gates += step * width;
        if (lstm_cancelled(p->worker, row_flops * s.n_rows)) return false;
    }
    return true;
}

/* Rows with layer norm. vectors: packed for forward; at: the first row's index in the chunk. */
static bool recompute_norm_rows(const struct backward_run *run, const struct backward_pass *p, const real *vectors,
                                const struct lstm_step *s, int64_t at) {
    const struct lstm_call *call = &run->args->call;
    const int64_t width = run->d.gates_width;
    real *a_x = backward_workspace(run, run->plan.a_x) + at * width,
         *a_h = backward_workspace(run, run->plan.a_h) + at * width;
    struct lstm_product product = {.n_rows = s->n_rows,
                                   .depth = s->input_size,
                                   .n_columns = width,
                                   .panel_end = n_panels(&run->d, width),
                                   .gates_per_unit = 1,
                                   .a = s->x,
                                   .format = s->format,
                                   .looks_up = p->looks_up,
                                   .b = s->weight_ih,
                                   .format_args = s->format_args,
                                   .y = {a_x, width, NULL}};
    if (!run_product(p->worker, call, &run->d, product)) return false;
    product.looks_up = false, product.depth = s->h_size, product.a = s->h_prev, product.b = s->weight_hh,
    product.y.data = a_h;
    if (!run_product(p->worker, call, &run->d, product)) return false;
    struct lstm_norm norm = {.n_rows = s->n_rows,
                             .hidden_size = s->hidden_size,
                             .a = a_x,
                             .a_stride = width,
                             .weight = vectors + run->d.vectors.norm_ih,
                             .start = s->bias,
                             .y = s->gates,
                             .y_stride = width};
    kernels_of(call)->norm(&norm);
    norm.a = a_h, norm.start = s->gates, norm.start_stride = width, norm.weight = vectors + run->d.vectors.norm_hh;
    kernels_of(call)->norm(&norm);
    kernels_of(call)->cell(s);
    return true;
}

/* All gates of the chunk. Workers share its steps and meet before and after. False: interrupted. */
static bool recompute_gates(const struct backward_run *run, const struct backward_pass *p, int64_t begin, int64_t end) {
    const struct lstm_backward *a = run->args;
    const struct lstm_call *call = &a->call;
    const int64_t B = call->B, R = run->d.R, H = call->model.hidden_size, c_width = run->d.H_padded;
    const char *weights = a->packed_forward;
    struct lstm_packed packed;
    lstm_plan_packed(&call->model, call->isa, false, p->restart.index / call->model.num_directions, p->direction,
                     &packed);
    const real *vectors = (const real *)(weights + packed.vectors);
    struct lstm_step s = {.cell = call->model.cell,
                          .variant = p->has_variant ? &p->variant : NULL,
                          .input_size = p->input_size,
                          .hidden_size = H,
                          .h_size = R,
                          .format = call->model.format,
                          .format_args = {.operands = p->operands},
                          .update = kernels_of(call)->update,
                          .weight_ih = weights + packed.weight_ih,
                          .weight_hh = weights + packed.weight_hh,
                          .bias = (const real *)(weights + packed.bias),
                          .c_stride = c_width,
                          .gates_stride = run->d.gates_width,
                          .keep_gates = true};
    int64_t first, last;
    /* The effective states of the chunk are complete, and no worker still reads the gates of the previous one. */
    if (!lstm_barrier(p->worker)) return false;
    lstm_share(p->worker, end - begin, &first, &last);
    for (int64_t step = begin + first, n_steps; step < begin + last; step += n_steps) {
        /* Steps with evenly spaced rows are computed together; h_prev of step 0 is stored elsewhere. */
        const bool is_even = !call->lengths && p->x.step_stride == B * p->x.row_stride
                             && p->h.step_stride == B * p->h.row_stride && (step > 0 || p->h_effective);
        n_steps = is_even ? begin + last - step : 1;
        const int64_t k = p->first_row[step - begin], at = (step - begin) * B;
        struct directed_sequence x = p->x;
        x.offsets_of_step[0] = x.offsets_of_step[1] = p->chunk_offsets + k; /* (other workers are at other steps) */
        s.n_rows = p->first_row[step + n_steps - begin] - k;
        s.x = rows_at(&x, step, 0, s.n_rows);
        s.h_prev = (struct lstm_rows){p->h_effective ? p->h_effective + k * R : (real *)p->initial_h, R, NULL};
        if (step && !p->h_effective) s.h_prev = rows_at(&p->h, step - 1, 0, s.n_rows);
        s.c_prev = p->c_effective ? p->c_effective + k * c_width : p->c + step * B * c_width;
        s.c = backward_workspace(run, run->plan.recomputed_c) + at * c_width;
        s.h = (struct lstm_rows){backward_workspace(run, run->plan.recomputed_h) + at * H, H, NULL};
        s.gates = backward_workspace(run, run->plan.gates) + at * run->d.gates_width;
        if (!s.n_rows) continue;
        if (!(call->model.layer_norm ? recompute_norm_rows(run, p, vectors, &s, at) : recompute_plain_rows(run, p, s)))
            break;
    }
    return lstm_barrier(p->worker);
}

#endif
