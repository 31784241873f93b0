/* When a fleet runs with a model in each lane, and the arguments of such a group (lane_args.h). */
#ifndef LSTM_FLEET_LANES_H
#define LSTM_FLEET_LANES_H

#include "fleet_model.h"
#include "lane_args.h"
#include "loops/loops.h"
#include "lstm_fast.h"
#include "lstm_fleet.h"
#include "plan.h"
#include "sizes.h"

/* Where the tapes of a group are larger, only single models keep their tapes in the caches, and lanes gain less. */
#define LANES_WIDE_BYTES (2 << 20)

/* Models of a group, which share a vector; 0: each model runs alone. The number is the same for forward with a tape and
 * backward. Vectors of units are faster where they are full, all the more where several rows share the weights:
 * measured on a Xeon with AVX-512, T = 20, forward and backward, float32, lanes over vectors of units: H = 12, 16, 24,
 * 32: B = 1 1.9, 1.7, 1.4, 0.95; B = 4 1.7, 1.4, 1.3, 0.9; B = 8 1.5, 1.2, 1.05; T = 100, B = 8, H = 16, whose tapes
 * are large, 0.9; inference of B = 8 1.25, 0.9. With AVX2, H = 8, 12, 16: B = 1 2.1, 1.9, 1.5; B = 4 1.5, 1.5, 1.2;
 * B = 8 1.4, 1.4. */
static int64_t models_of_group(const struct lstm_fleet *fleet, const struct lstm_call *call, bool training) {
    const struct lstm_model *m = &call->model;
    if (!fleet->lanes || fleet->lanes->vector_bytes < LSTM_LEAST_LANE_BYTES || !lstm_dims(m, call->isa).has_c
        || m->format != LSTM_FORMAT_REAL || m->num_layers > 1 || m->num_directions > 1 || m->initial_state
        || m->index_input || call->lengths || call->recompute_gates || call->T < 1 || call->B < 1
        || lstm_has_stages(call) || lstm_has_variant(call))
        return 0;
    const int64_t V = fleet->lanes->vector_bytes / element_bytes(call), H = m->hidden_size;
    const double tapes = 7.0 * (double)H * (double)call->T * (double)call->B * (double)fleet->lanes->vector_bytes;
    const bool is_narrow = training ? tapes > LANES_WIDE_BYTES : call->B >= 8;
    const int64_t most = is_narrow ? 3 * V / 4 : call->B >= 8 ? V : 3 * V / 2; /* units */
    return H <= most && fleet->n_models >= V ? V : 0;
}

static int64_t lanes_bytes(struct total *t, const struct lstm_fleet *fleet, const struct lstm_call *call, bool training,
                           bool backward) {
    const struct lstm_model *m = &call->model;
    if (!models_of_group(fleet, call, training)) return 0;
    if (is_too_large(m) || call->B > LSTM_LARGEST_SIZE) { /* (units are few) */
        t->overflow = true;
        return 0;
    }
    return times(t, lstm_lanes_vectors(call->B, m->input_size, m->hidden_size, backward), fleet->lanes->vector_bytes);
}

static struct lstm_lane_sequence lane_sequence(struct lstm_sequence s, int64_t model, int64_t stride, int64_t element) {
    return (struct lstm_lane_sequence){after_out(s.data, model * stride * element), stride, s.step_stride,
                                       s.row_stride};
}

/* What forward and backward have in common: the group that begins with this model. */
static struct lstm_lanes lanes_at(const struct fleet_run *run, struct lstm_worker *worker, int64_t model,
                                  char *workspace) {
    const struct lstm_call *call = run->call;
    struct lstm_lanes a = {.T = call->T,
                           .B = call->B,
                           .input_size = call->model.input_size,
                           .hidden_size = call->model.hidden_size,
                           .weights = *run->fleet->weights,
                           .weights_stride = run->fleet->weights_stride,
                           .gradients_stride = run->fleet->gradients_stride,
                           .workspace = workspace,
                           .worker = worker};
    lstm_move_weights(&a.weights, model * a.weights_stride * element_bytes(call));
    return a;
}

static void run_lanes(const struct fleet_run *run, const struct lstm_lanes *lanes, bool backward) {
    const bool is_float = run->call->model.dtype == LSTM_F32;
    (is_float ? lstm_lanes_f32 : lstm_lanes_f64)(run->fleet->lanes, lanes, backward);
}

/* The packed weights of a group where the caller keeps them: in later calls its models may run alone. They use their
 * workspace before the lanes use theirs, which is the same memory. */
static void pack_group(const struct fleet_run *run, int64_t model, bool backward, const void *packed, char *workspace) {
    if (!run->fleet->packs || !packed) return;
    struct lstm_weights *weights = (struct lstm_weights *)(workspace + run->plan.weights);
    for (int64_t k = model; k < model + run->group_size; k++) packed_of(run, k, backward, packed, true, weights, NULL);
}

static void forward_group(const struct fleet_run *run, struct lstm_worker *worker, int64_t model, char *workspace) {
    const struct lstm_forward *f = run->forward;
    const int64_t element = element_bytes(&f->call), state = model * state_bytes(&f->call, false);
    pack_group(run, model, false, f->packed, workspace);
    struct lstm_lanes a = lanes_at(run, worker, model, workspace);
    a.x = lane_sequence(f->x, model, run->fleet->x_stride, element);
    a.output = lane_sequence(f->output, model, run->fleet->output_stride, element);
    a.h_0 = after(f->h_0, state), a.c_0 = after(f->c_0, state);
    a.h_n = after_out(f->h_n, state), a.c_n = after_out(f->c_n, state);
    a.tape = after_out(f->tape, model * run->tape_bytes);
    run_lanes(run, &a, false);
}

static void backward_group(const struct fleet_run *run, struct lstm_worker *worker, int64_t model, char *workspace) {
    const struct lstm_backward *b = run->backward;
    const int64_t element = element_bytes(&b->call), state = model * state_bytes(&b->call, false);
    const int64_t norms = model * b->call.T * b->call.B * (int64_t)sizeof(double);
    const int64_t gradients = model * run->fleet->gradients_stride * element;
    pack_group(run, model, true, b->packed, workspace);
    struct lstm_lanes a = lanes_at(run, worker, model, workspace);
    a.x = lane_sequence(b->x, model, run->fleet->x_stride, element);
    a.d_output = lane_sequence(b->d_output, model, run->fleet->d_output_stride, element);
    a.d_x = lane_sequence(b->d_x, model, run->fleet->d_x_stride, element);
    a.h_0 = after(b->h_0, state), a.d_h_n = after(b->d_h_n, state), a.d_c_n = after(b->d_c_n, state);
    a.d_h_0 = after_out(b->d_h_0, state), a.d_c_0 = after_out(b->d_c_0, state);
    a.d_h_norms = after_out(b->d_h_norms, norms), a.d_c_norms = after_out(b->d_c_norms, norms);
    a.d_weights = *b->d_weights;
    lstm_move_gradients(&a.d_weights, gradients);
    a.tape = (void *)after(b->tape, model * run->tape_bytes);
    run_lanes(run, &a, true);
}

#endif
