/* A linear layer, y = x W^T + b over n rows, with the kernels and the bits of the rest: what reads a network out in training.
 * Its sums do not depend on threads, which a BLAS does not promise. */

struct NAME(linear) {
    const struct lstm_linear *args;
    struct lstm_dims into_y; /* columns: outputs */
    REAL *packed, *packed_back, *bias, *left, *right, *sums;
};

static void NAME(linear_product)(struct lstm_member *m, const struct NAME(linear) *f, struct NAME(lstm_product) p) {
    int64_t begin, end;
    lstm_share(m, f->args->n, &begin, &end);
    p.n_rows = end - begin;
    p.a = NAME(rows_after)(p.a, begin);
    p.y = NAME(rows_after)(p.y, begin);
    if (p.n_rows) NAME(run_product)(m, KERNELS(&f->args->call), &f->into_y, p);
}

/* d_weight and d_bias: rows [k, k + depth) at a time, x as left operand in tiles, d_y as right operand in padded rows. */
static bool NAME(linear_sums)(struct lstm_member *m, const struct NAME(linear) *f) {
    const struct lstm_linear *a = f->args;
    const struct NAME(lstm_kernels) *kernels = KERNELS(&a->call);
    const int64_t I = a->n_inputs, O = a->n_outputs, tile_rows = kernels->tile_rows, width = f->into_y.gates_width;
    const REAL *x = a->x, *d_y = a->d_y;
    int64_t panel_begin, panel_end, tile_begin, tile_end, row_begin, row_end;
    lstm_share(m, NAME(n_panels)(&f->into_y, width), &panel_begin, &panel_end);
    lstm_share(m, (I + tile_rows - 1) / tile_rows, &tile_begin, &tile_end);
    for (int64_t k = 0, depth; k < a->n; k += depth) {
        depth = a->n - k < LSTM_GRADIENT_ROWS ? a->n - k : LSTM_GRADIENT_ROWS;
        lstm_share(m, depth, &row_begin, &row_end);
        for (int64_t r = row_begin; r < row_end; r++) NAME(start_row)(f->right + r * width, O, width, d_y + (k + r) * O);
        for (int64_t tile = tile_begin; tile < tile_end; tile++)
            for (int64_t r = 0; r < depth; r++)
                for (int64_t j = 0; j < tile_rows; j++) {
                    const int64_t column = tile * tile_rows + j;
                    f->left[(tile * depth + r) * tile_rows + j] = column < I ? x[(k + r) * I + column] : 0;
                }
        if (!lstm_barrier(m)) return false;
        const struct NAME(lstm_outer_sum) sums[] = {{f->left, I, f->sums}, {NULL, 1, f->sums + I * width}};
        const struct NAME(lstm_outer) outer = {.depth = depth, .n_vectors = width / f->into_y.vector, .panel_begin = panel_begin,
                                               .panel_end = panel_end, .b_step = width, .b = f->right, .sums = sums,
                                               .n_sums = a->d_bias ? 2 : 1, .add = k > 0};
        kernels->outer(&outer);
        lstm_cancelled(m, 2 * depth * I * (panel_end - panel_begin) * LSTM_PANEL_VECTORS * f->into_y.vector);
        if (!lstm_barrier(m)) return false;
    }
    NAME(unpack_forward)(&f->into_y, m, O, I, a->n ? f->sums : NULL, a->d_weight);
    if (a->d_bias) NAME(unpack_forward)(&f->into_y, m, O, 1, a->n ? f->sums + I * width : NULL, a->d_bias);
    return true;
}

static void NAME(linear_member)(struct lstm_member *m, void *arguments) {
    const struct NAME(linear) *f = arguments;
    const struct lstm_linear *a = f->args;
    const int64_t I = a->n_inputs, O = a->n_outputs;
    const bool is_backward = a->d_y;
    if (m->rank == 0 && !is_backward) {
        NAME(pack_forward)(&f->into_y, O, I, false, a->weight, f->packed);
        NAME(pack_row)(&f->into_y, O, a->bias, f->bias);
    }
    if (m->rank == 0 && is_backward) NAME(pack_backward)(&f->into_y, O, I, a->weight, f->packed_back);
    if (!lstm_barrier(m)) return;
    struct NAME(lstm_product) p = {.depth = I, .n_columns = O, .panel_end = NAME(n_panels)(&f->into_y, O), .strands = 1,
                                   .b = f->packed, .bias = f->bias, .a = {(REAL *)a->x, I, NULL}, .y = {a->y, O, NULL}};
    struct NAME(lstm_product) back = {.depth = O, .n_columns = I, .panel_end = NAME(n_panels)(&f->into_y, I), .strands = 1,
                                      .b = f->packed_back, .a = {(REAL *)a->d_y, O, NULL}, .y = {a->d_x, I, NULL}};
    if (!is_backward)
        NAME(linear_product)(m, f, p);
    else if (NAME(linear_sums)(m, f))
        NAME(linear_product)(m, f, back);
}

enum lstm_status NAME(lstm_linear)(const struct lstm_linear *a) {
    struct lstm_linear_plan plan;
    const enum lstm_status s = lstm_plan_linear(a, &plan);
    if (s) return s;
    char *at = a->workspace;
    struct NAME(linear) f = {.args = a, .packed = (REAL *)(at + plan.packed), .packed_back = (REAL *)(at + plan.packed_back),
                             .bias = (REAL *)(at + plan.bias), .left = (REAL *)(at + plan.left), .right = (REAL *)(at + plan.right),
                             .sums = (REAL *)(at + plan.sums)};
    const int64_t vector = a->call.isa->vector_bytes / (int64_t)sizeof(REAL);
    const struct lstm_dims d = {.vector = vector};
    f.into_y = NAME(without_gates)(&d, (a->n_outputs + vector - 1) / vector * vector);
    const double flops = 2.0 * (a->d_y ? 2 : 1) * (double)a->n * (double)a->n_inputs * (double)a->n_outputs;
    const int64_t most = flops < FLOPS_PER_THREAD * a->call.n_threads ? (int64_t)(flops / FLOPS_PER_THREAD) : a->call.n_threads;
    return lstm_parallel(&a->call, most < 1 ? 1 : (int)most, NAME(linear_member), &f);
}
