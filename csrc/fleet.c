/* Fleets: one call for many models of one shape. Its threads share the models. Each result is bitwise equal to a call
 * on one thread. A model runs as such a call, or with others in the lanes of vectors (fleet_lanes.h). */
#include "lstm_fleet.h"

#include <stdatomic.h>

#include "fleet_lanes.h"
#include "fleet_model.h"
#include "lstm_fast.h"
#include "sizes.h"
#include "split.h"
#include "threads.h"

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* Dynamic scheduling: workers take the next model, or group of models, when free, because lengths may differ. */
static void run_models(struct lstm_worker *worker, void *arguments) {
    struct fleet_run *run = arguments;
    const int64_t size = run->group_size, n_groups = size ? run->fleet->n_models / size : 0;
    const int64_t n = n_groups + run->fleet->n_models - n_groups * size;
    char *workspace = run->workspace + worker->rank * run->worker_bytes;
    for (int64_t begin; (begin = atomic_fetch_add(&run->next, run->items_at_once)) < n;)
        for (int64_t item = begin; item < n && item < begin + run->items_at_once; item++) {
            if (item < n_groups)
                run->group_function(run, worker, item * size, workspace);
            else
                run->function(run, worker, n_groups * size + item - n_groups, workspace);
            if (lstm_cancelled(worker, item < n_groups ? 0 : run->model_flops)) return;
        }
}

/* serial_ns: estimated time of all models on one thread. */
static enum lstm_status run_fleet(struct fleet_run *run, double serial_ns) {
    const struct lstm_call *call = run->call;
    const int64_t n = run->fleet->n_models, most = at_most(call->n_threads, n);
    const int64_t n_threads = call->split == LSTM_SPLIT_BEST ? lstm_threads_for(serial_ns, (int)at_least(1, most))
                                                             : at_least(1, most);
    run->items_at_once = run->group_size ? 1 : at_least(1, n / (n_threads * 16));
    atomic_init(&run->next, 0);
    return lstm_parallel(call, (int)n_threads, run_models, run);
}

/* Time of a linear layer: packing and startup, then arithmetic. */
#define LINEAR_NS 300.0
#define LINEAR_FLOPS 10.0 /* operations per ns */

/* One model of a recurrent call, by the model of split.c. */
static double model_ns(const struct lstm_call *call, bool is_backward) {
    const struct lstm_team alone = {1, LSTM_SPLIT_ROWS};
    return lstm_team_ns(call, is_backward, alone);
}

static int64_t flops_of(const struct lstm_call *call, int factor) {
    const struct lstm_model *m = &call->model;
    const double flops = (double)factor * (double)call->T * (double)call->B
                         * (double)(m->num_layers * m->num_directions) * 8 * (double)m->hidden_size
                         * (double)(m->hidden_size + m->input_size);
    return flops < 1e18 ? (int64_t)flops : (int64_t)1e18;
}

/* ---- workspaces -------------------------------------------------------------------------------------------------- */

static enum lstm_status plan_fleet(const struct lstm_fleet *fleet, const struct lstm_call *call, bool training,
                                   bool backward, enum lstm_status status, int64_t call_bytes,
                                   struct fleet_workspace *p) {
    struct total t = {0};
    if (status) return status;
    const int64_t entries = times(&t, call->model.num_layers, call->model.num_directions);
    p->weights = take(&t, entries, sizeof(struct lstm_weights), NULL);
    p->d_weights = take(&t, backward ? entries : 0, sizeof(struct lstm_weight_gradients), NULL);
    p->packed = take(&t, !backward || call->recompute_gates, packed_bytes(&t, call, false), NULL);
    p->packed_backward = take(&t, backward, backward ? packed_bytes(&t, call, true) : 0, NULL);
    p->call = take(&t, 1, call_bytes, NULL);
    p->bytes = at_least(t.bytes, round_up(lanes_bytes(&t, fleet, call, training, backward), 64));
    return status_of(&t);
}

/* The bytes of a tape, rounded up. */
static int64_t rounded_tape_bytes(const struct lstm_call *call) {
    int64_t bytes = 0;
    return lstm_tape_bytes(call, &bytes) ? 0 : round_up(bytes, 64);
}

/* Tapes of MANY_TAPE_BYTES in all do not stay in a cache until backward reads them. The tape of one model is then
 * staged in the workspace, if it fits the caches of the worker, and copied to memory by faster stores than the kernels
 * use (stream.h; lanes prefetch instead). Measured on a Xeon with L2 caches of 2 MB, forward of layers of 32 units:
 * tapes of 246 MB in all, 1.2 or 6 MB each, take 0.76 and 0.88 of the time; 123 MB 0.92; 18 MB 1.25. */
#define MANY_TAPE_BYTES (128 << 20)
#define STAGED_BYTES (8 << 20)

static void stage_tapes(const struct lstm_fleet *fleet, const struct lstm_call *call, struct fleet_workspace *p) {
    const int64_t bytes = rounded_tape_bytes(call);
    p->stages_tape = bytes <= STAGED_BYTES && bytes >= MANY_TAPE_BYTES / fleet->n_models
                     && !models_of_group(fleet, call, true);
    p->tape = p->bytes, p->bytes += p->stages_tape ? bytes : 0;
}

