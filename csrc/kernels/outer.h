/* The weight gradients: y (+)= sum over k of a[k]^T b[k].
 *
 * Panel by panel, one block of LSTM_SUM_BLOCK rows of b at a time (tile.h). The rows are first copied into one
 * contiguous buffer that stays in L1 while all tiles of all sums read it (in place, each row is on a different page);
 * between blocks the sums are kept in y. */
#ifndef LSTM_OUTER_H
#define LSTM_OUTER_H

#include <string.h>

#include "../compiler.h"
#include "../format.h"
#include "../real.h"
#include "table.h"
#include "tile.h"
#include "tiles.h"
#include "vector.h"

/* One panel and one block of b for one sum. */
struct outer_block {
    const real *a, *b; /* packed: a (tiles, a_tile), b (depth, width, VL) */
    real *y;           /* (n_rows, width, VL) */
    int64_t depth, a_tile;
    bool add;
};

ALWAYS_INLINE void outer_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    const struct outer_block *s = block;
    const struct tile_shape one_panel = {shape.rows, 1, shape.width};
    const int n = shape.rows * shape.width;
    real *y = s->y + row * shape.width * VL;
    (void)panel;
    const struct lstm_rows a = {(real *)s->a + row / TILE_ROWS * s->a_tile, 1, NULL};
    struct left_operand left = left_rows(shape.rows, &a, 0);
    left.step = TILE_ROWS;
    const struct right_operand right = {.data = s->b, .step = shape.width * VL};
    vec acc[TILE_VECTORS];
    multiply_block(one_panel, LSTM_FORMAT_REAL, 1, false, s->depth, left, right, acc);
    if (s->add) {
        UNROLL
        for (int k = 0; k < n; k++) acc[k] += load(y + k * VL);
    }
    UNROLL
    for (int k = 0; k < n; k++) store(y + k * VL, acc[k]);
}
TILE_TABLE(outer_tile, outer_tiles)

/* y (+)= the sum of `depth` rows of `width` vectors, in the order of a tile's sums. */
ALWAYS_INLINE void sum_rows(const int width, const real *b, int64_t b_stride, int64_t depth, bool add, real *y) {
    vec acc[LSTM_PANEL_VECTORS];
    UNROLL
    for (int v = 0; v < width; v++) acc[v] = broadcast((real)0);
    for (int64_t k = 0; k < depth; k++) {
        UNROLL
        for (int v = 0; v < width; v++) acc[v] += load(b + k * b_stride + v * VL);
    }
    UNROLL
    for (int v = 0; v < width; v++) {
        if (add) acc[v] += load(y + v * VL);
        store(y + v * VL, acc[v]);
    }
}

/* The sum whose left operand is a row of ones. */
static void sum_part(const struct outer_block *part, int64_t width, const real *b, int64_t b_stride) {
    if (width == LSTM_PANEL_VECTORS)
        sum_rows(LSTM_PANEL_VECTORS, b, b_stride, part->depth, part->add, part->y);
    else
        for (int64_t v = 0; v < width; v++) sum_rows(1, b + v * VL, b_stride, part->depth, part->add, part->y + v * VL);
}

/* The sum whose left operand is one-hot rows: for each symbol of the block, the sum of its rows of b is added to its
 * row of y, of `stride` numbers. */
ALWAYS_INLINE void add_rows_of_symbols(const int width, const struct lstm_symbol_row *rows, int64_t depth,
                                       const real *b, int64_t stride, real *y) {
    for (int64_t k = 0; k < depth;) {
        const int64_t symbol = rows[k].symbol;
        real *to = y + symbol * stride;
        vec acc[LSTM_PANEL_VECTORS];
        UNROLL
        for (int v = 0; v < width; v++) acc[v] = broadcast((real)0);
        for (; k < depth && rows[k].symbol == symbol; k++) {
            UNROLL
            for (int v = 0; v < width; v++) acc[v] += load(b + rows[k].row * stride + v * VL);
        }
        UNROLL
        for (int v = 0; v < width; v++) store(to + v * VL, load(to + v * VL) + acc[v]);
    }
}

static void symbols_part(const struct outer_block *part, int64_t width, const struct lstm_symbol_row *rows,
                         int64_t n_symbols) {
    const int64_t stride = width * VL;
    if (!part->add) memset(part->y, 0, (size_t)(n_symbols * stride) * sizeof(real));
    if (width == LSTM_PANEL_VECTORS)
        add_rows_of_symbols(LSTM_PANEL_VECTORS, rows, part->depth, part->b, stride, part->y);
    else
        for (int64_t v = 0; v < width; v++)
            add_rows_of_symbols(1, rows, part->depth, part->b + v * VL, stride, part->y + v * VL);
}

