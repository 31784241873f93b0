/* Fleets: one call for many models of one shape. Its threads share the models; each model is a call on one thread, with
 * the bits and the code of a call of its own. */
#include <stdatomic.h>
#include <string.h>

#include "lstm_fast.h"
#include "plan.h"
#include "sizes.h"
#include "split.h"
#include "threads.h"

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* The workspace of one worker: what one model needs. */
struct fleet_workspace {
    int64_t weights, d_weights; /* L * D entries */
    int64_t packed, packed_backward;
    int64_t call;
    int64_t bytes;
};

struct fleet_run;
typedef void model_function(const struct fleet_run *, int64_t model, char *workspace);

struct fleet_run {
    const struct lstm_fleet *fleet;
    const struct lstm_forward *forward;
    const struct lstm_backward *backward;
    const struct lstm_linear *linear;
    const struct lstm_call *call; /* of whichever it is */
    model_function *function;
    struct fleet_workspace plan;
    char *workspace;
    int64_t worker_bytes, tape_bytes; /* of the workspace for each worker, of the tape of each model */
    int64_t model_flops, models_at_once;
    atomic_llong next;
};

/* Models are taken as workers become free: they may differ in their lengths. */
static void run_models(struct lstm_worker *worker, void *arguments) {
    struct fleet_run *run = arguments;
    const int64_t n = run->fleet->n_models;
    char *workspace = run->workspace + worker->rank * run->worker_bytes;
    for (int64_t begin; (begin = atomic_fetch_add(&run->next, run->models_at_once)) < n;)
        for (int64_t model = begin; model < n && model < begin + run->models_at_once; model++) {
            run->function(run, model, workspace);
            if (lstm_cancelled(worker, run->model_flops)) return;
        }
}

/* serial_ns: of all models on one thread, estimated. */
static enum lstm_status run_fleet(struct fleet_run *run, double serial_ns) {
    const struct lstm_call *call = run->call;
    const int64_t n = run->fleet->n_models, most = at_most(call->n_threads, n);
    const int64_t n_threads = call->split == LSTM_SPLIT_BEST ? lstm_threads_for(serial_ns, (int)at_least(1, most))
                                                             : at_least(1, most);
    run->models_at_once = at_least(1, n / (n_threads * 16));
    atomic_init(&run->next, 0);
    return lstm_parallel(call, (int)n_threads, run_models, run);
}

/* Of a linear layer: packing and starting, and arithmetic. */
#define LINEAR_NS 300.0
#define LINEAR_FLOPS 10.0 /* per ns */

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

/* ---- the arguments of one model ---------------------------------------------------------------------------------- */

static const void *after(const void *first, int64_t bytes) { return first ? (const char *)first + bytes : NULL; }
static void *after_out(void *first, int64_t bytes) { return first ? (char *)first + bytes : NULL; }

static int64_t n_entries(const struct lstm_call *call) { return call->model.num_layers * call->model.num_directions; }

static int64_t element_bytes(const struct lstm_call *call) { return call->model.dtype == LSTM_F32 ? 4 : 8; }

static struct lstm_sequence sequence_after(struct lstm_sequence first, int64_t bytes) {
    first.data = after_out(first.data, bytes);
    return first;
}

/* The call of one model. Sequences of full length and resets of which none is set are left out, as callers of a single
 * model leave them out. */
static struct lstm_call call_of(const struct fleet_run *run, int64_t model) {
    struct lstm_call call = *run->call;
    const int64_t B = call.B, steps = call.T * B;
    call.n_threads = 1, call.interrupted = NULL;
    if (run->fleet->seeds) call.seed = run->fleet->seeds[model];
    if (call.lengths) call.lengths += model * B;
    if (call.rows) call.rows += model * B;
    if (call.lengths && B && call.lengths[B - 1] == call.T) call.lengths = call.rows = NULL;
    if (call.resets) call.resets += model * steps;
    bool restarts = false;
    for (int64_t k = 0; call.resets && k < steps; k++) restarts |= call.resets[k] != 0;
    if (!restarts) call.resets = NULL;
    return call;
}

/* Bytes of the states h and c of one model. */
static int64_t state_bytes(const struct lstm_call *call, bool is_h) {
    const struct lstm_model *m = &call->model;
    const int64_t size = is_h && m->proj_size ? m->proj_size : m->hidden_size;
    return n_entries(call) * call->B * size * element_bytes(call);
}

#define FOR_EACH_WEIGHT(DO) \
    DO(weight_ih) \
    DO(weight_hh) \
    DO(bias_ih) DO(bias_hh) DO(weight_hr) DO(weight_peephole) DO(norm_ih_weight) DO(norm_hh_weight) DO(norm_c_weight) \
        DO(norm_c_bias) DO(h_0) DO(c_0)

