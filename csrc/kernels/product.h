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

/* What is done with the sums of a tile, n vectors for each row, starting at a panel. (Through a pointer, so that
 * products that end in a cell share the tiles: with separate tiles, the library was a fifth larger.) */
typedef void finish_tile(const void *context, int64_t row, int64_t panel, int rows, int n, const vec *sums);

struct product_block {
    const struct lstm_product *product;
    struct sums start;  /* row 0, panel 0 */
    int64_t start_step; /* distance to the next panel; 0: the same start for all */
    finish_tile *finish;
    const void *context;
};

/* Stores the sums of a tile in y. */
NEVER_INLINE void store_sums(const void *product, int64_t row, int64_t panel, int rows, int n, const vec *sums) {
    const struct lstm_product *p = product;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL, left = p->n_columns - column;
    const bool add = p->add;
    for (int r = 0; r < rows; r++) {
        real *y = p->y.data + row_offset(&p->y, row + r) + column;
        for (int v = 0; v < n; v++) {
            vec sum = *sums++;
            if (add) sum += load_lanes(y + v * VL, left - v * VL);
            store_lanes(y + v * VL, sum, left - v * VL);
        }
    }
}

ALWAYS_INLINE void product_tile(const struct tile_shape shape, const enum lstm_format format, const int gates_per_unit,
                                const struct product_block *block, int64_t row, int64_t panel) {
    const struct lstm_product *p = block->product;
    const struct sums start = {block->start.first + row * block->start.stride + panel * block->start_step,
                               block->start.stride};
    vec sums[TILE_VECTORS];
    struct right_operand b = packed_panel(shape, format, p->b, p->depth * gates_per_unit, panel);
    if (may_prefetch(shape, format) && gates_per_unit == 1) prefetch_next_panel(&b, p->depth, p->n_columns, row, false);
    multiply_tile(shape, format, gates_per_unit, p->depth, left_rows(shape.rows, &p->a, row), b, start,
                  sums_of_tile(shape, sums));
    block->finish(block->context, row, panel, shape.rows, shape.panels * shape.width, sums);
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

static const tile_table *product_tiles(const struct lstm_product *p) {
#ifndef LSTM_DOUBLE
    if (p->format == LSTM_FORMAT_FLOAT16) return &half_matrix_tiles;
#endif
    return p->gates_per_unit > 1 ? &gates_tiles : &matrix_tiles;
}

/* All tiles of a product: start + a B, then `finish`. start.first NULL: zero. */
static void multiply(const struct lstm_product *p, struct sums start, bool descending, finish_tile *finish,
                     const void *context) {
    const struct product_block block = {.product = p,
                                        .start = start.first ? start : zero_sums(),
                                        .start_step = start.first ? LSTM_PANEL_VECTORS * VL : 0,
                                        .finish = finish,
                                        .context = context};
    for_each_tile(*product_tiles(p), &block, 0, p->n_rows, p->panel_begin, p->panel_end, descending,
                  (p->n_columns + VL - 1) / VL);
}

/* The kernel. */
static void product(const struct lstm_product *p) {
    multiply(p, (struct sums){(real *)p->bias, 0}, false, store_sums, p);
}

#endif
