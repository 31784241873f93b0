/* Backward over time: segments from the last to the first, in each all layers from the top, in each its directions, in
 * each chunks of steps. For a chunk:
 *
 *   1. the recurrence: step by step, d_h and d_c through the cell into d_gates (chunk buffer), each member its own rows or,
 *      with few rows, its own units
 *   2. d_h before the chunk and d_x from d_gates, the same rows or its own columns
 *   3. weight gradients: [x | h_prev | 1]^T d_gates as products over up to LSTM_GRADIENT_ROWS rows, each member its own panels
 *      of the result, which has the layout of the packed weights until the end; the sum over (t, b) runs in the reverse
 *      order of steps and rows, so the chunk length changes no bit
 *
 * Running gradients of the states live in d_h_0 (the caller's) and d_c (workspace). */

struct NAME(backward) {
    const struct lstm_backward *args;
    struct lstm_dims d;
    struct lstm_backward_plan plan;
    struct lstm_tape tape;
    struct lstm_team team;
};

/* One direction of one layer, as a member sees it. Steps are those of the direction. */
struct NAME(backward_pass) {
    struct lstm_member *m;
    int64_t input_size, row_begin, row_end;
    bool meets; /* after each step: members share units instead of rows */
    const int64_t *first_row; /* of each step of the chunk, among all of its rows that run: first_row[n] is their number */
    struct NAME(directed) d_output, d_x;
    struct NAME(placed) x, h, d_output_place, d_x_place;
    REAL *d_output_steps, *d_x_steps, *h_steps; /* with lengths: copies of a chunk in the order of steps, else NULL */
    bool adds_to_d_x; /* the second direction */
    const REAL *weight_ih, *weight_hh, *h_first;
    const REAL *gates, *c; /* of the tape, step 0 */
    REAL *d_h, *d_c;       /* running, (B, H) and (B, H_padded) */
    REAL *d_weight_ih, *d_weight_hh, *d_bias; /* packed */
    bool is_first_product; /* nothing in them yet */
};

static REAL *NAME(workspace)(const struct NAME(backward) *f, int64_t offset) {
    return (REAL *)((char *)f->args->workspace + offset);
}

/* d_gates of the k-th row of the chunk. */
static REAL *NAME(d_gates)(const struct NAME(backward) *f, int64_t k) {
    return NAME(workspace)(f, f->plan.d_gates) + k * f->plan.d_gates_stride;
}

/* A member's panels of n columns: all, if it has its own rows. */
static struct lstm_range NAME(panels_of)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t n) {
    struct lstm_range panels = {0, NAME(n_panels)(&f->d, n)};
    if (p->meets) lstm_share(p->m, panels.end, &panels.begin, &panels.end);
    return panels;
}

