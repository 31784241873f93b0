/* One time step: the recurrent product of a tile and, while its sums are in registers and L1, the cell.
 *
 * A tile function keeps its sums in registers and hands them to the cell through the stack: the cell's code then exists
 * once and not in every tile size (fully unrolled into 6 x 4 tiles, the AVX-512 kernels were 1.2 MB and no faster). An
 * LSTM's cell waits for a group of tiles, because its long chains overlap better the more units there are. */

/* Starts the sums of a tile with the hoisted input projection, or with bias + x W_ih^T here and now: same bits. */
ALWAYS_INLINE void NAME(start_tile)(const int rows, const int panels, const int width, const int is_half,
                                    const struct NAME(lstm_step) *s, int64_t row, int64_t panel, VEC *acc) {
    const int n = panels * width;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    const REAL *start = s->x.data ? s->bias + column : s->gates + row * s->gates_stride + column;
    const int64_t start_stride = s->x.data ? 0 : s->gates_stride, number = is_half ? 2 : sizeof(REAL);
    UNROLL
    for (int v = 0; v < n; v++) {
        UNROLL
        for (int r = 0; r < rows; r++) acc[r * n + v] = V(load)(start + r * start_stride + v * VL);
    }
    if (s->x.data)
        NAME(tile)(rows, panels, width, 1, is_half, s->input_size, NAME(left_of)(rows, &s->x, row), 1,
                   (const char *)s->weight_ih + column * s->input_size * number, width * VL, s->input_size * width * VL, acc);
    NAME(tile)(rows, panels, width, 1, is_half, s->h_size, NAME(left_of)(rows, &s->h_prev, row), 1,
               (const char *)s->weight_hh + column * s->h_size * number, width * VL, s->h_size * width * VL, acc);
}

/* ---- LSTM: a panel is the four gates of one vector of units ---- */

/* From the sums of a tile, one LSTM_GATES for each row and panel, to c and h. In two loops, c first, then h: each loop's rounds
 * do not depend on each other, and are short enough for the processor to overlap several. As one loop a whole step of H = 32,
 * B = 32 took 10 % longer, waiting for one long chain after the other. */
ALWAYS_INLINE void NAME(units)(const struct NAME(lstm_variant) *v, const struct NAME(lstm_step) *s, int64_t row,
                               int64_t panel,
                               int rows, int panels, const VEC *sums) {
    const VEC *pre = sums;
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++, pre += LSTM_GATES) {
            const int64_t unit = (panel + p) * VL, at = (row + r) * s->c_stride + unit;
            const struct NAME(lstm_memory) is = NAME(lstm_cell_c)(v, unit, pre, V(load)(s->c_prev + at));
            V(store)(s->c + at, is.c);
            if (s->keep_gates) {
                REAL *gates = s->gates + (row + r) * s->gates_stride + unit * LSTM_GATES;
                V(store)(gates + LSTM_GATE_I * VL, is.i);
                V(store)(gates + LSTM_GATE_F * VL, is.f);
                V(store)(gates + LSTM_GATE_G * VL, is.g);
            }
        }
    for (int r = 0; r < rows; r++) {
        const REAL *c_row = s->c + (row + r) * s->c_stride;
        struct NAME(normal) normal;
        if (v && v->layer_norm) normal = NAME(normal_of)(c_row, 1, s->hidden_size);
        for (int p = 0; p < panels; p++, sums += LSTM_GATES) {
            const int64_t unit = (panel + p) * VL;
            const VEC c = V(load)(c_row + unit);
            VEC normal_c = c;
            if (v && v->layer_norm)
                normal_c = V(fma)(NAME(normalise)(normal, c), V(load)(v->norm_c + unit), V(load)(v->norm_c_bias + unit));
            const struct NAME(lstm_output) is = NAME(lstm_cell_h)(v, unit, sums[LSTM_GATE_O], c, normal_c);
            if (s->keep_gates)
                V(store)(s->gates + (row + r) * s->gates_stride + unit * LSTM_GATES + LSTM_GATE_O * VL, is.o);
            V(store_lanes)(s->h.data + NAME(place)(&s->h, row + r) + unit, is.h, s->hidden_size - unit);
        }
    }
}

NEVER_INLINE void NAME(lstm_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int panels,
                                   const VEC *sums) {
    NAME(units)(NULL, s, row, panel, rows, panels, sums);
}

