/* One time step: the recurrent product of a tile and, while its sums are in registers and L1, the cell.
 *
 * A tile function keeps its sums in registers and hands them to the cell through the stack: the cell's code then exists
 * once and not in every tile size (fully unrolled into 6 x 4 tiles, the AVX-512 kernels were 1.2 MB and no faster). */

/* Starts the sums of a tile with the hoisted input projection, or with bias + x W_ih^T here and now: same bits. */
ALWAYS_INLINE void NAME(start_tile)(const int rows, const int panels, const int width, const int is_half,
                                    const struct NAME(lstm_step) *s, int64_t row, int64_t panel, VEC *acc) {
    const int n = panels * width;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    const REAL *start = s->x ? s->bias + column : s->gates + row * s->gates_stride + column;
    const int64_t start_stride = s->x ? 0 : s->gates_stride, number = is_half ? 2 : sizeof(REAL);
#pragma GCC unroll 16
    for (int v = 0; v < n; v++) {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) acc[r * n + v] = V(load)(start + r * start_stride + v * VL);
    }
    if (s->x)
        NAME(tile)(rows, panels, width, 1, is_half, s->input_size, s->x + row * s->x_stride, s->x_stride, 1,
                   (const char *)s->weight_ih + column * s->input_size * number, width * VL, s->input_size * width * VL, acc);
    NAME(tile)(rows, panels, width, 1, is_half, s->hidden_size, s->h_prev + row * s->h_prev_stride, s->h_prev_stride, 1,
               (const char *)s->weight_hh + column * s->hidden_size * number, width * VL, s->hidden_size * width * VL, acc);
}

/* ---- LSTM: a panel is the four gates of one vector of units ---- */

/* From the sums of a tile, one LSTM_GATES for each row and panel, to c and h. In two loops, gates and c first, then
 * tanh(c) and h: each loop's rounds do not depend on each other, and are short enough for the processor to overlap
 * several. As one loop a whole step of H = 32, B = 32 took 10 % longer, waiting for one long chain after the other. */
NEVER_INLINE void NAME(lstm_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int panels,
                                   VEC *sums) {
    VEC *pre = sums;
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++, pre += LSTM_GATES) {
            const int64_t at = (row + r) * s->c_stride + (panel + p) * VL;
            const struct NAME(lstm_gates) is = NAME(lstm_open)(pre);
            V(store)(s->c + at, NAME(lstm_c)(is, V(load)(s->c_prev + at)));
            pre[LSTM_GATE_O] = is.o;
            if (s->keep_gates) {
                REAL *gates = s->gates + (row + r) * s->gates_stride + (panel + p) * LSTM_GATES * VL;
                V(store)(gates + LSTM_GATE_I * VL, is.i);
                V(store)(gates + LSTM_GATE_F * VL, is.f);
                V(store)(gates + LSTM_GATE_G * VL, is.g);
                V(store)(gates + LSTM_GATE_O * VL, is.o);
            }
        }
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++, sums += LSTM_GATES) {
            const int64_t unit = (panel + p) * VL;
            const VEC c = V(load)(s->c + (row + r) * s->c_stride + unit);
            V(store_lanes)(s->h + (row + r) * s->h_stride + unit, NAME(lstm_h)(sums[LSTM_GATE_O], c), s->hidden_size - unit);
        }
}

ALWAYS_INLINE void NAME(lstm_any_tile)(const int rows, const int panels, const int width, const int is_half,
                                       const void *block, int64_t row, int64_t panel) {
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS], sums[TILE_ROWS * LSTM_PANEL_VECTORS];
    NAME(start_tile)(rows, panels, width, is_half, block, row, panel, acc);
    NAME(spill)(rows * panels * width, acc, sums);
    NAME(lstm_units)(block, row, panel, rows, panels, sums);
}

ALWAYS_INLINE void NAME(lstm_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                   int64_t panel) {
    NAME(lstm_any_tile)(rows, panels, width, 0, block, row, panel);
}
TILE_FULL_TABLE(NAME(lstm_tile), NAME(lstm_tiles))

#if REAL_IS_FLOAT
ALWAYS_INLINE void NAME(lstm_half_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                        int64_t panel) {
    NAME(lstm_any_tile)(rows, panels, width, 1, block, row, panel);
}
TILE_FULL_TABLE(NAME(lstm_half_tile), NAME(lstm_half_tiles))
#else
#define lstm_half_tiles_f64 lstm_tiles_f64 /* never asked for */
#endif

/* ---- plain RNN: a panel is four vectors of units ---- */

