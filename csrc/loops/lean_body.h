/* A lean tape keeps h and c alone: the gates of a chunk are made again before its steps go backward, with the same bits, as
 * each is a function of x, h_prev and c_prev of its row alone. That makes big products of small ones: one kernel call takes
 * all rows of many steps. */

struct NAME(making) {
    const REAL *weight_ih, *weight_hh, *bias, *vectors; /* packed for forward */
};

/* Rows of one run, evenly spaced: x, h_prev and c_prev in, gates (and products before the norm) out. */
static bool NAME(make_rows)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p,
                            const struct NAME(making) *with,
                            struct NAME(lstm_step) s, int64_t at) {
    const struct lstm_call *call = &f->args->call;
    const struct NAME(lstm_kernels) *kernels = KERNELS(call);
    const int64_t width = f->d.gates_width, panels = NAME(n_panels)(&f->d, width);
    REAL *x_products = NAME(workspace)(f, f->plan.x_products) + at * width, *h_products = NAME(workspace)(f, f->plan.h_products) + at * width;
    if (!call->model.layer_norm) {
        const int64_t row_flops = 2 * (s.h_size + s.input_size) * width, n_rows = s.n_rows, step = NAME(batch_of)(n_rows, row_flops);
        s.panel_end = panels;
        for (int64_t row = 0; row < n_rows; row += step) {
            s.n_rows = n_rows - row < step ? n_rows - row : step;
            kernels->step(&s);
            s.x = NAME(rows_after)(s.x, step), s.h_prev = NAME(rows_after)(s.h_prev, step), s.c_prev += step * s.c_stride;
            s.gates += step * width;
            if (lstm_cancelled(p->m, row_flops * s.n_rows)) return false;
        }
        return true;
    }
    struct NAME(lstm_product) product = {.n_rows = s.n_rows, .depth = s.input_size, .n_columns = width, .strands = 1,
                                         .panel_end = panels,
                                         .a = s.x, .b = with->weight_ih, .y = {x_products, width, NULL}};
    if (!NAME(run_product)(p->m, kernels, &f->d, product)) return false;
    product.depth = s.h_size, product.a = s.h_prev, product.b = with->weight_hh, product.y.data = h_products;
    if (!NAME(run_product)(p->m, kernels, &f->d, product)) return false;
    struct NAME(lstm_norm) norm = {.n_rows = s.n_rows, .hidden_size = s.hidden_size, .a = x_products, .a_stride = width,
                                   .start = with->bias,
                                   .weight = with->vectors + f->d.vectors.norm_ih, .y = s.gates, .y_stride = width};
    kernels->norm(&norm);
    norm.a = h_products, norm.start = s.gates, norm.start_stride = width, norm.weight = with->vectors + f->d.vectors.norm_hh;
    kernels->norm(&norm);
    kernels->cell(&s);
    return true;
}

/* All gates of the chunk. Members share its steps, and come and leave together. False: interrupted. */
static bool NAME(make_gates)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t index,
                             int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const struct lstm_call *call = &a->call;
    const int64_t B = call->B, R = f->d.R, I = p->input_size, width = f->d.gates_width;
    struct lstm_packed packed;
    lstm_plan_packed(&call->model, call->isa, false, index / call->model.num_directions, p->direction, &packed);
#define PACKED(name) (const REAL *)((const char *)a->packed_forward + packed.name)
    const struct NAME(making) with = {PACKED(weight_ih), PACKED(weight_hh), PACKED(bias), PACKED(vectors)};
#undef PACKED
    int64_t first, last;
    if (!lstm_barrier(p->m)) return false; /* the states that a chunk sees are there; nobody still reads the gates of the last one */
    lstm_share(p->m, end - begin, &first, &last);
    for (int64_t step = begin + first, n_steps; step < begin + last; step += n_steps) {
        /* Steps whose rows lie evenly spaced are one run; the first of all has its h_prev elsewhere. */
        const bool is_even = !call->lengths && p->x.step_stride == B * p->x.row_stride && p->h.step_stride == B * p->h.row_stride
                             && (step > 0 || p->h_seen);
        n_steps = is_even ? begin + last - step : 1;
        const int64_t k = p->first_row[step - begin], at = (step - begin) * B, n_rows = p->first_row[step + n_steps - begin] - k;
        struct NAME(directed) x = p->x;
        x.room[0] = x.room[1] = p->places + k; /* of this step alone: others may be at another one */
        struct NAME(lstm_step) s = {.cell = call->model.cell, .variant = p->has_variant ? &p->variant : NULL,
                                    .n_rows = n_rows,
                                    .input_size = I, .hidden_size = call->model.hidden_size, .h_size = R,
                                    .weight_ih = with.weight_ih, .weight_hh = with.weight_hh, .bias = with.bias,
                                    .x = NAME(rows)(&x, step, 0, n_rows),
                                    .h_prev = {p->h_seen ? p->h_seen + k * R : (REAL *)p->h_first, R, NULL},
                                    .c_prev = p->c_seen ? p->c_seen + k * f->d.H_padded : p->c + step * B * f->d.H_padded,
                                    .c = NAME(workspace)(f, f->plan.made_c) + at * f->d.H_padded,
                                    .h = {NAME(workspace)(f, f->plan.made_h) + at * call->model.hidden_size,
                                          call->model.hidden_size, NULL},
                                    .gates = NAME(workspace)(f, f->plan.gates) + at * width,
                                    .c_stride = f->d.H_padded, .gates_stride = width,
                                    .keep_gates = true};
        if (step && !p->h_seen) s.h_prev = NAME(rows)(&p->h, step - 1, 0, n_rows);
        if (n_rows && !NAME(make_rows)(f, p, &with, s, at)) break;
    }
    return lstm_barrier(p->m);
}