/* The same for tiles of one row, known to be one: 1-2 %. */
NEVER_INLINE void NAME(lstm_row_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int panels, const VEC *sums) {
    NAME(units)(NULL, s, row, panel, 1, panels, sums);
}

NEVER_INLINE void NAME(variant_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int panels,
                                      const VEC *sums) {
    NAME(units)(s->variant, s, row, panel, rows, panels, sums);
}

NEVER_INLINE void NAME(simple_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int panels,
                                     const VEC *sums) {
    const struct NAME(lstm_variant) v = NAME(simple)(s->variant);
    NAME(units)(&v, s, row, panel, rows, panels, sums);
}

/* The cell alone: its sums are in the gates already. */
static void NAME(cell)(const struct NAME(lstm_step) *s) {
    for (int64_t row = 0; row < s->n_rows; row++)
        NAME(variant_units)(s, row, 0, 1, (int)((s->hidden_size + VL - 1) / VL), (const VEC *)(s->gates + row * s->gates_stride));
}

/* Rows and panels whose sums go to the cell together, at most GROUP_VECTORS vectors of units: 5-8 % of a step at H = 32
 * and 64, against a cell for each tile of 3 rows (12 and 48 vectors are about as good). A single row's tiles do not wait:
 * its next tile, bound by reading weights, overlaps with the cell (waiting cost 6-9 % up to H = 64). Tried: taking deep panels
 * in parts that stay in L1, with the sums in the group between (-3 to 3 % from H = 128 on); asking for the next panel ahead of
 * time (7-10 % slower). */
#define GROUP_VECTORS 24
struct NAME(lstm_group) {
    const struct NAME(lstm_step) *step;
    int64_t row, panel, panels;
    VEC *sums; /* (rows, panels, LSTM_GATES) */
};

ALWAYS_INLINE void NAME(cell_of)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int panels,
                                 const VEC *sums) {
    if (!s->variant && __builtin_constant_p(rows == 1) && rows == 1)
        NAME(lstm_row_units)(s, row, panel, panels, sums);
    else if (!s->variant)
        NAME(lstm_units)(s, row, panel, rows, panels, sums);
    else if (s->variant->is_simple)
        NAME(simple_units)(s, row, panel, rows, panels, sums);
    else
        NAME(variant_units)(s, row, panel, rows, panels, sums);
}

ALWAYS_INLINE void NAME(lstm_any_tile)(const int rows, const int panels, const int width, const int is_half,
                                       const void *block, int64_t row, int64_t panel) {
    const int n = panels * width;
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS];
    if (rows == 1) {
        VEC sums[TILE_ROWS * LSTM_PANEL_VECTORS];
        NAME(start_tile)(rows, panels, width, is_half, block, row, panel, acc);
        NAME(spill)(n, acc, sums);
        NAME(cell_of)(block, row, panel, rows, panels, sums);
        return;
    }
    const struct NAME(lstm_group) *group = block;
    NAME(start_tile)(rows, panels, width, is_half, group->step, row, panel, acc);
    VEC *sums = group->sums + ((row - group->row) * group->panels + panel - group->panel) * LSTM_GATES;
    UNROLL
    for (int r = 0; r < rows; r++) NAME(spill)(n, acc + r * n, sums + r * group->panels * LSTM_GATES);
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

/* Asks for what a group will write and, in a step's first panel, for what the next group will read, where rows lie in no order
 * that the processor could guess and are so many that they come from beyond the L2 (1-6 % of a step of 270 rows of H = 64;
 * of a hundred rows or fewer nothing). The empty statement is for GCC, which takes a loop of prefetches for idle and drops it. */
static void NAME(fetch_rows)(const struct NAME(lstm_step) *s, const struct NAME(lstm_group) *group, int64_t end, bool is_first) {
    const int64_t line = 64 / (int64_t)sizeof(REAL), unit = group->panel * VL;
    if (is_first || unit % line == (s->falling ? line - VL : 0))
        for (int64_t r = group->row; r < end; r++) {
            __builtin_prefetch(s->h.data + s->h.at[r] + unit, 1);
            __asm__ volatile("");
        }
    for (int64_t r = end; is_first && s->x.at && r < end + GROUP_VECTORS && r < s->n_rows; r++)
        for (int64_t k = 0; k < s->input_size; k += line) {
            __builtin_prefetch(s->x.data + s->x.at[r] + k);
            __asm__ volatile("");
        }
}

