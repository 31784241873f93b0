/* Backward steps in stages (staged_body.h has the forward ones), from the last to the first of them. Included by
 * backward_steps_body.h. d_h and d_c are those of the step when it begins and those of the step before when it ends. */

/* As the steps of the chunk saw them: h_prev and c_prev, rows as in d_gates. */
static void NAME(see_chunk)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                            int64_t end) {
    const struct lstm_call *call = &f->args->call;
    const int64_t R = f->d.R, width = f->d.H_padded;
    for (int64_t step = begin; step < end; step++) {
        const int64_t row_end = NAME(running)(call, step, p->row_begin, p->row_end);
        for (int64_t r = p->row_begin; r < row_end; r++) {
            const int64_t k = p->first_row[step - begin] + r;
            const REAL *h_prev = step ? NAME(row)(&p->h, step - 1, r) : p->h_first + NAME(batch_row)(call, r) * R;
            if (p->h_seen) NAME(see_h)(call, &p->restart, step, r, R, h_prev, p->h_seen + k * R);
            if (p->c_seen)
                NAME(state_row)(p->c_seen + k * width, width, p->c + (step * call->B + r) * width,
                                NAME(starts_anew)(call, p->direction, step, r), p->restart.c);
        }
    }
}

static double NAME(norm_of)(int64_t n, const REAL *row) {
    double squares = 0;
    for (int64_t k = 0; k < n; k++) squares += (double)row[k] * (double)row[k];
    return __builtin_sqrt(squares);
}

/* What reaches h and c of row r at a step: d_output joins, lengths are noted, zoneout takes what goes on to the old values. */
static void NAME(gather_gradients)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                                   int64_t r,
                                   const REAL *d_output) {
    const struct lstm_backward *a = f->args;
    const struct lstm_call *call = &a->call;
    const int64_t R = f->d.R, H = call->model.hidden_size, width = f->d.H_padded;
    const int64_t t = NAME(time_of)(call, p->direction, step, r), b = NAME(batch_row)(call, r), index = p->restart.index;
    REAL *d_h = p->d_h + r * R, *d_c = p->d_c ? p->d_c + r * width : NULL;
    for (int64_t k = 0; d_output && k < R; k++) d_h[k] += d_output[k];
    const int64_t at = (index * call->T + t) * call->B + b;
    if (a->d_h_norms) a->d_h_norms[at] = NAME(norm_of)(R, d_h);
    if (a->d_c_norms) a->d_c_norms[at] = NAME(norm_of)(H, d_c);
    if (call->zoneout_h > 0)
        NAME(part_gradient)(NAME(mask)(call, call->zoneout_h, STREAM_ZONEOUT_H + (uint32_t)index, t, b), R, d_h,
                            NAME(workspace)(f, f->plan.d_h_kept) + r * R);
    if (call->zoneout_c > 0)
        NAME(part_gradient)(NAME(mask)(call, call->zoneout_c, STREAM_ZONEOUT_C + (uint32_t)index, t, b), H, d_c,
                            NAME(workspace)(f, f->plan.d_c_kept) + r * width);
}

/* The gradient of a state before a step: what zoneout kept joins, and after a reset all of it goes to the learned state. */
static void NAME(hand_back)(REAL *d, int64_t n, const REAL *mask, const REAL *kept, bool anew, REAL *d_first) {
    for (int64_t k = 0; mask && k < n; k++) d[k] *= mask[k];
    for (int64_t k = 0; kept && k < n; k++) d[k] += kept[k];
    for (int64_t k = 0; anew && d_first && k < n; k++) d_first[k] += d[k];
    if (anew) memset(d, 0, (size_t)n * sizeof(REAL));
}

static void NAME(hand_back_row)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                                int64_t r) {
    const struct lstm_call *call = &f->args->call;
    const int64_t R = f->d.R, H = call->model.hidden_size, width = f->d.H_padded;
    const bool anew = NAME(starts_anew)(call, p->direction, step,
                                        r), is_learned = call->resets && call->model.initial_state;
    const int64_t first = p->restart.index * call->B + NAME(batch_row)(call, r);
    NAME(hand_back)(p->d_h + r * R, R, p->restart.masks ? p->restart.masks + r * R : NULL,
                    call->zoneout_h > 0 ? NAME(workspace)(f, f->plan.d_h_kept) + r * R : NULL, anew,
                    is_learned ? NAME(workspace)(f, f->plan.d_first_h) + first * R : NULL);
    if (p->d_c)
        NAME(hand_back)(p->d_c + r * width, H, NULL, call->zoneout_c > 0 ? NAME(workspace)(f, f->plan.d_c_kept) + r * width : NULL,
                        anew, is_learned ? NAME(workspace)(f, f->plan.d_first_c) + first * width : NULL);
}