static enum lstm_status plan_forward(const struct lstm_fleet *fleet, const struct lstm_call *call, bool training,
                                     struct fleet_workspace *p) {
    struct lstm_call one = *call;
    int64_t bytes = 0;
    one.n_threads = 1;
    enum lstm_status status = lstm_forward_bytes(&one, training, &bytes);
    status = plan_fleet(fleet, &one, training, false, status, bytes, p);
    if (training && !status) stage_tapes(fleet, &one, p);
    return status;
}

static enum lstm_status plan_backward(const struct lstm_fleet *fleet, const struct lstm_call *call,
                                      struct fleet_workspace *p) {
    struct lstm_call one = *call;
    int64_t bytes = 0;
    one.n_threads = 1;
    const enum lstm_status status = lstm_backward_bytes(&one, &bytes);
    return plan_fleet(fleet, &one, true, true, status, bytes, p);
}

static enum lstm_status for_all_workers(const struct lstm_fleet *fleet, const struct lstm_call *call,
                                        enum lstm_status status, int64_t worker_bytes, int64_t *bytes) {
    struct total t = {0};
    const int64_t most = at_most(at_most(call->n_threads, LSTM_MOST_THREADS), fleet->n_models);
    *bytes = times(&t, at_least(1, most), worker_bytes);
    return status ? status : status_of(&t);
}

enum lstm_status lstm_fleet_forward_bytes(const struct lstm_fleet *fleet, const struct lstm_call *call, bool training,
                                          int64_t *bytes) {
    struct fleet_workspace p = {0};
    const enum lstm_status status = plan_forward(fleet, call, training, &p);
    return for_all_workers(fleet, call, status, p.bytes, bytes);
}

enum lstm_status lstm_fleet_backward_bytes(const struct lstm_fleet *fleet, const struct lstm_call *call,
                                           int64_t *bytes) {
    struct fleet_workspace p = {0};
    const enum lstm_status status = plan_backward(fleet, call, &p);
    return for_all_workers(fleet, call, status, p.bytes, bytes);
}

enum lstm_status lstm_fleet_linear_bytes(const struct lstm_fleet *fleet, const struct lstm_linear *args,
                                         int64_t *bytes) {
    int64_t worker_bytes = 0;
    const enum lstm_status status = lstm_linear_bytes(args, &worker_bytes);
    return for_all_workers(fleet, &args->call, status, worker_bytes, bytes);
}

/* ---- all models -------------------------------------------------------------------------------------------------- */

int64_t lstm_fleet_group(const struct lstm_fleet *fleet, const struct lstm_call *call) {
    return models_of_group(fleet, call, true);
}

enum lstm_status lstm_fleet_forward(const struct lstm_fleet *fleet, const struct lstm_forward *args) {
    struct fleet_run run = {.fleet = fleet,
                            .forward = args,
                            .call = &args->call,
                            .function = forward_of,
                            .workspace = args->workspace,
                            .model_flops = flops_of(&args->call, 1)};
    const enum lstm_status status = plan_forward(fleet, &args->call, args->tape != NULL, &run.plan);
    if (status) return status;
    run.worker_bytes = run.plan.bytes, run.group_size = models_of_group(fleet, &args->call, args->tape != NULL);
    run.group_function = forward_group;
    if (args->tape) run.tape_bytes = rounded_tape_bytes(&args->call);
    return run_fleet(&run, model_ns(&args->call, false) * (double)fleet->n_models);
}

enum lstm_status lstm_fleet_backward(const struct lstm_fleet *fleet, const struct lstm_backward *args) {
    struct fleet_run run = {.fleet = fleet,
                            .backward = args,
                            .call = &args->call,
                            .function = backward_of,
                            .workspace = args->workspace,
                            .model_flops = flops_of(&args->call, 2)};
    const enum lstm_status status = plan_backward(fleet, &args->call, &run.plan);
    if (status) return status;
    run.group_size = models_of_group(fleet, &args->call, true), run.group_function = backward_group;
    run.worker_bytes = run.plan.bytes, run.tape_bytes = rounded_tape_bytes(&args->call);
    return run_fleet(&run, model_ns(&args->call, true) * (double)fleet->n_models);
}

enum lstm_status lstm_fleet_linear(const struct lstm_fleet *fleet, const struct lstm_linear *args) {
    struct fleet_run run = {
        .fleet = fleet, .linear = args, .call = &args->call, .function = linear_of, .workspace = args->workspace};
    const enum lstm_status status = lstm_linear_bytes(args, &run.worker_bytes);
    if (status) return status;
    run.model_flops = 2 * args->n * args->n_inputs * args->n_outputs * (args->d_y ? 2 : 1);
    return run_fleet(&run, (LINEAR_NS + (double)run.model_flops / LINEAR_FLOPS) * (double)fleet->n_models);
}
