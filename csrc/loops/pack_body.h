/* Packing: PyTorch's weight arrays into the panels that the kernels stream (kernels/tile_body.h says how). */

/* Where column c of a row of gates comes from: its row in PyTorch's arrays, or -1 for padding. */
static int64_t NAME(gate_row)(const struct lstm_dims *d, int64_t H, int64_t c) {
    const int64_t block = d->n_gates * d->vector; /* the gates of one vector of units */
    const int64_t unit = c / block * d->vector + c % d->vector, gate = c % block / d->vector;
    return unit < H ? gate * H + unit : -1;
}

/* Columns are gates: packed[k][c] = weight[gate_row(c)][k], numbers of 16 bits or of the dtype. */
static void NAME(pack_forward)(const struct lstm_dims *d, int64_t H, int64_t depth, bool is_half, const void *weight,
                               void *packed) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    const uint16_t *half = weight;
    const REAL *full = weight;
    uint16_t *to_half = packed;
    REAL *to_full = packed;
    for (int64_t begin = 0; begin < d->gates_width; begin += panel) {
        const int64_t width = d->gates_width - begin < panel ? d->gates_width - begin : panel, base = begin * depth;
        for (int64_t c = 0; c < width; c++) {
            const int64_t row = NAME(gate_row)(d, H, begin + c);
            if (is_half)
                for (int64_t k = 0; k < depth; k++) to_half[base + k * width + c] = row < 0 ? 0 : half[row * depth + k];
            else
                for (int64_t k = 0; k < depth; k++) to_full[base + k * width + c] = row < 0 ? 0 : full[row * depth + k];
        }
    }
}

/* The way back, for gradients: rows of `weight` that stem from this member's panels. packed NULL: zeros. A piece of the depth at a
 * time, so that of a line of memory all is used while it is at hand, and pieces are asked for ahead of time, as they are no stream
 * that the processor could guess. (A column after the other took up to an eighth of a training call of one sequence. Packing that
 * way is no faster.) The columns of one gate of one vector of units lie side by side, and their rows follow each other. */
#define UNPACK_PIECE 16
static void NAME(unpack_forward)(const struct lstm_dims *d, const struct lstm_member *m, int64_t H, int64_t depth,
                                 const REAL *packed, REAL *weight) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    int64_t begin, end;
    lstm_share(m, (d->gates_width + panel - 1) / panel, &begin, &end);
    for (begin *= panel, end *= panel; begin < end && begin < d->gates_width; begin += panel) {
        const int64_t width = d->gates_width - begin < panel ? d->gates_width - begin : panel;
        for (int64_t k = 0; k < depth; k += UNPACK_PIECE)
            for (int64_t c = 0; c < width; c += d->vector) {
                const int64_t row = NAME(gate_row)(d, H, begin + c), piece = depth - k < UNPACK_PIECE ? depth - k : UNPACK_PIECE;
                if (row < 0) continue;
                const int64_t left = H - row % H, n = left < d->vector ? left : d->vector;
                const REAL *from = packed ? packed + begin * depth + k * width + c : NULL;
                for (int64_t j = 0; j < n; j++) {
                    REAL *to = weight + (row + j) * depth + k;
                    __builtin_prefetch(to + 3 * UNPACK_PIECE, 1);
                    for (int64_t i = 0; i < piece; i++) to[i] = from ? from[i * width + j] : 0;
                }
            }
    }
}

/* Columns are inputs or hidden units, the depth runs over units and in each over its gates:
 * packed[(unit, gate)][c] = weight[gate * H + unit][c]. */
static void NAME(pack_backward)(const struct lstm_dims *d, int64_t H, int64_t n_columns, const REAL *weight,
                                REAL *packed) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    const int64_t padded = (n_columns + d->vector - 1) / d->vector * d->vector;
    for (int64_t begin = 0; begin < padded; begin += panel) {
        const int64_t width = padded - begin < panel ? padded - begin : panel;
        const int64_t real = n_columns - begin < width ? n_columns - begin : width;
        for (int64_t unit = 0; unit < H; unit++)
            for (int64_t gate = 0; gate < d->n_gates; gate++, packed += width) {
                memcpy(packed, weight + (gate * H + unit) * n_columns + begin, (size_t)real * sizeof(REAL));
                memset(packed + real, 0, (size_t)(width - real) * sizeof(REAL));
            }
    }
}

