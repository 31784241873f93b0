/* A forward pass: one direction of one layer over one segment, as one worker sees it. */
#ifndef LSTM_FORWARD_PASS_H
#define LSTM_FORWARD_PASS_H

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
struct forward_run {
    const struct lstm_forward *args;
    struct lstm_dims d;
    struct lstm_forward_plan plan;
    struct lstm_tape tape;
    struct lstm_team team;
    bool has_stages, has_variant;
};

static inline real *forward_workspace(const struct forward_run *run, int64_t offset) {
    return (real *)((char *)run->args->workspace + offset);
}

struct forward_pass {
    struct lstm_worker *worker;
    int64_t layer, direction, input_size;
    int64_t step_begin, step_end, row_begin, row_end, panel_begin, panel_end;
    bool shares_units;                    /* workers share units instead of rows, and meet after each step */
    struct directed_sequence x, h, gates; /* gates: by step of the sequence (tape) or of the chunk (workspace) */
    bool gates_are_kept;                  /* gates are stored on the tape */
    bool looks_up;                        /* x are symbols */
    const void *weight_ih, *weight_hh, *weight_hr;
    const float *scale_ih, *scale_hh; /* scales of INT8 matrices */
    void *operands;                   /* workspace of this worker; only with an interleaved format */
    const real *bias, *vectors;
    const struct lstm_variant *variant; /* NULL: the plain cell */
    bool has_stages;                    /* forward_stages.h, which use the next five members */
    struct directed_sequence a_x, a_h;  /* layer norm: x W_ih^T (data NULL: in `gates`) and h_prev W_hh^T */
    struct restart restart;
    real *h_effective, *c_effective, *unprojected; /* rows of one step */
    real *h_state;                                 /* (B, R): h before the segment and, at its end, after it */
    real *c;                                       /* (B, H_padded): c before the first step */
    int64_t c_step_stride;                         /* 0: c is updated in place */
};

/* ---- one step ---------------------------------------------------------------------------------------------------- */

/* The rows and panels of a step that one kernel call takes. */
struct block_limits {
    int64_t panel_flops, rows, panels;
};

static struct block_limits block_limits_of(const struct forward_run *run, const struct forward_pass *p, int64_t depth) {
    const int64_t panel_flops = 2 * depth * LSTM_PANEL_VECTORS * run->d.vector;
    const enum lstm_format format = run->args->call.model.format;
    const int64_t rows = most_rows(format, block_size(p->row_end - p->row_begin, panel_flops));
    return (struct block_limits){panel_flops, rows, block_size(p->panel_end - p->panel_begin, panel_flops * rows)};
}

/* s->n_rows rows and the worker's panels, in several kernel calls. False: interrupted. */
static bool run_long_step(const struct lstm_call *call, const struct forward_pass *p, const struct block_limits *most,
                          const struct lstm_step *whole) {
    struct lstm_step s = *whole;
    for (int64_t row = 0; row < whole->n_rows; row += most->rows) {
        s.n_rows = whole->n_rows - row < most->rows ? whole->n_rows - row : most->rows;
        if (s.x.data) s.x = skip_rows(whole->x, row);
        if (s.gates) s.gates = whole->gates + row * s.gates_stride;
        if (s.c) s.c_prev = whole->c_prev + row * s.c_stride, s.c = whole->c + row * s.c_stride;
        s.h_prev = skip_rows(whole->h_prev, row);
        s.h = skip_rows(whole->h, row);
        for (s.panel_begin = p->panel_begin; s.panel_begin < p->panel_end; s.panel_begin = s.panel_end) {
            s.panel_end = p->panel_end - s.panel_begin < most->panels ? p->panel_end : s.panel_begin + most->panels;
            step_of(call, s.format)(&s);
            const int64_t flops = most->panel_flops * (s.panel_end - s.panel_begin) * s.n_rows;
            if (lstm_cancelled(p->worker, flops) && !p->shares_units) return false;
        }
    }
    return true;
}

/* Runs the step in one kernel call if the step, whose panels are already set, is short enough. (A step of H = 8 takes
 * 0.1 us: every instruction counts.) */
static inline bool run_step(const struct lstm_call *call, const struct forward_pass *p, const struct block_limits *most,
                            const struct lstm_step *s) {
    const int64_t panels = s->panel_end - s->panel_begin;
    if (s->n_rows > most->rows || panels > most->panels) return run_long_step(call, p, most, s);
    step_of(call, s->format)(s);
    return !lstm_cancelled(p->worker, most->panel_flops * panels * s->n_rows) || p->shares_units;
}

#endif
