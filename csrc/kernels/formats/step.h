/* A time step in an interleaved format: h_prev is rounded, its product is added to the input projection, then the cell
 * follows. (In blocks, the input projection may be part of the step.) */
#ifndef LSTM_FORMATS_STEP_H
#define LSTM_FORMATS_STEP_H

#include "../../compiler.h"
#include "../../format.h"
#include "../macro_tiles.h"
#include "../table.h"
#include "../tiles.h"
#include "blocks.h"
#include "operand.h"
#include "tile.h"
#include "vector.h"

static struct format_block block_of_step(const struct lstm_step *s) {
    return (struct format_block){.format = s->format,
                                 .left = s->format_args.operands,
                                 .right = s->weight_hh,
                                 .left_stride = lstm_operand_stride(s->h_size),
                                 .depth = lstm_format_depth(s->format, s->h_size),
                                 .n_columns = (s->hidden_size + VL - 1) / VL * VL * LSTM_GATES,
                                 .format_args = &s->format_args};
}

/* block points to a struct lstm_step if shape.rows is 1, otherwise to a struct macro_tile. */
ALWAYS_INLINE void step_tile(const struct tile_shape shape, const enum lstm_format format, const void *block,
                             int64_t row, int64_t panel) {
    const struct macro_tile *macro = block;
    const struct lstm_step *s = shape.rows == 1 ? block : macro->step;
    const struct format_block b = block_of_step(s);
    const struct sums start = {s->gates + row * s->gates_stride + panel * LSTM_PANEL_VECTORS * VL, s->gates_stride};
    if (shape.rows == 1) {
        vec sums[TILE_VECTORS];
        multiply_format_tile(shape, format, &b, row, panel, start, sums_of_tile(shape, sums));
        s->update(s, row, panel, 1, shape.panels, sums);
        return;
    }
    vec *sums = macro->sums + ((row - macro->row) * macro->panels + panel - macro->panel) * LSTM_GATES;
    multiply_format_tile(shape, format, &b, row, panel, start,
                         (struct sums){(real *)sums, macro->panels * LSTM_GATES * VL});
}

ALWAYS_INLINE void bfloat16_step_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    step_tile(shape, LSTM_FORMAT_BFLOAT16, block, row, panel);
}
TILE_FULL_TABLE(bfloat16_step_tile, bfloat16_step_tiles)

ALWAYS_INLINE void bfloat16_amx_step_tile(const struct tile_shape shape, const void *block, int64_t row,
                                          int64_t panel) {
    step_tile(shape, LSTM_FORMAT_BFLOAT16_AMX, block, row, panel);
}
TILE_FULL_TABLE(bfloat16_amx_step_tile, bfloat16_amx_step_tiles)

ALWAYS_INLINE void int8_step_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    step_tile(shape, LSTM_FORMAT_INT8, block, row, panel);
}
TILE_FULL_TABLE(int8_step_tile, int8_step_tiles)

#ifdef HAS_BLOCKS
static void update_panel(const void *step, int64_t row, int64_t panel, int rows, const vec *sums) {
    const struct lstm_step *s = step;
    s->update(s, row, panel, rows, 1, sums);
}
#endif

#ifdef HAS_BLOCKS
/* x, if there is one, and h_prev have been rounded, one after the other. */
static void step_in_blocks(const struct lstm_step *s) {
    struct format_block matrices[] = {block_of_step(s), block_of_step(s)};
    struct sums start = {s->gates, s->gates_stride};
    if (s->x.data) {
        start = (struct sums){(real *)s->bias, 0};
        matrices[0].right = s->weight_ih;
        matrices[0].left_stride = lstm_operand_stride(s->input_size);
        matrices[0].depth = lstm_format_depth(s->format, s->input_size);
        matrices[1].left = (bfloat16_number *)s->format_args.operands + s->n_rows * matrices[0].left_stride;
    }
    multiply_in_blocks(matrices, s->x.data ? 2 : 1, s->n_rows, s->panel_begin, s->panel_end, start, update_panel, s);
}
#endif

/* The kernel. */
static void format_step(const struct lstm_step *s) {
    const struct lstm_format_kernels *others = kernels_elsewhere(
        s->format, s->n_rows, s->h_size * (s->panel_end - s->panel_begin) * LSTM_PANEL_VECTORS * VL);
    if (others && !s->x.data) {
        others->step(s);
        return;
    }
    bfloat16_number *of_h = s->format_args.operands;
    if (s->x.data) {
        round_rows_bfloat16(&s->x, s->n_rows, s->input_size, of_h);
        of_h += s->n_rows * lstm_operand_stride(s->input_size);
    }
    if (!is_int8(s->format))
        round_rows_bfloat16(&s->h_prev, s->n_rows, s->h_size, of_h);
    else if (UNLIKELY(!round_rows_int8(&s->h_prev, s->n_rows, s->h_size, s->format_args.operands))) {
        const struct lstm_rows gates = {s->gates, s->gates_stride, NULL};
        spread_nan(&s->h_prev, s->n_rows, s->h_size, &gates, s->panel_end * LSTM_PANEL_VECTORS * VL);
    }
#ifdef HAS_BLOCKS
    step_in_blocks(s);
#else
    const tile_table *tiles = is_int8(s->format)              ? &int8_step_tiles
                              : is_in_order_of_amx(s->format) ? &bfloat16_amx_step_tiles
                                                              : &bfloat16_step_tiles;
    if (s->n_rows == 1)
        for_each_tile(*tiles, s, 0, 1, s->panel_begin, s->panel_end, s->descending, s->panel_end * LSTM_PANEL_VECTORS);
    else if (s->n_rows > 1)
        step_in_macro_tiles(*tiles, s, s->update);
#endif
}

#endif