/* One step of rows [row, row_end), all of which have a next step in this chunk, or none. */
static bool NAME(backward_step)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t step,
                                int64_t begin, int64_t row, int64_t row_end, bool has_next) {
    const struct lstm_model *model = &f->args->call.model;
    const int64_t B = f->args->call.B, H = model->hidden_size;
    const struct lstm_range panels = NAME(panels_of)(f, p, H);
    const int64_t panel_flops = 2 * f->d.n_gates * H * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t rows_step = NAME(batch_of)(row_end - row, panel_flops);
    const int64_t panel_step = NAME(batch_of)(panels.end - panels.begin, panel_flops * rows_step);
    struct NAME(lstm_step_backward) s = {.cell = model->cell, .hidden_size = H, .weight_hh = p->weight_hh,
                                         .d_gates_stride = f->plan.d_gates_stride, .d_h_next_stride = H,
                                         .d_output_stride = p->d_output_steps ? H : p->d_output.row_stride,
                                         .gates_stride = f->d.gates_width,
                                         .c_stride = f->d.H_padded, .h_stride = p->h_steps ? H : p->h.row_stride};
    for (; row < row_end; row += rows_step) {
        const int64_t k = p->first_row[step - begin] + row;
        s.n_rows = row_end - row < rows_step ? row_end - row : rows_step;
        s.d_gates = NAME(d_gates)(f, k);
        s.d_gates_next = has_next ? NAME(d_gates)(f, p->first_row[step + 1 - begin] + row) : NULL;
        s.d_h_next = p->d_h + row * H;
        s.d_output = !p->d_output.data ? NULL : p->d_output_steps ? p->d_output_steps + k * H : NAME(row)(&p->d_output, step, row);
        if (p->c) {
            s.gates = p->gates + (step * B + row) * f->d.gates_width;
            s.c_prev = p->c + (step * B + row) * f->d.H_padded;
            s.c = s.c_prev + B * f->d.H_padded;
            s.d_c = p->d_c + row * f->d.H_padded;
        } else
            s.h = p->h_steps ? p->h_steps + k * H : NAME(place_of)(&p->h, step, row);
        for (s.panel_begin = panels.begin; s.panel_begin < panels.end; s.panel_begin = s.panel_end) {
            s.panel_end = panels.end - s.panel_begin < panel_step ? panels.end : s.panel_begin + panel_step;
            KERNELS(&f->args->call)->step_backward(&s);
            if (lstm_cancelled(p->m, panel_flops * (s.panel_end - s.panel_begin) * s.n_rows) && !p->meets) return false;
        }
    }
    return true;
}

static bool NAME(backward_steps)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                                 int64_t end) {
    for (int64_t step = end - 1; step >= begin; step--) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        const int64_t next_end = step == end - 1 ? p->row_begin
                                                 : NAME(running)(&f->args->call, step + 1, p->row_begin, row_end);
        if (!NAME(backward_step)(f, p, step, begin, p->row_begin, next_end, true)
            || !NAME(backward_step)(f, p, step, begin, next_end, row_end, false))
            return false;
        if (p->meets && !lstm_barrier(p->m)) return false;
    }
    return true;
}

/* With lengths: rows of a sequence in the order of time into the order of steps, those that run, n numbers each. */
static void NAME(bring_rows)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                             int64_t end, const struct NAME(placed) *from, int64_t n, REAL *to) {
    for (int64_t step = begin; to && from->data && step < end; step++) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        for (int64_t r = p->row_begin; r < row_end; r++)
            memcpy(to + (p->first_row[step - begin] + r) * n, NAME(place_of)(from, step, r), (size_t)n * sizeof(REAL));
    }
}

/* And back; a second direction adds. */
static void NAME(return_rows)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                              int64_t end, const REAL *from, int64_t n, const struct NAME(placed) *to) {
    for (int64_t step = begin; from && step < end; step++) {
        const int64_t row_end = NAME(running)(&f->args->call, step, p->row_begin, p->row_end);
        for (int64_t r = p->row_begin; r < row_end; r++) {
            const REAL *row = from + (p->first_row[step - begin] + r) * n;
            REAL *at = NAME(place_of)(to, step, r);
            for (int64_t k = 0; k < n; k++) at[k] = p->adds_to_d_x ? at[k] + row[k] : row[k];
        }
    }
}

