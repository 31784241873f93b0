/* One time step backward in both kinds of BFLOAT16: d_h_next = d_gates_next W_hh, then the cell. */
#ifndef LSTM_FORMATS_STEP_BACKWARD_H
#define LSTM_FORMATS_STEP_BACKWARD_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../tiles.h"
#include "blocks.h"
#include "operand.h"
#include "tile.h"
#include "vector.h"

struct format_step_backward {
    const struct lstm_step_backward *s;
    struct format_block block;
};

/* The cells of `rows` rows of n vectors. All panels of the weights are full, but the last may hold fewer vectors of
 * units. */
NEVER_INLINE void update_rows_backward(const struct lstm_step_backward *s, int64_t row, int64_t panel, int rows, int n,
                                       const vec *sums) {
    const int64_t left = (s->hidden_size + VL - 1) / VL - panel * LSTM_PANEL_VECTORS;
    if (left >= n)
        s->update(s, row, panel, rows, n, sums);
    else
        for (int r = 0; r < rows; r++) s->update(s, row + r, panel, 1, (int)left, sums + r * n);
}

ALWAYS_INLINE void format_step_backward_tile(const struct tile_shape shape, const enum lstm_format format,
                                             const void *block, int64_t row, int64_t panel) {
    const struct format_step_backward *p = block;
    vec sums[TILE_VECTORS];
    multiply_format_tile(shape, format, &p->block, row, panel, zero_sums(), sums_of_tile(shape, sums));
    update_rows_backward(p->s, row, panel, shape.rows, shape.panels * shape.width, sums);
}

ALWAYS_INLINE void bfloat16_step_backward_tile(const struct tile_shape shape, const void *block, int64_t row,
                                               int64_t panel) {
    format_step_backward_tile(shape, LSTM_FORMAT_BFLOAT16, block, row, panel);
}
TILE_FULL_TABLE(bfloat16_step_backward_tile, bfloat16_step_backward_tiles)

ALWAYS_INLINE void bfloat16_amx_step_backward_tile(const struct tile_shape shape, const void *block, int64_t row,
                                                   int64_t panel) {
    format_step_backward_tile(shape, LSTM_FORMAT_BFLOAT16_AMX, block, row, panel);
}
TILE_FULL_TABLE(bfloat16_amx_step_backward_tile, bfloat16_amx_step_backward_tiles)

#ifdef HAS_BLOCKS
static void update_panel_backward(const void *step, int64_t row, int64_t panel, int rows, const vec *sums) {
    update_rows_backward(step, row, panel, rows, LSTM_PANEL_VECTORS, sums);
}
#endif

/* The kernel. */
static void format_step_backward(const struct lstm_step_backward *s) {
    const int64_t depth = lstm_gates_depth(LSTM_GATES, s->hidden_size);
    const struct lstm_format_kernels *others = kernels_elsewhere(
        s->format, s->n_rows, depth * (s->panel_end - s->panel_begin) * LSTM_PANEL_VECTORS * VL);
    if (others) {
        others->step_backward(s);
        return;
    }
    const struct lstm_rows d_gates = {(real *)s->d_gates_next, s->d_gates_stride, NULL};
    round_gates_bfloat16(&d_gates, s->n_rows, s->hidden_size, s->format_args.operands);
    const struct format_step_backward p = {.s = s,
                                           .block = {.format = s->format,
                                                     .left = s->format_args.operands,
                                                     .right = s->weight_hh,
                                                     .left_stride = lstm_operand_stride(depth + LSTM_OPERAND_SLACK),
                                                     .depth = depth}};
#ifdef HAS_BLOCKS
    multiply_in_blocks(&p.block, 1, s->n_rows, s->panel_begin, s->panel_end, (struct sums){0}, update_panel_backward,
                       s);
#else
    for_each_tile(is_in_order_of_amx(s->format) ? bfloat16_amx_step_backward_tiles : bfloat16_step_backward_tiles, &p,
                  0, s->n_rows, s->panel_begin, s->panel_end, s->descending, s->panel_end * LSTM_PANEL_VECTORS);
#endif
}

#endif
