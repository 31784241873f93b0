/* Forward, one direction of one layer: chunks of steps, each step one kernel call or, staged_body.h, several. */

struct NAME(forward) {
    const struct lstm_forward *args;
    struct lstm_dims d;
    struct lstm_forward_plan plan;
    struct lstm_tape tape;
    struct lstm_team team;
    bool is_staged, has_variant;
};

static REAL *NAME(scratch)(const struct NAME(forward) *f,
                           int64_t offset) { return (REAL *)((char *)f->args->workspace + offset); }

/* One direction of one layer over one segment, as a member sees it. */
struct NAME(pass) {
    struct lstm_member *m;
    int64_t layer, direction, input_size;
    int64_t step_begin, step_end, row_begin, row_end, panel_begin, panel_end;
    bool meets; /* after each step */
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

/* One step of s->n_rows rows and the member's panels, in several kernel calls. False: interrupted. */
static bool NAME(run_long_step)(const struct lstm_call *call, const struct NAME(pass) *p, const struct NAME(bounds) *most,
                                const struct NAME(lstm_step) *whole) {
    struct NAME(lstm_step) s = *whole;
    for (int64_t row = 0; row < whole->n_rows; row += most->rows) {
        s.n_rows = whole->n_rows - row < most->rows ? whole->n_rows - row : most->rows;
        if (s.x.data) s.x = NAME(rows_after)(whole->x, row);
        if (s.gates) s.gates = whole->gates + row * s.gates_stride;
        if (s.c) s.c_prev = whole->c_prev + row * s.c_stride, s.c = whole->c + row * s.c_stride;
        s.h_prev = NAME(rows_after)(whole->h_prev, row);
        s.h = NAME(rows_after)(whole->h, row);
        for (s.panel_begin = p->panel_begin; s.panel_begin < p->panel_end; s.panel_begin = s.panel_end) {
            s.panel_end = p->panel_end - s.panel_begin < most->panels ? p->panel_end : s.panel_begin + most->panels;
            KERNELS(call)->step(&s);
            if (lstm_cancelled(p->m, most->panel_flops * (s.panel_end - s.panel_begin) * s.n_rows)
                && !p->meets) return false;
        }
    }
    return true;
}

/* In one, if that is short enough; its panels are set. (A step of H = 8 takes 0.1 us: each instruction counts.) */
static inline bool NAME(run_step)(const struct lstm_call *call, const struct NAME(pass) *p, const struct NAME(bounds) *most,
                                  const struct NAME(lstm_step) *s) {
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
                                .c_stride = f->d.H_padded, .gates_stride = p->gates.row_stride,
                                .keep_gates = p->gates_are_kept};
    const struct NAME(bounds) most = NAME(bound_calls)(f, p, R + (is_hoisted ? 0 : p->input_size));
    int64_t row_end = p->row_end;
    for (int64_t step = begin; step < end; step++) {
        const bool is_first = step == p->step_begin;
        row_end = NAME(running)(call, step, row, row_end);
        if (row_end == row) continue; /* (with lengths; nobody then meets) */
        s.n_rows = row_end - row;
        s.falling = step & 1;
        if (!is_hoisted) s.x = NAME(rows)(&p->x, step, row, row_end);
        s.h_prev = is_first ? (struct NAME(lstm_rows)){p->h_state + row * R, R, NULL} : NAME(rows)(&p->h, step - 1, row, row_end);
        s.h = NAME(rows)(&p->h, step, row, row_end);
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
                                         .bias = call->model.layer_norm ? NULL : p->bias};
    const struct NAME(directed) *to = p->x_products.data ? &p->x_products : &p->gates;
    const bool is_even = is_full && !p->x.at && !p->x.packed_rows && p->x.step_stride == n_rows * p->x.row_stride
                         && p->gates.step_stride == n_rows * p->gates.row_stride;
    const bool by_row = !is_even && !p->x.packed_rows && n_steps > n_rows; /* few rows, many steps: one product a row */
    product.n_rows = is_even ? n_rows * n_steps : by_row ? n_steps : n_rows;
    const int64_t n_products = is_even ? 1 : by_row ? n_rows : n_steps;
    for (int64_t k = 0; k < n_products; k++) {
        const int64_t step = begin + (by_row ? 0 : k), row = p->row_begin + (by_row ? k : 0);
        if (!is_full && by_row) {
            const int64_t left = NAME(length)(call, row) - begin;
            product.n_rows = left < n_steps ? left : n_steps;
        } else if (!is_full)
            product.n_rows = NAME(running)(call, step, p->row_begin, p->row_begin + n_rows) - p->row_begin;
        product.a = NAME(rows)(&p->x, step, row, row + product.n_rows);
        product.y = NAME(rows)(to, step - gates_from, row, row + product.n_rows);
        if (by_row) {
            product.a = (struct NAME(lstm_rows)){NAME(row)(&p->x, step, row), p->x.step_stride, NULL};
            product.y.stride = to->step_stride;
        }
        if (!NAME(run_product)(p->m, KERNELS(&f->args->call), &f->d, product)) return false;
    }
    for (int64_t step = begin; call->model.layer_norm && step < end; step++) {
        struct NAME(lstm_norm) norm = {.n_rows = NAME(running)(call, step, p->row_begin,
                                                               p->row_begin + n_rows) - p->row_begin,
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

static void NAME(forward_pass)(const struct NAME(forward) *f, const struct NAME(pass) *p) {
    const bool is_hoisted = NAME(is_worth_hoisting)(f, p);
    const int64_t steps = is_hoisted ? f->plan.chunk_steps : f->args->call.T;
    for (int64_t begin = p->step_begin, end; begin < p->step_end; begin = end) {
        end = p->step_end - begin > steps ? begin + steps : p->step_end;
        if (!NAME(forward_chunk)(f, p, begin, end, is_hoisted)) return;
    }
    NAME(keep_states)(f, p);
}