/* d_h before the chunk, and d_x of its steps. */
static bool NAME(backward_inputs)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, int64_t begin,
                                  int64_t end) {
    const struct lstm_call *call = &f->args->call;
    const int64_t H = call->model.hidden_size, I = p->input_size;
    const int64_t n_rows = NAME(running)(call, begin, p->row_begin, p->row_end) - p->row_begin;
    const struct lstm_range h_panels = NAME(panels_of)(f, p, H), x_panels = NAME(panels_of)(f, p, I);
    struct NAME(lstm_product) product = {.panel_begin = h_panels.begin, .panel_end = h_panels.end, .n_rows = n_rows,
                                         .depth = H, .n_columns = H, .strands = (int)f->d.n_gates,
                                         .a = NAME(d_gates)(f, p->first_row[0] + p->row_begin), .b = p->weight_hh,
                                         .y = p->d_h + p->row_begin * H, .a_stride = f->plan.d_gates_stride,
                                         .y_stride = H};
    if (!NAME(run_product)(p->m, KERNELS(call), &f->d, product)) return false;
    if (!p->d_x.data) return true;
    product.b = p->weight_ih;
    product.panel_begin = x_panels.begin;
    product.panel_end = x_panels.end;
    product.n_columns = I;
    product.y_stride = p->d_x_steps ? I : p->d_x.row_stride;
    product.add = p->adds_to_d_x && !p->d_x_steps;
    /* All rows of a chunk lie together: one product, if they are all this member's and d_x is as even. */
    const bool has_all = p->row_begin == 0 && p->row_end == call->B;
    const bool is_even = has_all && (p->d_x_steps || p->d_x.step_stride == n_rows * p->d_x.row_stride);
    for (int64_t step = begin; step < end; step += is_even ? end - begin : 1) {
        const int64_t k = p->first_row[step - begin] + p->row_begin;
        product.n_rows = is_even ? p->first_row[end - begin] : NAME(running)(call, step, p->row_begin, p->row_end) - p->row_begin;
        product.a = NAME(d_gates)(f, k);
        product.y = p->d_x_steps ? p->d_x_steps + k * I : NAME(row)(&p->d_x, step, p->row_begin);
        if (!NAME(run_product)(p->m, KERNELS(call), &f->d, product)) return false;
    }
    NAME(return_rows)(f, p, begin, end, p->d_x_steps, I, &p->d_x_place);
    return true;
}

/* ---- weight gradients ----------------------------------------------------------------------------------------------
 * Rows of a product are numbered from the last (step, batch row) of the chunk backwards: k = 0 is its last row. */

/* n rows of a tile of `tile_rows` columns, of which `real` exist. Inlined with the constants of full tiles. */
static inline void NAME(pack_tile)(int64_t n, const REAL *const *rows, int64_t column, int64_t tile_rows, int64_t real,
                                   REAL *to) {
    for (int64_t k = 0; k < n; k++, to += tile_rows)
        for (int64_t r = 0; r < tile_rows; r++) to[r] = r < real ? rows[k][column + r] : 0;
}

/* Columns of tiles [tile_begin, tile_end) of a sequence into (tile, depth, tile_rows): rows last_row, last_row - 1, ... of
 * the chunk that begins at step `begin`. h_prev is the sequence one step earlier, with `first` (B, n_columns) before step 0.
 * A few rows at a time, so that what is written lies together. */
#define PACK_ROWS 16
static void NAME(pack_sequence)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p,
                                const struct NAME(placed) *x, const REAL *first, int64_t n_columns, int64_t begin,
                                int64_t last_row, int64_t depth, int64_t tile_begin, int64_t tile_end, REAL *to) {
    const int64_t tile_rows = KERNELS(&f->args->call)->tile_rows;
    int64_t step = begin, r;
    while (p->first_row[step + 1 - begin] <= last_row) step++;
    r = last_row - p->first_row[step - begin];
    for (int64_t k = 0, n; k < depth; k += n) {
        const REAL *rows[PACK_ROWS];
        for (n = 0; n < PACK_ROWS && k + n < depth; n++) {
            rows[n] = !first      ? NAME(place_of)(x, step, r)
                      : step == 0 ? first + NAME(batch_row)(&f->args->call, r) * n_columns
                                  : NAME(place_of)(x, step - 1, r);
            if (r-- == 0 && step-- > begin) r = p->first_row[step + 1 - begin] - p->first_row[step - begin] - 1;
        }
        for (int64_t tile = tile_begin; tile < tile_end; tile++) {
            const int64_t column = tile * tile_rows, real = n_columns - column;
            REAL *at = to + (tile * depth + k) * tile_rows;
            if (tile_rows == 3 && real >= 3)
                NAME(pack_tile)(n, rows, column, 3, 3, at);
            else if (tile_rows == 6 && real >= 6)
                NAME(pack_tile)(n, rows, column, 6, 6, at);
            else
                NAME(pack_tile)(n, rows, column, tile_rows, real, at);
        }
    }
}

