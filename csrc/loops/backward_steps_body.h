/* Backward, parts 1 and 2 (backward_body.h says of what): the recurrence of a chunk, and the gradients of its inputs. */

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
    int64_t input_size, row_begin, row_end;
    bool meets; /* after each step: members share units instead of rows */
    const int64_t *first_row; /* of each step of the chunk, among all of its rows that run: first_row[n] is their number */
    struct NAME(directed) d_output, d_x;
    struct NAME(placed) x, h, d_output_place, d_x_place;
    REAL *d_output_steps, *d_x_steps, *h_steps; /* with lengths: copies of a chunk in the order of steps, else NULL */
    bool adds_to_d_x; /* the second direction */
    const REAL *weight_ih, *weight_hh, *h_first;
    const REAL *gates, *c; /* of the tape, step 0 */
    REAL *d_h, *d_c;       /* running, (B, H) and (B, H_padded) */
    REAL *d_weight_ih, *d_weight_hh, *d_bias; /* packed */
    bool is_first_product; /* nothing in them yet */
};

static REAL *NAME(workspace)(const struct NAME(backward) *f, int64_t offset) {
    return (REAL *)((char *)f->args->workspace + offset);
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

/* One step of rows [row, row_end), all of which have a next step in this chunk, or none. */
static bool NAME(backward_step)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                                int64_t begin, int64_t row, int64_t row_end, bool has_next) {
    const struct lstm_model *model = &f->args->call.model;
    const int64_t B = f->args->call.B, H = model->hidden_size;
    const struct lstm_range panels = NAME(panels_of)(f, p, H);
    const int64_t panel_flops = 2 * f->d.n_gates * H * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t rows_step = NAME(batch_of)(row_end - row, panel_flops);
    const int64_t panel_step = NAME(batch_of)(panels.end - panels.begin, panel_flops * rows_step);
    struct NAME(lstm_step_backward) s = {.cell = model->cell, .hidden_size = H, .weight_hh = p->weight_hh,
                                         .d_gates_stride = f->plan.d_gates_stride, .d_h_next_stride = H,
                                         .d_output_stride = p->d_output_steps ? H : p->d_output.row_stride,
                                         .gates_stride = f->d.gates_width,
                                         .c_stride = f->d.H_padded, .h_stride = p->h_steps ? H : p->h.row_stride};
    for (; row < row_end; row += rows_step) {
        const int64_t k = p->first_row[step - begin] + row;
        s.n_rows = row_end - row < rows_step ? row_end - row : rows_step;
        s.d_gates = NAME(d_gates)(f, k);
        s.d_gates_next = has_next ? NAME(d_gates)(f, p->first_row[step + 1 - begin] + row) : NULL;
        s.d_h_next = p->d_h + row * H;
        s.d_output = !p->d_output.data ? NULL : p->d_output_steps ? p->d_output_steps + k * H : NAME(row)(&p->d_output, step, row);
        if (p->c) {
            s.gates = p->gates + (step * B + row) * f->d.gates_width;
            s.c_prev = p->c + (step * B + row) * f->d.H_padded;
            s.c = s.c_prev + B * f->d.H_padded;
            s.d_c = p->d_c + row * f->d.H_padded;
        } else
            s.h = p->h_steps ? p->h_steps + k * H : NAME(place_of)(&p->h, step, row);
        for (s.panel_begin = panels.begin; s.panel_begin < panels.end; s.panel_begin = s.panel_end) {
            s.panel_end = panels.end - s.panel_begin < panel_step ? panels.end : s.panel_begin + panel_step;
            KERNELS(&f->args->call)->step_backward(&s);
            if (lstm_cancelled(p->m, panel_flops * (s.panel_end - s.panel_begin) * s.n_rows) && !p->meets) return false;
        }
    }
    return true;
}

