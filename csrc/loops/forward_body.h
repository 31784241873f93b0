/* Forward over time: segments of steps, in each all layers, in each its directions, in each chunks, in each steps.
 *
 *   segment  every layer passes over it before the next begins, so that what flows between layers stays in cache and
 *            inference needs no memory that grows with T (with two directions a segment is the whole sequence)
 *   chunk    steps whose input projection is one product (hoisted) before the recurrence walks them one by one
 *
 * The running states live in h_n and in c (tape or workspace); they make every segment a continuation of the last.
 * A member of the team owns rows [row_begin, row_end) of the batch and panels [panel_begin, panel_end) of the gates: some
 * rows and all panels, and then it never waits, or all rows and some panels (enum lstm_split). */

struct NAME(forward) {
    const struct lstm_forward *args;
    struct lstm_dims d;
    struct lstm_forward_plan plan;
    struct lstm_tape tape;
    struct lstm_team team;
    bool is_staged, has_variant;
};

static REAL *NAME(scratch)(const struct NAME(forward) *f, int64_t offset) { return (REAL *)((char *)f->args->workspace + offset); }

/* One direction of one layer over one segment, as a member sees it. */
struct NAME(pass) {
    struct lstm_member *m;
    int64_t layer, direction, input_size;
    int64_t step_begin, step_end, row_begin, row_end, panel_begin, panel_end;
    bool meets; /* after each step */
    struct NAME(placed) x_place, h_place; /* with lengths: where x comes from and h goes, unless they are x and h already */
    REAL *x_steps, *h_steps;              /* and the copies of a chunk in the order of steps, else NULL */
    struct NAME(directed) x, h, gates; /* gates: by step of the whole sequence (tape) or of the chunk (workspace) */
    bool gates_are_kept;
    const void *weight_ih, *weight_hh, *weight_hr;
    const REAL *bias, *vectors;
    const struct NAME(lstm_variant) *variant; /* NULL: the plain cell */
    bool is_staged;
    struct NAME(directed) x_products, h_products; /* layer norm; x_products: of the tape, else it is the gates */
    struct NAME(restart) restart;
    REAL *h_seen, *c_seen, *unprojected; /* of one step, staged_body.h */
    REAL *h_state;                     /* (B, R): before the segment and, at the end, after it */
    REAL *c;                           /* (B, H_padded): before the first step */
    int64_t c_step_stride;             /* 0: the state is updated in place */
};

/* How much of a step one kernel call takes. */
struct NAME(bounds) {
    int64_t panel_flops, rows, panels;
};

static struct NAME(bounds) NAME(bound_calls)(const struct NAME(forward) *f, const struct NAME(pass) *p, int64_t depth) {
    const int64_t panel_flops = 2 * depth * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t rows = NAME(batch_of)(p->row_end - p->row_begin, panel_flops);
    return (struct NAME(bounds)){panel_flops, rows, NAME(batch_of)(p->panel_end - p->panel_begin, panel_flops * rows)};
}

/* One step of s->n_rows rows and the member's panels, in several kernel calls. Moves s on. False: interrupted. */
static bool NAME(run_long_step)(const struct lstm_call *call, const struct NAME(pass) *p, const struct NAME(bounds) *most,
                                struct NAME(lstm_step) *s) {
    const int64_t n_rows = s->n_rows;
    for (int64_t row = 0; row < n_rows; row += most->rows) {
        s->n_rows = n_rows - row < most->rows ? n_rows - row : most->rows;
        if (row) {
            if (s->x) s->x += most->rows * s->x_stride;
            if (s->gates) s->gates += most->rows * s->gates_stride;
            if (s->c) s->c_prev += most->rows * s->c_stride, s->c += most->rows * s->c_stride;
            s->h_prev += most->rows * s->h_prev_stride;
            s->h += most->rows * s->h_stride;
        }
        for (s->panel_begin = p->panel_begin; s->panel_begin < p->panel_end; s->panel_begin = s->panel_end) {
            s->panel_end = p->panel_end - s->panel_begin < most->panels ? p->panel_end : s->panel_begin + most->panels;
            KERNELS(call)->step(s);
            if (lstm_cancelled(p->m, most->panel_flops * (s->panel_end - s->panel_begin) * s->n_rows) && !p->meets) return false;
        }
    }
    return true;
}

