/* One time step: the recurrent product of a tile and, while its sums are still in registers or L1, the cell.
 *
 * A tile function passes its sums to the cell through the stack, so that the cell is compiled once and not for every
 * tile size (inlined into 6 x 4 tiles, the AVX-512 kernels were 1.2 MB and no faster). The cell of an LSTM processes a
 * macro tile at once, because the long dependency chains of different units overlap. */
#ifndef LSTM_STEP_H
#define LSTM_STEP_H

#include <stddef.h>

#include "../compiler.h"
#include "../format.h"
#include "../real.h"
#include "cell.h"
#include "macro_tiles.h"
#include "norm.h"
#include "product.h"
#include "table.h"
#include "tile.h"
#include "tiles.h"
#include "vector.h"

/* The products of a tile, starting from the hoisted input projection or from bias + x W_ih^T computed here, which has
 * the same bits. */
ALWAYS_INLINE void step_products(const struct tile_shape shape, const enum lstm_format format,
                                 const struct lstm_step *s, int64_t row, int64_t panel, struct sums sums) {
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    struct sums start = {s->gates + row * s->gates_stride + column, s->gates_stride};
    if (s->x.data) {
        multiply_tile(shape, format, 1, s->input_size, left_rows(shape.rows, &s->x, row),
                      packed_panel(shape, format, s->weight_ih, s->input_size, panel),
                      (struct sums){(real *)s->bias + column, 0}, sums);
        start = sums;
    } else
        prefetch_sums(shape, start);
    struct right_operand weights = packed_panel(shape, format, s->weight_hh, s->h_size, panel);
    if (may_prefetch(shape, format))
        prefetch_next_panel(&weights, s->h_size, s->hidden_size * LSTM_GATES, row, s->descending);
    multiply_tile(shape, format, 1, s->h_size, left_rows(shape.rows, &s->h_prev, row), weights, start, sums);
}

/* ---- LSTM: a panel is the four gates of one vector of units ------------------------------------------------------ */

/* Computes c and h from the sums of rows x panels, LSTM_GATES vectors each. Two loops, first c, then h: the iterations
 * of each are independent and short enough for out-of-order execution to overlap several. As one loop, with one long
 * dependency chain per iteration, a step of H = 32, B = 32 took 10 % longer. */
ALWAYS_INLINE void update_units(const struct lstm_variant *v, const struct lstm_step *s, int64_t row, int64_t panel,
                                int rows, int panels, const vec *sums) {
    const vec *pre = sums;
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++, pre += LSTM_GATES) {
            const int64_t unit = (panel + p) * VL, at = (row + r) * s->c_stride + unit;
            const struct memory m = cell_memory(v, unit, pre, load(s->c_prev + at));
            store(s->c + at, m.c);
            if (s->keep_gates) {
                real *gates = s->gates + (row + r) * s->gates_stride + unit * LSTM_GATES;
                store(gates + LSTM_GATE_I * VL, m.i);
                store(gates + LSTM_GATE_F * VL, m.f);
                store(gates + LSTM_GATE_G * VL, m.g);
            }
        }
    for (int r = 0; r < rows; r++) {
        const real *c_row = s->c + (row + r) * s->c_stride;
        struct moments moments;
        if (v && v->layer_norm) moments = moments_of(c_row, 1, s->hidden_size);
        for (int p = 0; p < panels; p++, sums += LSTM_GATES) {
            const int64_t unit = (panel + p) * VL;
            const vec c = load(c_row + unit);
            vec normalized_c = c;
            if (v && v->layer_norm)
                normalized_c = vfma(normalize(moments, c), load(v->norm_c + unit), load(v->norm_c_bias + unit));
            const struct output output = cell_output(v, unit, sums[LSTM_GATE_O], c, normalized_c);
            if (s->keep_gates)
                store(s->gates + (row + r) * s->gates_stride + unit * LSTM_GATES + LSTM_GATE_O * VL, output.o);
            store_lanes(s->h.data + row_offset(&s->h, row + r) + unit, output.h, s->hidden_size - unit);
        }
    }
}

NEVER_INLINE void update_plain(const struct lstm_step *s, int64_t row, int64_t panel, int rows, int panels,
                               const vec *sums) {
    update_units(NULL, s, row, panel, rows, panels, sums);
}

/* The same for one row, with n_rows a constant: 1-2 % faster. */
NEVER_INLINE void update_plain_row(const struct lstm_step *s, int64_t row, int64_t panel, int panels, const vec *sums) {
    update_units(NULL, s, row, panel, 1, panels, sums);
}

NEVER_INLINE void update_simple(const struct lstm_step *s, int64_t row, int64_t panel, int rows, int panels,
                                const vec *sums) {
    const struct lstm_variant v = simplified(s->variant);
    update_units(&v, s, row, panel, rows, panels, sums);
}

