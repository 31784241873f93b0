/* The states between two steps: where a sequence restarts (resets, from the learned state or zero), and what recurrent
 * dropout leaves of h_prev for W_hh. Both change the *effective* states, those that a step computes with, and never
 * those that the previous step has left. */
#ifndef LSTM_STATES_H
#define LSTM_STATES_H

#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "blocks.h"
#include "masks.h"
#include "sequences.h"

/* The time of a direction's step of sorted row r. */
static inline int64_t time_of(const struct lstm_call *call, int64_t direction, int64_t step, int64_t r) {
    return direction ? row_length(call, r) - 1 - step : step;
}

/* Whether sorted row r restarts before a direction's step. A reset marks the boundary before time t, so in the reverse
 * direction the one that is crossed after t. */
static inline bool restarts_at(const struct lstm_call *call, int64_t direction, int64_t step, int64_t r) {
    if (!call->resets) return false;
    const int64_t t = time_of(call, direction, step, r) + (direction ? 1 : 0);
    return t < row_length(call, r) && call->resets[t * call->B + batch_row(call, r)];
}

/* What the steps of one layer and direction do to the states before them. */
struct restart {
    int64_t index, direction; /* index: layer * D + direction */
    const real *h, *c;        /* the learned state where a row restarts; NULL: zero */
    const real *masks;        /* (B, R) of recurrent dropout, or NULL */
};

static struct restart restart_of(const struct lstm_call *call, const char *packed, const struct lstm_packed *p,
                                 int64_t index, const real *masks, int64_t R) {
    return (struct restart){.index = index,
                            .direction = index % call->model.num_directions,
                            .h = call->model.initial_state ? (const real *)(packed + p->h_0) : NULL,
                            .c = call->model.initial_state ? (const real *)(packed + p->c_0) : NULL,
                            .masks = call->recurrent_dropout > 0 ? masks + index * call->B * R : NULL};
}

/* Masks (L * D, B, R) of recurrent dropout, rows [begin, end). */
static void recurrent_masks(const struct lstm_call *call, int64_t R, int64_t begin, int64_t end, real *masks) {
    if (call->recurrent_dropout == 0) return;
    for (int64_t index = 0; index < call->model.num_layers * call->model.num_directions; index++)
        for (int64_t r = begin; r < end; r++)
            recurrent_mask(call, index, batch_row(call, r), R, masks + (index * call->B + r) * R);
}

/* h_prev of sorted row r for W_hh. */
static void effective_h(const struct lstm_call *call, const struct restart *restart, int64_t step, int64_t r, int64_t R,
                        const real *h_prev, real *h) {
    fill_row(h, R, R, restarts_at(call, restart->direction, step, r) ? restart->h : h_prev);
    for (int64_t k = 0; restart->masks && k < R; k++) h[k] *= restart->masks[r * R + k];
}

/* c_prev of sorted row r. */
static void effective_c(const struct lstm_call *call, const struct restart *restart, int64_t step, int64_t r,
                        int64_t H_padded, const real *c_prev, real *c) {
    fill_row(c, H_padded, H_padded, restarts_at(call, restart->direction, step, r) ? restart->c : c_prev);
}

#endif