/* y (+)= left^T d_gates of rows last_row - depth + 1 .. last_row of the chunk, panels [panel_begin, panel_end). */
static bool NAME(add_outer)(const struct NAME(backward) *f, const struct NAME(backward_pass) *p, const REAL *left,
                            int64_t n_rows, int64_t last_row, int64_t depth, int64_t panel_begin, int64_t panel_end,
                            REAL *y, bool add) {
    const int64_t panel_flops = 2 * depth * n_rows * LSTM_PANEL_VECTORS * f->d.vector;
    const int64_t panel_step = NAME(batch_of)(panel_end - panel_begin, panel_flops);
    struct NAME(lstm_outer) outer = {.depth = depth, .n_rows = n_rows, .n_vectors = f->d.gates_width / f->d.vector,
                                     .a = left, .b = NAME(d_gates)(f, last_row), .b_step = -f->plan.d_gates_stride,
                                     .y = y, .add = add};
    for (int64_t panel = panel_begin; panel < panel_end; panel = outer.panel_end) {
        outer.panel_begin = panel;
        outer.panel_end = panel_end - panel < panel_step ? panel_end : panel + panel_step;
        KERNELS(&f->args->call)->outer(&outer);
        if (lstm_cancelled(p->m, panel_flops * (outer.panel_end - panel))) return false;
    }
    return true;
}

/* Steps [begin, end) into the weight gradients. All members come here together. False: interrupted. */
static bool NAME(weight_gradients)(const struct NAME(backward) *f, struct NAME(backward_pass) *p, int64_t begin,
                                   int64_t end) {
    const int64_t H = f->args->call.model.hidden_size, I = p->input_size, n_rows = p->first_row[end - begin];
    const int64_t tile_rows = KERNELS(&f->args->call)->tile_rows;
    REAL *packed_x = NAME(workspace)(f, f->plan.packed_x), *packed_h = NAME(workspace)(f, f->plan.packed_h);
    const REAL *ones = NAME(workspace)(f, f->plan.ones);
    int64_t panel_begin, panel_end, x_begin, x_end, h_begin, h_end;
    lstm_share(p->m, NAME(n_panels)(&f->d, f->d.gates_width), &panel_begin, &panel_end);
    lstm_share(p->m, (I + tile_rows - 1) / tile_rows, &x_begin, &x_end);
    lstm_share(p->m, (H + tile_rows - 1) / tile_rows, &h_begin, &h_end);
    for (int64_t k = 0, depth; k < n_rows; k += depth) {
        depth = n_rows - k < f->plan.depth ? n_rows - k : f->plan.depth;
        const int64_t last = n_rows - 1 - k; /* row of the chunk */
        /* All d_gates are there, and nobody still reads the packed operands of the last product. */
        if (!lstm_barrier(p->m)) return false;
        NAME(pack_sequence)(f, p, &p->x, NULL, I, begin, last, depth, x_begin, x_end, packed_x);
        NAME(pack_sequence)(f, p, &p->h, p->h_first, H, begin, last, depth, h_begin, h_end, packed_h);
        if (!lstm_barrier(p->m)) return false;
        const bool add = !p->is_first_product;
        p->is_first_product = false;
        if (NAME(add_outer)(f, p, packed_x, I, last, depth, panel_begin, panel_end, p->d_weight_ih, add)
            && NAME(add_outer)(f, p, packed_h, H, last, depth, panel_begin, panel_end, p->d_weight_hh, add))
            NAME(add_outer)(f, p, ones, 1, last, depth, panel_begin, panel_end, p->d_bias, add);
    }
    return lstm_barrier(p->m); /* nobody still reads the d_gates that the next chunk overwrites */
}

