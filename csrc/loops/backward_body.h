/* Backward over time: segments from the last to the first, in each all layers from the top, in each its directions, in
 * each chunks of steps. For a chunk:
 *
 *   0. a lean tape: its gates are made again, all members sharing the steps
 *   1. the recurrence: step by step, d_h and d_c through the cell into d_gates (chunk buffer), each member its own rows or,
 *      with few rows, its own units
 *   2. d_h before the chunk and d_x from d_gates, the same rows or its own columns
 *   3. weight gradients: [x | h_prev | 1]^T d_gates as products over up to LSTM_GRADIENT_ROWS rows, each member its own panels
 *      of the result, which has the layout of the packed weights until the end; the sum over (t, b) runs in the reverse
 *      order of steps and rows, so the chunk length changes no bit
 *
 * Running gradients of the states live in d_h_0 (the caller's) and d_c (workspace). */

#include "backward_steps_body.h"
#include "lean_body.h"
#include "weight_gradients_body.h"

static bool NAME(run_backward_pass)(const struct NAME(backward) *f, struct NAME(backward_pass) *p, int64_t step_begin,
                                int64_t step_end) {
    for (int64_t end = step_end, begin; end > step_begin; end = begin) {
        begin = end - step_begin > f->plan.chunk_steps ? end - f->plan.chunk_steps : step_begin;
        int64_t first_row[LSTM_GRADIENT_ROWS + 1];
        first_row[0] = 0;
        for (int64_t step = begin; step < end; step++)
            first_row[step + 1 - begin] = first_row[step - begin] + NAME(running)(&f->args->call, step, 0, f->args->call.B);
        p->first_row = first_row;
        NAME(see_chunk)(f, p, begin, end);
        if (f->args->call.lean && p->c && !NAME(make_gates)(f, p, p->restart.index, begin, end)) return false;
        if (NAME(backward_steps)(f, p, begin, end) && NAME(backward_h)(f, p, begin)) NAME(backward_x)(f, p, begin, end);
        if (!NAME(weight_gradients)(f, p, begin, end)) return false;
    }
    return true;
}

/* ---- where each array of a layer lies ---- */

/* The gradient that a layer hands down: the caller's d_x, or one of two buffers of a segment between layers. */
static struct lstm_sequence NAME(backward_d_x)(const struct NAME(backward) *f, int64_t layer, int64_t segment_begin) {
    const struct lstm_backward *a = f->args;
    const int64_t W = f->d.output_width, B = a->call.B;
    if (layer == 0) return a->d_x;
    REAL *between = NAME(workspace)(f, f->plan.between + layer % 2 * f->plan.between_bytes);
    return (struct lstm_sequence){between - segment_begin * B * W, B * W, W};
}

static bool NAME(is_staged_backward)(const struct lstm_backward *a) { return lstm_is_staged(&a->call) || a->d_h_norms; }

/* h before the first step, (B, R): the caller's, or what start_gradients has written. */
static REAL *NAME(first_h)(const struct NAME(backward) *f, int64_t index) {
    const int64_t n = f->args->call.B * f->d.R;
    if (f->args->h_0) return (REAL *)f->args->h_0 + index * n;
    return NAME(workspace)(f, f->plan.first_h) + (f->args->call.model.initial_state ? index * n : 0);
}

/* Where the running d_h of a layer and direction is: the caller's d_h_0, with lengths in the order of those. */
static REAL *NAME(running_d_h)(const struct NAME(backward) *f, int64_t index) {
    REAL *d_h = f->args->call.lengths ? NAME(workspace)(f, f->plan.d_h) : (REAL *)f->args->d_h_0;
    return d_h + index * f->args->call.B * f->d.R;
}

