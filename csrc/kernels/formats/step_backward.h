/* One time step backward in BFLOAT16: d_h_next = d_gates_next W_hh, then the cell. */
#ifndef LSTM_FORMATS_STEP_BACKWARD_H
#define LSTM_FORMATS_STEP_BACKWARD_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../tiles.h"
#include "operand.h"
#include "tile.h"
#include "vector.h"

struct format_step_backward {
    const struct lstm_step_backward *s;
    struct format_block block;
};

/* All panels of the weights are full, but the last may hold fewer vectors of units. */
ALWAYS_INLINE void step_backward_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    const struct format_step_backward *p = block;
    const struct lstm_step_backward *s = p->s;
    const int64_t left = (s->hidden_size + VL - 1) / VL - panel * LSTM_PANEL_VECTORS;
    const int n = shape.panels * shape.width, present = left < n ? (int)left : n;
    vec sums[TILE_VECTORS];
    multiply_format_tile(shape, LSTM_FORMAT_BFLOAT16, &p->block, row, panel, zero_sums(), sums_of_tile(shape, sums));
    if (present == n)
        s->update(s, row, panel, shape.rows, n, sums);
    else
        for (int r = 0; r < shape.rows; r++) s->update(s, row + r, panel, 1, present, sums + r * n);
}
TILE_FULL_TABLE(step_backward_tile, step_backward_tiles)

/* The kernel. */
static void format_step_backward(const struct lstm_step_backward *s) {
    const struct lstm_rows d_gates = {(real *)s->d_gates_next, s->d_gates_stride, NULL};
    const int64_t depth = lstm_gates_depth(LSTM_GATES, s->hidden_size);
    round_gates_bfloat16(&d_gates, s->n_rows, s->hidden_size, s->groups.operands);
    const struct format_step_backward p = {.s = s,
                                           .block = {.format = LSTM_FORMAT_BFLOAT16,
                                                     .left = s->groups.operands,
                                                     .right = s->weight_hh,
                                                     .left_stride = lstm_operand_stride(depth + LSTM_OPERAND_SLACK),
                                                     .depth = depth}};
    for_each_tile(step_backward_tiles, &p, 0, s->n_rows, s->panel_begin, s->panel_end, s->descending,
                  s->panel_end * LSTM_PANEL_VECTORS);
}

#endif