static bool NAME(run_backward_pass)(const struct NAME(backward) *f, struct NAME(backward_pass) *p, int64_t step_begin,
                                int64_t step_end) {
    for (int64_t end = step_end, begin; end > step_begin; end = begin) {
        begin = end - step_begin > f->plan.chunk_steps ? end - f->plan.chunk_steps : step_begin;
        int64_t first_row[LSTM_GRADIENT_ROWS + 1];
        first_row[0] = 0;
        for (int64_t step = begin; step < end; step++)
            first_row[step + 1 - begin] = first_row[step - begin] + NAME(running)(&f->args->call, step, 0, f->args->call.B);
        p->first_row = first_row;
        NAME(bring_rows)(f, p, begin, end, &p->d_output_place, f->args->call.model.hidden_size, p->d_output_steps);
        NAME(bring_rows)(f, p, begin, end, &p->h, f->args->call.model.hidden_size, p->h_steps);
        if (NAME(backward_steps)(f, p, begin, end)) NAME(backward_inputs)(f, p, begin, end);
        if (!NAME(weight_gradients)(f, p, begin, end)) return false;
    }
    return true;
}

/* ---- where each array of a layer lies ---- */

/* The gradient that a layer hands down: the caller's d_x, or one of two buffers of a segment between layers. */
static struct lstm_sequence NAME(backward_d_x)(const struct NAME(backward) *f, int64_t layer, int64_t segment_begin) {
    const struct lstm_backward *a = f->args;
    const int64_t W = f->d.output_width, B = a->call.B;
    if (layer == 0) return a->d_x;
    REAL *between = NAME(workspace)(f, f->plan.between + layer % 2 * f->plan.between_bytes);
    return (struct lstm_sequence){between - segment_begin * B * W, B * W, W};
}

/* Where the running d_h of a layer and direction is: the caller's d_h_0, with lengths in the order of those. */
static REAL *NAME(running_d_h)(const struct NAME(backward) *f, int64_t index) {
    REAL *d_h = f->args->call.lengths ? NAME(workspace)(f, f->plan.d_h) : (REAL *)f->args->d_h_0;
    return d_h + index * f->args->call.B * f->args->call.model.hidden_size;
}

static struct NAME(backward_pass) NAME(backward_plan_pass)(const struct NAME(backward) *f, struct lstm_member *m,
                                                           int64_t layer, int64_t direction, int64_t segment_begin) {
    const struct lstm_backward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t T = a->call.T, B = a->call.B, H = model->hidden_size, W = f->d.output_width;
    const int64_t index = layer * model->num_directions + direction;
    const bool is_lstm = model->cell == LSTM_CELL_LSTM;
    const char *tape = a->tape;
    struct lstm_packed packed, sums;
    lstm_plan_packed(model, a->call.isa, true, layer, direction, &packed);
    lstm_plan_packed(model, a->call.isa, false, layer, direction, &sums);
    const struct lstm_sequence h = {(char *)tape + f->tape.h + layer * f->tape.h_bytes, B * W, W};
    const struct lstm_sequence below = {(char *)tape + (a->call.dropout > 0 ? f->tape.dropped : f->tape.h)
                                            + (layer - 1) * f->tape.h_bytes, B * W, W};
    const struct lstm_sequence x = layer == 0 ? a->x : below;
    const struct lstm_sequence d_output = layer == model->num_layers - 1 ? a->d_output
                                                                         : NAME(backward_d_x)(f, layer + 1, segment_begin);
    const struct lstm_sequence d_x = NAME(backward_d_x)(f, layer, segment_begin);
    struct NAME(backward_pass) p = {.m = m, .input_size = lstm_layer_input(model, layer), .adds_to_d_x = direction > 0,
                                    .weight_ih = (const REAL *)((const char *)a->packed + packed.weight_ih),
                                    .weight_hh = (const REAL *)((const char *)a->packed + packed.weight_hh),
                                    .h_first = a->h_0 ? (const REAL *)a->h_0 + index * B * H
                                                      : NAME(workspace)(f, f->plan.zero_h),
                                    .d_h = NAME(running_d_h)(f, index),
                                    .d_weight_ih = NAME(workspace)(f, f->plan.d_packed + sums.weight_ih),
                                    .d_weight_hh = NAME(workspace)(f, f->plan.d_packed + sums.weight_hh),
                                    .d_bias = NAME(workspace)(f, f->plan.d_packed + sums.bias),
                                    .x = NAME(place)(&a->call, &x, direction, 0, layer == 0),
                                    .h = NAME(place)(&a->call, &h, direction, direction * H, false)};
    if (d_output.data) p.d_output = NAME(direct)(&d_output, T, direction, direction * H);
    if (d_x.data) p.d_x = NAME(direct)(&d_x, T, direction, 0);
    if (a->call.lengths) {
        p.d_output_place = NAME(place)(&a->call, &d_output, direction, direction * H, layer == model->num_layers - 1);
        p.d_x_place = NAME(place)(&a->call, &d_x, direction, 0, layer == 0);
        if (d_output.data) p.d_output_steps = NAME(workspace)(f, f->plan.d_output_steps);
        if (d_x.data) p.d_x_steps = NAME(workspace)(f, f->plan.d_x_steps);
        if (!is_lstm && direction) p.h_steps = NAME(workspace)(f, f->plan.h_steps);
    }
    if (is_lstm) {
        p.gates = (const REAL *)(tape + f->tape.gates + index * f->tape.gates_bytes);
        p.c = (const REAL *)(tape + f->tape.c + index * f->tape.c_bytes);
        p.d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
    }
    p.meets = f->team.split == LSTM_SPLIT_UNITS && m->size > 1;
    p.row_end = B;
    if (!p.meets) NAME(share_rows)(&a->call, m, &p.row_begin, &p.row_end);
    return p;
}

