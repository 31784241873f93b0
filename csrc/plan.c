/* Sizes and offsets: the only place that knows memory layout. Every product is checked against overflow. */
#include "plan.h"

#include "kernels/kernels.h"

/* ---- checked arithmetic: a running total that remembers having overflowed ---- */
struct total {
    int64_t bytes;
    bool overflow;
};

static int64_t times(struct total *t, int64_t a, int64_t b) {
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        t->overflow = true;
        return 0;
    }
    return product;
}

/* Takes count blocks of `bytes` (rounded up to whole cache lines) and returns the offset of the first. */
static int64_t take(struct total *t, int64_t count, int64_t bytes, int64_t *block_bytes) {
    const int64_t offset = t->bytes;
    if (bytes > INT64_MAX - 63) t->overflow = true, bytes = 0;
    bytes = (bytes + 63) / 64 * 64;
    if (block_bytes) *block_bytes = bytes;
    if (__builtin_add_overflow(t->bytes, times(t, count, bytes), &t->bytes)) t->overflow = true, t->bytes = 0;
    return offset;
}

static enum lstm_status status(const struct total *t) { return t->overflow ? LSTM_TOO_LARGE : LSTM_OK; }

static int64_t at_most(int64_t limit, int64_t n) { return n < limit ? n : limit; }
static int64_t at_least(int64_t limit, int64_t n) { return n > limit ? n : limit; }
static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/* ---- dimensions ---- */
struct lstm_dims lstm_dims(const struct lstm_model *m, const struct lstm_isa *isa) {
    const int64_t element_bytes = m->dtype == LSTM_F32 ? 4 : 8;
    const int64_t vector = isa->vector_bytes / element_bytes, n_gates = lstm_n_gates(m->cell);
    const int64_t H_padded = round_up(m->hidden_size, vector), R = m->proj_size ? m->proj_size : m->hidden_size;
    struct lstm_vectors vectors = {0};
    vectors.norm_ih = vectors.peephole + (m->peepholes ? 3 * H_padded : 0);
    vectors.norm_hh = vectors.norm_ih + (m->layer_norm ? n_gates * H_padded : 0);
    vectors.norm_c = vectors.norm_hh + (m->layer_norm ? n_gates * H_padded : 0);
    vectors.norm_c_bias = vectors.norm_c + (m->layer_norm ? H_padded : 0);
    vectors.width = vectors.norm_c_bias + (m->layer_norm ? H_padded : 0);
    return (struct lstm_dims){.n_gates = n_gates,
                              .vector = vector,
                              .element_bytes = element_bytes,
                              .R = R,
                              .H_padded = H_padded,
                              .R_padded = m->proj_size ? round_up(R, vector) : H_padded,
                              .gates_width = n_gates * H_padded,
                              .output_width = m->num_directions * R,
                              .vectors = vectors};
}

int64_t lstm_layer_input(const struct lstm_model *m, int64_t layer) {
    return layer == 0 ? m->input_size : m->num_directions * (m->proj_size ? m->proj_size : m->hidden_size);
}

/* Sizes beyond this are refused before anything is multiplied with them: H_padded, D * H and 4 * H stay exact. */
#define LARGEST_SIZE ((int64_t)1 << 40)
static bool too_large(const struct lstm_model *m) {
    return m->input_size > LARGEST_SIZE || m->hidden_size > LARGEST_SIZE || m->num_layers > LARGEST_SIZE
           || m->proj_size > LARGEST_SIZE;
}