static struct NAME(backward_pass) NAME(backward_plan_pass)(const struct NAME(backward) *f, struct lstm_member *m,
                                                           int64_t layer, int64_t direction, int64_t segment_begin) {
    const struct lstm_backward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t B = a->call.B, R = f->d.R, W = f->d.output_width;
    const int64_t index = layer * model->num_directions + direction;
    const bool is_lstm = model->cell == LSTM_CELL_LSTM;
    const char *tape = a->tape;
    struct lstm_packed packed, sums;
    lstm_plan_packed(model, a->call.isa, true, layer, direction, &packed);
    lstm_plan_packed(model, a->call.isa, false, layer, direction, &sums);
    const struct lstm_sequence h = {(char *)tape + f->tape.h + layer * f->tape.h_bytes, B * W, W};
    const struct lstm_sequence below = {(char *)tape + (a->call.dropout > 0 ? f->tape.dropped : f->tape.h)
                                            + (layer - 1) * f->tape.h_bytes, B * W, W};
    const struct lstm_sequence x = layer == 0 ? a->x : below;
    const struct lstm_sequence d_output = layer == model->num_layers - 1 ? a->d_output
                                                                         : NAME(backward_d_x)(f, layer + 1, segment_begin);
    const struct lstm_sequence d_x = NAME(backward_d_x)(f, layer, segment_begin);
#define PACKED(name) (const REAL *)((const char *)a->packed + packed.name)
    struct NAME(backward_pass) p = {.m = m, .direction = direction, .input_size = lstm_layer_input(model, layer),
                                    .adds_to_d_x = direction > 0, .is_staged = NAME(is_staged_backward)(a),
                                    .has_variant = is_lstm && (lstm_has_variant(&a->call) || model->proj_size),
                                    .weight_ih = PACKED(weight_ih), .weight_hh = PACKED(weight_hh), .weight_hr = PACKED(weight_hr),
                                    .vectors = PACKED(vectors),
                                    .restart = NAME(restart_of)(&a->call, a->packed, &packed, index,
                                                                NAME(workspace)(f, f->plan.recurrent_masks), R),
                                    .h_first = NAME(first_h)(f, index),
                                    .d_h = NAME(running_d_h)(f, index),
                                    .d_weight_ih = NAME(workspace)(f, f->plan.d_packed + sums.weight_ih),
                                    .d_weight_hh = NAME(workspace)(f, f->plan.d_packed + sums.weight_hh),
                                    .d_weight_hr = NAME(workspace)(f, f->plan.d_packed + sums.weight_hr),
                                    .d_bias = NAME(workspace)(f, f->plan.d_packed + sums.bias),
                                    .d_vectors = NAME(workspace)(f, f->plan.d_packed + sums.vectors)};
#undef PACKED
    if (p.has_variant) p.variant = NAME(describe_variant)(&a->call, &f->d, p.vectors);
    const bool is_ragged_lean = a->call.lean && is_lstm && a->call.lengths;
    if (lstm_changes_states(&a->call) || is_ragged_lean) p.h_seen = NAME(workspace)(f, f->plan.h_seen);
    if (a->call.resets && is_lstm) p.c_seen = NAME(workspace)(f, f->plan.c_seen);
    if (is_lstm) {
        const int64_t gates = index * f->tape.gates_bytes;
        const bool is_lean = a->call.lean;
        p.gates = is_lean ? NAME(workspace)(f, f->plan.gates) : (const REAL *)(tape + f->tape.gates + gates);
        p.x_products = is_lean ? NAME(workspace)(f, f->plan.x_products) : (const REAL *)(tape + f->tape.x_products + gates);
        p.h_products = is_lean ? NAME(workspace)(f, f->plan.h_products) : (const REAL *)(tape + f->tape.h_products + gates);
        p.c = (const REAL *)(tape + f->tape.c + index * f->tape.c_bytes);
        p.d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
    }
    p.meets = f->team.split == LSTM_SPLIT_UNITS && m->size > 1;
    p.row_end = B;
    if (!p.meets) NAME(share_rows)(&a->call, m, &p.row_begin, &p.row_end);
    /* The places of a member's own rows; the others' are there when all have met. */
    int64_t *at = (int64_t *)((char *)a->workspace + f->plan.places);
    const bool is_last = layer == model->num_layers - 1;
    p.x = NAME(direct)(&a->call, &x, direction, 0, layer == 0, p.row_begin, p.row_end, at);
    p.h = NAME(direct)(&a->call, &h, direction, direction * R, false, p.row_begin, p.row_end, at + 2 * B);
    p.d_output = NAME(direct)(&a->call, &d_output, direction, direction * R, is_last, p.row_begin, p.row_end, at + 4 * B);
    p.d_x = NAME(direct)(&a->call, &d_x, direction, 0, layer == 0, p.row_begin, p.row_end, at + 6 * B);
    p.places = at + 8 * B;
    return p;
}

/* ---- before, between and after ---- */

