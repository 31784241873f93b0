/* One model of a fleet: its arguments, derived from model 0's, and its calls. */
#ifndef LSTM_FLEET_MODEL_H
#define LSTM_FLEET_MODEL_H

#include <stdatomic.h>

#include "lstm_fast.h"
#include "lstm_fleet.h"
#include "sizes.h"
#include "stream.h"
#include "threads.h"
#include "weight_list.h"

/* The workspace of one worker: what one model needs. */
struct fleet_workspace {
    int64_t weights, d_weights; /* L * D entries */
    int64_t packed, packed_backward;
    int64_t call;
    int64_t tape;
    bool stages_tape;
    int64_t bytes;
};

struct fleet_run;
typedef void model_function(const struct fleet_run *, struct lstm_worker *, int64_t model, char *workspace);

struct fleet_run {
    const struct lstm_fleet *fleet;
    const struct lstm_forward *forward;
    const struct lstm_backward *backward;
    const struct lstm_linear *linear;
    const struct lstm_call *call;              /* call of the one of these three that is not NULL */
    model_function *function, *group_function; /* group_function computes group_size models; 0: no groups */
    int64_t group_size;
    struct fleet_workspace plan;
    char *workspace;
    int64_t worker_bytes, tape_bytes;   /* workspace of each worker, tape of each model */
    int64_t model_flops, items_at_once; /* items_at_once: groups, then single models */
    atomic_llong next;
};

/* ---- the arguments of one model ---------------------------------------------------------------------------------- */

static const void *after(const void *first, int64_t bytes) { return first ? (const char *)first + bytes : NULL; }
static void *after_out(void *first, int64_t bytes) { return first ? (char *)first + bytes : NULL; }

static int64_t n_entries(const struct lstm_call *call) { return call->model.num_layers * call->model.num_directions; }

static int64_t element_bytes(const struct lstm_call *call) { return call->model.dtype == LSTM_F32 ? 4 : 8; }

/* The distance between x of two models. */
static int64_t x_bytes(const struct fleet_run *run) {
    const int64_t symbol = sizeof(int64_t);
    return run->fleet->x_stride * (run->call->model.index_input ? symbol : element_bytes(run->call));
}

static struct lstm_sequence sequence_after(struct lstm_sequence first, int64_t bytes) {
    first.data = after_out(first.data, bytes);
    return first;
}

/* `interrupted` of the call of one model: what the fleet's worker knows; rank 0 asks the caller. The call of the
 * model has done more work than the worker counts between two looks at the clock. */
static bool is_fleet_interrupted(void *worker) { return lstm_cancelled(worker, INT32_MAX); }

static void run_within(struct lstm_call *call, struct lstm_worker *worker) {
    call->n_threads = 1;
    call->interrupted = worker->interrupted ? is_fleet_interrupted : NULL, call->interrupted_context = worker;
}

/* The call of one model. Sequences of full length and resets of which none is set are left out, as callers of a single
 * model leave them out. */
