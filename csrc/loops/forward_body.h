/* Forward over time: segments of steps, in each all layers, in each its directions, in each chunks, in each steps.
 *
 *   segment  every layer passes over it before the next begins, so that what flows between layers stays in cache and
 *            inference needs no memory that grows with T (with two directions a segment is the whole sequence)
 *   chunk    steps whose input projection is one product (hoisted) before the recurrence walks them one by one
 *
 * The running states live in h_n and in c (tape or workspace); they make every segment a continuation of the last.
 * A member of the team owns rows [row_begin, row_end) of the batch and panels [panel_begin, panel_end) of the gates: some
 * rows and all panels, and then it never waits, or all rows and some panels (enum lstm_split). */

#include "forward_steps_body.h"

/* ---- where each array of a layer lies ---- */

static REAL *NAME(forward_c)(const struct NAME(forward) *f, int64_t layer, int64_t direction) {
    const struct lstm_forward *a = f->args;
    if (a->call.model.cell != LSTM_CELL_LSTM) return NULL;
    const int64_t index = layer * a->call.model.num_directions + direction;
    return (REAL *)(a->tape ? (char *)a->tape + f->tape.c + index * f->tape.c_bytes
                            : (char *)a->workspace + f->plan.c + index * f->plan.c_bytes);
}

/* What a layer writes. The last of an inference call writes the output itself. */
static struct lstm_sequence NAME(forward_h)(const struct NAME(forward) *f, int64_t layer, int64_t segment_begin) {
    const struct lstm_forward *a = f->args;
    const int64_t W = f->d.output_width;
    if (a->tape) return (struct lstm_sequence){(char *)a->tape + f->tape.h + layer * f->tape.h_bytes, a->call.B * W, W};
    if (layer == a->call.model.num_layers - 1) return a->output;
    REAL *between = (REAL *)((char *)a->workspace + f->plan.between + layer % 2 * f->plan.between_bytes);
    return (struct lstm_sequence){between - segment_begin * a->call.B * W, a->call.B * W, W};
}

/* What a layer reads. */
static struct lstm_sequence NAME(forward_x)(const struct NAME(forward) *f, int64_t layer, int64_t segment_begin) {
    const struct lstm_forward *a = f->args;
    if (layer == 0) return a->x;
    struct lstm_sequence x = NAME(forward_h)(f, layer - 1, segment_begin);
    if (a->tape && a->call.dropout > 0) x.data = (char *)a->tape + f->tape.dropped + (layer - 1) * f->tape.h_bytes;
    return x;
}

/* Where the running h of a layer and direction is: the caller's h_n, with lengths in the order of those. */
static REAL *NAME(forward_h_state)(const struct NAME(forward) *f, int64_t index) {
    const struct lstm_forward *a = f->args;
    REAL *states = a->call.lengths ? (REAL *)((char *)a->workspace + f->plan.h_state) : (REAL *)a->h_n;
    return states + index * a->call.B * f->d.R;
}

