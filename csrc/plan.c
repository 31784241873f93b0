/* Sizes and offsets of packed weights and tapes. */
#include "plan.h"

#include "format.h"
#include "sizes.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static struct lstm_vectors vectors_of(const struct lstm_model *m, int64_t n_gates, int64_t H_padded) {
    struct lstm_vectors v = {0};
    v.norm_ih = v.peephole + (m->peepholes ? 3 * H_padded : 0);
    v.norm_hh = v.norm_ih + (m->layer_norm ? n_gates * H_padded : 0);
    v.norm_c = v.norm_hh + (m->layer_norm ? n_gates * H_padded : 0);
    v.norm_c_bias = v.norm_c + (m->layer_norm ? H_padded : 0);
    v.width = v.norm_c_bias + (m->layer_norm ? H_padded : 0);
    return v;
}

struct lstm_dims lstm_dims(const struct lstm_model *m, const struct lstm_isa *isa) {
    const bool is_lstm = m->cell == LSTM_CELL_LSTM;
    const int64_t n_gates = is_lstm ? LSTM_GATES : 1;
    const int64_t element_bytes = m->dtype == LSTM_F32 ? 4 : 8;
    const int64_t vector = m->dtype == LSTM_F32 ? isa->vector_bytes / 4 : isa->vector_bytes / 8; /* (no division) */
    /* Sizes that the plan of a call will reject count as 0: nothing here may overflow. */
    const int64_t H = is_too_large(m) ? 0 : m->hidden_size, P = is_too_large(m) ? 0 : m->proj_size;
    const int64_t H_padded = round_up(H, vector), R = P ? P : H;
    return (struct lstm_dims){.n_gates = n_gates,
                              .has_c = is_lstm,
                              .keeps_gates = is_lstm,
                              .vector = vector,
                              .element_bytes = element_bytes,
                              .R = R,
                              .H_padded = H_padded,
                              .R_padded = P ? round_up(R, vector) : H_padded,
                              .gates_width = n_gates * H_padded,
                              .output_width = m->num_directions * R,
                              .vectors = vectors_of(m, n_gates, H_padded)};
}

int64_t lstm_layer_input(const struct lstm_model *m, int64_t layer) {
    return layer == 0 ? m->input_size : m->num_directions * (m->proj_size ? m->proj_size : m->hidden_size);
}

/* ---- packed weights ---------------------------------------------------------------------------------------------- */

static int64_t matrix_bytes(struct total *t, const struct lstm_dims *d, enum lstm_format format, int64_t columns,
                            int64_t depth) {
    if (lstm_is_interleaved(format)) columns = round_up(columns, LSTM_PANEL_VECTORS * d->vector); /* whole panels */
    return times(t, times(t, columns, lstm_format_depth(format, depth)), lstm_format_bytes(format, d->element_bytes));
}

static void plan_layer(struct total *t, const struct lstm_model *m, const struct lstm_dims *d, bool backward,
                       int64_t layer, struct lstm_packed *p) {
    const enum lstm_format format = m->format, input_format = lstm_input_format(m, layer);
    const int64_t input = lstm_layer_input(m, layer), scale_bytes = times(t, d->gates_width, 2 * sizeof(float));
    const int64_t rows = backward ? d->n_gates * m->hidden_size : d->gates_width;
    const int64_t inputs = backward ? round_up(input, d->vector) : input;
    const int64_t units = backward ? d->R_padded : d->R;
    const bool looks_up = lstm_looks_up(m, layer);
    if (backward && lstm_is_interleaved(format)) {
        const int64_t depth = lstm_gates_depth(d->n_gates, m->hidden_size);
        p->weight_ih = take(t, looks_up ? 0 : 1, matrix_bytes(t, d, format, input, depth), NULL);
        p->weight_hh = take(t, 1, matrix_bytes(t, d, format, d->R, depth), NULL);
    } else {
        const enum lstm_format packed_format = looks_up ? LSTM_FORMAT_REAL : input_format;
        p->weight_ih = take(t, looks_up && backward ? 0 : 1, matrix_bytes(t, d, packed_format, rows, inputs), NULL);
        p->weight_hh = take(t, 1, matrix_bytes(t, d, format, rows, units), NULL);
    }
    p->scale_ih = input_format == LSTM_FORMAT_INT8 && !looks_up ? take(t, 1, scale_bytes, NULL) : 0;
    p->scale_hh = format == LSTM_FORMAT_INT8 ? take(t, 1, scale_bytes, NULL) : 0;
    p->bias = backward ? 0 : take(t, 1, times(t, rows, d->element_bytes), NULL);
    const int64_t hr_columns = backward ? d->H_padded : d->R_padded, hr_depth = backward ? d->R : m->hidden_size;
    p->weight_hr = m->proj_size ? take(t, 1, matrix_bytes(t, d, format, hr_columns, hr_depth), NULL) : 0;
    p->vectors = d->vectors.width ? take(t, 1, times(t, d->vectors.width, d->element_bytes), NULL) : 0;
    p->h_0 = m->initial_state ? take(t, 1, times(t, d->R, d->element_bytes), NULL) : 0;
    p->c_0 = m->initial_state ? take(t, 1, times(t, d->H_padded, d->element_bytes), NULL) : 0;
}

