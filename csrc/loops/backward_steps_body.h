/* Backward, parts 1 and 2 (backward_body.h says of what): the recurrence of a chunk, fused (staged_backward_body.h has the
 * other), and the gradients of its inputs. */

struct NAME(backward) {
    const struct lstm_backward *args;
    struct lstm_dims d;
    struct lstm_backward_plan plan;
    struct lstm_tape tape;
    struct lstm_team team;
};

/* One direction of one layer, as a member sees it. Steps are those of the direction. */
struct NAME(backward_pass) {
    struct lstm_member *m;
    int64_t direction, input_size, row_begin, row_end;
    bool is_staged, has_variant;
    bool meets; /* after each step: members share units instead of rows */
    const int64_t *first_row; /* of each step of the chunk, among all of its rows that run: first_row[n] is their number */
    struct NAME(directed) x, h, d_output, d_x;
    int64_t *places; /* with lengths: room for those of all rows of a chunk, numbered as by first_row */
    bool adds_to_d_x; /* the second direction */
    const REAL *weight_ih, *weight_hh, *weight_hr, *vectors, *h_first;
    struct NAME(lstm_variant) variant;
    struct NAME(restart) restart;
    const REAL *gates, *x_products, *h_products; /* of the tape, step 0; of a lean one, the first of the chunk */
    const REAL *c;         /* of the tape, step 0 */
    REAL *h_seen, *c_seen; /* of the chunk, as its steps saw h_prev and c_prev; NULL: as the tape has them */
    REAL *d_h, *d_c;       /* running, (B, R) and (B, H_padded) */
    REAL *d_weight_ih, *d_weight_hh, *d_weight_hr, *d_bias, *d_vectors; /* packed */
    bool is_first_product; /* nothing in them yet */
};

static REAL *NAME(workspace)(const struct NAME(backward) *f, int64_t offset) {
    return (REAL *)((char *)f->args->workspace + offset);
}

/* Of (T, B) rows of gates that the tape keeps, the first of a step; a lean one keeps none, and they are those of a chunk. */
static const REAL *NAME(gates_of)(const struct NAME(backward) *f, const REAL *gates, int64_t step, int64_t begin) {
    return gates + (f->args->call.lean ? step - begin : step) * f->args->call.B * f->d.gates_width;
}

/* d_gates of the k-th row of the chunk. */
static REAL *NAME(d_gates)(const struct NAME(backward) *f, int64_t k) {
    return NAME(workspace)(f, f->plan.d_gates) + k * f->plan.d_gates_stride;
}

/* A member's panels of n columns: all, if it has its own rows. */
static struct lstm_range NAME(panels_of)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t n) {
    struct lstm_range panels = {0, NAME(n_panels)(&f->d, n)};
    if (p->meets) lstm_share(p->m, panels.end, &panels.begin, &panels.end);
    return panels;
}

/* What all rows of a step share; the pointers are those of row 0. */
static struct NAME(lstm_step_backward) NAME(describe_step)(const struct NAME(backward) *f,
                                                           const struct NAME(backward_pass) *p, int64_t step,
                                                           int64_t begin) {
    const struct lstm_model *model = &f->args->call.model;
    const int64_t k = p->first_row[step - begin], B = f->args->call.B, width = f->d.H_padded;
    struct NAME(lstm_step_backward) s = {.cell = model->cell, .variant = p->has_variant ? &p->variant : NULL,
                                         .hidden_size = model->hidden_size, .weight_hh = p->weight_hh, .falling = step & 1,
                                         .d_gates_stride = f->plan.d_gates_stride, .d_h_next_stride = f->d.R,
                                         .gates_stride = f->d.gates_width, .terms_stride = f->plan.vector_terms_stride,
                                         .c_stride = width,
                                         .d_gates = NAME(d_gates)(f, k), .d_h_next = p->d_h,
                                         .terms = NAME(workspace)(f,
                                                                  f->plan.vector_terms) + k * f->plan.vector_terms_stride};
    if (p->c) {
        s.gates = NAME(gates_of)(f, p->gates, step, begin);
        s.c_prev = p->c_seen ? p->c_seen + k * width : p->c + step * B * width;
        s.c = p->c + (step + 1) * B * width;
        s.d_c = p->d_c;
    }
    if (step > begin) {
        s.gates_step = B * f->d.gates_width;
        s.c_step = B * width;
        s.d_output_step = p->d_output.step_stride;
    }
    return s;
}

/* Moves the pointers on to rows [row, end). */
static void NAME(go_to_rows)(const struct NAME(backward_pass) *p, struct NAME(lstm_step_backward) *s, int64_t step, int64_t row,
                             int64_t end) {
    s->n_rows = end - row;
    s->d_gates += row * s->d_gates_stride;
    s->d_h_next += row * s->d_h_next_stride;
    s->terms += row * s->terms_stride;
    if (s->d_gates_next) s->d_gates_next += row * s->d_gates_stride;
    if (p->d_output.data) s->d_output = NAME(rows)(&p->d_output, step, row, end);
    if (s->m) s->m += row * s->hidden_size;
    if (p->c) {
        s->gates += row * s->gates_stride;
        s->c_prev += row * s->c_stride;
        s->c += row * s->c_stride;
        s->d_c += row * s->c_stride;
    } else
        s->h = NAME(rows)(&p->h, step, row, end);
}