static bool NAME(backward_steps)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                                 int64_t end) {
    for (int64_t step = end - 1; step >= begin; step--) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        const int64_t next_end = step == end - 1 ? p->row_begin
                                                 : NAME(running)(&f->args->call, step + 1, p->row_begin, row_end);
        if (!NAME(backward_step)(f, p, step, begin, p->row_begin, next_end, true)
            || !NAME(backward_step)(f, p, step, begin, next_end, row_end, false))
            return false;
        if (p->meets && !lstm_barrier(p->m)) return false;
    }
    return true;
}

/* With lengths: rows of a sequence in the order of time into the order of steps, those that run, n numbers each. */
static void NAME(bring_rows)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                             int64_t end, const struct NAME(placed) *from, int64_t n, REAL *to) {
    for (int64_t step = begin; to && from->data && step < end; step++) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        for (int64_t r = p->row_begin; r < row_end; r++)
            memcpy(to + (p->first_row[step - begin] + r) * n, NAME(place_of)(from, step, r), (size_t)n * sizeof(REAL));
    }
}

/* And back; a second direction adds. */
static void NAME(return_rows)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                              int64_t end, const REAL *from, int64_t n, const struct NAME(placed) *to) {
    for (int64_t step = begin; from && step < end; step++) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        for (int64_t r = p->row_begin; r < row_end; r++) {
            const REAL *row = from + (p->first_row[step - begin] + r) * n;
            REAL *at = NAME(place_of)(to, step, r);
            for (int64_t k = 0; k < n; k++) at[k] = p->adds_to_d_x ? at[k] + row[k] : row[k];
        }
    }
}

/* d_h before the chunk, and d_x of its steps. */
static bool NAME(backward_inputs)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                                  int64_t end) {
    const struct lstm_call *call = &f->args->call;
    const int64_t H = call->model.hidden_size, I = p->input_size;
    const int64_t n_rows = NAME(running)(call, begin, p->row_begin, p->row_end) - p->row_begin;
    const struct lstm_range h_panels = NAME(panels_of)(f, p, H), x_panels = NAME(panels_of)(f, p, I);
    struct NAME(lstm_product) product = {.panel_begin = h_panels.begin, .panel_end = h_panels.end, .n_rows = n_rows,
                                         .depth = H, .n_columns = H, .strands = (int)f->d.n_gates,
                                         .a = NAME(d_gates)(f, p->first_row[0] + p->row_begin), .b = p->weight_hh,
                                         .y = p->d_h + p->row_begin * H, .a_stride = f->plan.d_gates_stride,
                                         .y_stride = H};
    if (!NAME(run_product)(p->m, KERNELS(call), &f->d, product)) return false;
    if (!p->d_x.data) return true;
    product.b = p->weight_ih;
    product.panel_begin = x_panels.begin;
    product.panel_end = x_panels.end;
    product.n_columns = I;
    product.y_stride = p->d_x_steps ? I : p->d_x.row_stride;
    product.add = p->adds_to_d_x && !p->d_x_steps;
    /* All rows of a chunk lie together: one product, if they are all this member's and d_x is as even. */
    const bool has_all = p->row_begin == 0 && p->row_end == call->B;
    const bool is_even = has_all && (p->d_x_steps || p->d_x.step_stride == n_rows * p->d_x.row_stride);
    for (int64_t step = begin; step < end; step += is_even ? end - begin : 1) {
        const int64_t k = p->first_row[step - begin] + p->row_begin;
        product.n_rows = is_even ? p->first_row[end - begin] : NAME(running)(call, step, p->row_begin, p->row_end) - p->row_begin;
        product.a = NAME(d_gates)(f, k);
        product.y = p->d_x_steps ? p->d_x_steps + k * I : NAME(row)(&p->d_x, step, p->row_begin);
        if (!NAME(run_product)(p->m, KERNELS(call), &f->d, product)) return false;
    }
    NAME(return_rows)(f, p, begin, end, p->d_x_steps, I, &p->d_x_place);
    return true;
}
