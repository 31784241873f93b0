/* Sizes and offsets of the workspaces. The lengths of chunks depend only on sizes, not on caches or threads; in
 * backward they determine where the blocks of sums over rows begin, and so the bits of the weight gradients. */
#include "format.h"
#include "plan.h"
#include "sizes.h"
#include "split.h"

/* Bytes of the gates of a chunk: half of a 512 KiB L2, or a quarter of W_ih, which each chunk reads once. Where W_ih
 * exceeds every L2, the gates leave it anyway, and longer chunks cost nothing: half of W_ih (5 % of H = 1024, B = 32; 2
 * % slower at H = 512). */
#define CHUNK_BYTES (256 << 10)
#define LARGE_MATRIX_BYTES (8 << 20)
/* Bytes that flow between two layers in a segment. */
#define BETWEEN_BYTES (128 << 10)

/* The largest I of a layer that multiplies its input. */
static int64_t largest_input(const struct lstm_model *m, const struct lstm_dims *d) {
    const int64_t first = m->index_input ? 1 : m->input_size;
    return m->num_layers > 1 ? at_least(first, d->output_width) : first;
}

/* Workspace per worker for the rounded left operands of the interleaved formats: rows of `depth`, and one scale for
 * each. */
static int64_t take_operands(struct total *t, const struct lstm_call *call, int64_t rows, int64_t depth,
                             int64_t *bytes) {
    const int64_t n_workers = at_most(LSTM_MOST_THREADS, at_least(1, call->n_threads));
    const int64_t row_bytes = times(t, lstm_operand_stride(depth) + 1, 4);
    return take(t, lstm_is_interleaved(call->model.format) ? n_workers : 0,
                times(t, at_most(LSTM_OPERAND_ROWS, rows), row_bytes), bytes);
}