/* ---- packed weights ---- */
static void plan_packed(struct total *t, const struct lstm_model *m, const struct lstm_dims *d, bool backward,
                        int64_t input, struct lstm_packed *p) {
    const int64_t rows = backward ? d->n_gates * m->hidden_size : d->gates_width;
    const int64_t inputs = backward ? round_up(input, d->vector) : input;
    const int64_t units = backward ? d->R_padded : d->R;
    const int64_t weight_bytes = m->half_weights ? 2 : d->element_bytes;
    p->weight_ih = take(t, 1, times(t, times(t, rows, inputs), weight_bytes), NULL);
    p->weight_hh = take(t, 1, times(t, times(t, rows, units), weight_bytes), NULL);
    const int64_t projection = !m->proj_size ? 0 : backward ? times(t, d->R, d->H_padded) : times(t, m->hidden_size, d->R_padded);
    p->bias = backward ? 0 : take(t, 1, times(t, rows, d->element_bytes), NULL);
    p->weight_hr = m->proj_size ? take(t, 1, times(t, projection, weight_bytes), NULL) : 0;
    p->vectors = d->vectors.width ? take(t, 1, times(t, d->vectors.width, d->element_bytes), NULL) : 0;
    p->h_0 = m->initial_state ? take(t, 1, times(t, d->R, d->element_bytes), NULL) : 0;
    p->c_0 = m->initial_state ? take(t, 1, times(t, d->H_padded, d->element_bytes), NULL) : 0;
}

enum lstm_status lstm_plan_packed(const struct lstm_model *m, const struct lstm_isa *isa, bool backward, int64_t layer,
                                  int64_t direction, struct lstm_packed *p) {
    if (too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, isa);
    struct total first = {0}, other = {0}, t = {0};
    struct lstm_packed ignored;
    /* All directions of layer 0, then those of the others, each block as large as its layer needs. */
    if (layer > 0 || direction > 0) {
        plan_packed(&first, m, &d, backward, m->input_size, &ignored);
        take(&t, layer == 0 ? direction : m->num_directions, first.bytes, NULL);
    }
    if (layer > 0) {
        plan_packed(&other, m, &d, backward, d.output_width, &ignored);
        take(&t, times(&t, layer - 1, m->num_directions) + direction, other.bytes, NULL);
    }
    plan_packed(&t, m, &d, backward, lstm_layer_input(m, layer), p);
    p->bytes = t.bytes;
    t.overflow |= first.overflow | other.overflow;
    return status(&t);
}

enum lstm_status lstm_packed_bytes(const struct lstm_model *m, const struct lstm_isa *isa, bool backward,
                                   int64_t *bytes) {
    struct lstm_packed last = {0};
    const enum lstm_status s = lstm_plan_packed(m, isa, backward, m->num_layers - 1, m->num_directions - 1, &last);
    *bytes = last.bytes;
    return s;
}

/* ---- tape: 4H gates, H cell states and R outputs a step, batch row, layer and direction; lean: no gates ---- */
enum lstm_status lstm_plan_tape(const struct lstm_call *call, struct lstm_tape *p) {
    const struct lstm_model *m = &call->model;
    if (too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, call->isa);
    const bool is_lstm = m->cell == LSTM_CELL_LSTM;
    const int64_t LD = m->num_layers * m->num_directions;
    struct total t = {0};
    const int64_t rows = times(&t, call->T, call->B);
    const int64_t state_bytes = times(&t, times(&t, call->B, d.H_padded), d.element_bytes);
    const int64_t gates_bytes = times(&t, times(&t, rows, d.gates_width), d.element_bytes);
    const int64_t h_bytes = times(&t, times(&t, rows, d.output_width), d.element_bytes);
    p->gates = take(&t, is_lstm && !call->lean ? LD : 0, gates_bytes, &p->gates_bytes);
    p->x_products = take(&t, m->layer_norm && !call->lean ? LD : 0, gates_bytes, NULL);
    p->h_products = take(&t, m->layer_norm && !call->lean ? LD : 0, gates_bytes, NULL);
    p->c = take(&t, is_lstm ? LD : 0, times(&t, call->T + 1, state_bytes), &p->c_bytes);
    p->h = take(&t, m->num_layers, h_bytes, &p->h_bytes);
    p->dropped = take(&t, call->dropout > 0 ? m->num_layers - 1 : 0, h_bytes, NULL);
    p->bytes = t.bytes;
    return status(&t);
}