static void NAME(start_gradients)(const struct NAME(backward) *f, int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const struct lstm_call *call = &a->call;
    const int64_t H = call->model.hidden_size, R = f->d.R, B = call->B, width = f->d.H_padded;
    const bool is_learned = call->resets && call->model.initial_state;
    NAME(make_recurrent_masks)(call, R, begin, end, NAME(workspace)(f, f->plan.recurrent_masks));
    for (int64_t index = 0; index < call->model.num_layers * call->model.num_directions; index++) {
        struct lstm_packed packed;
        lstm_plan_packed(&call->model, call->isa, true, index / call->model.num_directions,
                         index % call->model.num_directions, &packed);
        const struct NAME(restart) first = NAME(restart_of)(call, a->packed, &packed, index, NULL, R);
        REAL *d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
        for (int64_t r = begin; r < end; r++) {
            const int64_t b = NAME(batch_row)(call, r), from = index * B + b;
            if (!a->h_0) NAME(start_row)(NAME(first_h)(f, index) + b * R, R, R, first.h);
            NAME(start_row)(NAME(running_d_h)(f, index) + r * R, R, R, a->d_h_n ? (const REAL *)a->d_h_n + from * R : NULL);
            if (is_learned) NAME(start_row)(NAME(workspace)(f, f->plan.d_first_h) + from * R, R, R, NULL);
            if (call->model.cell != LSTM_CELL_LSTM) continue;
            NAME(start_row)(d_c + r * width, H, width, a->d_c_n ? (const REAL *)a->d_c_n + from * H : NULL);
            if (is_learned) NAME(start_row)(NAME(workspace)(f, f->plan.d_first_c) + from * width, width, width, NULL);
        }
    }
}

static void NAME(finish_gradients)(const struct NAME(backward) *f, int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const int64_t H = a->call.model.hidden_size, R = f->d.R, B = a->call.B;
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++)
        for (int64_t r = begin; r < end; r++) {
            const int64_t to = index * B + NAME(batch_row)(&a->call, r);
            const REAL *d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
            if (a->call.lengths) memcpy((REAL *)a->d_h_0 + to * R, NAME(running_d_h)(f, index) + r * R,
                                        (size_t)R * sizeof(REAL));
            if (a->call.model.cell == LSTM_CELL_LSTM)
                memcpy((REAL *)a->d_c_0 + to * H, d_c + r * f->d.H_padded, (size_t)H * sizeof(REAL));
        }
    NAME(clear_padding)(&a->call, &a->d_x, a->call.model.input_size, begin, end);
}

/* sum over the batch, from the first row to the last: of d_start where the learned state was the first of the sequence, and
 * of what resets handed to it. */
static void NAME(sum_first)(int64_t B, int64_t n, const REAL *d_start, const REAL *d_first, int64_t first_stride,
                            REAL *sum) {
    memset(sum, 0, (size_t)n * sizeof(REAL));
    for (int64_t b = 0; b < B; b++)
        for (int64_t k = 0; k < n; k++) sum[k] += (d_start ? d_start[b * n + k] : 0) + (d_first ? d_first[b * first_stride + k] : 0);
}

/* The gradients of the learned states; all rows are finished. */
static void NAME(learned_gradients)(const struct NAME(backward) *f) {
    const struct lstm_backward *a = f->args;
    const int64_t H = a->call.model.hidden_size, R = f->d.R, B = a->call.B, width = f->d.H_padded;
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++) {
        const struct lstm_weight_gradients *w = a->d_weights + index;
        const REAL *d_first_h = a->call.resets ? NAME(workspace)(f, f->plan.d_first_h) + index * B * R : NULL;
        const REAL *d_first_c = a->call.resets ? NAME(workspace)(f, f->plan.d_first_c) + index * B * width : NULL;
        NAME(sum_first)(B, R, a->h_0 ? NULL : (const REAL *)a->d_h_0 + index * B * R, d_first_h, R, w->d_h_0);
        if (a->call.model.cell == LSTM_CELL_LSTM)
            NAME(sum_first)(B, H, a->c_0 ? NULL : (const REAL *)a->d_c_0 + index * B * H, d_first_c, width, w->d_c_0);
    }
}

/* The gradient of what `layer - 1` gave, back through the dropout that stood between. */
static void NAME(drop_gradient)(const struct NAME(backward) *f, int64_t layer, int64_t begin, int64_t end,
                                int64_t row_begin, int64_t row_end) {
    const struct lstm_call *call = &f->args->call;
    const struct lstm_sequence d = NAME(backward_d_x)(f, layer, begin);
    if (layer == 0 || call->dropout == 0) return;
    for (int64_t r = row_begin; r < row_end; r++)
        for (int64_t t = begin; t < end && t < NAME(length)(call, r); t++) {
            REAL *row = (REAL *)d.data + t * d.step_stride + r * d.row_stride;
            NAME(drop)(call, layer - 1, t, NAME(batch_row)(call, r), f->d.output_width, row, row);
        }
}

/* The packed sums of a layer and direction into the caller's arrays, those that this member summed itself; zeros when there was
 * nothing to sum. */