/* ---- before, between and after ---- */

static void NAME(start_gradients)(const struct NAME(backward) *f, int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const int64_t H = a->call.model.hidden_size, B = a->call.B, width = f->d.H_padded;
    memset(NAME(workspace)(f, f->plan.zero_h) + begin * H, 0, (size_t)((end - begin) * H) * sizeof(REAL));
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++)
        for (int64_t r = begin; r < end; r++) {
            const int64_t from = (index * B + NAME(batch_row)(&a->call, r)) * H;
            REAL *d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
            NAME(start_row)(NAME(running_d_h)(f, index) + r * H, H, H, a->d_h_n ? (const REAL *)a->d_h_n + from : NULL);
            if (a->call.model.cell == LSTM_CELL_LSTM)
                NAME(start_row)(d_c + r * width, H, width, a->d_c_n ? (const REAL *)a->d_c_n + from : NULL);
        }
}

static void NAME(finish_gradients)(const struct NAME(backward) *f, int64_t begin, int64_t end) {
    const struct lstm_backward *a = f->args;
    const int64_t H = a->call.model.hidden_size, B = a->call.B;
    const size_t n = (size_t)H * sizeof(REAL);
    for (int64_t index = 0; index < a->call.model.num_layers * a->call.model.num_directions; index++)
        for (int64_t r = begin; r < end; r++) {
            const int64_t to = (index * B + NAME(batch_row)(&a->call, r)) * H;
            const REAL *d_c = NAME(workspace)(f, f->plan.d_c + index * f->plan.d_c_bytes);
            if (a->call.lengths) memcpy((REAL *)a->d_h_0 + to, NAME(running_d_h)(f, index) + r * H, n);
            if (a->call.model.cell == LSTM_CELL_LSTM) memcpy((REAL *)a->d_c_0 + to, d_c + r * f->d.H_padded, n);
        }
    NAME(clear_padding)(&a->call, &a->d_x, a->call.model.input_size, begin, end);
}