static void NAME(lstm_groups)(const NAME(tile_table) table, const struct NAME(lstm_step) *s) {
    VEC sums[GROUP_VECTORS * LSTM_GATES];
    struct NAME(lstm_group) group = {.step = s, .sums = sums};
    const int64_t n_columns = s->panel_end * LSTM_PANEL_VECTORS, n_groups = (s->n_rows + GROUP_VECTORS - 1) / GROUP_VECTORS;
    const int64_t even = (s->n_rows + n_groups - 1) / n_groups, tiles = (even + TILE_ROWS - 1) / TILE_ROWS;
    const int64_t most_rows = n_groups == 1 ? even : tiles * TILE_ROWS, most_panels = GROUP_VECTORS / most_rows;
    for (int64_t left = s->panel_end - s->panel_begin, done = 0; left > 0; left -= group.panels, done += group.panels) {
        group.panels = left < most_panels ? left : most_panels;
        group.panel = s->panel_begin + (s->falling ? left - group.panels : done);
        for (int64_t rows; group.row < s->n_rows; group.row += rows) {
            const int64_t left_rows = s->n_rows - group.row;
            rows = left_rows <= most_rows ? left_rows : left_rows == most_rows + 1 ? most_rows - 1 : most_rows; /* never 1 */
            if (s->h.at && s->n_rows > 4 * GROUP_VECTORS) NAME(fetch_rows)(s, &group, group.row + rows, done == 0);
            NAME(for_each_tile)(table, &group, group.row, group.row + rows, group.panel, group.panel + group.panels,
                                s->falling, n_columns);
            NAME(cell_of)(s, group.row, group.panel, (int)rows, (int)group.panels, sums);
        }
        group.row = 0;
    }
}

/* ---- plain RNN: a panel is four vectors of units ---- */

NEVER_INLINE void NAME(rnn_units)(const struct NAME(lstm_step) *s, int64_t row, int64_t panel, int rows, int n,
                                  const VEC *sums) {
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++) {
            const int64_t unit = (panel * LSTM_PANEL_VECTORS + v) * VL;
            V(store_lanes)(s->h.data + NAME(place)(&s->h, row + r) + unit, NAME(rnn_cell)(s->cell, *sums++), s->hidden_size - unit);
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
    const NAME(tile_table) *const table = s->half_weights ? &NAME(lstm_half_tiles) : &NAME(lstm_tiles);
    if (s->cell != LSTM_CELL_LSTM)
        NAME(for_each_tile)(NAME(rnn_tiles), s, 0, s->n_rows, s->panel_begin, s->panel_end, false,
                            (s->hidden_size + VL - 1) / VL);
    else if (s->n_rows == 1)
        NAME(for_each_tile)(*table, s, 0, 1, s->panel_begin, s->panel_end, s->falling, s->panel_end * LSTM_PANEL_VECTORS);
    else if (s->n_rows > 1)
        NAME(lstm_groups)(*table, s);
}

/* ---- backward: panels are vectors of hidden units, the sums are d_h_next ---- */

/* Asks for what the step before will read here of the tape: it has left the cache, and its rows are too short for the
 * processor to guess (training 1-4 % faster; asking for what the next step forward will write made it 2-5 % slower). */
ALWAYS_INLINE void NAME(fetch_step_before)(const struct NAME(lstm_step_backward) *s, int64_t b, int64_t unit) {
    const REAL *gates = s->gates + b * s->gates_stride + unit * LSTM_GATES - s->gates_step;
    for (int64_t k = 0; k < LSTM_GATES * VL; k += 64 / (int64_t)sizeof(REAL)) __builtin_prefetch(gates + k);
    __builtin_prefetch(s->c_prev + b * s->c_stride + unit - s->c_step);
    if (s->d_output.data) __builtin_prefetch(s->d_output.data + NAME(place)(&s->d_output, b) + unit - s->d_output_step);
}