enum lstm_status lstm_tape_bytes(const struct lstm_call *call, int64_t *bytes) {
    struct lstm_tape p = {0};
    const enum lstm_status s = lstm_plan_tape(call, &p);
    *bytes = p.bytes;
    return s;
}

int64_t lstm_tape_gates(const struct lstm_call *call, int64_t layer, int64_t direction) {
    struct lstm_tape p;
    return lstm_plan_tape(call, &p) ? -1 : p.gates + (layer * call->model.num_directions + direction) * p.gates_bytes;
}

int64_t lstm_tape_c(const struct lstm_call *call, int64_t layer, int64_t direction) {
    struct lstm_tape p;
    return lstm_plan_tape(call, &p) ? -1 : p.c + (layer * call->model.num_directions + direction) * p.c_bytes;
}

int64_t lstm_tape_h(const struct lstm_call *call, int64_t layer) {
    struct lstm_tape p;
    return lstm_plan_tape(call, &p) ? -1 : p.h + layer * p.h_bytes;
}

/* ---- workspaces ----------------------------------------------------------------------------------------------------
 * Chunk lengths change no bit of any result; they depend on sizes alone, not on caches or threads. */
#define CHUNK_BYTES (256 << 10)   /* hoisted input projection: half of a 512 KiB L2, or a quarter of the W_ih it reads once */
#define BETWEEN_BYTES (128 << 10) /* what flows between layers */

enum lstm_status lstm_plan_forward(const struct lstm_call *call, bool training, struct lstm_forward_plan *p) {
    const struct lstm_model *m = &call->model;
    if (too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, call->isa);
    const bool is_lstm = m->cell == LSTM_CELL_LSTM;
    const int64_t D = m->num_directions, T = at_least(1, call->T);
    struct total t = {0};
    const int64_t gates_step = times(&t, times(&t, call->B, d.gates_width), d.element_bytes);
    const int64_t between_step = times(&t, times(&t, call->B, d.output_width), d.element_bytes);
    p->segment_steps = D > 1 || m->num_layers == 1 ? T : at_most(T, at_least(1, BETWEEN_BYTES / at_least(1, between_step)));
    const int64_t largest_input = m->num_layers > 1 ? at_least(m->input_size, d.output_width) : m->input_size;
    const int64_t weight_ih_bytes = times(&t, times(&t, d.gates_width, largest_input), d.element_bytes);
    const int64_t chunk_bytes = at_least(CHUNK_BYTES, weight_ih_bytes / 4);
    p->chunk_steps = at_most(p->segment_steps, at_least(1, chunk_bytes / at_least(1, gates_step)));
    p->gates = take(&t, training && is_lstm && !call->lean ? 0 : D, times(&t, p->chunk_steps, gates_step), &p->gates_bytes);
    p->c = take(&t, is_lstm && !training ? m->num_layers * D : 0,
                times(&t, times(&t, call->B, d.H_padded), d.element_bytes), &p->c_bytes);
    p->between = take(&t, m->num_layers > 1 && !training ? 2 : 0, times(&t, p->segment_steps, between_step),
                      &p->between_bytes);
    const int64_t h_row = times(&t, d.R, d.element_bytes), c_row = times(&t, d.H_padded, d.element_bytes);
    if (lstm_is_staged(call)) { /* (asked first: a single step of a small network takes half a microsecond) */
        p->h_seen = take(&t, lstm_changes_states(call) ? D : 0, times(&t, call->B, h_row), &p->h_seen_bytes);
        p->c_seen = take(&t, call->resets && is_lstm ? D : 0, times(&t, call->B, c_row), &p->c_seen_bytes);
        p->h_products = take(&t, m->layer_norm && (!training || call->lean) ? D : 0, gates_step, &p->h_products_bytes);
        p->m = take(&t, m->proj_size ? D : 0, times(&t, call->B, c_row), &p->m_bytes);
        p->recurrent_masks = take(&t, call->recurrent_dropout > 0 ? m->num_layers * D : 0, times(&t, call->B, h_row), NULL);
    }
    if (call->lengths) {
        p->places = take(&t, 4 * D, times(&t, call->B, sizeof(int64_t)), NULL);
        p->h_state = take(&t, 1, times(&t, m->num_layers * D, times(&t, call->B, h_row)), NULL);
    }
    p->bytes = t.bytes;
    return status(&t);
}