static struct NAME(pass) NAME(forward_plan_pass)(const struct NAME(forward) *f, struct lstm_member *m, int64_t layer,
                                                 int64_t direction, int64_t begin, int64_t end) {
    const struct lstm_forward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t B = a->call.B, R = f->d.R, D = model->num_directions;
    const int64_t index = layer * D + direction;
    const bool is_lstm = model->cell == LSTM_CELL_LSTM;
    struct lstm_packed packed;
    lstm_plan_packed(model, a->call.isa, false, layer, direction, &packed);
    const struct lstm_sequence x = NAME(forward_x)(f, layer, begin), h = NAME(forward_h)(f, layer, begin);
    struct NAME(pass) p = {.m = m, .layer = layer, .direction = direction, .input_size = lstm_layer_input(model, layer),
                           .step_begin = begin, .step_end = end, .gates_are_kept = a->tape && is_lstm && !a->call.lean,
                           .weight_ih = (const char *)a->packed + packed.weight_ih,
                           .weight_hh = (const char *)a->packed + packed.weight_hh,
                           .weight_hr = (const char *)a->packed + packed.weight_hr,
                           .bias = (const REAL *)((const char *)a->packed + packed.bias),
                           .vectors = (const REAL *)((const char *)a->packed + packed.vectors),
                           .is_staged = f->is_staged,
                           .h_state = NAME(forward_h_state)(f, index),
                           .c = NAME(forward_c)(f, layer, direction),
                           .c_step_stride = a->tape ? B * f->d.H_padded : 0};
    char *gates = p.gates_are_kept ? (char *)a->tape + f->tape.gates + index * f->tape.gates_bytes
                                   : (char *)a->workspace + f->plan.gates + direction * f->plan.gates_bytes;
    p.gates = (struct NAME(directed)){.data = (REAL *)gates, .step_stride = B * f->d.gates_width, .row_stride = f->d.gates_width};
    if (f->is_staged) NAME(plan_stages)(f, &p, &packed);
    struct lstm_member rows = *m, panels = *m;
    p.meets = f->team.split == LSTM_SPLIT_UNITS && m->size > 1;
    if (p.meets)
        rows.rank = 0, rows.size = 1;
    else
        panels.rank = 0, panels.size = 1;
    if (f->team.split == LSTM_SPLIT_DIRECTIONS && m->size > 1)
        rows.rank = m->rank / D, rows.size = (m->size + D - 1 - direction) / D;
    NAME(share_rows)(&a->call, &rows, &p.row_begin, &p.row_end);
    lstm_share(&panels, NAME(n_panels)(&f->d, f->d.gates_width), &p.panel_begin, &p.panel_end);
    int64_t *at = (int64_t *)((char *)a->workspace + f->plan.places) + direction * 4 * B;
    const bool writes_output = !a->tape && layer == model->num_layers - 1;
    p.x = NAME(direct)(&a->call, &x, direction, 0, layer == 0, p.row_begin, p.row_end, at);
    p.h = NAME(direct)(&a->call, &h, direction, direction * R, writes_output, p.row_begin, p.row_end, at + 2 * B);
    return p;
}

/* ---- before and after ---- */

/* The states before the first step of rows [begin, end) into h_state and c; padding of c is zero and stays so. */
static void NAME(start_states)(const struct NAME(forward) *f, int64_t begin, int64_t end) {
    const struct lstm_forward *a = f->args;
    const int64_t H = a->call.model.hidden_size, R = f->d.R, B = a->call.B, D = a->call.model.num_directions;
    if (f->is_staged) NAME(make_recurrent_masks)(&a->call, R, begin, end, NAME(scratch)(f, f->plan.recurrent_masks));
    for (int64_t index = 0; index < a->call.model.num_layers * D; index++) {
        struct NAME(restart) first = {0};
        if (a->call.model.initial_state) {
            struct lstm_packed packed;
            lstm_plan_packed(&a->call.model, a->call.isa, false, index / D, index % D, &packed);
            first = NAME(restart_of)(&a->call, a->packed, &packed, index, NULL, R);
        }
        REAL *h = NAME(forward_h_state)(f, index), *c = NAME(forward_c)(f, index / D, index % D);
        for (int64_t r = begin; r < end; r++) {
            const int64_t from = index * B + NAME(batch_row)(&a->call, r);
            NAME(start_row)(h + r * R, R, R, a->h_0 ? (const REAL *)a->h_0 + from * R : first.h);
            if (c) NAME(start_row)(c + r * f->d.H_padded, H, f->d.H_padded,
                                   a->c_0 ? (const REAL *)a->c_0 + from * H : first.c);
        }
    }
}

static void NAME(finish_states)(const struct NAME(forward) *f, int64_t begin, int64_t end) {
    const struct lstm_forward *a = f->args;
    const int64_t H = a->call.model.hidden_size, R = f->d.R, B = a->call.B, D = a->call.model.num_directions;
    for (int64_t index = 0; index < a->call.model.num_layers * D; index++) {
        const REAL *h = NAME(forward_h_state)(f, index), *c = NAME(forward_c)(f, index / D, index % D);
        for (int64_t r = begin; r < end; r++) {
            const int64_t to = index * B + NAME(batch_row)(&a->call, r), c_row = (a->tape ? NAME(length)(&a->call, r) * B : 0) + r;
            if (a->call.lengths) memcpy((REAL *)a->h_n + to * R, h + r * R, (size_t)R * sizeof(REAL));
            if (c) memcpy((REAL *)a->c_n + to * H, c + c_row * f->d.H_padded, (size_t)H * sizeof(REAL));
        }
    }
}

