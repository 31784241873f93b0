/* The weight gradients in BFLOAT16, see kernels/outer.h: a block is LSTM_SUM_BLOCK rows, processed in pairs. The right
 * operand is rounded as it is copied; left operands are already rounded. */
#ifndef LSTM_FORMATS_OUTER_H
#define LSTM_FORMATS_OUTER_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../tile.h"
#include "../tiles.h"
#include "tile.h"
#include "vector.h"

/* Rounds a tile of a packed left operand in place, which is safe because a rounded number is no larger than a float:
 * none is stored beyond the position from which it was read. */
static void round_pairs(int64_t n, float *numbers) {
    bfloat16_number *to = (bfloat16_number *)numbers;
    for (int64_t k = 0; k < n; k += VL) {
        const vec v = load_lanes(numbers + k, n - k);
        if (n - k >= VL)
            round_bfloat16(to + k, v);
        else {
            bfloat16_number rest[VECTOR_BYTES];
            round_bfloat16(rest, v);
            __builtin_memcpy(to + k, rest, (size_t)(n - k) * sizeof *to);
        }
    }
}

/* One panel and one block of b for one sum. */
struct format_outer_block {
    const bfloat16_number *a; /* (pairs, TILE_ROWS, 2) of a tile */
    const uint16_t *b;        /* (pairs, width, VL, 2) */
    real *y;                  /* of the first row */
    int64_t depth, y_stride;
    bool add;
};

ALWAYS_INLINE void format_outer_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    const struct format_outer_block *s = block;
    const struct tile_shape one_panel = {shape.rows, 1, shape.width};
    (void)row, (void)panel;
    vec sums[TILE_VECTORS];
    bfloat16_tile(one_panel,
                  (struct bfloat16_operands){
                      .left = s->a, .right = s->b, .left_stride = 2, .left_step = 2 * TILE_ROWS, .depth = s->depth},
                  zero_sums(), sums_of_tile(one_panel, sums));
    for (int r = 0; r < shape.rows; r++)
        for (int v = 0; v < shape.width; v++) {
            real *y = s->y + r * s->y_stride + v * VL;
            vec sum = sums[r * shape.width + v];
            if (s->add) sum += load(y);
            store(y, sum);
        }
}
/* clang-format off */
#define OUTER_FUNCTIONS(body, rows) TILE_FUNCTION(body, rows, 1) TILE_FUNCTION(body, rows, 4)
#define OUTER_ENTRIES(body, rows) {body##_##rows##_1, body##_##rows##_4},
FOR_EACH_TILE_ROWS(OUTER_FUNCTIONS, format_outer_tile)
static tile_function *const format_outer_tiles[TILE_ROWS][2] = {FOR_EACH_TILE_ROWS(OUTER_ENTRIES, format_outer_tile)};
/* clang-format on */

/* Rows [k, k + depth) of vectors [first, first + width) of b, in pairs; the partner of a last odd row is zero. */
static void copy_pairs(const struct lstm_outer *s, int64_t k, int64_t depth, int64_t first, int64_t width, bits *to) {
    for (int64_t j = 0; j < depth; j += 2)
        for (int64_t v = 0; v < width; v++) {
            const real *even = s->b + (k + j) * s->b_stride + (first + v) * VL;
            *to++ = pair_bfloat16(load(even), j + 1 < depth ? load(even + s->b_stride) : broadcast(0));
        }
}

/* The number of one row, even or odd, of `width` vectors of pairs. */
ALWAYS_INLINE vec row_of_pairs(const bits *pairs, int64_t row, int64_t width, int64_t v) {
    const bits pair = pairs[row / 2 * width + v];
    const bool is_upper = row % 2 == LOW_HALF_FIRST;
    if (is_upper) return (vec)(pair & broadcast_bits(-65536));
    return (vec)(pair << 16);
}

/* See kernels/outer.h. y: the first row; its rows are y_stride numbers apart. */
static void add_pairs_of_symbols(const struct lstm_symbol_row *rows, int64_t depth, const bits *pairs, int64_t width,
                                 int64_t y_stride, real *y) {
    for (int64_t k = 0, n; k < depth; k += n) {
        for (n = 1; k + n < depth && rows[k + n].symbol == rows[k].symbol;) n++;
        for (int64_t v = 0; v < width; v++) {
            real *to = y + rows[k].symbol * y_stride + v * VL;
            vec sum = broadcast(0);
            for (int64_t j = k; j < k + n; j++) sum += row_of_pairs(pairs, rows[j].row, width, v);
            store(to, load(to) + sum);
        }
    }
}

/* Zeroes a panel of n_rows rows. */
static void clear_panel(real *y, int64_t n_rows, int64_t n, int64_t y_stride) {
    for (int64_t row = 0; row < n_rows; row++) __builtin_memset(y + row * y_stride, 0, (size_t)n * sizeof(real));
}

/* Panels of four vectors; the remainder as single vectors. */
static void format_outer(const struct lstm_outer *s) {
    bits b[LSTM_SUM_BLOCK / 2 * LSTM_PANEL_VECTORS];
    const int64_t end = s->panel_end * LSTM_PANEL_VECTORS < s->n_vectors ? s->panel_end * LSTM_PANEL_VECTORS
                                                                         : s->n_vectors;
    for (int64_t first = s->panel_begin * LSTM_PANEL_VECTORS, width; first < end; first += width) {
        const int64_t panel = first / LSTM_PANEL_VECTORS * LSTM_PANEL_VECTORS;
        const int64_t panel_width = s->n_vectors - panel < LSTM_PANEL_VECTORS ? s->n_vectors - panel
                                                                              : LSTM_PANEL_VECTORS;
        width = panel_width == LSTM_PANEL_VECTORS ? LSTM_PANEL_VECTORS : 1;
        for (int64_t k = 0, depth; k < s->depth; k += depth) {
            depth = s->depth - k < LSTM_SUM_BLOCK ? s->depth - k : LSTM_SUM_BLOCK;
            copy_pairs(s, k, depth, first, width, b);
            for (const struct lstm_outer_sum *sum = s->sums; sum < s->sums + s->n_sums; sum++) {
                real *y = sum->y + panel * VL * sum->n_rows + (first - panel) * VL;
                if (sum->symbols) {
                    if (!s->add && k == 0) clear_panel(y, sum->n_rows, width * VL, panel_width * VL);
                    add_pairs_of_symbols(sum->symbols + k, depth, b, width, panel_width * VL, y);
                    continue;
                }
                for (int64_t row = 0; row < sum->n_rows; row += TILE_ROWS) {
                    const int64_t left = sum->n_rows - row, padded = lstm_format_depth(LSTM_FORMAT_BFLOAT16, s->depth);
                    const struct format_outer_block block = {.a = (const bfloat16_number *)(sum->a + row * padded)
                                                                  + k * TILE_ROWS,
                                                             .b = (const uint16_t *)b,
                                                             .y = y + row * panel_width * VL,
                                                             .depth = depth,
                                                             .y_stride = panel_width * VL,
                                                             .add = s->add || k > 0};
                    format_outer_tiles[(left < TILE_ROWS ? left : TILE_ROWS) - 1][width > 1](&block, 0, 0);
                }
            }
        }
    }
}

#endif
