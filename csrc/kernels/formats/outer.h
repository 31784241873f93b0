/* The weight gradients in both kinds of BFLOAT16, see kernels/outer.h: a block (lstm_sum_block) is processed in pairs
 * of rows. The right operand is rounded as it is copied; left operands are already rounded. */
#ifndef LSTM_FORMATS_OUTER_H
#define LSTM_FORMATS_OUTER_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../tile.h"
#include "../tiles.h"
#include "../transpose.h"
#include "blocks.h"
#include "tile.h"
#include "vector.h"

/* One panel and one block of b for one sum. */
struct format_outer_block {
    const bfloat16_number *a; /* a tile: (pairs, TILE_ROWS, 2) */
    const uint16_t *b;        /* (pairs, width, VL, 2) */
    real *y;                  /* first row */
    int64_t depth, y_stride;
    bool add;
};

ALWAYS_INLINE struct bfloat16_operands operands_of_outer(const struct format_outer_block *s) {
    return (struct bfloat16_operands){
        .left = s->a, .right = s->b, .left_stride = 2, .left_step = 2 * TILE_ROWS, .depth = s->depth};
}

ALWAYS_INLINE void bfloat16_outer_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    const struct format_outer_block *s = block;
    const struct tile_shape one_panel = {shape.rows, 1, shape.width};
    (void)row, (void)panel;
    vec sums[TILE_VECTORS];
    bfloat16_tile(one_panel, operands_of_outer(s), zero_sums(), sums_of_tile(one_panel, sums));
    for (int r = 0; r < shape.rows; r++)
        for (int v = 0; v < shape.width; v++) {
            real *y = s->y + r * s->y_stride + v * VL;
            vec sum = sums[r * shape.width + v];
            if (s->add) sum += load(y);
            store(y, sum);
        }
}

/* The blocks are added to the sum one after the other, as the tile adds them to its start. */
ALWAYS_INLINE void bfloat16_amx_outer_tile(const struct tile_shape shape, const void *block, int64_t row,
                                           int64_t panel) {
    const struct format_outer_block *s = block;
    const struct tile_shape one_panel = {shape.rows, 1, shape.width};
    const struct sums y = {s->y, s->y_stride};
    (void)row, (void)panel;
    bfloat16_amx_tile(one_panel, operands_of_outer(s), s->add ? y : zero_sums(), y);
}

/* clang-format off */
#define OUTER_FUNCTIONS(body, rows) TILE_FUNCTION(body, rows, 1) TILE_FUNCTION(body, rows, 4)
#define OUTER_ENTRIES(body, rows) {body##_##rows##_1, body##_##rows##_4},
typedef tile_function *const outer_table[TILE_ROWS][2];
FOR_EACH_TILE_ROWS(OUTER_FUNCTIONS, bfloat16_outer_tile)
static outer_table bfloat16_outer_tiles = {FOR_EACH_TILE_ROWS(OUTER_ENTRIES, bfloat16_outer_tile)};
FOR_EACH_TILE_ROWS(OUTER_FUNCTIONS, bfloat16_amx_outer_tile)
static outer_table bfloat16_amx_outer_tiles = {FOR_EACH_TILE_ROWS(OUTER_ENTRIES, bfloat16_amx_outer_tile)};
/* clang-format on */

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

/* The same for one block of BFLOAT16_AMX: one sum over its even and one over its odd rows. */
static void add_block_of_symbols(const struct lstm_symbol_row *rows, int64_t depth, const bits *pairs, int64_t width,
                                 int64_t y_stride, real *y) {
    for (int64_t k = 0, n; k < depth; k += n) {
        for (n = 1; k + n < depth && rows[k + n].symbol == rows[k].symbol;) n++;
        for (int64_t v = 0; v < width; v++) {
            real *to = y + rows[k].symbol * y_stride + v * VL;
            vec sums[2] = {broadcast(0), broadcast(0)};
            for (int64_t j = k; j < k + n; j++) sums[rows[j].row % 2] += row_of_pairs(pairs, rows[j].row, width, v);
            store(to, load(to) + (sums[0] + sums[1]));
        }
    }
}

