/* Products without a cell: the hoisted input projection, d_x, d_h and all others. */
#ifndef LSTM_PRODUCT_H
#define LSTM_PRODUCT_H

#include "../compiler.h"
#include "../format.h"
#include "../real.h"
#include "table.h"
#include "tile.h"
#include "tiles.h"
#include "vector.h"

/* Stores the sums of a tile, n vectors starting at a column. */
NEVER_INLINE void store_sums(const struct lstm_product *s, int64_t row, int64_t column, int rows, int n,
                             const vec *sums) {
    const int64_t left = s->n_columns - column;
    const bool add = s->add;
    for (int r = 0; r < rows; r++) {
        real *y = s->y.data + row_offset(&s->y, row + r) + column;
        for (int v = 0; v < n; v++) {
            vec sum = *sums++;
            if (add) sum += load_lanes(y + v * VL, left - v * VL);
            store_lanes(y + v * VL, sum, left - v * VL);
        }
    }
}

ALWAYS_INLINE void product_tile(const struct tile_shape shape, const enum lstm_format format, const int gates_per_unit,
                                const struct lstm_product *s, int64_t row, int64_t panel) {
    const int n = shape.panels * shape.width;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    vec sums[TILE_VECTORS];
    struct right_operand b = packed_panel(shape, format, s->b, s->depth * gates_per_unit, panel);
    if (may_prefetch(shape, format) && gates_per_unit == 1) prefetch_next_panel(&b, s->depth, s->n_columns, row, false);
    multiply_tile(shape, format, gates_per_unit, s->depth, left_rows(shape.rows, &s->a, row), b,
                  s->bias ? (struct sums){(real *)s->bias + column, 0} : zero_sums(), sums_of_tile(shape, sums));
    store_sums(s, row, column, shape.rows, n, sums);
}

ALWAYS_INLINE void matrix_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    product_tile(shape, LSTM_FORMAT_REAL, 1, block, row, panel);
}
TILE_TABLE(matrix_tile, matrix_tiles)

ALWAYS_INLINE void gates_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    product_tile(shape, LSTM_FORMAT_REAL, LSTM_GATES, block, row, panel);
}
TILE_TABLE(gates_tile, gates_tiles)

#ifndef LSTM_DOUBLE
ALWAYS_INLINE void half_matrix_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    product_tile(shape, LSTM_FORMAT_FLOAT16, 1, block, row, panel);
}
TILE_TABLE(half_matrix_tile, half_matrix_tiles)
#endif

static const tile_table *product_tiles(const struct lstm_product *s) {
#ifndef LSTM_DOUBLE
    if (s->format == LSTM_FORMAT_FLOAT16) return &half_matrix_tiles;
#endif
    return s->gates_per_unit > 1 ? &gates_tiles : &matrix_tiles;
}

static void product(const struct lstm_product *s) {
    for_each_tile(*product_tiles(s), s, 0, s->n_rows, s->panel_begin, s->panel_end, false,
                  (s->n_columns + VL - 1) / VL);
}

#endif
