/* Products without a cell: the hoisted input projection, d_x and d_h (product), the weight gradients (outer). */

/* Stores the sums of a tile at y, of which `left` columns exist. */
NEVER_INLINE void NAME(store_tile)(REAL *y, int64_t y_stride, int64_t left, bool add, int rows, int n, const VEC *sums) {
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++) {
            REAL *at = y + r * y_stride + v * VL;
            VEC sum = *sums++;
            if (add) sum += V(load_lanes)(at, left - v * VL);
            V(store_lanes)(at, sum, left - v * VL);
        }
}

ALWAYS_INLINE void NAME(product_tile)(const int rows, const int panels, const int width, const int strands,
                                      const struct NAME(lstm_product) *s, int64_t row, int64_t panel) {
    const int n = panels * width;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < n; v++) {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
            acc[r * n + v] = s->bias ? V(load)(s->bias + column + v * VL) : V(broadcast)((REAL)0);
    }
    NAME(tile)(rows, panels, width, strands, s->depth, s->a + row * s->a_stride, s->a_stride, 1,
               s->b + column * s->depth * strands, acc);
    NAME(store_tile)(s->y + row * s->y_stride + column, s->y_stride, s->n_columns - column, s->add, rows, n, acc);
}

ALWAYS_INLINE void NAME(rows_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                   int64_t panel) {
    NAME(product_tile)(rows, panels, width, 1, block, row, panel);
}
TILE_TABLE(NAME(rows_tile), NAME(rows_tiles))

ALWAYS_INLINE void NAME(gates_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                    int64_t panel) {
    NAME(product_tile)(rows, panels, width, LSTM_GATES, block, row, panel);
}
TILE_TABLE(NAME(gates_tile), NAME(gates_tiles))

static void NAME(product)(const struct NAME(lstm_product) *s) {
    NAME(for_each_tile)(s->strands == 1 ? NAME(rows_tiles) : NAME(gates_tiles), s, s->n_rows, s->panel_begin,
                        s->panel_end, (s->n_columns + VL - 1) / VL);
}

/* ---- weight gradients ---- */

ALWAYS_INLINE void NAME(outer_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                    int64_t panel) {
    const struct NAME(lstm_outer) *s = block;
    (void)panel;
    const int n = panels * width;
    REAL *y = s->y + row * s->y_stride;
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS];
    if (s->add) {
        VEC *sums = acc;
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++) *sums++ = V(load_lanes)(y + r * s->y_stride + v * VL, s->n_columns - v * VL);
    } else {
        memset(acc, 0, sizeof(VEC) * rows * n);
    }
    NAME(tile)(rows, panels, width, 1, s->depth, s->a + row * s->depth, 1, TILE_ROWS, s->b, acc);
    NAME(store_tile)(y, s->y_stride, s->n_columns, false, rows, n, acc);
}
TILE_TABLE(NAME(outer_tile), NAME(outer_tiles))

/* Rows come in packed tiles of TILE_ROWS; the last may be smaller. */
static void NAME(outer)(const struct NAME(lstm_outer) *s) {
    const int64_t width = NAME(panel_width)(0, (s->n_columns + VL - 1) / VL);
    for (int64_t tile = s->tile_begin; tile < s->tile_end; tile++) {
        const int64_t row = tile * TILE_ROWS, left = s->n_rows - row;
        NAME(outer_tiles)[(left < TILE_ROWS ? left : TILE_ROWS) - 1][width](s, row, 0);
    }
}