enum lstm_status lstm_forward_bytes(const struct lstm_call *call, bool training, int64_t *bytes) {
    struct lstm_forward_plan p = {0};
    const enum lstm_status s = lstm_plan_forward(call, training, &p);
    *bytes = p.bytes;
    return s;
}

enum lstm_status lstm_plan_backward(const struct lstm_call *call, struct lstm_backward_plan *p) {
    const struct lstm_model *m = &call->model;
    if (too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, call->isa);
    const int64_t D = m->num_directions, T = at_least(1, call->T), B = call->B, element = d.element_bytes;
    const int64_t largest_input = m->num_layers > 1 ? at_least(m->input_size, d.output_width) : m->input_size;
    struct total t = {0};
    p->chunk_steps = at_most(T, at_least(1, LSTM_GRADIENT_ROWS / at_least(1, B)));
    p->segment_steps = D > 1 ? T : p->chunk_steps;
    p->depth = at_most(LSTM_GRADIENT_ROWS, times(&t, p->chunk_steps, B));
    /* One cache line more than a row needs: rows a multiple of 4 KiB apart would fall into the same few cache sets. */
    p->d_gates_stride = d.gates_width + 64 / element;
    p->d_gates = take(&t, p->chunk_steps, times(&t, times(&t, B, p->d_gates_stride), element), NULL);
    const bool is_lstm = m->cell == LSTM_CELL_LSTM, is_lean = call->lean && is_lstm;
    const int64_t LD = m->num_layers * D, LD_learned = m->initial_state ? LD : 1;
    const int64_t h_rows = times(&t, times(&t, B, d.R), element), c_rows = times(&t, times(&t, B, d.H_padded), element);
    p->d_c = take(&t, is_lstm ? LD : 0, c_rows, &p->d_c_bytes);
    p->first_h = take(&t, 1, times(&t, LD_learned, h_rows), NULL);
    p->between = take(&t, m->num_layers > 1 ? 2 : 0,
                      times(&t, times(&t, times(&t, p->segment_steps, B), d.output_width), element), &p->between_bytes);
    const int64_t column_bytes = times(&t, p->depth, element), whole_tiles = LSTM_LARGEST_TILE - 1;
    p->packed_x = take(&t, largest_input + whole_tiles, column_bytes, NULL);
    p->packed_h = take(&t, d.R + whole_tiles, column_bytes, NULL);
    p->packed_m = take(&t, m->proj_size ? m->hidden_size + whole_tiles : 0, column_bytes, NULL);
    const int64_t column = times(&t, times(&t, p->chunk_steps, B), element); /* one number of every row of a chunk */
    p->places = take(&t, call->lengths ? 1 : 0, times(&t, 8 + p->chunk_steps, times(&t, B, sizeof(int64_t))), NULL);
    p->d_h = take(&t, 1, times(&t, call->lengths ? LD : 0, h_rows), NULL);
    p->d_x_products = take(&t, m->layer_norm ? p->d_gates_stride : 0, column, NULL);
    p->d_h_products = take(&t, m->layer_norm ? p->d_gates_stride : 0, column, NULL);
    p->vector_terms_stride = d.vectors.width + 64 / element;
    p->vector_terms = take(&t, d.vectors.width ? p->vector_terms_stride : 0, column, NULL);
    p->h_seen = take(&t, lstm_changes_states(call) || (is_lean && call->lengths) ? d.R : 0, column, NULL);
    p->c_seen = take(&t, call->resets && is_lstm ? d.H_padded : 0, column, NULL);
    p->m = take(&t, m->proj_size ? m->hidden_size : 0, column, NULL);
    p->d_h_new_stride = d.R_padded + 64 / element;
    p->d_h_new = take(&t, m->proj_size ? p->d_h_new_stride : 0, column, NULL);
    p->gates = take(&t, is_lean ? d.gates_width : 0, column, NULL);
    p->x_products = take(&t, is_lean && m->layer_norm ? d.gates_width : 0, column, NULL);
    p->h_products = take(&t, is_lean && m->layer_norm ? d.gates_width : 0, column, NULL);
    p->made_c = take(&t, is_lean ? d.H_padded : 0, column, NULL);
    p->made_h = take(&t, is_lean ? m->hidden_size : 0, column, NULL);
    p->d_h_kept = take(&t, call->zoneout_h > 0 ? 1 : 0, h_rows, NULL);
    p->d_c_kept = take(&t, call->zoneout_c > 0 ? 1 : 0, c_rows, NULL);
    p->d_m = take(&t, m->proj_size ? 1 : 0, c_rows, NULL);
    p->recurrent_masks = take(&t, 1, times(&t, call->recurrent_dropout > 0 ? LD : 0, h_rows), NULL);
    const int64_t LD_reset = m->initial_state && call->resets ? LD : 0;
    p->d_first_h = take(&t, 1, times(&t, LD_reset, h_rows), NULL);
    p->d_first_c = take(&t, 1, times(&t, LD_reset, c_rows), NULL);
    struct lstm_packed last;
    if (lstm_plan_packed(m, call->isa, false, m->num_layers - 1, D - 1, &last)) t.overflow = true, last.bytes = 0;
    p->d_packed = take(&t, 1, last.bytes, NULL);
    p->bytes = t.bytes;
    return status(&t);
}

