/* Products without a cell in an interleaved format: the input projection, the recurrent product before a layer norm,
 * and the projection of h. All panels of the weights are full; y may have fewer columns. */
#ifndef LSTM_FORMATS_PRODUCT_H
#define LSTM_FORMATS_PRODUCT_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../tiles.h"
#include "blocks.h"
#include "operand.h"
#include "tile.h"
#include "vector.h"

struct format_product {
    const struct lstm_product *s;
    struct format_block block;
    bool has_both_parts; /* the two rows of the block are the parts of one 16-bit row */
};

/* Combines a tile of two rows, the sums of the upper and of the lower part; the result replaces the first row. */
ALWAYS_INLINE void join_parts(const struct format_product *p, int64_t column, int n, struct sums start, vec *sums) {
    for (int v = 0; v < n; v++) {
        const vec total = vfma(sums[v], broadcast(256), sums[n + v]);
        sums[v] = vfma(total * load(p->block.format_args->scale + column + v * VL), broadcast(*p->block.row_scale),
                       load(start.first + v * VL));
    }
}

NEVER_INLINE void store_format_sums(const struct lstm_product *s, int64_t row, int64_t column, int rows, int n,
                                    const vec *sums) {
    const int64_t left = s->n_columns - column;
    for (int r = 0; r < rows; r++, sums += n) {
        real *y = s->y.data + row_offset(&s->y, row + r) + column;
        for (int v = 0; v < n && v * VL < left; v++) {
            vec sum = sums[v];
            if (s->add) sum += load_lanes(y + v * VL, left - v * VL);
            store_lanes(y + v * VL, sum, left - v * VL);
        }
    }
}

ALWAYS_INLINE void format_product_tile(const struct tile_shape shape, const enum lstm_format format, const void *block,
                                       int64_t row, int64_t panel) {
    const struct format_product *p = block;
    const struct lstm_product *s = p->s;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    const struct sums start = s->bias ? (struct sums){(real *)s->bias + column, 0} : zero_sums();
    vec sums[TILE_VECTORS];
    multiply_format_tile(shape, format, &p->block, row, panel, start, sums_of_tile(shape, sums));
    const bool is_joined = format == LSTM_FORMAT_INT8 && shape.rows == 2 && p->has_both_parts;
    if (is_joined) join_parts(p, column, shape.panels * shape.width, start, sums);
    store_format_sums(s, row, column, is_joined ? 1 : shape.rows, shape.panels * shape.width, sums);
}

ALWAYS_INLINE void bfloat16_product_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    format_product_tile(shape, LSTM_FORMAT_BFLOAT16, block, row, panel);
}
TILE_FULL_TABLE(bfloat16_product_tile, bfloat16_product_tiles)

ALWAYS_INLINE void bfloat16_amx_product_tile(const struct tile_shape shape, const void *block, int64_t row,
                                             int64_t panel) {
    format_product_tile(shape, LSTM_FORMAT_BFLOAT16_AMX, block, row, panel);
}
TILE_FULL_TABLE(bfloat16_amx_product_tile, bfloat16_amx_product_tiles)

ALWAYS_INLINE void int8_product_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    format_product_tile(shape, LSTM_FORMAT_INT8, block, row, panel);
}
TILE_FULL_TABLE(int8_product_tile, int8_product_tiles)

#ifdef HAS_BLOCKS
static void store_panel(const void *product, int64_t row, int64_t panel, int rows, const vec *sums) {
    store_format_sums(product, row, panel * LSTM_PANEL_VECTORS * VL, rows, LSTM_PANEL_VECTORS, sums);
}
#endif

/* All tiles of one part of the left operand. */
static void multiply_part(const struct format_product *p) {
    const struct lstm_product *s = p->s;
#ifdef HAS_BLOCKS
    multiply_in_blocks(&p->block, 1, s->n_rows, s->panel_begin, s->panel_end, (struct sums){(real *)s->bias, 0},
                       store_panel, s);
#else
    const tile_table *tiles = is_int8(s->format)              ? &int8_product_tiles
                              : is_in_order_of_amx(s->format) ? &bfloat16_amx_product_tiles
                                                              : &bfloat16_product_tiles;
    for_each_tile(*tiles, p, 0, p->has_both_parts ? 2 : s->n_rows, s->panel_begin, s->panel_end, false,
                  s->panel_end * LSTM_PANEL_VECTORS);
#endif
}

/* Rounds the left operand into the workspace and computes all tiles. False: an INT8 row contains a NaN. */
static bool multiply_parts(const struct lstm_product *s, struct format_product *p) {
    void *operands = s->format_args.operands;
    const int64_t stride = p->block.left_stride;
    bool are_numbers = true;
    if (!is_int8(s->format)) {
        if (s->gates_per_unit > 1)
            round_gates_bfloat16(&s->a, s->n_rows, s->depth, operands);
        else
            round_rows_bfloat16(&s->a, s->n_rows, s->depth, operands);
    } else if (!s->format_args.row_bits)
        are_numbers = round_rows_int8(&s->a, s->n_rows, s->depth, operands);
    else {
        float *row_scale = (float *)operands + s->n_rows * stride;
        round_rows_by_scale(&s->a, s->n_rows, s->depth, s->format_args.row_bits, operands, row_scale);
        p->block.row_scale = row_scale;
    }
    if (s->format_args.row_bits == 16 && s->n_rows == 1) { /* reads the weights once */
        p->has_both_parts = true;
        p->block.part = LOWER;
    } else if (s->format_args.row_bits == 16) {
        p->block.lower = (struct sums){s->y.data, s->y.stride};
        p->block.left = (const int8_number *)operands + s->n_rows * stride;
        p->block.part = LOWER;
        multiply_part(p);
        p->block.left = operands;
        p->block.part = UPPER;
    }
    multiply_part(p);
    return are_numbers;
}

/* The kernel. */
static void format_product(const struct lstm_product *s) {
    const bool of_gates = s->gates_per_unit > 1;
    const int64_t depth = of_gates ? lstm_gates_depth(s->gates_per_unit, s->depth) : s->depth;
    const struct lstm_format_kernels *others = kernels_elsewhere(
        s->format, s->n_rows, depth * (s->panel_end - s->panel_begin) * LSTM_PANEL_VECTORS * VL);
    if (others) {
        others->product(s);
        return;
    }
    struct format_product p = {
        .s = s,
        .block = {.format = s->format,
                  .left = s->format_args.operands,
                  .right = s->b,
                  .left_stride = lstm_operand_stride(of_gates ? depth + LSTM_OPERAND_SLACK : depth),
                  .depth = lstm_format_depth(s->format, depth),
                  .n_columns = s->n_columns,
                  .format_args = &s->format_args}};
    const bool are_numbers = multiply_parts(s, &p);
    if (UNLIKELY(!are_numbers)) {
        struct lstm_rows y = s->y;
        y.data += s->panel_begin * LSTM_PANEL_VECTORS * VL;
        const int64_t end = s->panel_end * LSTM_PANEL_VECTORS * VL;
        spread_nan(&s->a, s->n_rows, s->depth, &y,
                   (end < s->n_columns ? end : s->n_columns) - s->panel_begin * LSTM_PANEL_VECTORS * VL);
    }
}

#endif
