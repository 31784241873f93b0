/* Backward, part 3: the weight gradients of a chunk.
 * Rows of a product are numbered from the last (step, batch row) of the chunk backwards: k = 0 is its last row. */

/* n rows of a tile of `tile_rows` columns, of which `real` exist. Inlined with the constants of full tiles. */
static inline void NAME(pack_tile)(int64_t n, const REAL *const *rows, int64_t column, int64_t tile_rows, int64_t real,
                                   REAL *to) {
    for (int64_t k = 0; k < n; k++, to += tile_rows) {
        memcpy(to, rows[k] + column, (size_t)real * sizeof(REAL));
        for (int64_t r = real; r < tile_rows; r++) to[r] = 0;
    }
}

/* Columns of tiles [tile_begin, tile_end) of a sequence into (tile, depth, tile_rows): rows last_row, last_row - 1, ... of
 * the chunk that begins at step `begin`. h_prev is the sequence one step earlier, with `first` (B, n_columns) before step 0.
 * Or the rows of `chunk`, which lie one after the other. A few at a time, so that what is written lies together. */
#define PACK_ROWS 16
static void NAME(pack_sequence)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p,
                                const struct NAME(directed) *x, const REAL *first, const REAL *chunk, int64_t n_columns,
                                int64_t begin, int64_t last_row, int64_t depth, int64_t tile_begin, int64_t tile_end, REAL *to) {
    const int64_t tile_rows = KERNELS(&f->args->call)->tile_rows;
    int64_t step = begin, r;
    if (tile_begin == tile_end) return;
    while (p->first_row[step + 1 - begin] <= last_row) step++;
    r = last_row - p->first_row[step - begin];
    for (int64_t k = 0, n; k < depth; k += n) {
        const REAL *rows[PACK_ROWS];
        for (n = 0; n < PACK_ROWS && k + n < depth; n++) {
            rows[n] = chunk       ? chunk + (last_row - k - n) * n_columns
                      : !first    ? NAME(row)(x, step, r)
                      : step == 0 ? first + NAME(batch_row)(&f->args->call, r) * n_columns
                                  : NAME(row)(x, step - 1, r);
            if (r-- == 0 && step-- > begin) r = p->first_row[step + 1 - begin] - p->first_row[step - begin] - 1;
        }
        for (int64_t tile = tile_begin; tile < tile_end; tile++) {
            const int64_t column = tile * tile_rows, real = n_columns - column;
            REAL *at = to + (tile * depth + k) * tile_rows;
            if (tile_rows == 3 && real >= 3)
                NAME(pack_tile)(n, rows, column, 3, 3, at);
            else if (tile_rows == 6 && real >= 6)
                NAME(pack_tile)(n, rows, column, 6, 6, at);
            else
                NAME(pack_tile)(n, rows, column, tile_rows, real < tile_rows ? real : tile_rows, at);
        }
    }
}

/* Sums over the rows of a chunk, y (+)= left^T right, of which each member owns some panels. Those of the same right operand
 * are made together. */
struct NAME(right_operand) {
    const REAL *rows; /* of the chunk's first row */
    int64_t stride, n_columns; /* padded */
};

/* Rows last_row - depth + 1 .. last_row of the chunk. False: interrupted. */
static bool NAME(add_sums)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p,
                           const struct NAME(right_operand) *right, const struct NAME(lstm_outer_sum) *sums, int n_sums,
                           int64_t last_row, int64_t depth, bool add) {
    int64_t panel_begin, panel_end, n_rows = 0;
    for (int j = 0; j < n_sums; j++) n_rows += sums[j].n_rows;
    lstm_share(p->m, NAME(n_panels)(&f->d, right->n_columns), &panel_begin, &panel_end);
    const int64_t panel_flops = 2 * depth * n_rows * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t panel_step = NAME(batch_of)(panel_end - panel_begin, panel_flops);
    struct NAME(lstm_outer) outer = {.depth = depth, .n_vectors = right->n_columns / f->d.vector,
                                     .b = right->rows + last_row * right->stride, .b_step = -right->stride,
                                     .sums = sums, .n_sums = n_sums, .add = add};
    for (int64_t panel = panel_begin; panel < panel_end; panel = outer.panel_end) {
        outer.panel_begin = panel;
        outer.panel_end = panel_end - panel < panel_step ? panel_end : panel + panel_step;
        KERNELS(&f->args->call)->outer(&outer);
        if (lstm_cancelled(p->m, panel_flops * (outer.panel_end - panel))) return false;
    }
    return true;
}