/* The gradient of what `layer - 1` gave, back through the dropout that stood between. */
static void NAME(drop_gradient)(const struct NAME(backward) *f, int64_t layer, int64_t begin, int64_t end,
                                int64_t row_begin, int64_t row_end) {
    const struct lstm_call *call = &f->args->call;
    const struct lstm_sequence d = NAME(backward_d_x)(f, layer, begin);
    if (layer == 0 || call->dropout == 0) return;
    for (int64_t r = row_begin; r < row_end; r++)
        for (int64_t t = begin; t < end && t < NAME(length)(call, r); t++) {
            REAL *row = (REAL *)d.data + t * d.step_stride + r * d.row_stride;
            NAME(drop)(call, layer - 1, t, NAME(batch_row)(call, r), f->d.output_width, row, row);
        }
}

/* The packed sums into the caller's arrays; zeros when there was nothing to sum. */
static void NAME(unpack_gradients)(const struct NAME(backward) *f, const struct lstm_member *m) {
    const struct lstm_backward *a = f->args;
    const struct lstm_model *model = &a->call.model;
    const int64_t H = model->hidden_size, D = model->num_directions;
    for (int64_t index = 0; index < model->num_layers * D; index++) {
        struct lstm_packed sums;
        lstm_plan_packed(model, a->call.isa, false, index / D, index % D, &sums);
        const struct lstm_weight_gradients *w = a->d_weights + index;
        const REAL *packed = NAME(n_steps)(&a->call) && a->call.B ? NAME(workspace)(f, f->plan.d_packed) : NULL;
#define SUMS(name) (packed ? (const REAL *)((const char *)packed + sums.name) : NULL)
        NAME(unpack_forward)(&f->d, m, H, lstm_layer_input(model, index / D), SUMS(weight_ih), w->d_weight_ih);
        NAME(unpack_forward)(&f->d, m, H, H, SUMS(weight_hh), w->d_weight_hh);
        if (w->d_bias) NAME(unpack_forward)(&f->d, m, H, 1, SUMS(bias), w->d_bias);
#undef SUMS
    }
}

static void NAME(backward_member)(struct lstm_member *m, void *arguments) {
    const struct NAME(backward) *f = arguments;
    const struct lstm_call *call = &f->args->call;
    int64_t row_begin, row_end;
    const int64_t T = NAME(n_steps)(call);
    NAME(share_rows)(call, m, &row_begin, &row_end);
    NAME(start_gradients)(f, row_begin, row_end);
    const bool shares_units = m->size > 1 && f->team.split == LSTM_SPLIT_UNITS;
    if (shares_units && !lstm_barrier(m)) return;
    for (int64_t k = 0; m->rank == 0 && k < f->plan.depth * LSTM_LARGEST_TILE; k++) NAME(workspace)(f, f->plan.ones)[k] = 1;
    for (int64_t end = T, begin; end > 0; end = begin) {
        begin = end > f->plan.segment_steps ? end - f->plan.segment_steps : 0;
        for (int64_t layer = call->model.num_layers - 1; layer >= 0; layer--) {
            for (int64_t direction = 0; direction < call->model.num_directions; direction++) {
                struct NAME(backward_pass) p = NAME(backward_plan_pass)(f, m, layer, direction, begin);
                p.is_first_product = end == T;
                if (!NAME(run_backward_pass)(f, &p, begin, end)) return;
            }
            NAME(drop_gradient)(f, layer, begin, end, row_begin, row_end);
            if (shares_units && call->dropout > 0 && !lstm_barrier(m)) return;
        }
    }
    NAME(finish_gradients)(f, row_begin, row_end);
    NAME(unpack_gradients)(f, m); /* panels that this member summed itself */
}

enum lstm_status NAME(lstm_backward)(const struct lstm_backward *args) {
    struct NAME(backward) f = {.args = args, .d = lstm_dims(&args->call.model, args->call.isa)};
    const struct lstm_call *call = &args->call;
    enum lstm_status s = lstm_plan_backward(call, &f.plan);
    if (!s) s = lstm_plan_tape(call, &f.tape);
    if (s) return s;
    f.team = NAME(plan_team)(call, &f.d, 2);
    return lstm_parallel(call, f.team.n_threads, NAME(backward_member), &f);
}
