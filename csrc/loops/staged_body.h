/* Forward steps in stages, for what acts on whole rows. Included by forward_steps_body.h.
 *
 *   1. h_prev and c_prev as the step sees them: after resets, h_prev after recurrent dropout (states_body.h)
 *   2. the fused step; with layer norm instead the recurrent product, its norm, the cell
 *   3. the projection
 *   4. zoneout: the old values where they are kept */

/* Where the stages of a pass keep what they need. */
static void NAME(plan_stages)(const struct NAME(forward) *f, struct NAME(pass) *p, const struct lstm_packed *packed) {
    const struct lstm_forward *a = f->args;
    const int64_t B = a->call.B, width = f->d.gates_width, direction = p->direction;
    const int64_t index = p->layer * a->call.model.num_directions + direction;
    p->restart = NAME(restart_of)(&a->call, a->packed, packed, index, NAME(scratch)(f, f->plan.recurrent_masks), f->d.R);
    p->h_seen = NAME(scratch)(f, f->plan.h_seen + direction * f->plan.h_seen_bytes);
    p->c_seen = NAME(scratch)(f, f->plan.c_seen + direction * f->plan.c_seen_bytes);
    p->unprojected = NAME(scratch)(f, f->plan.m + direction * f->plan.m_bytes);
    if (!a->call.model.layer_norm) return;
    p->h_products = (struct NAME(directed)){.data = NAME(scratch)(f, f->plan.h_products + direction * f->plan.h_products_bytes),
                                            .row_stride = width};
    if (!p->gates_are_kept) return;
    REAL *x_products = (REAL *)((char *)a->tape + f->tape.x_products + index * f->tape.gates_bytes);
    REAL *h_products = (REAL *)((char *)a->tape + f->tape.h_products + index * f->tape.gates_bytes);
    p->x_products = (struct NAME(directed)){.data = x_products, .step_stride = B * width, .row_stride = width};
    p->h_products = (struct NAME(directed)){.data = h_products, .step_stride = B * width, .row_stride = width};
}

/* Gates before the activation from the recurrent product and its norm, then the cell. */
static bool NAME(normed_step)(const struct NAME(forward) *f, const struct NAME(pass) *p, const struct NAME(lstm_step) *s,
                              REAL *h_products) {
    struct NAME(lstm_product) product = {.n_rows = s->n_rows, .depth = s->h_size, .n_columns = f->d.gates_width,
                                         .strands = 1,
                                         .panel_begin = p->panel_begin, .panel_end = p->panel_end, .b = s->weight_hh,
                                         .half_weights = s->half_weights, .a = s->h_prev,
                                         .y = {h_products, f->d.gates_width, NULL}};
    if (!NAME(run_product)(p->m, KERNELS(&f->args->call), &f->d, product)) return false;
    struct NAME(lstm_norm) norm = {.n_rows = s->n_rows, .hidden_size = s->hidden_size, .a = h_products, .start = s->gates,
                                   .y = s->gates,
                                   .a_stride = f->d.gates_width, .start_stride = s->gates_stride, .y_stride = s->gates_stride,
                                   .weight = p->vectors + f->d.vectors.norm_hh};
    KERNELS(&f->args->call)->norm(&norm);
    KERNELS(&f->args->call)->cell(s);
    return true;
}

/* What the rows of a step see of the states before it. */
static void NAME(see_states)(const struct NAME(forward) *f, const struct NAME(pass) *p, int64_t step,
                             struct NAME(lstm_step) *s) {
    const struct lstm_call *call = &f->args->call;
    const int64_t R = f->d.R, width = f->d.H_padded;
    for (int64_t k = 0; k < s->n_rows; k++) {
        const int64_t r = p->row_begin + k;
        NAME(see_h)(call, &p->restart, step, r, R, s->h_prev.data + NAME(place)(&s->h_prev, k), p->h_seen + r * R);
        if (call->resets && p->c)
            NAME(state_row)(p->c_seen + r * width, width, s->c_prev + k * width,
                            NAME(starts_anew)(call, p->direction, step, r), p->restart.c);
    }
    s->h_prev = (struct NAME(lstm_rows)){p->h_seen + p->row_begin * R, R, NULL};
    if (call->resets && p->c) s->c_prev = p->c_seen + p->row_begin * width;
}

/* before: the fused step that a plain cell would take. (Not inlined: it would slow down the loop of those.) */
static __attribute__((noinline)) bool NAME(staged_step)(const struct NAME(forward) *f, const struct NAME(pass) *p,
                                                        const struct NAME(bounds) *most, const struct NAME(lstm_step) *before,
                                                        int64_t step, int64_t gates_from) {
    const struct lstm_call *call = &f->args->call;
    const int64_t H = call->model.hidden_size, R = f->d.R, row = p->row_begin;
    struct NAME(lstm_step) s = *before;
    if (lstm_changes_states(call)) NAME(see_states)(f, p, step, &s);
    if (call->model.proj_size) s.h = (struct NAME(lstm_rows)){p->unprojected + row * H, H, NULL};
    const int64_t products_step = p->x_products.data ? step - gates_from : 0;
    if (!(call->model.layer_norm ? NAME(normed_step)(f, p, &s, NAME(row)(&p->h_products, products_step, row))
                                 : NAME(run_step)(call, p, most, &s)))
        return false;
    struct NAME(lstm_product) projection = {.n_rows = s.n_rows, .depth = H, .n_columns = R, .strands = 1,
                                            .half_weights = s.half_weights,
                                            .panel_end = NAME(n_panels)(&f->d, R), .a = s.h, .b = p->weight_hr,
                                            .y = before->h};
    if (call->model.proj_size && !NAME(run_product)(p->m, KERNELS(call), &f->d, projection)) return false;
    const uint32_t index = (uint32_t)p->restart.index;
    for (int64_t k = 0; k < s.n_rows; k++) {
        const int64_t t = NAME(time_of)(call, p->direction, step, row + k), b = NAME(batch_row)(call, row + k);
        const bool anew = NAME(starts_anew)(call, p->direction, step, row + k);
        const struct NAME(mask) of_h = NAME(mask)(call, call->zoneout_h, STREAM_ZONEOUT_H + index, t, b);
        const struct NAME(mask) of_c = NAME(mask)(call, call->zoneout_c, STREAM_ZONEOUT_C + index, t, b);
        const REAL *h_prev = anew ? p->restart.h : before->h_prev.data + NAME(place)(&before->h_prev, k);
        if (call->zoneout_h > 0) NAME(keep_old)(of_h, R, h_prev, before->h.data + NAME(place)(&before->h, k));
        if (call->zoneout_c > 0) NAME(keep_old)(of_c, H, s.c_prev + k * s.c_stride, s.c + k * s.c_stride);
    }
    return true;
}