int64_t lstm_segment_steps(const struct lstm_call *call) {
    struct total t = {0};
    const struct lstm_dims d = lstm_dims(&call->model, call->isa);
    const int64_t step_bytes = times(&t, times(&t, call->B, d.output_width), d.element_bytes);
    return t.overflow ? 1 : at_least(1, BETWEEN_BYTES / at_least(1, step_bytes));
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

enum lstm_status lstm_plan_forward(const struct lstm_call *call, bool training, struct lstm_forward_plan *p) {
    const struct lstm_model *m = &call->model;
    if (is_too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, call->isa);
    const int64_t D = m->num_directions, T = at_least(1, call->T);
    const bool tape_has_gates = training && d.keeps_gates && !call->recompute_gates;
    struct total t = {0};
    const int64_t gates_step = times(&t, times(&t, call->B, d.gates_width), d.element_bytes);
    const int64_t between_step = times(&t, times(&t, call->B, d.output_width), d.element_bytes);
    const struct lstm_team team = lstm_plan_team(call, false, lstm_has_stages(call));
    const bool is_wavefront = team.split == LSTM_SPLIT_LAYERS;
    p->segment_steps = D > 1 || m->num_layers == 1 ? T
                       : is_wavefront              ? lstm_wavefront_steps(call, false)
                                                   : at_most(T, lstm_segment_steps(call));
    const int64_t weight_ih_bytes = times(&t, times(&t, d.gates_width, largest_input(m, &d)), d.element_bytes);
    const int64_t chunk_bytes = at_least(CHUNK_BYTES, weight_ih_bytes / (weight_ih_bytes > LARGE_MATRIX_BYTES ? 2 : 4));
    p->chunk_steps = at_most(p->segment_steps, at_least(1, chunk_bytes / at_least(1, gates_step)));
    /* Products of interleaved formats read W_ih for LSTM_OPERAND_ROWS rows at a time, so that longer chunks only push
     * the recurrent weights out of the L2 (H = 1024, B = 32: 5-8 % in bfloat16_amx, up to 17 % in int8). */
    if (lstm_is_interleaved(m->format))
        p->chunk_steps = at_most(p->chunk_steps, at_least(1, LSTM_OPERAND_ROWS / at_least(1, call->B)));
    const int64_t h_row = times(&t, d.R, d.element_bytes), c_row = times(&t, d.H_padded, d.element_bytes);
    const int64_t h_rows = times(&t, call->B, h_row), c_rows = times(&t, call->B, c_row);
    const int64_t n_gates = is_wavefront ? team.n_threads : D;
    p->gates = take(&t, tape_has_gates ? 0 : n_gates, times(&t, p->chunk_steps, gates_step), &p->gates_bytes);
    p->c = take(&t, d.has_c && !training ? m->num_layers * D : 0, c_rows, &p->c_bytes);
    const int64_t n_between = is_wavefront ? LSTM_WAVEFRONT_BUFFERS * m->num_layers : 2;
    p->between = take(&t, m->num_layers > 1 && !training ? n_between : 0, times(&t, p->segment_steps, between_step),
                      &p->between_bytes);
    if (lstm_has_stages(call)) { /* (tested once: a single step of a small network takes half a microsecond) */
        p->h_effective = take(&t, lstm_changes_states(call) ? D : 0, h_rows, &p->h_effective_bytes);
        p->c_effective = take(&t, call->resets && d.has_c ? D : 0, c_rows, &p->c_effective_bytes);
        p->a_h = take(&t, m->layer_norm && !tape_has_gates ? D : 0, gates_step, &p->a_h_bytes);
        p->unprojected = take(&t, m->proj_size ? D : 0, c_rows, &p->unprojected_bytes);
        p->recurrent_masks = take(&t, call->recurrent_dropout > 0 ? m->num_layers * D : 0, h_rows, NULL);
    }
    if (call->lengths) {
        p->offsets = take(&t, 4 * D, times(&t, call->B, sizeof(int64_t)), NULL);
        p->h_state = take(&t, 1, times(&t, m->num_layers * D, h_rows), NULL);
    }
    p->operands = take_operands(&t, call, times(&t, p->chunk_steps, call->B),
                                at_least(m->hidden_size, largest_input(m, &d)), &p->operands_bytes);
    p->bytes = t.bytes;
    return status_of(&t);
}

enum lstm_status lstm_forward_bytes(const struct lstm_call *call, bool training, int64_t *bytes) {
    struct lstm_forward_plan p = {0};
    const enum lstm_status status = lstm_plan_forward(call, training, &p);
    *bytes = p.bytes;
    return status;
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* One cache line more than the row itself: rows a multiple of 4 KiB apart would compete for a few cache sets. */
static int64_t row_stride(const struct lstm_dims *d, int64_t width) { return width + 64 / d->element_bytes; }

/* `width` elements for each row of a chunk. */
static int64_t take_chunk(struct total *t, const struct lstm_call *call, const struct lstm_dims *d,
                          const struct lstm_backward_plan *p, int64_t width) {
    return take(t, width, times(t, times(t, p->chunk_steps, call->B), d->element_bytes), NULL);
}

/* Blocks needed only by some models or calls. */
static void plan_backward_options(struct total *t, const struct lstm_call *call, const struct lstm_dims *d,
                                  struct lstm_backward_plan *p) {
    const struct lstm_model *m = &call->model;
    const int64_t H = m->hidden_size, LD = m->num_layers * m->num_directions;
    const int64_t h_rows = times(t, times(t, call->B, d->R), d->element_bytes);
    const int64_t c_rows = times(t, times(t, call->B, d->H_padded), d->element_bytes);
    const bool recomputes = call->recompute_gates && d->keeps_gates;
    const bool needs_h = lstm_changes_states(call) || (recomputes && call->lengths);
    p->offsets = take(t, call->lengths ? 1 : 0, times(t, 8 + p->chunk_steps, times(t, call->B, sizeof(int64_t))), NULL);
    p->d_h = take(t, 1, times(t, call->lengths ? LD : 0, h_rows), NULL);
    p->d_a_x = take_chunk(t, call, d, p, m->layer_norm ? p->d_gates_stride : 0);
    p->d_a_h = take_chunk(t, call, d, p, m->layer_norm ? p->d_gates_stride : 0);
    p->h_effective = take_chunk(t, call, d, p, needs_h ? d->R : 0);
    p->c_effective = take_chunk(t, call, d, p, call->resets && d->has_c ? d->H_padded : 0);
    p->unprojected = take_chunk(t, call, d, p, m->proj_size ? H : 0);
    p->d_h_new_stride = row_stride(d, d->R_padded);
    p->d_h_new = take_chunk(t, call, d, p, m->proj_size ? p->d_h_new_stride : 0);
    p->gates = take_chunk(t, call, d, p, recomputes ? d->gates_width : 0);
    p->a_x = take_chunk(t, call, d, p, recomputes && m->layer_norm ? d->gates_width : 0);
    p->a_h = take_chunk(t, call, d, p, recomputes && m->layer_norm ? d->gates_width : 0);
    p->recomputed_c = take_chunk(t, call, d, p, recomputes ? d->H_padded : 0);
    p->recomputed_h = take_chunk(t, call, d, p, recomputes ? H : 0);
    p->d_h_kept = take(t, call->zoneout_h > 0 ? 1 : 0, h_rows, NULL);
    p->d_c_kept = take(t, call->zoneout_c > 0 ? 1 : 0, c_rows, NULL);
    p->d_unprojected = take(t, m->proj_size ? 1 : 0, c_rows, NULL);
    p->recurrent_masks = take(t, 1, times(t, call->recurrent_dropout > 0 ? LD : 0, h_rows), NULL);
    p->d_learned_h = take(t, 1, times(t, m->initial_state && call->resets ? LD : 0, h_rows), NULL);
    p->d_learned_c = take(t, 1, times(t, m->initial_state && call->resets ? LD : 0, c_rows), NULL);
}

enum lstm_status lstm_plan_backward(const struct lstm_call *call, struct lstm_backward_plan *p) {
    const struct lstm_model *m = &call->model;
    if (is_too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, call->isa);
    const int64_t D = m->num_directions, T = at_least(1, call->T), B = call->B, LD = m->num_layers * D;
    struct total t = {0};
    p->chunk_steps = at_most(T, at_least(1, LSTM_GRADIENT_ROWS / at_least(1, B)));
    p->segment_steps = D > 1 ? T : p->chunk_steps;
    p->depth = at_most(LSTM_GRADIENT_ROWS, times(&t, p->chunk_steps, B));
    const int64_t h_rows = times(&t, times(&t, B, d.R), d.element_bytes);
    const int64_t c_rows = times(&t, times(&t, B, d.H_padded), d.element_bytes);
    const int64_t between_rows = times(&t, p->segment_steps, B);
    const int64_t column = m->format == LSTM_FORMAT_BFLOAT16_AMX ? lstm_left_stride(p->depth)
                                                                 : lstm_format_depth(m->format, p->depth);
    const int64_t column_bytes = times(&t, column, d.element_bytes);
    const int64_t partial_tile = LSTM_LARGEST_TILE - 1;
    const struct lstm_team team = lstm_plan_team(call, true, lstm_has_stages(call));
    const int64_t n_chunks = team.split == LSTM_SPLIT_LAYERS       ? m->num_layers
                             : team.split == LSTM_SPLIT_DIRECTIONS ? D
                                                                   : 1;
    const int64_t chunk_rows = times(&t, times(&t, p->chunk_steps, B), d.element_bytes);
    p->d_gates_stride = row_stride(&d, d.gates_width);
    p->vector_terms_stride = row_stride(&d, d.vectors.width);
    p->d_gates = take(&t, n_chunks, times(&t, chunk_rows, p->d_gates_stride), &p->d_gates_bytes);
    p->vector_terms = take(&t, d.vectors.width ? n_chunks : 0, times(&t, chunk_rows, p->vector_terms_stride),
                           &p->vector_terms_bytes);
    p->d_c = take(&t, d.has_c ? LD : 0, c_rows, &p->d_c_bytes);
    p->default_h_0 = take(&t, 1, times(&t, m->initial_state ? LD : 1, h_rows), NULL);
    p->between = take(&t, m->num_layers > 1 ? 2 : 0,
                      times(&t, times(&t, between_rows, d.output_width), d.element_bytes), &p->between_bytes);
    /* (or, with symbols, struct lstm_symbol_row of depth rows, which is no larger than LSTM_LARGEST_TILE columns) */
    p->packed_x = take(&t, largest_input(m, &d) + partial_tile, column_bytes, NULL);
    p->packed_h = take(&t, d.R + partial_tile, column_bytes, NULL);
    p->packed_unprojected = take(&t, m->proj_size ? m->hidden_size + partial_tile : 0, column_bytes, NULL);
    plan_backward_options(&t, call, &d, p);
    struct lstm_packed last;
    if (lstm_plan_sums(m, call->isa, m->num_layers - 1, D - 1, &last)) t.overflow = true, last.bytes = 0;
    p->d_packed = take(&t, 1, last.bytes, NULL);
    p->operands = take_operands(&t, call, times(&t, p->chunk_steps, B),
                                LSTM_OPERAND_SLACK
                                    + lstm_gates_depth(d.n_gates, at_least(m->hidden_size, largest_input(m, &d))),
                                &p->operands_bytes);
    p->bytes = t.bytes;
    return status_of(&t);
}

enum lstm_status lstm_backward_bytes(const struct lstm_call *call, int64_t *bytes) {
    struct lstm_backward_plan p = {0};
    const enum lstm_status status = lstm_plan_backward(call, &p);
    *bytes = p.bytes;
    return status;
}

/* ---- a linear layer ---------------------------------------------------------------------------------------------- */

enum lstm_status lstm_plan_linear(const struct lstm_linear *a, struct lstm_linear_plan *p) {
    const int64_t element = a->call.model.dtype == LSTM_F32 ? 4 : 8, vector = a->call.isa->vector_bytes / element;
    if (a->n_inputs > LSTM_LARGEST_SIZE || a->n_outputs > LSTM_LARGEST_SIZE) return LSTM_TOO_LARGE;
    const int64_t I = a->n_inputs, O = round_up(a->n_outputs, vector), partial_tile = LSTM_LARGEST_TILE - 1;
    const bool is_backward = a->d_y;
    struct total t = {0};
    p->packed = take(&t, is_backward ? 0 : I, times(&t, O, element), NULL);
    p->bias = take(&t, is_backward ? 0 : 1, times(&t, O, element), NULL);
    p->packed_backward = take(&t, is_backward ? a->n_outputs : 0, times(&t, round_up(I, vector), element), NULL);
    p->left = take(&t, is_backward ? I + partial_tile : 0, LSTM_GRADIENT_ROWS * element, NULL);
    p->right = take(&t, is_backward ? LSTM_GRADIENT_ROWS : 0, times(&t, O, element), NULL);
    p->sums = take(&t, is_backward ? I + 1 : 0, times(&t, O, element), NULL);
    p->bytes = t.bytes;
    return status_of(&t);
}

enum lstm_status lstm_linear_bytes(const struct lstm_linear *a, int64_t *bytes) {
    struct lstm_linear_plan p = {0};
    const enum lstm_status status = lstm_plan_linear(a, &p);
    *bytes = p.bytes;
    return status;
}