ALWAYS_INLINE void NAME(lstm_unit_backward)(const struct NAME(lstm_variant) *v, const struct NAME(lstm_step_backward) *s,
                                            int64_t b, int64_t unit, VEC d_h) {
    const int64_t at = b * s->c_stride + unit;
    const REAL *gates = s->gates + b * s->gates_stride + unit * LSTM_GATES;
    const VEC c_prev = V(load)(s->c_prev + at), o = V(load)(gates + LSTM_GATE_O * VL);
    const VEC c = v ? NAME(made_c)(v, gates, c_prev) : V(load)(s->c + at), squashed = NAME(squash)(v, c);
    const VEC d_c = V(fma)(d_h * o, NAME(squash_slope)(v, squashed), V(load)(s->d_c + at));
    if (v && s->m) V(store_lanes)(s->m + b * s->hidden_size + unit, o * squashed, s->hidden_size - unit);
    V(store)(s->d_c + at, NAME(lstm_cell_backward)(v, unit, gates, c, c_prev, squashed, d_h, d_c,
                                                   s->d_gates + b * s->d_gates_stride + unit * LSTM_GATES,
                                                   s->terms + b * s->terms_stride));
}

ALWAYS_INLINE void NAME(lstm_units_backward)(const struct NAME(lstm_variant) *v, const struct NAME(lstm_step_backward) *s,
                                             int64_t row, int64_t panel, int rows, int n, const VEC *sums) {
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < n; k++) {
            const int64_t b = row + r, unit = (panel * LSTM_PANEL_VECTORS + k) * VL;
            VEC d_h = *sums++;
            if (s->d_output.data)
                d_h += V(load_lanes)(s->d_output.data + NAME(place)(&s->d_output, b) + unit, s->hidden_size - unit);
            NAME(fetch_step_before)(s, b, unit);
            NAME(lstm_unit_backward)(v, s, b, unit, d_h);
        }
}

NEVER_INLINE void NAME(plain_backward)(const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel, int rows,
                                       int n,
                                       const VEC *sums) {
    NAME(lstm_units_backward)(NULL, s, row, panel, rows, n, sums);
}

NEVER_INLINE void NAME(simple_backward)(const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel, int rows,
                                        int n,
                                        const VEC *sums) {
    const struct NAME(lstm_variant) v = NAME(simple)(s->variant);
    NAME(lstm_units_backward)(&v, s, row, panel, rows, n, sums);
}

NEVER_INLINE void NAME(variant_backward)(const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel, int rows,
                                         int n,
                                         const VEC *sums) {
    NAME(lstm_units_backward)(s->variant, s, row, panel, rows, n, sums);
}

NEVER_INLINE void NAME(rnn_backward)(const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel, int rows, int n,
                                     const VEC *sums) {
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < n; k++) {
            const int64_t b = row + r, unit = (panel * LSTM_PANEL_VECTORS + k) * VL, left = s->hidden_size - unit;
            VEC d_h = *sums++;
            if (s->d_output.data) d_h += V(load_lanes)(s->d_output.data + NAME(place)(&s->d_output, b) + unit, left);
            const VEC h = V(load_lanes)(s->h.data + NAME(place)(&s->h, b) + unit, left);
            V(store)(s->d_gates + b * s->d_gates_stride + unit, NAME(rnn_cell_backward)(s->cell, h, d_h));
        }
}

/* A row of a cell with layer norm, whose c is squashed after its norm. Until it is done the row's terms of norm_c hold the
 * normalised c, and those of norm_c_bias d_seen, the gradient of what is squashed. */
