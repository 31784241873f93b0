/* A backward pass: one direction of one layer over one segment, as one worker sees it. Steps are numbered as in
 * forward. */
#ifndef LSTM_BACKWARD_PASS_H
#define LSTM_BACKWARD_PASS_H

#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../split.h"
#include "../threads.h"
#include "blocks.h"
#include "sequences.h"
#include "states.h"

/* Shared by all passes of a call. */
struct backward_run {
    const struct lstm_backward *args;
    struct lstm_dims d;
    struct lstm_backward_plan plan;
    struct lstm_tape tape;
    struct lstm_team team;
};

struct backward_pass {
    struct lstm_worker *worker;
    int64_t direction, input_size, row_begin, row_end;
    bool has_stages, has_variant;
    bool shares_units;            /* workers share units instead of rows, and meet after each step */
    int64_t begin, end;           /* steps of the chunk */
    const int64_t *first_row;     /* index of each step's first row among the chunk's rows; [n_steps]: their number */
    real *d_gates, *vector_terms; /* rows of the chunk */
    struct directed_sequence x, h, d_output, d_x;
    int64_t *chunk_offsets; /* with lengths: space for one offset per active row of the chunk */
    bool looks_up;          /* x are symbols */
    const void *weight_ih, *weight_hh, *weight_hr;
    void *operands; /* workspace of this worker; only with an interleaved format */
    const real *vectors;
    struct lstm_variant variant;
    struct restart restart;
    const real *initial_h;           /* h before step 0, (B, R) in batch order */
    const real *gates, *a_x, *a_h;   /* start at step 0 or, if recomputed, at the first step of the chunk */
    const real *c;                   /* c before step 0, on the tape */
    real *h_effective, *c_effective; /* rows of the chunk, as in first_row; NULL: h and c on the tape */
    real *d_h, *d_c;                 /* running gradients, (B, R) and (B, H_padded) */
    real *d_weight_ih, *d_weight_hh, *d_weight_hr, *d_bias, *d_vectors; /* packed */
    bool is_first_product;                                              /* the five gradients above are empty */
};

static inline real *backward_workspace(const struct backward_run *run, int64_t offset) {
    return (real *)((char *)run->args->workspace + offset);
}

/* The rows of a step in rows of gates (T, B). Recomputed gates hold a single chunk, which starts at `begin`. */
static const real *gates_at_step(const struct backward_run *run, const real *gates, int64_t step, int64_t begin) {
    const int64_t steps = run->args->call.recompute_gates ? step - begin : step;
    return gates + steps * run->args->call.B * run->d.gates_width;
}

/* d_gates of row k of the chunk. */
static real *d_gates_at(const struct backward_run *run, const struct backward_pass *p, int64_t k) {
    return p->d_gates + k * run->plan.d_gates_stride;
}

/* The worker's panels of n columns: all of them if workers share rows. */
struct panel_range {
    int64_t begin, end;
};

static struct panel_range panels_of(const struct backward_run *run, const struct backward_pass *p, int64_t n) {
    struct panel_range panels = {0, n_panels(&run->d, n)};
    if (p->shares_units) lstm_share(p->worker, panels.end, &panels.begin, &panels.end);
    return panels;
}

/* ---- the kernel's arguments for a step --------------------------------------------------------------------------- */

/* The arguments common to all rows; pointers are to row 0. */
static struct lstm_step_backward step_arguments(const struct backward_run *run, const struct backward_pass *p,
                                                int64_t step, int64_t begin) {
    const struct lstm_model *model = &run->args->call.model;
    const int64_t k = p->first_row[step - begin], B = run->args->call.B, width = run->d.H_padded;
    const int64_t terms_stride = run->plan.vector_terms_stride;
    struct lstm_step_backward s = {.cell = model->cell,
                                   .variant = p->has_variant ? &p->variant : NULL,
                                   .hidden_size = model->hidden_size,
                                   .format = model->format,
                                   .weight_hh = p->weight_hh,
                                   .format_args = {.operands = p->operands},
                                   .update = kernels_of(&run->args->call)->update_backward,
                                   .descending = step & 1,
                                   .d_gates = d_gates_at(run, p, k),
                                   .d_gates_stride = run->plan.d_gates_stride,
                                   .d_h_next = p->d_h,
                                   .d_h_next_stride = run->d.R,
                                   .gates_stride = run->d.gates_width,
                                   .c_stride = width,
                                   .terms = p->vector_terms + k * terms_stride,
                                   .terms_stride = terms_stride};
    if (p->c) {
        s.gates = gates_at_step(run, p->gates, step, begin);
        s.c_prev = p->c_effective ? p->c_effective + k * width : p->c + step * B * width;
        s.c = p->c + (step + 1) * B * width;
        s.d_c = p->d_c;
    }
    if (step > begin) {
        s.gates_step = B * run->d.gates_width;
        s.c_step = B * width;
        s.d_output_step = p->d_output.step_stride;
    }
    return s;
}

/* Advances the pointers to rows [row, end). */
static void advance_to_rows(const struct backward_pass *p, struct lstm_step_backward *s, int64_t step, int64_t row,
                            int64_t end) {
    s->n_rows = end - row;
    s->d_gates += row * s->d_gates_stride;
    s->d_h_next += row * s->d_h_next_stride;
    s->terms += row * s->terms_stride;
    if (s->d_gates_next) s->d_gates_next += row * s->d_gates_stride;
    if (p->d_output.data) s->d_output = rows_at(&p->d_output, step, row, end);
    if (s->unprojected) s->unprojected += row * s->hidden_size;
    if (p->c) {
        s->gates += row * s->gates_stride;
        s->c_prev += row * s->c_stride;
        s->c += row * s->c_stride;
        s->d_c += row * s->c_stride;
    } else
        s->h = rows_at(&p->h, step, row, end);
}

#endif