enum lstm_status lstm_plan_packed(const struct lstm_model *m, const struct lstm_isa *isa, bool backward, int64_t layer,
                                  int64_t direction, struct lstm_packed *p) {
    if (is_too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, isa);
    struct total first = {0}, other = {0}, t = {0};
    struct lstm_packed ignored;
    /* All directions of layer 0, then all directions of the other layers; a block's size depends on its layer. */
    if (layer > 0 || direction > 0) {
        plan_layer(&first, m, &d, backward, 0, &ignored);
        take(&t, layer == 0 ? direction : m->num_directions, first.bytes, NULL);
    }
    if (layer > 0) {
        plan_layer(&other, m, &d, backward, 1, &ignored);
        take(&t, times(&t, layer - 1, m->num_directions) + direction, other.bytes, NULL);
    }
    plan_layer(&t, m, &d, backward, layer, p);
    p->bytes = t.bytes;
    t.overflow |= first.overflow | other.overflow;
    return status_of(&t);
}

enum lstm_status lstm_plan_sums(const struct lstm_model *m, const struct lstm_isa *isa, int64_t layer,
                                int64_t direction, struct lstm_packed *p) {
    struct lstm_model without_format = *m;
    without_format.format = LSTM_FORMAT_REAL;
    return lstm_plan_packed(&without_format, isa, false, layer, direction, p);
}

enum lstm_status lstm_packed_bytes(const struct lstm_model *m, const struct lstm_isa *isa, bool backward,
                                   int64_t *bytes) {
    struct lstm_packed last = {0};
    const enum lstm_status status = lstm_plan_packed(m, isa, backward, m->num_layers - 1, m->num_directions - 1, &last);
    *bytes = last.bytes;
    return status;
}

/* ---- the tape -------------------------------------------------------------------------------------------------------
 * 4H gates, H cell states and R outputs for each step, batch row, layer and direction; no gates if backward recomputes
 * them. */

enum lstm_status lstm_plan_tape(const struct lstm_call *call, struct lstm_tape *p) {
    const struct lstm_model *m = &call->model;
    if (is_too_large(m)) return LSTM_TOO_LARGE;
    const struct lstm_dims d = lstm_dims(m, call->isa);
    const int64_t LD = m->num_layers * m->num_directions;
    const bool keeps_gates = d.keeps_gates && !call->recompute_gates;
    struct total t = {0};
    const int64_t rows = times(&t, call->T, call->B);
    const int64_t state_bytes = times(&t, times(&t, call->B, d.H_padded), d.element_bytes);
    const int64_t gates_bytes = times(&t, times(&t, rows, d.gates_width), d.element_bytes);
    const int64_t h_bytes = times(&t, times(&t, rows, d.output_width), d.element_bytes);
    p->gates = take(&t, keeps_gates ? LD : 0, gates_bytes, &p->gates_bytes);
    p->a_x = take(&t, m->layer_norm && keeps_gates ? LD : 0, gates_bytes, NULL);
    p->a_h = take(&t, m->layer_norm && keeps_gates ? LD : 0, gates_bytes, NULL);
    p->c = take(&t, d.has_c ? LD : 0, times(&t, at_most(INT64_MAX - 1, call->T) + 1, state_bytes), &p->c_bytes);
    p->h = take(&t, m->num_layers, h_bytes, &p->h_bytes);
    p->dropped = take(&t, call->dropout > 0 ? m->num_layers - 1 : 0, h_bytes, NULL);
    p->bytes = t.bytes;
    return status_of(&t);
}

enum lstm_status lstm_tape_bytes(const struct lstm_call *call, int64_t *bytes) {
    struct lstm_tape p = {0};
    const enum lstm_status status = lstm_plan_tape(call, &p);
    *bytes = p.bytes;
    return status;
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