/* One step of rows [row, row_end), all of which have a next step in this chunk, or none. */
static bool NAME(backward_step)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                                int64_t begin, int64_t row, int64_t row_end, bool has_next) {
    const int64_t H = f->args->call.model.hidden_size;
    const struct lstm_range panels = NAME(panels_of)(f, p, H);
    const int64_t panel_flops = 2 * f->d.n_gates * H * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t rows_step = NAME(batch_of)(row_end - row, panel_flops);
    const int64_t panel_step = NAME(batch_of)(panels.end - panels.begin, panel_flops * rows_step);
    struct NAME(lstm_step_backward) whole = NAME(describe_step)(f, p, step, begin);
    if (has_next) whole.d_gates_next = NAME(d_gates)(f, p->first_row[step + 1 - begin]);
    for (; row < row_end; row += rows_step) {
        struct NAME(lstm_step_backward) s = whole;
        NAME(go_to_rows)(p, &s, step, row, row_end - row < rows_step ? row_end : row + rows_step);
        for (s.panel_begin = panels.begin; s.panel_begin < panels.end; s.panel_begin = s.panel_end) {
            s.panel_end = panels.end - s.panel_begin < panel_step ? panels.end : s.panel_begin + panel_step;
            KERNELS(&f->args->call)->step_backward(&s);
            if (lstm_cancelled(p->m, panel_flops * (s.panel_end - s.panel_begin) * s.n_rows) && !p->meets) return false;
        }
    }
    return true;
}

#include "staged_backward_body.h"

static bool NAME(backward_steps)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                                 int64_t end) {
    for (int64_t step = end - 1; step >= begin; step--) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        const int64_t next_end = step == end - 1 ? p->row_begin
                                                 : NAME(running)(&f->args->call, step + 1, p->row_begin, row_end);
        if (p->is_staged) {
            if (!NAME(staged_step_backward)(f, p, step, begin, row_end)) return false;
        } else if (!NAME(backward_step)(f, p, step, begin, p->row_begin, next_end, true)
            || !NAME(backward_step)(f, p, step, begin, next_end, row_end, false))
            return false;
        if (p->meets && !lstm_barrier(p->m)) return false;
    }
    return true;
}

/* d_h before the chunk, unless the stages of its first step have given it. */
static bool NAME(backward_h)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin) {
    const struct lstm_call *call = &f->args->call;
    const int64_t R = f->d.R;
    const struct lstm_range panels = NAME(panels_of)(f, p, R);
    struct NAME(lstm_product) product = {.panel_begin = panels.begin, .panel_end = panels.end,
                                         .n_rows = NAME(running)(call, begin, p->row_begin, p->row_end) - p->row_begin,
                                         .depth = call->model.hidden_size, .n_columns = R, .strands = (int)f->d.n_gates,
                                         .a = {NAME(d_gates)(f, p->first_row[0] + p->row_begin), f->plan.d_gates_stride, NULL},
                                         .b = p->weight_hh, .y = {p->d_h + p->row_begin * R, R, NULL}};
    return p->is_staged || NAME(run_product)(p->m, KERNELS(call), &f->d, product);
}

/* All rows of d_x that run in a chunk. */
static struct NAME(lstm_rows) NAME(rows_of_chunk)(const struct NAME(backward_pass) *p, int64_t begin, int64_t end) {
    int64_t *at = p->places;
    for (int64_t step = begin; step < end; step++)
        for (int64_t r = 0; r < p->first_row[step + 1 - begin] - p->first_row[step - begin]; r++)
            *at++ = NAME(row)(&p->d_x, step, r) - p->d_x.data;
    return (struct NAME(lstm_rows)){p->d_x.data, 0, p->places};
}

/* d_x of the steps of a chunk, whose rows that run lie one after the other: one product, if they are all this member's and
 * d_x is as even or, with lengths, the place of each is noted. A second direction adds. */
static bool NAME(backward_x)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                             int64_t end) {
    const struct lstm_call *call = &f->args->call;
    const int64_t I = p->input_size;
    const struct lstm_range panels = NAME(panels_of)(f, p, I);
    if (!p->d_x.data) return true;
    REAL *d_products = call->model.layer_norm ? NAME(workspace)(f, f->plan.d_x_products) : NAME(d_gates)(f, 0);
    struct NAME(lstm_product) product = {.panel_begin = panels.begin, .panel_end = panels.end,
                                         .depth = call->model.hidden_size, .n_columns = I, .strands = (int)f->d.n_gates,
                                         .b = p->weight_ih, .add = p->adds_to_d_x};
    const bool has_all = p->row_begin == 0 && p->row_end == call->B;
    const bool is_one = has_all && (call->lengths || p->d_x.step_stride == call->B * p->d_x.row_stride);
    for (int64_t step = begin; step < end; step += is_one ? end - begin : 1) {
        const int64_t k = p->first_row[step - begin] + p->row_begin;
        product.n_rows = is_one ? p->first_row[end - begin] : NAME(running)(call, step, p->row_begin,
                                                                            p->row_end) - p->row_begin;
        product.a = (struct NAME(lstm_rows)){d_products + k * f->plan.d_gates_stride, f->plan.d_gates_stride, NULL};
        product.y = is_one && call->lengths ? NAME(rows_of_chunk)(p, begin, end)
                                            : NAME(rows)(&p->d_x, step, p->row_begin, p->row_begin + product.n_rows);
        if (!NAME(run_product)(p->m, KERNELS(call), &f->d, product)) return false;
    }
    return true;
}