/* Steps [begin, end) into the weight gradients. All members come here together. False: interrupted. */
static bool NAME(weight_gradients)(const struct NAME(backward) *f, struct NAME(backward_pass) *p, int64_t begin,
                                   int64_t end) {
    const struct lstm_model *model = &f->args->call.model;
    const int64_t H = model->hidden_size, R = f->d.R, I = p->input_size, n_rows = p->first_row[end - begin];
    const int64_t tile_rows = KERNELS(&f->args->call)->tile_rows, width = f->d.gates_width, stride = f->plan.d_gates_stride;
    REAL *packed_x = NAME(workspace)(f, f->plan.packed_x), *packed_h = NAME(workspace)(f, f->plan.packed_h);
    REAL *packed_m = NAME(workspace)(f, f->plan.packed_m);
    const REAL *d_gates = NAME(d_gates)(f, 0);
    const REAL *d_x_products = model->layer_norm ? NAME(workspace)(f, f->plan.d_x_products) : d_gates;
    const REAL *d_h_products = model->layer_norm ? NAME(workspace)(f, f->plan.d_h_products) : d_gates;
    const struct NAME(right_operand) rights[] = {
        {d_x_products, stride, width},
        {d_h_products, stride, width},
        {d_gates, stride, width},
        {NAME(workspace)(f, f->plan.vector_terms), f->plan.vector_terms_stride, f->d.vectors.width},
        {NAME(workspace)(f, f->plan.d_h_new), f->plan.d_h_new_stride, model->proj_size ? f->d.R_padded : 0},
    };
    const struct NAME(lstm_outer_sum) sums[] = {
        {packed_x, I, p->d_weight_ih}, {packed_h, R, p->d_weight_hh}, {NULL, 1, p->d_bias},
        {NULL, 1, p->d_vectors}, {packed_m, H, p->d_weight_hr},
    };
    const int n_sums = sizeof sums / sizeof *sums;
    int64_t x_begin, x_end, h_begin, h_end, m_begin, m_end;
    lstm_share(p->m, (I + tile_rows - 1) / tile_rows, &x_begin, &x_end);
    lstm_share(p->m, (R + tile_rows - 1) / tile_rows, &h_begin, &h_end);
    lstm_share(p->m, model->proj_size ? (H + tile_rows - 1) / tile_rows : 0, &m_begin, &m_end);
    for (int64_t k = 0, depth; k < n_rows; k += depth) {
        depth = n_rows - k < f->plan.depth ? n_rows - k : f->plan.depth;
        const int64_t last = n_rows - 1 - k; /* row of the chunk */
        /* All d_gates are there, and nobody still reads the packed operands of the last product. */
        if (!lstm_barrier(p->m)) return false;
        NAME(pack_sequence)(f, p, &p->x, NULL, NULL, I, begin, last, depth, x_begin, x_end, packed_x);
        NAME(pack_sequence)(f, p, &p->h, p->h_first, p->h_seen, R, begin, last, depth, h_begin, h_end, packed_h);
        NAME(pack_sequence)(f, p, NULL, NULL, NAME(workspace)(f, f->plan.m), H, begin, last, depth, m_begin, m_end,
                            packed_m);
        if (!lstm_barrier(p->m)) return false;
        for (int j = 0, n; j < n_sums; j += n) {
            for (n = 1; j + n < n_sums && rights[j + n].rows == rights[j].rows && rights[j + n].n_columns == rights[j].n_columns;)
                n++;
            if (rights[j].n_columns && !NAME(add_sums)(f, p, rights + j, sums + j, n, last, depth, !p->is_first_product)) break;
        }
        p->is_first_product = false;
    }
    return lstm_barrier(p->m); /* nobody still reads the d_gates that the next chunk overwrites */
}