/* Training: what the segment gave, dropped for the next layer or, from the last layer, copied to the caller, whose
 * array may then change without hurting the tape. */
static void NAME(hand_on)(const struct NAME(forward) *f, int64_t layer, int64_t begin, int64_t end, int64_t row_begin,
                          int64_t row_end) {
    const struct lstm_forward *a = f->args;
    const int64_t W = f->d.output_width;
    const bool is_last = layer == a->call.model.num_layers - 1;
    if (!a->tape || (!is_last && a->call.dropout == 0)) return;
    const struct lstm_sequence h = NAME(forward_h)(f, layer, begin);
    const struct lstm_sequence to = is_last ? a->output : NAME(forward_x)(f, layer + 1, begin);
    for (int64_t r = row_begin; r < row_end; r++) {
        const int64_t n = NAME(length)(&a->call, r), b = NAME(batch_row)(&a->call, r);
        for (int64_t t = begin; t < end && t < n; t++) {
            const REAL *from = (REAL *)h.data + t * h.step_stride + r * h.row_stride;
            if (is_last)
                memcpy(NAME(callers_row)(&a->call, &to, t, r), from, (size_t)W * sizeof(REAL));
            else
                NAME(drop)(&a->call, layer, t, b, W, from, (REAL *)to.data + t * to.step_stride + r * to.row_stride);
        }
    }
}

static void NAME(forward_member)(struct lstm_member *m, void *arguments) {
    const struct NAME(forward) *f = arguments;
    const struct lstm_call *call = &f->args->call;
    const int64_t T = NAME(n_steps)(call), L = call->model.num_layers, D = call->model.num_directions;
    const bool is_team = m->size > 1, waits = is_team && f->team.split != LSTM_SPLIT_ROWS;
    int64_t row_begin, row_end;
    NAME(share_rows)(call, m, &row_begin, &row_end);
    NAME(start_states)(f, row_begin, row_end);
    if (waits && !lstm_barrier(m)) return;
    for (int64_t begin = 0, end; begin < T; begin = end) {
        end = T - begin < f->plan.segment_steps ? T : begin + f->plan.segment_steps;
        for (int64_t layer = 0; layer < L; layer++) {
            for (int64_t direction = 0; direction < D; direction++) {
                if (is_team && f->team.split == LSTM_SPLIT_DIRECTIONS && direction != m->rank % D) continue;
                struct NAME(pass) p = NAME(forward_plan_pass)(f, m, layer, direction, begin, end);
                struct NAME(lstm_variant) variant;
                if (f->has_variant) variant = NAME(describe_variant)(call, &f->d, p.vectors), p.variant = &variant;
                NAME(forward_pass)(f, &p);
            }
            if (waits ? !lstm_barrier(m) : lstm_cancelled(m, 0)) return;
            NAME(hand_on)(f, layer, begin, end, row_begin, row_end);
            if (waits && call->dropout > 0 && !lstm_barrier(m)) return;
        }
    }
    NAME(finish_states)(f, row_begin, row_end);
    NAME(clear_padding)(call, &f->args->output, f->d.output_width, row_begin, row_end);
}

enum lstm_status NAME(lstm_forward)(const struct lstm_forward *args) {
    struct NAME(forward) f = {.args = args, .d = lstm_dims(&args->call.model, args->call.isa)};
    const struct lstm_call *call = &args->call;
    enum lstm_status s = lstm_plan_forward(call, args->tape != NULL, &f.plan);
    if (!s && args->tape) s = lstm_plan_tape(call, &f.tape);
    if (s) return s;
    f.is_staged = lstm_is_staged(call);
    f.has_variant = lstm_has_variant(call);
    f.team = NAME(plan_team)(call, &f.d, 1, f.is_staged);
    return lstm_parallel(call, f.team.n_threads, NAME(forward_member), &f);
}