/* Zeroes a panel of n_rows rows. */
static void clear_panel(real *y, int64_t n_rows, int64_t n, int64_t y_stride) {
    for (int64_t row = 0; row < n_rows; row++) __builtin_memset(y + row * y_stride, 0, (size_t)n * sizeof(real));
}

/* Rows of b that are copied at once, in pairs, and their vectors. In blocks, the rest of a block or panel is zero. */
#ifdef HAS_BLOCKS
#define OUTER_ROWS 256
#define ROWS_OF_BLOCK LSTM_AMX_BLOCK
#else
#define OUTER_ROWS LSTM_SUM_BLOCK
#define ROWS_OF_BLOCK 2
#endif

/* Rows [k, k + depth) and vectors [first, first + width) of b, copied in rows of `copied` vectors, and a panel of y,
 * whose rows are y_stride numbers apart. */
struct outer_panel {
    int64_t k, depth, first, width, copied, y_stride;
    const bits *pairs;
    bool add;
};

static void copy_pairs(const struct lstm_outer *s, const struct outer_panel *p, bits *to) {
    for (int64_t j = 0; j < p->depth || j % ROWS_OF_BLOCK; j += 2)
        for (int64_t v = 0; v < p->copied; v++) {
            const real *even = s->b + (p->k + j) * s->b_stride + (p->first + v) * VL;
            const bool has_even = j < p->depth && v < p->width, has_odd = has_even && j + 1 < p->depth;
            *to++ = has_even ? pair_bfloat16(load(even), has_odd ? load(even + s->b_stride) : broadcast(0))
                             : broadcast_bits(0);
        }
}

static void add_symbols(const struct lstm_outer *s, const struct lstm_outer_sum *sum, const struct outer_panel *p,
                        real *y) {
    if (!p->add) clear_panel(y, sum->n_rows, p->width * VL, p->y_stride);
    const int64_t block = lstm_sum_block(s->format);
    for (int64_t k = 0; k < p->depth; k += block)
        (s->format == LSTM_FORMAT_BFLOAT16_AMX ? add_block_of_symbols : add_pairs_of_symbols)(
            sum->symbols + p->k + k, p->depth - k < block ? p->depth - k : block, p->pairs + k / 2 * p->copied,
            p->copied, p->y_stride, y);
}

#ifdef HAS_BLOCKS

/* Rows [row, row + n_rows) of a sum. The sums of a panel of fewer vectors are moved into a whole one and back. */
static void add_outer_block(const struct lstm_outer *s, const struct lstm_outer_sum *sum, const struct outer_panel *p,
                            int64_t row, int64_t n_rows, real *y) {
    const int64_t stride = lstm_left_stride(s->depth) * 2, whole = LSTM_PANEL_VECTORS * VL;
    const char *left = (const char *)sum->a + row * stride + p->k * 2;
    const int64_t depth = (p->depth + LSTM_AMX_BLOCK - 1) / LSTM_AMX_BLOCK * BLOCK_BYTES;
    y += row * p->y_stride;
    if (p->y_stride == whole) {
        start_block((struct sums){p->add ? y : NULL, whole});
        add_bfloat16_products(left, stride, (const char *)p->pairs, depth);
        store_block(y);
        return;
    }
    vec sums[BLOCK_ROWS * LSTM_PANEL_VECTORS] = {{0}};
    for (int64_t r = 0; p->add && r < n_rows; r++) sums[r * LSTM_PANEL_VECTORS] = load(y + r * p->y_stride);
    start_block((struct sums){(real *)sums, whole});
    add_bfloat16_products(left, stride, (const char *)p->pairs, depth);
    store_block(sums);
    for (int64_t r = 0; r < n_rows; r++) store(y + r * p->y_stride, sums[r * LSTM_PANEL_VECTORS]);
}

static void add_products_of_rows(const struct lstm_outer *s, const struct lstm_outer_sum *sum,
                                 const struct outer_panel *p, real *y) {
    int64_t row = 0;
    for (int64_t rows = BLOCK_ROWS; row < sum->n_rows; row += rows) {
        if (sum->n_rows - row < rows) rows = sum->n_rows - row;
        if (row == 0 || rows < BLOCK_ROWS) begin_blocks(rows, 0);
        add_outer_block(s, sum, p, row, rows, y);
    }
    end_blocks();
}