static struct lstm_call call_of(const struct fleet_run *run, struct lstm_worker *worker, int64_t model) {
    struct lstm_call call = *run->call;
    const int64_t B = call.B, steps = call.T * B;
    run_within(&call, worker);
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

static void pack_model(const struct fleet_run *run, int64_t model, bool backward, struct lstm_weights *weights,
                       void *packed) {
    const struct lstm_model *m = &run->call->model;
    const int64_t bytes = model * run->fleet->weights_stride * element_bytes(run->call);
    for (int64_t k = 0; k < n_entries(run->call); k++) {
        weights[k] = run->fleet->weights[k];
        lstm_move_weights(&weights[k], bytes);
    }
    lstm_pack(m, run->call->isa, backward, weights, packed);
}

static int64_t packed_bytes(struct total *t, const struct lstm_call *call, bool backward) {
    int64_t bytes = 0;
    if (lstm_packed_bytes(&call->model, call->isa, backward, &bytes)) t->overflow = true;
    return bytes;
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

static void forward_of(const struct fleet_run *run, struct lstm_worker *worker, int64_t model, char *workspace) {
    const struct lstm_fleet *fleet = run->fleet;
    struct lstm_forward a = *run->forward;
    const int64_t element = element_bytes(&a.call), h = model * state_bytes(&a.call, true);
    const int64_t c = model * state_bytes(&a.call, false);
    struct lstm_weights *weights = (struct lstm_weights *)(workspace + run->plan.weights);
    a.packed = packed_of(run, model, false, a.packed, fleet->packs, weights, workspace + run->plan.packed);
    a.workspace = workspace + run->plan.call;
    void *tape = after_out(a.tape, model * run->tape_bytes);
    a.tape = run->plan.stages_tape ? workspace + run->plan.tape : tape;
    a.x = sequence_after(a.x, model * x_bytes(run));
    a.output = sequence_after(a.output, model * fleet->output_stride * element);
    a.h_0 = after(a.h_0, h), a.c_0 = after(a.c_0, c);
    a.h_n = after_out(a.h_n, h), a.c_n = after_out(a.c_n, c);
    a.call = call_of(run, worker, model);
    lstm_forward(&a);
    if (run->plan.stages_tape) lstm_stream(tape, a.tape, run->tape_bytes);
}

static void backward_of(const struct fleet_run *run, struct lstm_worker *worker, int64_t model, char *workspace) {
    const struct lstm_fleet *fleet = run->fleet;
    struct lstm_backward a = *run->backward;
    const int64_t element = element_bytes(&a.call), h = model * state_bytes(&a.call, true);
    const int64_t c = model * state_bytes(&a.call, false), entries = n_entries(&a.call);
    const int64_t norms = model * entries * a.call.T * a.call.B * (int64_t)sizeof(double);
    struct lstm_weights *weights = (struct lstm_weights *)(workspace + run->plan.weights);
    struct lstm_weight_gradients *d = (struct lstm_weight_gradients *)(workspace + run->plan.d_weights);
    for (int64_t k = 0; k < entries; k++) {
        d[k] = a.d_weights[k];
        lstm_move_gradients(&d[k], model * fleet->gradients_stride * element);
    }
    a.d_weights = d;
    a.packed = packed_of(run, model, true, a.packed, fleet->packs, weights, workspace + run->plan.packed_backward);
    if (a.call.recompute_gates)
        a.packed_forward = packed_of(run, model, false, a.packed_forward, false, weights, workspace + run->plan.packed);
    a.workspace = workspace + run->plan.call;
    a.tape = after(a.tape, model * run->tape_bytes);
    a.x = sequence_after(a.x, model * x_bytes(run));
    a.d_output = sequence_after(a.d_output, model * fleet->d_output_stride * element);
    a.d_x = sequence_after(a.d_x, model * fleet->d_x_stride * element);
    a.h_0 = after(a.h_0, h), a.c_0 = after(a.c_0, c), a.d_h_n = after(a.d_h_n, h), a.d_c_n = after(a.d_c_n, c);
    a.d_h_0 = after_out(a.d_h_0, h), a.d_c_0 = after_out(a.d_c_0, c);
    a.d_h_norms = after_out(a.d_h_norms, norms), a.d_c_norms = after_out(a.d_c_norms, norms);
    a.call = call_of(run, worker, model);
    lstm_backward(&a);
}

static void linear_of(const struct fleet_run *run, struct lstm_worker *worker, int64_t model, char *workspace) {
    const struct lstm_fleet *fleet = run->fleet;
    struct lstm_linear a = *run->linear;
    const int64_t element = element_bytes(&a.call), weights = model * fleet->weights_stride * element;
    const int64_t gradients = model * fleet->gradients_stride * element;
    const int64_t inputs = model * a.n * a.n_inputs * element, outputs = model * a.n * a.n_outputs * element;
    run_within(&a.call, worker);
    a.workspace = workspace;
    a.x = after(a.x, inputs), a.d_x = after_out(a.d_x, inputs);
    a.y = after_out(a.y, outputs), a.d_y = after(a.d_y, outputs);
    a.weight = after(a.weight, weights), a.bias = after(a.bias, weights);
    a.d_weight = after_out(a.d_weight, gradients), a.d_bias = after_out(a.d_bias, gradients);
    lstm_linear(&a);
}

#endif