/* In one, if that is short enough; its panels are set. (A step of H = 8 takes 0.1 us: each instruction counts.) */
static inline bool NAME(run_step)(const struct lstm_call *call, const struct NAME(pass) *p, const struct NAME(bounds) *most,
                                  struct NAME(lstm_step) *s) {
    const int64_t panels = s->panel_end - s->panel_begin;
    if (s->n_rows > most->rows || panels > most->panels) return NAME(run_long_step)(call, p, most, s);
    KERNELS(call)->step(s);
    return !lstm_cancelled(p->m, most->panel_flops * panels * s->n_rows) || p->meets;
}

#include "staged_body.h"

static bool NAME(forward_steps)(const struct NAME(forward) *f, const struct NAME(pass) *p, int64_t begin, int64_t end,
                                int64_t gates_from, bool is_hoisted) {
    const struct lstm_call *call = &f->args->call;
    const int64_t R = f->d.R, row = p->row_begin;
    struct NAME(lstm_step) s = {.cell = call->model.cell, .variant = p->variant,
                                .half_weights = call->model.half_weights, .input_size = p->input_size,
                                .hidden_size = call->model.hidden_size, .h_size = R,
                                .weight_ih = p->weight_ih, .weight_hh = p->weight_hh, .bias = p->bias,
                                .panel_begin = p->panel_begin, .panel_end = p->panel_end,
                                .x_stride = p->x.row_stride, .h_stride = p->h.row_stride,
                                .c_stride = f->d.H_padded, .gates_stride = p->gates.row_stride,
                                .keep_gates = p->gates_are_kept};
    const struct NAME(bounds) most = NAME(bound_calls)(f, p, R + (is_hoisted ? 0 : p->input_size));
    int64_t row_end = p->row_end;
    for (int64_t step = begin; step < end; step++) {
        const bool is_first = step == p->step_begin;
        row_end = NAME(running)(call, step, row, row_end);
        if (row_end == row) continue; /* (with lengths; nobody then meets) */
        s.n_rows = row_end - row;
        s.h_prev_stride = is_first ? R : p->h.row_stride;
        s.x = is_hoisted ? NULL : NAME(row)(&p->x, step, row);
        s.h_prev = is_first ? p->h_state + row * R : NAME(row)(&p->h, step - 1, row);
        s.h = NAME(row)(&p->h, step, row);
        if (p->gates.data) s.gates = NAME(row)(&p->gates, step - gates_from, row);
        if (p->c) {
            s.c_prev = p->c + step * p->c_step_stride + row * f->d.H_padded;
            s.c = p->c + (step + (p->c_step_stride ? 1 : 0)) * p->c_step_stride + row * f->d.H_padded;
        }
        if (!(p->is_staged ? NAME(staged_step)(f, p, &most, &s, step, gates_from) : NAME(run_step)(call, p, &most, &s)))
            return false;
        if (p->meets && !lstm_barrier(p->m)) return false;
    }
    return true;
}

/* pre = x W_ih^T + bias for steps [begin, end) into the gates, with layer norm between. Rows that lie evenly spaced become
 * one product. */
