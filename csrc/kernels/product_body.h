/* Products without a cell: the hoisted input projection, d_x and d_h (product), the weight gradients (outer). */

/* Stores the sums of a tile, n vectors from a column on. */
NEVER_INLINE void NAME(store_tile)(const struct NAME(lstm_product) *s, int64_t row, int64_t column, int rows, int n,
                                   const VEC *sums) {
    const int64_t left = s->n_columns - column;
    const bool add = s->add;
    for (int r = 0; r < rows; r++) {
        REAL *y = s->y.data + NAME(place)(&s->y, row + r) + column;
        for (int v = 0; v < n; v++) {
            VEC sum = *sums++;
            if (add) sum += V(load_lanes)(y + v * VL, left - v * VL);
            V(store_lanes)(y + v * VL, sum, left - v * VL);
        }
    }
}

ALWAYS_INLINE void NAME(product_tile)(const int rows, const int panels, const int width, const int strands,
                                      const int is_half, const struct NAME(lstm_product) *s, int64_t row, int64_t panel) {
    const int n = panels * width;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL, number = is_half ? 2 : sizeof(REAL);
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS], sums[TILE_ROWS * LSTM_PANEL_VECTORS];
    UNROLL
    for (int v = 0; v < n; v++) {
        UNROLL
        for (int r = 0; r < rows; r++)
            acc[r * n + v] = s->bias ? V(load)(s->bias + column + v * VL) : V(broadcast)((REAL)0);
    }
    NAME(tile)(rows, panels, width, strands, is_half, s->depth, NAME(left_of)(rows, &s->a, row), 1,
               (const char *)s->b + column * s->depth * strands * number, width * VL, s->depth * strands * width * VL, acc);
    NAME(spill)(rows * n, acc, sums);
    NAME(store_tile)(s, row, column, rows, n, sums);
}

ALWAYS_INLINE void NAME(rows_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                   int64_t panel) {
    NAME(product_tile)(rows, panels, width, 1, 0, block, row, panel);
}
TILE_TABLE(NAME(rows_tile), NAME(rows_tiles))

#if REAL_IS_FLOAT
ALWAYS_INLINE void NAME(rows_half_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                        int64_t panel) {
    NAME(product_tile)(rows, panels, width, 1, 1, block, row, panel);
}
TILE_TABLE(NAME(rows_half_tile), NAME(rows_half_tiles))
#else
#define rows_half_tiles_f64 rows_tiles_f64 /* never asked for */
#endif

ALWAYS_INLINE void NAME(gates_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                    int64_t panel) {
    NAME(product_tile)(rows, panels, width, LSTM_GATES, 0, block, row, panel);
}
TILE_TABLE(NAME(gates_tile), NAME(gates_tiles))

static void NAME(product)(const struct NAME(lstm_product) *s) {
    const NAME(tile_table) *const table = s->strands > 1    ? &NAME(gates_tiles)
                                          : s->half_weights ? &NAME(rows_half_tiles)
                                                            : &NAME(rows_tiles);
    NAME(for_each_tile)(*table, s, 0, s->n_rows, s->panel_begin, s->panel_end, false, (s->n_columns + VL - 1) / VL);
}

/* ---- weight gradients ----------------------------------------------------------------------------------------------
 * Panel by panel, OUTER_PART rows of b at a time: they are copied into one stream that stays in L1 while all tiles of all
 * sums pass (in place each row lies on a page of its own), with the sums in y between parts. */
#define OUTER_PART ((16 << 10) / (LSTM_PANEL_VECTORS * VECTOR_BYTES))

struct NAME(outer_part) {
    const REAL *a, *b; /* packed: a (tiles, a_tile), b (depth, width, VL) */
    REAL *y;           /* (n_rows, width, VL) */
    int64_t depth, a_tile;
    bool add;
};

ALWAYS_INLINE void NAME(outer_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                    int64_t panel) {
    const struct NAME(outer_part) *s = block;
    const int n = width; /* one panel at a time */
    (void)panels, (void)panel;
    REAL *y = s->y + row * n * VL;
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS];
    UNROLL
    for (int k = 0; k < rows * n; k++) acc[k] = s->add ? V(load)(y + k * VL) : V(broadcast)((REAL)0);
    const struct NAME(lstm_rows) a = {(REAL *)s->a + row / TILE_ROWS * s->a_tile, 1, NULL};
    NAME(tile)(rows, 1, width, 1, 0, s->depth, NAME(left_of)(rows, &a, 0), TILE_ROWS, s->b, n * VL, 0, acc);
    UNROLL
    for (int k = 0; k < rows * n; k++) V(store)(y + k * VL, acc[k]);
}
TILE_TABLE(NAME(outer_tile), NAME(outer_tiles))

/* y (+)= the sum of `depth` rows of b, in the order of a tile's sums. */
ALWAYS_INLINE void NAME(add_rows)(const int width, const REAL *b, int64_t b_step, int64_t depth, bool add, REAL *y) {
    VEC acc[LSTM_PANEL_VECTORS];
    UNROLL
    for (int v = 0; v < width; v++) acc[v] = add ? V(load)(y + v * VL) : V(broadcast)((REAL)0);
    for (int64_t k = 0; k < depth; k++)
        UNROLL
        for (int v = 0; v < width; v++) acc[v] += V(load)(b + k * b_step + v * VL);
    UNROLL
    for (int v = 0; v < width; v++) V(store)(y + v * VL, acc[v]);
}

static void NAME(outer_panel)(const struct NAME(lstm_outer) *s, int64_t panel, int64_t width) {
    VEC b[OUTER_PART * LSTM_PANEL_VECTORS];
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    const bool is_copied = s->n_sums > 1 || s->sums[0].a;
    struct NAME(outer_part) part = {.b = (const REAL *)b, .a_tile = s->depth * TILE_ROWS, .add = s->add};
    for (int64_t k = 0; k < s->depth; k += OUTER_PART, part.add = true) {
        part.depth = s->depth - k < OUTER_PART ? s->depth - k : OUTER_PART;
        const REAL *rows = s->b + k * s->b_step + column;
        for (int64_t j = 0; j < part.depth && is_copied; j++)
            for (int64_t v = 0; v < width; v++) b[j * width + v] = V(load)(rows + j * s->b_step + v * VL);
        for (const struct NAME(lstm_outer_sum) *sum = s->sums; sum < s->sums + s->n_sums; sum++) {
            part.y = sum->y + column * sum->n_rows;
            if (!sum->a) {
                const REAL *from = is_copied ? part.b : rows;
                const int64_t step = is_copied ? width * VL : s->b_step;
                if (width == LSTM_PANEL_VECTORS)
                    NAME(add_rows)(LSTM_PANEL_VECTORS, from, step, part.depth, part.add, part.y);
                else
                    for (int64_t v = 0; v < width; v++)
                        NAME(add_rows)(1, from + v * VL, step, part.depth, part.add, part.y + v * VL);
                continue;
            }
            part.a = sum->a + k * TILE_ROWS;
            /* Rows come in packed tiles of TILE_ROWS, the last maybe smaller: no even shares here. */
            for (int64_t row = 0; row < sum->n_rows; row += TILE_ROWS) {
                const int64_t left = sum->n_rows - row;
                NAME(outer_tiles)[(left < TILE_ROWS ? left : TILE_ROWS) - 1][width](&part, row, panel);
            }
        }
    }
}

static void NAME(outer)(const struct NAME(lstm_outer) *s) {
    for (int64_t panel = s->panel_begin; panel < s->panel_end; panel++)
        NAME(outer_panel)(s, panel, NAME(panel_width)(panel, s->n_vectors));
}
