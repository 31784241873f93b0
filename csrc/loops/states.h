/* The states between two steps: restarts (resets to the learned state or to zero) and the recurrent dropout of h_prev.
 * Both change only the *effective* states, the inputs of a step, and never the outputs of the previous step. */
#ifndef LSTM_STATES_H
#define LSTM_STATES_H

#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "blocks.h"
#include "masks.h"
#include "sequences.h"

/* The time of a step of sorted row r in a direction. */
static inline int64_t time_of(const struct lstm_call *call, int64_t direction, int64_t step, int64_t r) {
    return direction ? row_length(call, r) - 1 - step : step;
}

/* Whether sorted row r restarts before a direction's step. A reset marks the boundary before time t, which the reverse
 * direction crosses after t. */
static inline bool restarts_at(const struct lstm_call *call, int64_t direction, int64_t step, int64_t r) {
    if (!call->resets) return false;
    const int64_t t = time_of(call, direction, step, r) + (direction ? 1 : 0);
    return t < row_length(call, r) && call->resets[t * call->B + batch_row(call, r)];
}

/* How the effective states of one layer and direction follow from those before each step. */
struct restart {
    int64_t index, direction; /* index: layer * D + direction */
    const real *h, *c;        /* the learned state where a row restarts; NULL: zero */
    const real *masks;        /* (B, R), factors of recurrent dropout, or NULL */
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

/* The effective h_prev of sorted row r. */
static void effective_h(const struct lstm_call *call, const struct restart *restart, int64_t step, int64_t r, int64_t R,
                        const real *h_prev, real *h) {
    fill_row(h, R, R, restarts_at(call, restart->direction, step, r) ? restart->h : h_prev);
    for (int64_t k = 0; restart->masks && k < R; k++) h[k] *= restart->masks[r * R + k];
}

/* The effective c_prev of sorted row r. */
static void effective_c(const struct lstm_call *call, const struct restart *restart, int64_t step, int64_t r,
                        int64_t H_padded, const real *c_prev, real *c) {
    fill_row(c, H_padded, H_padded, restarts_at(call, restart->direction, step, r) ? restart->c : c_prev);
}

#endif