NEVER_INLINE void NAME(rnn_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int n,
                                  const VEC *sums) {
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++) {
            const int64_t unit = (panel * LSTM_PANEL_VECTORS + v) * VL;
            V(store_lanes)(s->h + (row + r) * s->h_stride + unit, NAME(rnn_cell)(s->cell, *sums++), s->hidden_size - unit);
        }
}

ALWAYS_INLINE void NAME(rnn_tile)(const int rows, const int panels, const int width, const void *block, int64_t row,
                                  int64_t panel) {
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS], sums[TILE_ROWS * LSTM_PANEL_VECTORS];
    NAME(start_tile)(rows, panels, width, 0, block, row, panel, acc);
    NAME(spill)(rows * panels * width, acc, sums);
    NAME(rnn_units)(block, row, panel, rows, panels * width, sums);
}
TILE_TABLE(NAME(rnn_tile), NAME(rnn_tiles))

static void NAME(step)(const struct NAME(lstm_step) *s) {
    const bool is_lstm = s->cell == LSTM_CELL_LSTM;
    const int64_t n_unit_vectors = (s->hidden_size + VL - 1) / VL;
    NAME(for_each_tile)(!is_lstm ? NAME(rnn_tiles) : s->half_weights ? NAME(lstm_half_tiles) : NAME(lstm_tiles), s, s->n_rows, s->panel_begin, s->panel_end,
                        is_lstm ? n_unit_vectors * LSTM_GATES : n_unit_vectors);
}

/* ---- backward: panels are vectors of hidden units, the sums are d_h_next ---- */

NEVER_INLINE void NAME(backward_units)(const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel, int rows,
                                       int n, const VEC *sums) {
    const bool is_lstm = s->cell == LSTM_CELL_LSTM;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++) {
            const int64_t b = row + r, unit = (panel * LSTM_PANEL_VECTORS + v) * VL, left = s->hidden_size - unit;
            VEC d_h = *sums++;
            if (s->d_output) d_h += V(load_lanes)(s->d_output + b * s->d_output_stride + unit, left);
            if (is_lstm) {
                const int64_t at = b * s->c_stride + unit;
                V(store)(s->d_c + at,
                         NAME(lstm_cell_backward)(s->gates + b * s->gates_stride + unit * LSTM_GATES, V(load)(s->c + at),
                                                  V(load)(s->c_prev + at), d_h, V(load)(s->d_c + at),
                                                  s->d_gates + b * s->d_gates_stride + unit * LSTM_GATES));
            } else {
                const VEC h = V(load_lanes)(s->h + b * s->h_stride + unit, left);
                V(store)(s->d_gates + b * s->d_gates_stride + unit, NAME(rnn_cell_backward)(s->cell, h, d_h));
            }
        }
}

ALWAYS_INLINE void NAME(backward_tile)(const int rows, const int panels, const int width, const int strands,
                                       const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel) {
    const int64_t H = s->hidden_size, unit = panel * LSTM_PANEL_VECTORS * VL;
    const int n = panels * width;
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS], sums[TILE_ROWS * LSTM_PANEL_VECTORS];
    if (s->d_gates_next) {
#pragma GCC unroll 24
        for (int k = 0; k < rows * n; k++) acc[k] = V(broadcast)((REAL)0);
        NAME(tile)(rows, panels, width, strands, 0, H, s->d_gates_next + row * s->d_gates_stride, s->d_gates_stride, 1,
                   s->weight_hh + unit * H * strands, width * VL, H * strands * width * VL, acc);
        NAME(spill)(rows * n, acc, sums);
    } else {
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++)
                sums[r * n + v] = V(load_lanes)(s->d_h_next + (row + r) * s->d_h_next_stride + unit + v * VL, H - unit - v * VL);
    }
    NAME(backward_units)(s, row, panel, rows, n, sums);
}

ALWAYS_INLINE void NAME(lstm_backward_tile)(const int rows, const int panels, const int width, const void *block,
                                            int64_t row, int64_t panel) {
    NAME(backward_tile)(rows, panels, width, LSTM_GATES, block, row, panel);
}
TILE_TABLE(NAME(lstm_backward_tile), NAME(lstm_backward_tiles))

ALWAYS_INLINE void NAME(rnn_backward_tile)(const int rows, const int panels, const int width, const void *block,
                                           int64_t row, int64_t panel) {
    NAME(backward_tile)(rows, panels, width, 1, block, row, panel);
}
TILE_TABLE(NAME(rnn_backward_tile), NAME(rnn_backward_tiles))

static void NAME(step_backward)(const struct NAME(lstm_step_backward) *s) {
    NAME(for_each_tile)(s->cell == LSTM_CELL_LSTM ? NAME(lstm_backward_tiles) : NAME(rnn_backward_tiles), s, s->n_rows,
                        s->panel_begin, s->panel_end, (s->hidden_size + VL - 1) / VL);
}