static void NAME(unpack_sums)(const struct NAME(backward) *f, const struct lstm_member *m, int64_t index) {
    const struct lstm_backward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t H = model->hidden_size, R = f->d.R, D = model->num_directions;
    struct lstm_packed sums;
    lstm_plan_packed(model, a->call.isa, false, index / D, index % D, &sums);
    const struct lstm_weight_gradients *w = a->d_weights + index;
    const struct lstm_dims one = NAME(without_gates)(&f->d, f->d.H_padded), into_h = NAME(without_gates)(&f->d, f->d.R_padded);
    const char *packed = NAME(n_steps)(&a->call) && a->call.B ? (const char *)NAME(workspace)(f, f->plan.d_packed) : NULL;
#define SUMS(name) (packed ? (const REAL *)(packed + sums.name) : NULL)
#define VECTOR(name) (packed ? (const REAL *)(packed + sums.vectors) + f->d.vectors.name : NULL)
    NAME(unpack_forward)(&f->d, m, H, lstm_layer_input(model, index / D), SUMS(weight_ih), w->d_weight_ih);
    NAME(unpack_forward)(&f->d, m, H, R, SUMS(weight_hh), w->d_weight_hh);
    if (w->d_bias_ih) NAME(unpack_forward)(&f->d, m, H, 1, SUMS(bias), w->d_bias_ih);
    if (w->d_bias_hh) NAME(unpack_forward)(&f->d, m, H, 1, SUMS(bias), w->d_bias_hh);
    if (model->proj_size) NAME(unpack_forward)(&into_h, m, R, H, SUMS(weight_hr), w->d_weight_hr);
    if (m->rank || !f->d.vectors.width) return; /* the vectors are short: one member, when all are done */
    const struct lstm_member all = {.size = 1};
    for (int64_t k = 0; model->peepholes && k < 3; k++)
        NAME(unpack_forward)(&one, &all, H, 1, packed ? VECTOR(peephole) + k * f->d.H_padded : NULL,
                             (REAL *)w->d_weight_peephole + k * H);
    if (!model->layer_norm) return;
    NAME(unpack_forward)(&f->d, &all, H, 1, VECTOR(norm_ih), w->d_norm_ih_weight);
    NAME(unpack_forward)(&f->d, &all, H, 1, VECTOR(norm_hh), w->d_norm_hh_weight);
    NAME(unpack_forward)(&one, &all, H, 1, VECTOR(norm_c), w->d_norm_c_weight);
    NAME(unpack_forward)(&one, &all, H, 1, VECTOR(norm_c_bias), w->d_norm_c_bias);
#undef SUMS
#undef VECTOR
}

static void NAME(backward_member)(struct lstm_member *m, void *arguments) {
    const struct NAME(backward) *f = arguments;
    const struct lstm_call *call = &f->args->call;
    int64_t row_begin, row_end;
    const int64_t T = NAME(n_steps)(call);
    NAME(share_rows)(call, m, &row_begin, &row_end);
    NAME(start_gradients)(f, row_begin, row_end);
    const bool shares_units = m->size > 1 && f->team.split == LSTM_SPLIT_UNITS;
    if (shares_units && !lstm_barrier(m)) return;
    for (int64_t end = T, begin; end > 0; end = begin) {
        begin = end > f->plan.segment_steps ? end - f->plan.segment_steps : 0;
        for (int64_t layer = call->model.num_layers - 1; layer >= 0; layer--) {
            for (int64_t direction = 0; direction < call->model.num_directions; direction++) {
                struct NAME(backward_pass) p = NAME(backward_plan_pass)(f, m, layer, direction, begin);
                p.is_first_product = end == T;
                if (!NAME(run_backward_pass)(f, &p, begin, end)) return;
            }
            NAME(drop_gradient)(f, layer, begin, end, row_begin, row_end);
            if (shares_units && call->dropout > 0 && !lstm_barrier(m)) return;
        }
    }
    NAME(finish_gradients)(f, row_begin, row_end);
    for (int64_t index = 0; index < call->model.num_layers * call->model.num_directions; index++) NAME(unpack_sums)(f, m, index);
    if (call->model.initial_state && lstm_barrier(m) && m->rank == 0) NAME(learned_gradients)(f);
}

enum lstm_status NAME(lstm_backward)(const struct lstm_backward *args) {
    struct NAME(backward) f = {.args = args, .d = lstm_dims(&args->call.model, args->call.isa)};
    const struct lstm_call *call = &args->call;
    enum lstm_status s = lstm_plan_backward(call, &f.plan);
    if (!s) s = lstm_plan_tape(call, &f.tape);
    if (s) return s;
    f.team = NAME(plan_team)(call, &f.d, 2, NAME(is_staged_backward)(args));
    return lstm_parallel(call, f.team.n_threads, NAME(backward_member), &f);
}
