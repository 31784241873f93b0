/* How many threads a call uses, and how they share the work. */
#ifndef LSTM_TEAM_H
#define LSTM_TEAM_H

#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "blocks.h"

struct team {
    int n_threads;
    enum lstm_split split;
};

#define FLOPS_PER_THREAD ((double)(1 << 22)) /* of a call: enough to amortise waking a thread */
#define STEP_FLOPS_PER_THREAD 130e3          /* of a step: enough to amortise a barrier (H = 192, B = 1: 1.6x) */

/* The number of threads that `flops` of work keep busy, at most n_threads. */
static inline int64_t worthwhile_threads(double flops, int n_threads) {
    return flops < FLOPS_PER_THREAD * n_threads ? (int64_t)(flops / FLOPS_PER_THREAD) : n_threads;
}

/* passes: 1 forward, 2 backward. Steps with stages operate on whole rows, so their units cannot be shared; with
 * lengths, workers share rows. */
static struct team plan_team(const struct lstm_call *call, const struct lstm_dims *d, double passes, bool has_stages) {
    const bool takes_whole_rows = call->lengths || has_stages;
    if (call->split != LSTM_SPLIT_BEST) {
        const bool is_impossible = takes_whole_rows && call->split == LSTM_SPLIT_UNITS;
        return (struct team){call->n_threads, is_impossible ? LSTM_SPLIT_ROWS : call->split};
    }
    const struct lstm_model *model = &call->model;
    const double H = (double)model->hidden_size, B = (double)call->B, D = (double)model->num_directions;
    const double inputs = (double)model->input_size + (double)(model->num_layers - 1) * D * H;
    const double step_flops = 2 * passes * (double)d->n_gates * H * H * B;
    const double flops = 2 * passes * (double)d->n_gates * H * D * (inputs + (double)model->num_layers * H)
                         * (double)call->T * B;
    const int64_t most = worthwhile_threads(flops, call->n_threads);
    if (most < 2) return (struct team){1, LSTM_SPLIT_ROWS};

    /* In order of preference: rows, if each worker gets a full tile of them; units, if a step is long enough;
     * directions; rows, however few. */
    if (call->B >= most * kernels_of(call)->tile_rows) return (struct team){(int)most, LSTM_SPLIT_ROWS};
    int64_t n = n_panels(d, d->gates_width);
    if (n > most) n = most;
    if (n > (int64_t)(step_flops / STEP_FLOPS_PER_THREAD)) n = (int64_t)(step_flops / STEP_FLOPS_PER_THREAD);
    if (!takes_whole_rows && n > 1
        && n >= (most < call->B * model->num_directions ? most : call->B * model->num_directions))
        return (struct team){(int)n, LSTM_SPLIT_UNITS};
    if (passes == 1) {
        const int64_t shares = call->B * model->num_directions;
        const enum lstm_split split = model->num_directions > 1 ? LSTM_SPLIT_DIRECTIONS : LSTM_SPLIT_ROWS;
        return (struct team){(int)(most < shares ? most : shares), split};
    }
    /* Backward always shares the weight gradients, half of the work; if nothing else is shared, more work is needed. */
    const bool has_rows = call->B >= most || flops >= 4 * FLOPS_PER_THREAD * (double)most;
    return (struct team){(int)(!has_rows ? 1 : most < 2 * call->B ? most : 2 * call->B), LSTM_SPLIT_ROWS};
}

#endif