static void pack_model(const struct fleet_run *run, int64_t model, bool backward, struct lstm_weights *weights,
                       void *packed) {
    const struct lstm_model *m = &run->call->model;
    const int64_t bytes = model * run->fleet->weights_stride * element_bytes(run->call);
    for (int64_t k = 0; k < n_entries(run->call); k++) {
        weights[k] = run->fleet->weights[k];
#define MOVE(name) weights[k].name = after(weights[k].name, bytes);
        FOR_EACH_WEIGHT(MOVE)
    }
    lstm_pack(m, run->call->isa, backward, weights, packed);
}

/* ---- workspaces -------------------------------------------------------------------------------------------------- */

static int64_t packed_bytes(struct total *t, const struct lstm_call *call, bool backward) {
    int64_t bytes = 0;
    if (lstm_packed_bytes(&call->model, call->isa, backward, &bytes)) t->overflow = true;
    return bytes;
}

static enum lstm_status plan_fleet(const struct lstm_call *call, bool backward, enum lstm_status status,
                                   int64_t call_bytes, struct fleet_workspace *p) {
    struct total t = {0};
    if (status) return status;
    const int64_t entries = times(&t, call->model.num_layers, call->model.num_directions);
    p->weights = take(&t, entries, sizeof(struct lstm_weights), NULL);
    p->d_weights = take(&t, backward ? entries : 0, sizeof(struct lstm_weight_gradients), NULL);
    p->packed = take(&t, !backward || call->recompute_gates, packed_bytes(&t, call, false), NULL);
    p->packed_backward = take(&t, backward, backward ? packed_bytes(&t, call, true) : 0, NULL);
    p->call = take(&t, 1, call_bytes, NULL);
    p->bytes = t.bytes;
    return status_of(&t);
}

static enum lstm_status plan_forward(const struct lstm_call *call, bool training, struct fleet_workspace *p) {
    struct lstm_call one = *call;
    int64_t bytes = 0;
    one.n_threads = 1;
    const enum lstm_status status = lstm_forward_bytes(&one, training, &bytes);
    return plan_fleet(&one, false, status, bytes, p);
}

static enum lstm_status plan_backward(const struct lstm_call *call, struct fleet_workspace *p) {
    struct lstm_call one = *call;
    int64_t bytes = 0;
    one.n_threads = 1;
    const enum lstm_status status = lstm_backward_bytes(&one, &bytes);
    return plan_fleet(&one, true, status, bytes, p);
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
    const enum lstm_status status = plan_forward(call, training, &p);
    return for_all_workers(fleet, call, status, p.bytes, bytes);
}

enum lstm_status lstm_fleet_backward_bytes(const struct lstm_fleet *fleet, const struct lstm_call *call,
                                           int64_t *bytes) {
    struct fleet_workspace p = {0};
    const enum lstm_status status = plan_backward(call, &p);
    return for_all_workers(fleet, call, status, p.bytes, bytes);
}

enum lstm_status lstm_fleet_linear_bytes(const struct lstm_fleet *fleet, const struct lstm_linear *args,
                                         int64_t *bytes) {
    int64_t worker_bytes = 0;
    const enum lstm_status status = lstm_linear_bytes(args, &worker_bytes);
    return for_all_workers(fleet, &args->call, status, worker_bytes, bytes);
}

/* ---- one model --------------------------------------------------------------------------------------------------- */

/* The packed weights of a model: given, or packed here, where the caller keeps them or in the workspace. */
static const void *packed_of(const struct fleet_run *run, int64_t model, bool backward, const void *given, bool packs,
                             struct lstm_weights *weights, char *workspace) {
    struct total t = {0};
    int64_t bytes;
    take(&t, 1, packed_bytes(&t, run->call, backward), &bytes);
    char *packed = given ? (char *)given + model * bytes : workspace;
    if (packs || !given) pack_model(run, model, backward, weights, packed);
    return packed;
}

static void forward_of(const struct fleet_run *run, int64_t model, char *workspace) {
    const struct lstm_fleet *fleet = run->fleet;
    struct lstm_forward a = *run->forward;
    const int64_t element = element_bytes(&a.call), h = model * state_bytes(&a.call, true);
    const int64_t c = model * state_bytes(&a.call, false);
    struct lstm_weights *weights = (struct lstm_weights *)(workspace + run->plan.weights);
    a.packed = packed_of(run, model, false, a.packed, fleet->packs, weights, workspace + run->plan.packed);
    a.workspace = workspace + run->plan.call;
    a.tape = after_out(a.tape, model * run->tape_bytes);
    a.x = sequence_after(a.x, model * fleet->x_stride * element);
    a.output = sequence_after(a.output, model * fleet->output_stride * element);
    a.h_0 = after(a.h_0, h), a.c_0 = after(a.c_0, c);
    a.h_n = after_out(a.h_n, h), a.c_n = after_out(a.c_n, c);
    a.call = call_of(run, model);
    lstm_forward(&a);
}

