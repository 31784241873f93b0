/* Backward over time: segments from the last to the first, in each all layers from the top, in each its directions, in
 * each chunks of steps. For a chunk:
 *
 *   1. the recurrence: step by step, d_h and d_c through the cell into d_gates (chunk buffer), each member its own rows or,
 *      with few rows, its own units
 *   2. d_h before the chunk and d_x from d_gates, the same rows or its own columns
 *   3. weight gradients: [x | h_prev | 1]^T d_gates as products over up to LSTM_GRADIENT_ROWS rows, each member its own panels
 *      of the result, which has the layout of the packed weights until the end; the sum over (t, b) runs in the reverse
 *      order of steps and rows, so the chunk length changes no bit
 *
 * Running gradients of the states live in d_h_0 (the caller's) and d_c (workspace). */

#include "backward_steps_body.h"
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
        NAME(bring_rows)(f, p, begin, end, &p->d_output_place, f->args->call.model.hidden_size, p->d_output_steps);
        NAME(bring_rows)(f, p, begin, end, &p->h, f->args->call.model.hidden_size, p->h_steps);
        if (NAME(backward_steps)(f, p, begin, end)) NAME(backward_inputs)(f, p, begin, end);
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

/* Where the running d_h of a layer and direction is: the caller's d_h_0, with lengths in the order of those. */
static REAL *NAME(running_d_h)(const struct NAME(backward) *f, int64_t index) {
    REAL *d_h = f->args->call.lengths ? NAME(workspace)(f, f->plan.d_h) : (REAL *)f->args->d_h_0;
    return d_h + index * f->args->call.B * f->args->call.model.hidden_size;
}

static struct NAME(backward_pass) NAME(backward_plan_pass)(const struct NAME(backward) *f, struct lstm_member *m,
                                                           int64_t layer, int64_t direction, int64_t segment_begin) {
    const struct lstm_backward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t T = a->call.T, B = a->call.B, H = model->hidden_size, W = f->d.output_width;
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
    struct NAME(backward_pass) p = {.m = m, .input_size = lstm_layer_input(model, layer), .adds_to_d_x = direction > 0,
                                    .weight_ih = (const REAL *)((const char *)a->packed + packed.weight_ih),
                                    .weight_hh = (const REAL *)((const char *)a->packed + packed.weight_hh),
                                    .h_first = a->h_0 ? (const REAL *)a->h_0 + index * B * H
                                                      : NAME(workspace)(f, f->plan.zero_h),
                                    .d_h = NAME(running_d_h)(f, index),
                                    .d_weight_ih = NAME(workspace)(f, f->plan.d_packed + sums.weight_ih),
                                    .d_weight_hh = NAME(workspace)(f, f->plan.d_packed + sums.weight_hh),
                                    .d_bias = NAME(workspace)(f, f->plan.d_packed + sums.bias),
                                    .x = NAME(place)(&a->call, &x, direction, 0, layer == 0),
                                    .h = NAME(place)(&a->call, &h, direction, direction * H, false)};
    if (d_output.data) p.d_output = NAME(direct)(&d_output, T, direction, direction * H);
    if (d_x.data) p.d_x = NAME(direct)(&d_x, T, direction, 0);
    if (a->call.lengths) {
        p.d_output_place = NAME(place)(&a->call, &d_output, direction, direction * H, layer == model->num_layers - 1);
        p.d_x_place = NAME(place)(&a->call, &d_x, direction, 0, layer == 0);
        if (d_output.data) p.d_output_steps = NAME(workspace)(f, f->plan.d_output_steps);
        if (d_x.data) p.d_x_steps = NAME(workspace)(f, f->plan.d_x_steps);
        if (!is_lstm && direction) p.h_steps = NAME(workspace)(f, f->plan.h_steps);
    }
    if (is_lstm) {
        p.gates = (const REAL *)(tape + f->tape.gates + index * f->tape.gates_bytes);
        p.c = (const REAL *)(tape + f->tape.c + index * f->tape.c_bytes);
        p.d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
    }
    p.meets = f->team.split == LSTM_SPLIT_UNITS && m->size > 1;
    p.row_end = B;
    if (!p.meets) NAME(share_rows)(&a->call, m, &p.row_begin, &p.row_end);
    return p;
}