/* From d_h through the projection: d_h stays for the gradient of weight_hr. */
static bool NAME(project_back)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t k,
                               int64_t n_rows) {
    const int64_t R = f->d.R, H = f->args->call.model.hidden_size, stride = f->plan.d_h_new_stride;
    REAL *d_h_new = NAME(workspace)(f, f->plan.d_h_new) + k * stride;
    for (int64_t r = 0; r < n_rows; r++) NAME(start_row)(d_h_new + r * stride, R, f->d.R_padded,
                                                         p->d_h + (p->row_begin + r) * R);
    struct NAME(lstm_product) product = {.n_rows = n_rows, .depth = R, .n_columns = H, .strands = 1, .a = {d_h_new, stride, NULL},
                                         .panel_end = NAME(n_panels)(&f->d, H), .b = p->weight_hr,
                                         .y = {NAME(workspace)(f, f->plan.d_m) + p->row_begin * H, H, NULL}};
    return NAME(run_product)(p->m, KERNELS(&f->args->call), &f->d, product);
}

/* From the gates' gradients through the norms of both products; `row` is the first, k its place in the chunk. */
static void NAME(norms_back)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                             int64_t begin, int64_t row,
                             int64_t k, int64_t n_rows) {
    const int64_t width = f->d.gates_width, stride = f->plan.d_gates_stride;
    REAL *terms = NAME(workspace)(f, f->plan.vector_terms) + k * f->plan.vector_terms_stride;
    struct NAME(lstm_norm_backward) norm = {.n_rows = n_rows, .hidden_size = f->args->call.model.hidden_size,
                                            .a_stride = width, .d_stride = stride, .terms_stride = f->plan.vector_terms_stride,
                                            .a = NAME(gates_of)(f, p->x_products, step, begin) + row * width,
                                            .weight = p->vectors + f->d.vectors.norm_ih, .d = NAME(d_gates)(f, k),
                                            .d_a = NAME(workspace)(f, f->plan.d_x_products) + k * stride,
                                            .terms = terms + f->d.vectors.norm_ih};
    KERNELS(&f->args->call)->norm_backward(&norm);
    norm.a = NAME(gates_of)(f, p->h_products, step, begin) + row * width;
    norm.weight = p->vectors + f->d.vectors.norm_hh;
    norm.d_a = NAME(workspace)(f, f->plan.d_h_products) + k * stride;
    norm.terms = terms + f->d.vectors.norm_hh;
    KERNELS(&f->args->call)->norm_backward(&norm);
}

/* One step of the member's rows up to row_end. */
static bool NAME(staged_step_backward)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                                       int64_t begin, int64_t row_end) {
    const struct lstm_call *call = &f->args->call;
    const int64_t R = f->d.R, H = call->model.hidden_size, row = p->row_begin, k = p->first_row[step - begin] + row;
    const bool is_normed = call->model.layer_norm;
    struct NAME(lstm_step_backward) s = NAME(describe_step)(f, p, step, begin);
    if (row_end <= row) return true;
    for (int64_t r = row; r < row_end; r++) NAME(gather_gradients)(f, p, step, r,
                                                                   p->d_output.data ? NAME(row)(&p->d_output, step, r) : NULL);
    if (call->model.proj_size) {
        if (!NAME(project_back)(f, p, k, row_end - row)) return false;
        s.d_h_next = NAME(workspace)(f, f->plan.d_m);
        s.d_h_next_stride = H;
        s.m = NAME(workspace)(f, f->plan.m) + p->first_row[step - begin] * H;
    }
    NAME(go_to_rows)(p, &s, step, row, row_end);
    s.d_output.data = NULL; /* gathered */
    s.panel_end = NAME(n_panels)(&f->d, H);
    (is_normed ? KERNELS(call)->cell_backward : KERNELS(call)->step_backward)(&s);
    if (is_normed) NAME(norms_back)(f, p, step, begin, row, k, s.n_rows);
    REAL *d_products = is_normed ? NAME(workspace)(f, f->plan.d_h_products) + k * f->plan.d_gates_stride : s.d_gates;
    struct NAME(lstm_product) product = {.n_rows = s.n_rows, .depth = H, .n_columns = R, .strands = (int)f->d.n_gates,
                                         .panel_end = NAME(n_panels)(&f->d, R), .b = p->weight_hh,
                                         .a = {d_products, f->plan.d_gates_stride, NULL}, .y = {p->d_h + row * R, R, NULL}};
    if (!NAME(run_product)(p->m, KERNELS(call), &f->d, product)) return false;
    for (int64_t r = row; r < row_end; r++) NAME(hand_back_row)(f, p, step, r);
    return true;
}
