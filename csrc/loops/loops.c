/* The loops over time, batch and threads, compiled once per dtype for the baseline processor: they only pass pointers
 * to kernels, a few times per step. */
#include "loops.h"

#include "../kernels/table.h"
#include "../lane_args.h"
#include "../lstm_fast.h"
#include "../real.h"
#include "../threads.h"
#include "backward.h"
#include "blocks.h"
#include "forward.h"
#include "lanes.h"
#include "linear.h"
#include "optimizer.h"
#include "pack.h"

void EXPORT(lstm_pack)(const struct lstm_model *m, const struct lstm_isa *isa, bool backward,
                       const struct lstm_weights *weights, void *packed) {
    pack(m, isa, backward, weights, packed);
}

enum lstm_status EXPORT(lstm_forward)(const struct lstm_forward *args) { return forward(args); }

enum lstm_status EXPORT(lstm_backward)(const struct lstm_backward *args) { return backward(args); }

enum lstm_status EXPORT(lstm_linear)(const struct lstm_linear *args) { return linear(args); }

void EXPORT(lstm_optimize)(const struct lstm_optimizer *o) { optimize(o); }

double EXPORT(lstm_square_sum)(int64_t n, const void *values) { return square_sum(n, values); }

void EXPORT(lstm_lanes)(const struct lstm_isa *isa, const struct lstm_lanes *lanes, bool backward) {
    (backward ? lanes_backward : lanes_forward)(isa, lanes);
}

/* ---- one activation ---------------------------------------------------------------------------------------------- */

struct activation_run {
    const struct lstm_call *call;
    struct lstm_activation activation;
    bool slope;
    int64_t n;
    const real *x;
    real *y;
};

static void activate_worker(struct lstm_worker *worker, void *arguments) {
    const struct activation_run *run = arguments;
    (void)worker;
    kernels_of(run->call)->activate(run->activation, run->slope, run->n, run->x, run->y);
}

/* On one thread, as a call for its floating-point mode. */
void EXPORT(lstm_activate)(const struct lstm_isa *isa, struct lstm_activation activation, bool slope, int64_t n,
                           const void *x, void *y) {
    const struct lstm_call call = {.isa = isa};
    struct activation_run run = {&call, activation, slope, n, x, y};
    lstm_parallel(&call, 1, activate_worker, &run);
}