/* ---- before, between and after ---- */

static void NAME(start_gradients)(const struct NAME(backward) *f, int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const int64_t H = a->call.model.hidden_size, B = a->call.B, width = f->d.H_padded;
    memset(NAME(workspace)(f, f->plan.zero_h) + begin * H, 0, (size_t)((end - begin) * H) * sizeof(REAL));
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++)
        for (int64_t r = begin; r < end; r++) {
            const int64_t from = (index * B + NAME(batch_row)(&a->call, r)) * H;
            REAL *d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
            NAME(start_row)(NAME(running_d_h)(f, index) + r * H, H, H, a->d_h_n ? (const REAL *)a->d_h_n + from : NULL);
            if (a->call.model.cell == LSTM_CELL_LSTM)
                NAME(start_row)(d_c + r * width, H, width, a->d_c_n ? (const REAL *)a->d_c_n + from : NULL);
        }
}

static void NAME(finish_gradients)(const struct NAME(backward) *f, int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const int64_t H = a->call.model.hidden_size, B = a->call.B;
    const size_t n = (size_t)H * sizeof(REAL);
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++)
        for (int64_t r = begin; r < end; r++) {
            const int64_t to = (index * B + NAME(batch_row)(&a->call, r)) * H;
            const REAL *d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
            if (a->call.lengths) memcpy((REAL *)a->d_h_0 + to, NAME(running_d_h)(f, index) + r * H, n);
            if (a->call.model.cell == LSTM_CELL_LSTM) memcpy((REAL *)a->d_c_0 + to, d_c + r * f->d.H_padded, n);
        }
    NAME(clear_padding)(&a->call, &a->d_x, a->call.model.input_size, begin, end);
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

/* The packed sums into the caller's arrays; zeros when there was nothing to sum. */
static void NAME(unpack_gradients)(const struct NAME(backward) *f, const struct lstm_member *m) {
    const struct lstm_backward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t H = model->hidden_size, D = model->num_directions;
    for (int64_t index = 0; index < model->num_layers * D; index++) {
        struct lstm_packed sums;
        lstm_plan_packed(model, a->call.isa, false, index / D, index % D, &sums);
        const struct lstm_weight_gradients *w = a->d_weights + index;
        const REAL *packed = NAME(n_steps)(&a->call) && a->call.B ? NAME(workspace)(f, f->plan.d_packed) : NULL;
#define SUMS(name) (packed ? (const REAL *)((const char *)packed + sums.name) : NULL)
        NAME(unpack_forward)(&f->d, m, H, lstm_layer_input(model, index / D), SUMS(weight_ih), w->d_weight_ih);
        NAME(unpack_forward)(&f->d, m, H, H, SUMS(weight_hh), w->d_weight_hh);
        if (w->d_bias) NAME(unpack_forward)(&f->d, m, H, 1, SUMS(bias), w->d_bias);
#undef SUMS
    }
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
    for (int64_t k = 0; m->rank == 0 && k < f->plan.depth * LSTM_LARGEST_TILE; k++) NAME(workspace)(f, f->plan.ones)[k] = 1;
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
    NAME(unpack_gradients)(f, m); /* panels that this member summed itself */
}

enum lstm_status NAME(lstm_backward)(const struct lstm_backward *args) {
    struct NAME(backward) f = {.args = args, .d = lstm_dims(&args->call.model, args->call.isa)};
    const struct lstm_call *call = &args->call;
    enum lstm_status s = lstm_plan_backward(call, &f.plan);
    if (!s) s = lstm_plan_tape(call, &f.tape);
    if (s) return s;
    f.team = NAME(plan_team)(call, &f.d, 2);
    return lstm_parallel(call, f.team.n_threads, NAME(backward_member), &f);
}