NEVER_INLINE void update_variant(const struct lstm_step *s, int64_t row, int64_t panel, int rows, int panels,
                                 const vec *sums) {
    update_units(s->variant, s, row, panel, rows, panels, sums);
}

ALWAYS_INLINE void update(const struct lstm_step *s, int64_t row, int64_t panel, int rows, int panels,
                          const vec *sums) {
    if (!s->variant && __builtin_constant_p(rows == 1) && rows == 1)
        update_plain_row(s, row, panel, panels, sums);
    else if (!s->variant)
        update_plain(s, row, panel, rows, panels, sums);
    else if (s->variant->is_simple)
        update_simple(s, row, panel, rows, panels, sums);
    else
        update_variant(s, row, panel, rows, panels, sums);
}

/* The kernel `update`: c and h from given sums. */
static void update_sums(const struct lstm_step *s, int64_t row, int64_t panel, int rows, int panels, const void *sums) {
    update(s, row, panel, rows, panels, sums);
}

/* The kernel of the cell only; its sums are already in `gates`. */
static void cell(const struct lstm_step *s) {
    const int panels = (int)((s->hidden_size + VL - 1) / VL);
    for (int64_t row = 0; row < s->n_rows; row++)
        update_variant(s, row, 0, 1, panels, (const vec *)(s->gates + row * s->gates_stride));
}

/* block: the step for one row, else a macro tile. */
ALWAYS_INLINE void lstm_tile_of(const struct tile_shape shape, const enum lstm_format format, const void *block,
                                int64_t row, int64_t panel) {
    if (shape.rows == 1) {
        vec sums[TILE_VECTORS];
        step_products(shape, format, block, row, panel, sums_of_tile(shape, sums));
        update(block, row, panel, shape.rows, shape.panels, sums);
        return;
    }
    const struct macro_tile *macro = block;
    vec *sums = macro->sums + ((row - macro->row) * macro->panels + panel - macro->panel) * LSTM_GATES;
    step_products(shape, format, macro->step, row, panel, (struct sums){(real *)sums, macro->panels * LSTM_GATES * VL});
}

ALWAYS_INLINE void lstm_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    lstm_tile_of(shape, LSTM_FORMAT_REAL, block, row, panel);
}
TILE_TRIPLE_TABLE(lstm_tile, lstm_tiles)

#ifndef LSTM_DOUBLE
ALWAYS_INLINE void lstm_half_tile(const struct tile_shape shape, const void *block, int64_t row, int64_t panel) {
    lstm_tile_of(shape, LSTM_FORMAT_FLOAT16, block, row, panel);
}
TILE_FULL_TABLE(lstm_half_tile, lstm_half_tiles)
#endif

static const tile_table *step_tiles(const struct lstm_step *s) {
#ifndef LSTM_DOUBLE
    if (s->format == LSTM_FORMAT_FLOAT16) return &lstm_half_tiles;
#endif
    (void)s;
    return &lstm_tiles;
}

static void lstm_step(const struct lstm_step *s) {
    if (s->n_rows == 1)
        for_each_tile(*step_tiles(s), s, 0, 1, s->panel_begin, s->panel_end, s->descending,
                      s->panel_end * LSTM_PANEL_VECTORS);
    else if (s->n_rows > 1)
        step_in_macro_tiles(*step_tiles(s), s, update_sums);
}

/* ---- plain RNN: a panel is four vectors of units. The product of a step without x, then the cell ----------------- */

NEVER_INLINE void update_rnn(const void *step, int64_t row, int64_t panel, int rows, int n, const vec *sums) {
    const struct lstm_step *s = step;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++) {
            const int64_t unit = (panel * LSTM_PANEL_VECTORS + v) * VL;
            store_lanes(s->h.data + row_offset(&s->h, row + r) + unit, rnn_cell(s->cell, *sums++),
                        s->hidden_size - unit);
        }
}

static void rnn_step(const struct lstm_step *s) {
    const struct lstm_product product = {.n_rows = s->n_rows,
                                         .depth = s->h_size,
                                         .n_columns = s->hidden_size,
                                         .panel_begin = s->panel_begin,
                                         .panel_end = s->panel_end,
                                         .gates_per_unit = 1,
                                         .format = LSTM_FORMAT_REAL,
                                         .a = s->h_prev,
                                         .b = s->weight_hh};
    multiply(&product, (struct sums){s->gates, s->gates_stride}, false, update_rnn, s);
}

/* The kernel. */
static void step(const struct lstm_step *s) {
    if (s->cell == LSTM_CELL_LSTM)
        lstm_step(s);
    else
        rnn_step(s);
}

#endif