/* Rows become columns: 16 x 16 numbers at a time. */
static void pack_left(const struct lstm_left_rows *s) {
    const int64_t stride = lstm_left_stride(s->depth);
    for (int64_t tile = s->tile_begin; tile < s->tile_end; tile++) {
        const int64_t column = tile * BLOCK_ROWS;
        vec rows[BLOCK_ROWS];
        for (int64_t r = 0; r < BLOCK_ROWS; r++)
            rows[r] = r < s->n ? load_lanes(s->rows[r] + column, s->n_columns - column) : broadcast(0);
        transpose(rows);
        bfloat16_number *to = (bfloat16_number *)s->to + column * stride + s->k;
        for (int64_t c = 0; c < BLOCK_ROWS; c++) round_bfloat16(to + c * stride, rows[c]);
    }
}

#else

static void add_products_of_rows(const struct lstm_outer *s, const struct lstm_outer_sum *sum,
                                 const struct outer_panel *p, real *y) {
    const int64_t padded = lstm_format_depth(s->format, s->depth);
    const outer_table *tiles = is_in_order_of_amx(s->format) ? &bfloat16_amx_outer_tiles : &bfloat16_outer_tiles;
    for (int64_t row = 0; row < sum->n_rows; row += TILE_ROWS) {
        const int64_t left = sum->n_rows - row;
        const struct format_outer_block block = {.a = (const bfloat16_number *)(sum->a + row * padded)
                                                      + p->k * TILE_ROWS,
                                                 .b = (const uint16_t *)p->pairs,
                                                 .y = y + row * p->y_stride,
                                                 .depth = lstm_format_depth(s->format, p->depth),
                                                 .y_stride = p->y_stride,
                                                 .add = p->add};
        (*tiles)[(left < TILE_ROWS ? left : TILE_ROWS) - 1][p->width > 1](&block, 0, 0);
    }
}

#endif

/* The kernel. Panels of four vectors; the remainder as single vectors. */
static void format_outer(const struct lstm_outer *s) {
    const struct lstm_format_kernels *others = kernels_elsewhere(s->format, LSTM_OPERAND_ROWS, 0);
    if (others) {
        others->outer(s);
        return;
    }
    bits pairs[OUTER_ROWS / 2 * LSTM_PANEL_VECTORS];
    const int64_t most = s->panel_end * LSTM_PANEL_VECTORS, end = most < s->n_vectors ? most : s->n_vectors;
    struct outer_panel p = {.first = s->panel_begin * LSTM_PANEL_VECTORS, .pairs = pairs};
    for (; p.first < end; p.first += p.width) {
        const int64_t panel = p.first / LSTM_PANEL_VECTORS, panel_vectors = panel_width(panel, s->n_vectors);
        p.width = panel_vectors == LSTM_PANEL_VECTORS ? LSTM_PANEL_VECTORS : 1;
        p.copied = ROWS_OF_BLOCK > 2 ? LSTM_PANEL_VECTORS : p.width;
        p.y_stride = panel_vectors * VL;
        for (p.k = 0; p.k < s->depth; p.k += p.depth) {
            p.depth = s->depth - p.k < OUTER_ROWS ? s->depth - p.k : OUTER_ROWS;
            p.add = s->add || p.k > 0;
            copy_pairs(s, &p, pairs);
            for (const struct lstm_outer_sum *sum = s->sums; sum < s->sums + s->n_sums; sum++) {
                real *y = sum->y + panel * LSTM_PANEL_VECTORS * VL * sum->n_rows + p.first % LSTM_PANEL_VECTORS * VL;
                (sum->symbols ? add_symbols : add_products_of_rows)(s, sum, &p, y);
            }
        }
    }
}

/* In place, which is safe because a rounded number is no larger than a float: none is stored beyond the position from
 * which it was read. */
static void round_pairs(enum lstm_format format, int64_t n, float *numbers) {
    const struct lstm_format_kernels *others = kernels_elsewhere(format, LSTM_OPERAND_ROWS, 0);
    if (others) {
        others->round_pairs(format, n, numbers);
        return;
    }
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

#endif
