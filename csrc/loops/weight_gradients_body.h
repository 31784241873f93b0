/* Backward, part 3: the weight gradients of a chunk.
 * Rows of a product are numbered from the last (step, batch row) of the chunk backwards: k = 0 is its last row. */

/* n rows of a tile of `tile_rows` columns, of which `real` exist. Inlined with the constants of full tiles. */
static inline void NAME(pack_tile)(int64_t n, const REAL *const *rows, int64_t column, int64_t tile_rows, int64_t real,
                                   REAL *to) {
    for (int64_t k = 0; k < n; k++, to += tile_rows)
        for (int64_t r = 0; r < tile_rows; r++) to[r] = r < real ? rows[k][column + r] : 0;
}

/* Columns of tiles [tile_begin, tile_end) of a sequence into (tile, depth, tile_rows): rows last_row, last_row - 1, ... of
 * the chunk that begins at step `begin`. h_prev is the sequence one step earlier, with `first` (B, n_columns) before step 0.
 * A few rows at a time, so that what is written lies together. */
#define PACK_ROWS 16
static void NAME(pack_sequence)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p,
                                const struct NAME(placed) *x, const REAL *first, int64_t n_columns, int64_t begin,
                                int64_t last_row, int64_t depth, int64_t tile_begin, int64_t tile_end, REAL *to) {
    const int64_t tile_rows = KERNELS(&f->args->call)->tile_rows;
    int64_t step = begin, r;
    while (p->first_row[step + 1 - begin] <= last_row) step++;
    r = last_row - p->first_row[step - begin];
    for (int64_t k = 0, n; k < depth; k += n) {
        const REAL *rows[PACK_ROWS];
        for (n = 0; n < PACK_ROWS && k + n < depth; n++) {
            rows[n] = !first      ? NAME(place_of)(x, step, r)
                      : step == 0 ? first + NAME(batch_row)(&f->args->call, r) * n_columns
                                  : NAME(place_of)(x, step - 1, r);
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
                NAME(pack_tile)(n, rows, column, tile_rows, real, at);
        }
    }
}

/* y (+)= left^T d_gates of rows last_row - depth + 1 .. last_row of the chunk, panels [panel_begin, panel_end). */
static bool NAME(add_outer)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, const REAL *left,
                            int64_t n_rows, int64_t last_row, int64_t depth, int64_t panel_begin, int64_t panel_end,
                            REAL *y, bool add) {
    const int64_t panel_flops = 2 * depth * n_rows * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t panel_step = NAME(batch_of)(panel_end - panel_begin, panel_flops);
    struct NAME(lstm_outer) outer = {.depth = depth, .n_rows = n_rows, .n_vectors = f->d.gates_width / f->d.vector,
                                     .a = left, .b = NAME(d_gates)(f, last_row), .b_step = -f->plan.d_gates_stride,
                                     .y = y, .add = add};
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
    const int64_t H = f->args->call.model.hidden_size, I = p->input_size, n_rows = p->first_row[end - begin];
    const int64_t tile_rows = KERNELS(&f->args->call)->tile_rows;
    REAL *packed_x = NAME(workspace)(f, f->plan.packed_x), *packed_h = NAME(workspace)(f, f->plan.packed_h);
    const REAL *ones = NAME(workspace)(f, f->plan.ones);
    int64_t panel_begin, panel_end, x_begin, x_end, h_begin, h_end;
    lstm_share(p->m, NAME(n_panels)(&f->d, f->d.gates_width), &panel_begin, &panel_end);
    lstm_share(p->m, (I + tile_rows - 1) / tile_rows, &x_begin, &x_end);
    lstm_share(p->m, (H + tile_rows - 1) / tile_rows, &h_begin, &h_end);
    for (int64_t k = 0, depth; k < n_rows; k += depth) {
        depth = n_rows - k < f->plan.depth ? n_rows - k : f->plan.depth;
        const int64_t last = n_rows - 1 - k; /* row of the chunk */
        /* All d_gates are there, and nobody still reads the packed operands of the last product. */
        if (!lstm_barrier(p->m)) return false;
        NAME(pack_sequence)(f, p, &p->x, NULL, I, begin, last, depth, x_begin, x_end, packed_x);
        NAME(pack_sequence)(f, p, &p->h, p->h_first, H, begin, last, depth, h_begin, h_end, packed_h);
        if (!lstm_barrier(p->m)) return false;
        const bool add = !p->is_first_product;
        p->is_first_product = false;
        if (NAME(add_outer)(f, p, packed_x, I, last, depth, panel_begin, panel_end, p->d_weight_ih, add)
            && NAME(add_outer)(f, p, packed_h, H, last, depth, panel_begin, panel_end, p->d_weight_hh, add))
            NAME(add_outer)(f, p, ones, 1, last, depth, panel_begin, panel_end, p->d_bias, add);
    }
    return lstm_barrier(p->m); /* nobody still reads the d_gates that the next chunk overwrites */
}