static bool NAME(project)(const struct NAME(forward) *f, const struct NAME(pass) *p, int64_t begin, int64_t end,
                          int64_t gates_from) {
    const struct lstm_call *call = &f->args->call;
    const int64_t n_steps = end - begin, n_rows = NAME(running)(call, begin, p->row_begin, p->row_end) - p->row_begin;
    const bool is_full = p->row_begin + n_rows == NAME(running)(call, end - 1, p->row_begin, p->row_end);
    struct NAME(lstm_product) product = {.depth = p->input_size, .n_columns = f->d.gates_width, .strands = 1,
                                         .panel_begin = p->panel_begin, .panel_end = p->panel_end,
                                         .b = p->weight_ih, .half_weights = f->args->call.model.half_weights,
                                         .bias = call->model.layer_norm ? NULL : p->bias,
                                         .a_stride = p->x.row_stride, .y_stride = p->gates.row_stride};
    const struct NAME(directed) *to = p->x_products.data ? &p->x_products : &p->gates;
    const bool is_even = is_full && p->x.step_stride == n_rows * p->x.row_stride && p->gates.step_stride == n_rows * p->gates.row_stride;
    const bool by_row = !is_even && n_steps > n_rows; /* few rows, many steps: one product a row */
    if (by_row) {
        product.a_stride = p->x.step_stride;
        product.y_stride = p->gates.step_stride;
    }
    product.n_rows = is_even ? n_rows * n_steps : by_row ? n_steps : n_rows;
    const int64_t n_products = is_even ? 1 : by_row ? n_rows : n_steps;
    for (int64_t k = 0; k < n_products; k++) {
        const int64_t step = begin + (by_row ? 0 : k), row = p->row_begin + (by_row ? k : 0);
        product.a = NAME(row)(&p->x, step, row);
        product.y = NAME(row)(to, step - gates_from, row);
        if (!is_full && by_row) {
            const int64_t left = NAME(length)(call, row) - begin;
            product.n_rows = left < n_steps ? left : n_steps;
        } else if (!is_full)
            product.n_rows = NAME(running)(call, step, p->row_begin, p->row_begin + n_rows) - p->row_begin;
        if (!NAME(run_product)(p->m, KERNELS(&f->args->call), &f->d, product)) return false;
    }
    for (int64_t step = begin; call->model.layer_norm && step < end; step++) {
        struct NAME(lstm_norm) norm = {.n_rows = NAME(running)(call, step, p->row_begin, p->row_begin + n_rows) - p->row_begin,
                                       .hidden_size = call->model.hidden_size, .weight = p->vectors + f->d.vectors.norm_ih,
                                       .a = NAME(row)(to, step - gates_from, p->row_begin), .start = p->bias,
                                       .y = NAME(row)(&p->gates, step - gates_from, p->row_begin),
                                       .a_stride = f->d.gates_width, .y_stride = f->d.gates_width};
        KERNELS(call)->norm(&norm);
    }
    return true;
}

/* Hoisting pays where a step has too few rows to fill a tile, or where W_ih would push W_hh out of the cache; an input
 * of one or two numbers is cheaper to take along (the gates then never go through memory). */
static bool NAME(is_worth_hoisting)(const struct NAME(forward) *f, const struct NAME(pass) *p) {
    const struct lstm_model *model = &f->args->call.model;
    if (model->layer_norm) return true; /* the norm is between this product and the recurrent one */
    const int64_t number_bytes = model->half_weights ? 2 : sizeof(REAL);
    const int64_t weight_bytes = f->d.gates_width * (p->input_size + f->d.R) * number_bytes;
    return f->plan.chunk_steps > 1 && p->step_end - p->step_begin > 1 && p->input_size > 2
           && (p->row_end - p->row_begin < KERNELS(&f->args->call)->tile_rows || weight_bytes > 384 << 10);
}

/* h after the last step of the pass, or of each row, into the running state. */
static void NAME(keep_states)(const struct NAME(forward) *f, const struct NAME(pass) *p) {
    const int64_t R = f->d.R;
    int64_t row_begin = p->row_begin, row_end = p->row_end;
    if (p->meets) lstm_share(p->m, f->args->call.B, &row_begin, &row_end);
    for (int64_t r = row_begin; r < row_end; r++) {
        const int64_t n = NAME(length)(&f->args->call, r), last = (n < p->step_end ? n : p->step_end) - 1;
        if (last >= p->step_begin) memcpy(p->h_state + r * R, NAME(row)(&p->h, last, r), (size_t)R * sizeof(REAL));
    }
}

/* Steps [begin, end) of one pass, whose input projection is one product. False: interrupted. */
static bool NAME(forward_chunk)(const struct NAME(forward) *f, const struct NAME(pass) *p, int64_t begin, int64_t end,
                                bool is_hoisted) {
    const int64_t gates_from = p->gates_are_kept ? 0 : begin;
    if (is_hoisted && !NAME(project)(f, p, begin, end, gates_from) && !p->meets) return false;
    return NAME(forward_steps)(f, p, begin, end, gates_from, is_hoisted);
}