static void NAME(norm_row_backward)(const struct NAME(lstm_variant) *v, const struct NAME(lstm_step_backward) *s,
                                    int64_t b) {
    const int64_t H = s->hidden_size;
    REAL *terms = s->terms + b * s->terms_stride, *n_row = terms + v->norm_c_terms, *d_seen_row = terms + v->norm_c_bias_terms;
    const REAL *gates = s->gates + b * s->gates_stride, *c_prev = s->c_prev + b * s->c_stride;
    const REAL *d_h_row = s->d_h_next + b * s->d_h_next_stride;
    for (int64_t unit = 0; unit < H; unit += VL)
        V(store)(n_row + unit, NAME(made_c)(v, gates + unit * LSTM_GATES, V(load)(c_prev + unit)));
    const struct NAME(normal) normal = NAME(normal_of)(n_row, 1, H);
    struct NAME(lanes) sums = {0}, products = {0};
    FOR_EACH_PART(unit, part, H) {
        const VEC n = NAME(normalise)(normal, V(load)(n_row + unit)), weight = V(load)(v->norm_c + unit);
        const VEC squashed = NAME(squash)(v, V(fma)(n, weight, V(load)(v->norm_c_bias + unit)));
        const VEC d_h = V(load_lanes)(d_h_row + unit, H - unit), o = V(load)(gates + unit * LSTM_GATES + LSTM_GATE_O * VL);
        const VEC d_seen = d_h * o * NAME(squash_slope)(v, squashed);
        sums.part[part] += NAME(real_lanes)(d_seen * weight, H - unit);
        products.part[part] += NAME(real_lanes)(d_seen * weight * n, H - unit);
        V(store)(n_row + unit, n);
        V(store)(d_seen_row + unit, d_seen);
    }
    const struct NAME(norm_means) means = {V(broadcast)(NAME(total)(sums) / (REAL)H),
                                           V(broadcast)(NAME(total)(products) / (REAL)H)};
    for (int64_t unit = 0; unit < H; unit += VL) {
        const VEC n = V(load)(n_row + unit), weight = V(load)(v->norm_c + unit), d_seen = V(load)(d_seen_row + unit);
        const VEC squashed = NAME(squash)(v, V(fma)(n, weight, V(load)(v->norm_c_bias + unit)));
        const VEC d_h = V(load_lanes)(d_h_row + unit, H - unit), o = V(load)(gates + unit * LSTM_GATES + LSTM_GATE_O * VL);
        REAL *d_c_row = s->d_c + b * s->c_stride;
        const VEC d_c = V(load)(d_c_row + unit) + NAME(through_norm)(normal, means, n, d_seen * weight);
        const VEC c_before = V(load)(c_prev + unit), c = NAME(made_c)(v, gates + unit * LSTM_GATES, c_before);
        if (s->m) V(store_lanes)(s->m + b * H + unit, o * squashed, H - unit);
        V(store)(n_row + unit, d_seen * n);
        V(store)(d_c_row + unit, NAME(lstm_cell_backward)(v, unit, gates + unit * LSTM_GATES, c, c_before, squashed, d_h,
                                                          d_c,
                                                          s->d_gates + b * s->d_gates_stride + unit * LSTM_GATES, terms));
    }
}

static void NAME(cell_backward)(const struct NAME(lstm_step_backward) *s) {
    for (int64_t row = 0; row < s->n_rows; row++) NAME(norm_row_backward)(s->variant, s, row);
}

ALWAYS_INLINE void NAME(backward_tile)(const int rows, const int panels, const int width, const int strands,
                                       const struct NAME(lstm_step_backward) *s, int64_t row, int64_t panel) {
    const int64_t H = s->hidden_size, unit = panel * LSTM_PANEL_VECTORS * VL;
    const int n = panels * width;
    VEC acc[TILE_ROWS * LSTM_PANEL_VECTORS], sums[TILE_ROWS * LSTM_PANEL_VECTORS];
    if (s->d_gates_next) {
        UNROLL
        for (int k = 0; k < rows * n; k++) acc[k] = V(broadcast)((REAL)0);
        const struct NAME(lstm_rows) d_gates = {(REAL *)s->d_gates_next, s->d_gates_stride, NULL};
        NAME(tile)(rows, panels, width, strands, 0, H, NAME(left_of)(rows, &d_gates, row), 1,
                   s->weight_hh + unit * H * strands, width * VL, H * strands * width * VL, acc);
        NAME(spill)(rows * n, acc, sums);
    } else {
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++)
                sums[r * n + v] = V(load_lanes)(s->d_h_next + (row + r) * s->d_h_next_stride + unit + v * VL,
                                                H - unit - v * VL);
    }
    if (s->cell != LSTM_CELL_LSTM)
        NAME(rnn_backward)(s, row, panel, rows, n, sums);
    else if (!s->variant)
        NAME(plain_backward)(s, row, panel, rows, n, sums);
    else if (s->variant->is_simple)
        NAME(simple_backward)(s, row, panel, rows, n, sums);
    else
        NAME(variant_backward)(s, row, panel, rows, n, sums);
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
    NAME(for_each_tile)(s->cell == LSTM_CELL_LSTM ? NAME(lstm_backward_tiles) : NAME(rnn_backward_tiles), s, 0, s->n_rows,
                        s->panel_begin, s->panel_end, s->falling, (s->hidden_size + VL - 1) / VL);
}