/* Rows of b that the next block will copy: they are in the cache of another core if it computed them. A few are
 * prefetched with each tile, because a burst would wait for the core's fill buffers. (One thread alone is up to 4 %
 * slower with them.) */
struct next_rows {
    const real *first;
    int64_t stride, bytes, depth, per_tile; /* bytes: how much of a row */
};

static struct next_rows next_rows_of(const struct lstm_outer *s, int64_t k, int64_t panel) {
    if (k >= s->depth) k = 0, panel++;
    const int64_t left = s->depth - k;
    int64_t n_tiles = 1;
    for (const struct lstm_outer_sum *sum = s->sums; sum < s->sums + s->n_sums; sum++)
        if (sum->a) n_tiles += sum->n_rows / TILE_ROWS;
    struct next_rows next = {.first = s->b + k * s->b_stride + panel * LSTM_PANEL_VECTORS * VL, .stride = s->b_stride};
    if (!s->is_shared || panel == s->panel_end) return next;
    next.depth = left < LSTM_SUM_BLOCK ? left : LSTM_SUM_BLOCK;
    next.bytes = panel_width(panel, s->n_vectors) * VL * (int64_t)sizeof(real);
    next.per_tile = (next.depth + n_tiles - 1) / n_tiles;
    return next;
}

static void prefetch_next_rows(struct next_rows *next) {
    for (int64_t j = 0; j < next->per_tile && next->depth > 0; j++, next->depth--, next->first += next->stride)
        for (int64_t byte = 0; byte < next->bytes; byte += 64) {
            __builtin_prefetch((const char *)next->first + byte, 0, 2);
            __asm__ volatile("");
        }
}

/* The block of the next tile of a, which another core may have packed. */
static void prefetch_tile(const real *a, int64_t depth) {
    for (int64_t byte = 0; byte < depth * TILE_ROWS * (int64_t)sizeof(real); byte += 64) {
        __builtin_prefetch((const char *)a + byte);
        __asm__ volatile("");
    }
}

static void outer_panel(const struct lstm_outer *s, int64_t panel, int64_t width) {
    vec b[LSTM_SUM_BLOCK * LSTM_PANEL_VECTORS];
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    const bool is_copied = s->n_sums > 1 || s->sums[0].a || s->sums[0].symbols;
    struct outer_block part = {.b = (const real *)b, .a_tile = s->depth * TILE_ROWS, .add = s->add};
    for (int64_t k = 0; k < s->depth; k += LSTM_SUM_BLOCK, part.add = true) {
        part.depth = s->depth - k < LSTM_SUM_BLOCK ? s->depth - k : LSTM_SUM_BLOCK;
        const real *rows = s->b + k * s->b_stride + column;
        for (int64_t j = 0; j < part.depth && is_copied; j++)
            for (int64_t v = 0; v < width; v++) b[j * width + v] = load(rows + j * s->b_stride + v * VL);
        struct next_rows next = next_rows_of(s, k + LSTM_SUM_BLOCK, panel);
        for (const struct lstm_outer_sum *sum = s->sums; sum < s->sums + s->n_sums; sum++) {
            part.y = sum->y + column * sum->n_rows;
            if (sum->symbols) {
                symbols_part(&part, width, sum->symbols + k, sum->n_rows);
                continue;
            }
            if (!sum->a) {
                sum_part(&part, width, is_copied ? part.b : rows, is_copied ? width * VL : s->b_stride);
                continue;
            }
            part.a = sum->a + k * TILE_ROWS;
            /* a is packed in tiles of TILE_ROWS rows, of which only the last may have fewer: rows are not balanced. */
            for (int64_t row = 0; row < sum->n_rows; row += TILE_ROWS) {
                const int64_t left = sum->n_rows - row;
                prefetch_next_rows(&next);
                if (s->is_shared && left > TILE_ROWS)
                    prefetch_tile(part.a + (row / TILE_ROWS + 1) * part.a_tile, part.depth);
                outer_tiles[(left < TILE_ROWS ? left : TILE_ROWS) - 1][width](&part, row, panel);
            }
        }
    }
}

static void outer(const struct lstm_outer *s) {
    for (int64_t panel = s->panel_begin; panel < s->panel_end; panel++)
        outer_panel(s, panel, panel_width(panel, s->n_vectors));
}

#endif