enum lstm_status lstm_backward_bytes(const struct lstm_call *call, int64_t *bytes) {
    struct lstm_backward_plan p = {0};
    const enum lstm_status s = lstm_plan_backward(call, &p);
    *bytes = p.bytes;
    return s;
}

enum lstm_status lstm_plan_linear(const struct lstm_linear *a, struct lstm_linear_plan *p) {
    const int64_t element = a->call.model.dtype == LSTM_F32 ? 4 : 8, vector = a->call.isa->vector_bytes / element;
    if (a->n_inputs > LARGEST_SIZE || a->n_outputs > LARGEST_SIZE) return LSTM_TOO_LARGE;
    const int64_t I = a->n_inputs, O = round_up(a->n_outputs, vector), whole_tiles = LSTM_LARGEST_TILE - 1;
    const bool is_backward = a->d_y;
    struct total t = {0};
    p->packed = take(&t, is_backward ? 0 : I, times(&t, O, element), NULL);
    p->bias = take(&t, is_backward ? 0 : 1, times(&t, O, element), NULL);
    p->packed_back = take(&t, is_backward ? a->n_outputs : 0, times(&t, round_up(I, vector), element), NULL);
    p->left = take(&t, is_backward ? I + whole_tiles : 0, LSTM_GRADIENT_ROWS * element, NULL);
    p->right = take(&t, is_backward ? LSTM_GRADIENT_ROWS : 0, times(&t, O, element), NULL);
    p->sums = take(&t, is_backward ? I + 1 : 0, times(&t, O, element), NULL);
    p->bytes = t.bytes;
    return status(&t);
}

enum lstm_status lstm_linear_bytes(const struct lstm_linear *a, int64_t *bytes) {
    struct lstm_linear_plan p = {0};
    const enum lstm_status s = lstm_plan_linear(a, &p);
    *bytes = p.bytes;
    return s;
}