/* A chunk with lengths: x is brought into the order of steps, h back into that of time. */
static bool NAME(forward_ragged_chunk)(const struct NAME(forward) *f, const struct NAME(pass) *whole, int64_t begin,
                                       int64_t end, bool is_hoisted) {
    const struct lstm_call *call = &f->args->call;
    const int64_t B = call->B, I = whole->input_size, R = f->d.R;
    struct NAME(pass) p = *whole;
    p.step_begin = begin;
    p.step_end = end;
    p.row_end = NAME(running)(call, begin, p.row_begin, p.row_end);
    const int64_t width = f->plan.x_steps_width;
    if (p.x_steps) p.x = (struct NAME(directed)){p.x_steps - begin * B * width, B * width, width};
    if (p.h_steps) p.h = (struct NAME(directed)){p.h_steps - begin * B * R, B * R, R};
    int64_t row_end = p.row_end;
    for (int64_t step = begin; p.x_steps && step < end; step++) {
        row_end = NAME(running)(call, step, p.row_begin, row_end);
        for (int64_t r = p.row_begin; r < row_end; r++)
            memcpy(NAME(row)(&p.x, step, r), NAME(place_of)(&p.x_place, step, r), (size_t)I * sizeof(REAL));
    }
    if (!NAME(forward_chunk)(f, &p, begin, end, is_hoisted)) return false;
    NAME(keep_states)(f, &p);
    row_end = p.row_end;
    for (int64_t step = begin; p.h_steps && step < end; step++) {
        row_end = NAME(running)(call, step, p.row_begin, row_end);
        for (int64_t r = p.row_begin; r < row_end; r++)
            memcpy(NAME(place_of)(&p.h_place, step, r), NAME(row)(&p.h, step, r), (size_t)R * sizeof(REAL));
    }
    return true;
}

static void NAME(forward_pass)(const struct NAME(forward) *f, const struct NAME(pass) *p) {
    const bool is_hoisted = NAME(is_worth_hoisting)(f, p), is_ragged = f->args->call.lengths;
    for (int64_t begin = p->step_begin, end; begin < p->step_end; begin = end) {
        end = (is_hoisted || is_ragged) && p->step_end - begin > f->plan.chunk_steps ? begin + f->plan.chunk_steps : p->step_end;
        if (!(is_ragged ? NAME(forward_ragged_chunk) : NAME(forward_chunk))(f, p, begin, end, is_hoisted)) return;
    }
    if (!is_ragged) NAME(keep_states)(f, p);
}

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
    const int64_t T = a->call.T, B = a->call.B, R = f->d.R, D = model->num_directions;
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
                           .c_step_stride = a->tape ? B * f->d.H_padded : 0,
                           .x = NAME(direct)(&x, T, direction, 0),
                           .h = NAME(direct)(&h, T, direction, direction * R)};
    char *gates = p.gates_are_kept ? (char *)a->tape + f->tape.gates + index * f->tape.gates_bytes
                                   : (char *)a->workspace + f->plan.gates + direction * f->plan.gates_bytes;
    p.gates = (struct NAME(directed)){(REAL *)gates, B * f->d.gates_width, f->d.gates_width};
    if (f->is_staged) NAME(plan_stages)(f, &p, &packed);
    if (a->call.lengths) {
        p.x_place = NAME(place)(&a->call, &x, direction, 0, layer == 0);
        p.h_place = NAME(place)(&a->call, &h, direction, direction * R, !a->tape && layer == model->num_layers - 1);
        if (layer == 0 || direction)
            p.x_steps = (REAL *)((char *)a->workspace + f->plan.x_steps + direction * f->plan.x_steps_bytes);
        if (!a->tape || direction)
            p.h_steps = (REAL *)((char *)a->workspace + f->plan.h_steps + direction * f->plan.h_steps_bytes);
    }
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
            if (c) NAME(start_row)(c + r * f->d.H_padded, H, f->d.H_padded, a->c_0 ? (const REAL *)a->c_0 + from * H : first.c);
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
            REAL *out = (REAL *)to.data + t * to.step_stride + (is_last ? b : r) * to.row_stride;
            if (is_last)
                memcpy(out, from, (size_t)W * sizeof(REAL));
            else
                NAME(drop)(&a->call, layer, t, b, W, from, out);
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