/* The dims of a matrix that has no gates, such as weight_hr: columns and rows are what they are. */
static struct lstm_dims NAME(without_gates)(const struct lstm_dims *d, int64_t padded) {
    return (struct lstm_dims){.n_gates = 1, .vector = d->vector, .gates_width = padded};
}

/* A vector of n_gates numbers for each of H units, NULL for zeros, as a row of gates. */
static void NAME(pack_row)(const struct lstm_dims *d, int64_t H, const REAL *from, REAL *to) {
    for (int64_t c = 0; c < d->gates_width; c++) {
        const int64_t row = NAME(gate_row)(d, H, c);
        to[c] = row < 0 || !from ? 0 : from[row];
    }
}

static void NAME(pack_vectors)(const struct lstm_model *m, const struct lstm_dims *d, const struct lstm_weights *w,
                               REAL *to) {
    const struct lstm_dims one = NAME(without_gates)(d, d->H_padded);
    const int64_t H = m->hidden_size;
    for (int64_t k = 0; m->peepholes && k < 3; k++)
        NAME(pack_row)(&one, H, (const REAL *)w->weight_peephole + k * H, to + d->vectors.peephole + k * d->H_padded);
    if (!m->layer_norm) return;
    NAME(pack_row)(d, H, w->norm_ih_weight, to + d->vectors.norm_ih);
    NAME(pack_row)(d, H, w->norm_hh_weight, to + d->vectors.norm_hh);
    NAME(pack_row)(&one, H, w->norm_c_weight, to + d->vectors.norm_c);
    NAME(pack_row)(&one, H, w->norm_c_bias, to + d->vectors.norm_c_bias);
}

void NAME(lstm_pack)(const struct lstm_model *m, const struct lstm_isa *isa, bool backward,
                     const struct lstm_weights *weights, void *packed) {
    const struct lstm_dims d = lstm_dims(m, isa), one = NAME(without_gates)(&d,
                                                                            d.H_padded), into_h = NAME(without_gates)(&d, d.R_padded);
    const int64_t H = m->hidden_size, R = d.R;
    for (int64_t layer = 0; layer < m->num_layers; layer++)
        for (int64_t direction = 0; direction < m->num_directions; direction++, weights++) {
            const int64_t I = lstm_layer_input(m, layer);
            struct lstm_packed p;
            lstm_plan_packed(m, isa, backward, layer, direction, &p);
#define PLACE(name) (void *)((char *)packed + p.name)
            NAME(pack_vectors)(m, &d, weights, PLACE(vectors));
            if (m->initial_state) {
                memcpy(PLACE(h_0), weights->h_0, (size_t)R * sizeof(REAL));
                if (weights->c_0) NAME(pack_row)(&one, H, weights->c_0, PLACE(c_0));
            }
            if (backward) {
                NAME(pack_backward)(&d, H, I, weights->weight_ih, PLACE(weight_ih));
                NAME(pack_backward)(&d, H, R, weights->weight_hh, PLACE(weight_hh));
                if (m->proj_size) NAME(pack_backward)(&into_h, R, H, weights->weight_hr, PLACE(weight_hr));
                continue;
            }
            NAME(pack_forward)(&d, H, I, m->half_weights, weights->weight_ih, PLACE(weight_ih));
            NAME(pack_forward)(&d, H, R, m->half_weights, weights->weight_hh, PLACE(weight_hh));
            if (m->proj_size) NAME(pack_forward)(&into_h, R, H, m->half_weights, weights->weight_hr, PLACE(weight_hr));
            REAL *bias = PLACE(bias);
            const REAL *b_ih = weights->bias_ih, *b_hh = weights->bias_hh;
            for (int64_t c = 0; c < d.gates_width; c++) {
                const int64_t row = NAME(gate_row)(&d, H, c);
                bias[c] = row < 0 ? 0 : (b_ih ? b_ih[row] : 0) + (b_hh ? b_hh[row] : 0);
            }
#undef PLACE
        }
}
