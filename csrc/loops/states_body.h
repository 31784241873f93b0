/* The states between two steps: where a sequence starts anew (resets, from the learned state or zero), and what recurrent
 * dropout leaves of h_prev for W_hh. Both change what a step sees, never what the step before has left. */

/* Time of a direction's step of sorted row r. */
static inline int64_t NAME(time_of)(const struct lstm_call *call, int64_t direction, int64_t step, int64_t r) {
    return direction ? NAME(length)(call, r) - 1 - step : step;
}

/* Whether sorted row r starts anew before a direction's step: at the boundary before t, going forward, and so after t in
 * reverse. */
static inline bool NAME(starts_anew)(const struct lstm_call *call, int64_t direction, int64_t step, int64_t r) {
    if (!call->resets) return false;
    const int64_t t = NAME(time_of)(call, direction, step, r) + (direction ? 1 : 0);
    return t < NAME(length)(call, r) && call->resets[t * call->B + NAME(batch_row)(call, r)];
}

/* What rows of a layer and direction begin with: the learned state, each NULL where zero. */
struct NAME(restart) {
    int64_t index, direction; /* index: layer * D + direction */
    const REAL *h, *c;
    const REAL *masks; /* (B, R) of recurrent dropout, or NULL */
};

static struct NAME(restart) NAME(restart_of)(const struct lstm_call *call, const char *packed, const struct lstm_packed *p,
                                             int64_t index,
                                             const REAL *masks, int64_t R) {
    return (struct NAME(restart)){.index = index, .direction = index % call->model.num_directions,
                                  .h = call->model.initial_state ? (const REAL *)(packed + p->h_0) : NULL,
                                  .c = call->model.initial_state ? (const REAL *)(packed + p->c_0) : NULL,
                                  .masks = call->recurrent_dropout > 0 ? masks + index * call->B * R : NULL};
}

static void NAME(make_recurrent_masks)(const struct lstm_call *call, int64_t R, int64_t begin, int64_t end, REAL *masks) {
    if (call->recurrent_dropout == 0) return;
    for (int64_t index = 0; index < call->model.num_layers * call->model.num_directions; index++)
        for (int64_t r = begin; r < end; r++)
            NAME(make_recurrent_mask)(call, index, NAME(batch_row)(call, r), R, masks + (index * call->B + r) * R);
}

/* A row of n numbers as a step finds it: `from`, or after a reset the learned `first`, or zero. */
static inline void NAME(state_row)(REAL *row, int64_t n, const REAL *from, bool anew, const REAL *first) {
    NAME(start_row)(row, n, n, anew ? first : from);
}

/* h_prev of sorted row r as W_hh sees it. */
static void NAME(see_h)(const struct lstm_call *call, const struct NAME(restart) *s, int64_t step, int64_t r, int64_t R,
                        const REAL *h_prev,
                        REAL *seen) {
    NAME(state_row)(seen, R, h_prev, NAME(starts_anew)(call, s->direction, step, r), s->h);
    for (int64_t k = 0; s->masks && k < R; k++) seen[k] *= s->masks[r * R + k];
}