static void backward_of(const struct fleet_run *run, int64_t model, char *workspace) {
    const struct lstm_fleet *fleet = run->fleet;
    struct lstm_backward a = *run->backward;
    const int64_t element = element_bytes(&a.call), h = model * state_bytes(&a.call, true);
    const int64_t c = model * state_bytes(&a.call, false), entries = n_entries(&a.call);
    const int64_t norms = model * entries * a.call.T * a.call.B * (int64_t)sizeof(double);
    struct lstm_weights *weights = (struct lstm_weights *)(workspace + run->plan.weights);
    struct lstm_weight_gradients *d = (struct lstm_weight_gradients *)(workspace + run->plan.d_weights);
    for (int64_t k = 0; k < entries; k++) {
        d[k] = a.d_weights[k];
#define MOVE_GRADIENT(name) d[k].d_##name = after_out(d[k].d_##name, model * fleet->gradients_stride * element);
        FOR_EACH_WEIGHT(MOVE_GRADIENT)
    }
    a.d_weights = d;
    a.packed = packed_of(run, model, true, a.packed, fleet->packs, weights, workspace + run->plan.packed_backward);
    if (a.call.recompute_gates)
        a.packed_forward = packed_of(run, model, false, a.packed_forward, false, weights, workspace + run->plan.packed);
    a.workspace = workspace + run->plan.call;
    a.tape = after(a.tape, model * run->tape_bytes);
    a.x = sequence_after(a.x, model * fleet->x_stride * element);
    a.d_output = sequence_after(a.d_output, model * fleet->d_output_stride * element);
    a.d_x = sequence_after(a.d_x, model * fleet->d_x_stride * element);
    a.h_0 = after(a.h_0, h), a.c_0 = after(a.c_0, c), a.d_h_n = after(a.d_h_n, h), a.d_c_n = after(a.d_c_n, c);
    a.d_h_0 = after_out(a.d_h_0, h), a.d_c_0 = after_out(a.d_c_0, c);
    a.d_h_norms = after_out(a.d_h_norms, norms), a.d_c_norms = after_out(a.d_c_norms, norms);
    a.call = call_of(run, model);
    lstm_backward(&a);
}

static void linear_of(const struct fleet_run *run, int64_t model, char *workspace) {
    const struct lstm_fleet *fleet = run->fleet;
    struct lstm_linear a = *run->linear;
    const int64_t element = element_bytes(&a.call), weights = model * fleet->weights_stride * element;
    const int64_t gradients = model * fleet->gradients_stride * element;
    const int64_t inputs = model * a.n * a.n_inputs * element, outputs = model * a.n * a.n_outputs * element;
    a.call.n_threads = 1, a.call.interrupted = NULL, a.workspace = workspace;
    a.x = after(a.x, inputs), a.d_x = after_out(a.d_x, inputs);
    a.y = after_out(a.y, outputs), a.d_y = after(a.d_y, outputs);
    a.weight = after(a.weight, weights), a.bias = after(a.bias, weights);
    a.d_weight = after_out(a.d_weight, gradients), a.d_bias = after_out(a.d_bias, gradients);
    lstm_linear(&a);
}

/* ---- all models -------------------------------------------------------------------------------------------------- */

/* The bytes of a tape, rounded up. */
static int64_t rounded_tape_bytes(const struct lstm_call *call) {
    int64_t bytes = 0;
    return lstm_tape_bytes(call, &bytes) ? 0 : round_up(bytes, 64);
}

enum lstm_status lstm_fleet_forward(const struct lstm_fleet *fleet, const struct lstm_forward *args) {
    struct fleet_run run = {.fleet = fleet,
                            .forward = args,
                            .call = &args->call,
                            .function = forward_of,
                            .workspace = args->workspace,
                            .model_flops = flops_of(&args->call, 1)};
    const enum lstm_status status = plan_forward(&args->call, args->tape != NULL, &run.plan);
    if (status) return status;
    run.worker_bytes = run.plan.bytes;
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
    const enum lstm_status status = plan_backward(&args->call, &run.plan);
    if (status) return status;
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
