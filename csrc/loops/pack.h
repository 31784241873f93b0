/* Packing: PyTorch's weight arrays into the panels that the kernels stream (kernels/tile.h), and gradients back. */
#ifndef LSTM_PACK_H
#define LSTM_PACK_H

#include <string.h>

#include "../compiler.h"
#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"

/* Numbers of a row that are moved at a time where rows become columns: a cache line or two. */
#define PACK_PIECE 16

/* The row of PyTorch's arrays for column c of a row of gates; -1 for padding. */
static int64_t gate_row(const struct lstm_dims *d, int64_t H, int64_t c) {
    const int64_t block = d->n_gates * d->vector; /* the gates of one vector of units */
    const int64_t unit = c / block * d->vector + c % d->vector, gate = c % block / d->vector;
    return unit < H ? gate * H + unit : -1;
}

/* The dims of a matrix without gates, such as weight_hr. */
static struct lstm_dims without_gates(const struct lstm_dims *d, int64_t padded) {
    return (struct lstm_dims){.n_gates = 1, .vector = d->vector, .gates_width = padded};
}

/* ---- columns are gates: forward ---------------------------------------------------------------------------------- */

/* packed[k][c] = weight[gate_row(c)][k]; both in the same format, not interleaved. */
static void pack_columns(const struct lstm_dims *d, int64_t H, int64_t depth, enum lstm_format format,
                         const void *weight, void *packed) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    const uint16_t *half = weight;
    const real *full = weight;
    uint16_t *to_half = packed;
    real *to_full = packed;
    for (int64_t begin = 0; begin < d->gates_width; begin += panel) {
        const int64_t width = d->gates_width - begin < panel ? d->gates_width - begin : panel, base = begin * depth;
        for (int64_t c = 0; c < width; c++) {
            const int64_t row = gate_row(d, H, begin + c);
            if (format == LSTM_FORMAT_FLOAT16)
                for (int64_t k = 0; k < depth; k++) to_half[base + k * width + c] = row < 0 ? 0 : half[row * depth + k];
            else
                for (int64_t k = 0; k < depth; k++) to_full[base + k * width + c] = row < 0 ? 0 : full[row * depth + k];
        }
    }
}

/* The same for interleaved formats: packed[k / interleave][c][k % interleave], all panels full. */
static void pack_interleaved(const struct lstm_dims *d, int64_t H, int64_t depth, enum lstm_format format,
                             int64_t interleave, bool rounds, const void *weight, void *packed) {
    const int64_t width = LSTM_PANEL_VECTORS * d->vector, padded = lstm_format_depth(format, depth);
    const int8_t *bytes = weight;
    const uint16_t *words = weight;
    const float *floats = weight;
    int8_t *to_bytes = packed;
    uint16_t *to_words = packed;
    for (int64_t begin = 0; begin < d->gates_width; begin += width)
        for (int64_t c = 0; c < width; c++) {
            const int64_t row = gate_row(d, H, begin + c);
            for (int64_t k = 0; k < padded; k++) {
                const int64_t to = begin * padded + (k / interleave * width + c) * interleave + k % interleave;
                const bool is_padding = row < 0 || k >= depth;
                if (format == LSTM_FORMAT_INT8)
                    to_bytes[to] = is_padding ? 0 : bytes[row * depth + k];
                else if (rounds)
                    to_words[to] = is_padding ? 0 : lstm_bfloat16_of(floats[row * depth + k]);
                else
                    to_words[to] = is_padding ? 0 : words[row * depth + k];
            }
        }
}

/* The scales of an INT8 matrix, multiplied by the left operand's scale unless its rows have their own, and the
 * corrections: what the offset of the left operand adds to each sum. */
static void pack_scales(const struct lstm_dims *d, int64_t H, int64_t depth, bool by_row, bool has_offset,
                        const int8_t *weight, const float *scale, float *packed) {
    int32_t *corrections = (int32_t *)(packed + d->gates_width);
    for (int64_t c = 0; c < d->gates_width; c++) {
        const int64_t row = gate_row(d, H, c);
        int32_t sum = 0;
        for (int64_t k = 0; k < depth && row >= 0; k++) sum += weight[row * depth + k];
        packed[c] = row < 0 ? 0 : by_row ? scale[row] : (float)((double)scale[row] / 127);
        corrections[c] = has_offset ? -128 * sum : 0;
    }
}

/* A weight of W_ih as the products read it; in INT8 times the integer that represents the 1 of a one-hot row. */
static real input_weight(const struct lstm_model *m, const struct lstm_weights *w, int64_t row, int64_t at) {
    switch (lstm_input_format(m, 0)) {
    case LSTM_FORMAT_REAL: break;
    case LSTM_FORMAT_FLOAT16: return lstm_float_of_float16(((const uint16_t *)w->weight_ih)[at]);
    case LSTM_FORMAT_BFLOAT16:
    case LSTM_FORMAT_BFLOAT16_AMX:
        return lstm_float_of_bfloat16(m->rounds_weights ? lstm_bfloat16_of(((const float *)w->weight_ih)[at])
                                                        : ((const uint16_t *)w->weight_ih)[at]);
    case LSTM_FORMAT_INT8:
        return (float)(((const int8_t *)w->weight_ih)[at] * lstm_largest_integer(m->input_bits)) * w->scale_ih[row];
    }
    return ((const real *)w->weight_ih)[at];
}

/* W_ih of a first layer that looks up: a row of gates for each of n symbols. A piece of the symbols at a time, as in
 * unpack_columns. */
static void pack_table(const struct lstm_model *m, const struct lstm_dims *d, const struct lstm_weights *w,
                       real *packed) {
    const int64_t n = m->input_size, width = d->gates_width;
    for (int64_t k = 0; k < n; k += PACK_PIECE)
        for (int64_t c = 0; c < width; c++) {
            const int64_t row = gate_row(d, m->hidden_size, c), end = n - k < PACK_PIECE ? n : k + PACK_PIECE;
            for (int64_t j = k; j < end; j++)
                packed[j * width + c] = row < 0 ? 0 : input_weight(m, w, row, row * n + j);
        }
}

/* A matrix of the forward pass. */
static void pack_matrix(const struct lstm_model *m, const struct lstm_dims *d, const struct lstm_isa *isa, int64_t H,
                        int64_t depth, enum lstm_format format, const void *weight, void *packed) {
    const struct lstm_format_kernels *kernels = isa->formats;
    if (lstm_is_interleaved(format))
        pack_interleaved(d, H, depth, format, format == LSTM_FORMAT_INT8 ? kernels->int8_interleave : 2,
                         m->rounds_weights, weight, packed);
    else
        pack_columns(d, H, depth, format, weight, packed);
}

/* The inverse, for gradients: the rows of `weight` that belong to this worker's panels. packed NULL: zeros.
 *
 * A piece of the depth at a time, so that each cache line is used completely while it is in the cache; pieces are
 * prefetched, because the accesses are too irregular for the hardware prefetcher. (Column by column, this took up to an
 * eighth of a training call of one sequence. Packing this way is no faster.) The columns of one gate of one vector of
 * units are adjacent, and so are their rows. */
static void unpack_columns(const struct lstm_dims *d, const struct lstm_worker *worker, int64_t H, int64_t depth,
                           const real *packed, real *weight) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    int64_t begin, end;
    lstm_share(worker, (d->gates_width + panel - 1) / panel, &begin, &end);
    for (begin *= panel, end *= panel; begin < end && begin < d->gates_width; begin += panel) {
        const int64_t width = d->gates_width - begin < panel ? d->gates_width - begin : panel;
        for (int64_t k = 0; k < depth; k += PACK_PIECE)
            for (int64_t c = 0; c < width; c += d->vector) {
                const int64_t row = gate_row(d, H, begin + c);
                const int64_t piece = depth - k < PACK_PIECE ? depth - k : PACK_PIECE;
                if (row < 0) continue;
                const int64_t left = H - row % H, n = left < d->vector ? left : d->vector;
                const real *from = packed ? packed + begin * depth + k * width + c : NULL;
                for (int64_t j = 0; j < n; j++) {
                    real *to = weight + (row + j) * depth + k;
                    __builtin_prefetch(to + 3 * PACK_PIECE, 1);
                    for (int64_t i = 0; i < piece; i++) to[i] = from ? from[i * width + j] : 0;
                }
            }
    }
}

/* A vector of n_gates numbers for each of H units as a row of gates. from NULL: zeros. */
static void pack_row(const struct lstm_dims *d, int64_t H, const real *from, real *to) {
    for (int64_t c = 0; c < d->gates_width; c++) {
        const int64_t row = gate_row(d, H, c);
        to[c] = row < 0 || !from ? 0 : from[row];
    }
}

/* ---- columns are inputs or hidden units: backward ---------------------------------------------------------------- */

/* packed[(unit, gate)][c] = weight[gate * H + unit][c]: the depth runs over units and, within a unit, over gates. */
static void pack_rows(const struct lstm_dims *d, int64_t H, int64_t n_columns, const real *weight, real *packed) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    const int64_t padded = (n_columns + d->vector - 1) / d->vector * d->vector;
    for (int64_t begin = 0; begin < padded; begin += panel) {
        const int64_t width = padded - begin < panel ? padded - begin : panel;
        const int64_t present = n_columns - begin < width ? n_columns - begin : width;
        for (int64_t unit = 0; unit < H; unit++)
            for (int64_t gate = 0; gate < d->n_gates; gate++, packed += width) {
                memcpy(packed, weight + (gate * H + unit) * n_columns + begin, (size_t)present * sizeof(real));
                memset(packed + present, 0, (size_t)(width - present) * sizeof(real));
            }
    }
}

/* The same in BFLOAT16: the depth runs over gates and, within a gate, over pairs of units; all panels are full. */
static void pack_row_pairs(const struct lstm_dims *d, int64_t H, int64_t n_columns, const float *weight,
                           uint16_t *packed) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector, units = (H + 1) & -2;
    for (int64_t begin = 0; begin < n_columns; begin += panel)
        for (int64_t gate = 0; gate < d->n_gates; gate++)
            for (int64_t unit = 0; unit < units; unit += 2)
                for (int64_t c = begin; c < begin + panel; c++)
                    for (int64_t k = unit; k < unit + 2; k++)
                        *packed++ = k < H && c < n_columns ? lstm_bfloat16_of(weight[(gate * H + k) * n_columns + c])
                                                           : 0;
}

/* ---- a whole network --------------------------------------------------------------------------------------------- */

static void pack_vectors(const struct lstm_model *m, const struct lstm_dims *d, const struct lstm_weights *w,
                         real *to) {
    const struct lstm_dims units = without_gates(d, d->H_padded);
    const int64_t H = m->hidden_size;
    for (int64_t k = 0; m->peepholes && k < 3; k++)
        pack_row(&units, H, (const real *)w->weight_peephole + k * H, to + d->vectors.peephole + k * d->H_padded);
    if (!m->layer_norm) return;
    pack_row(d, H, w->norm_ih_weight, to + d->vectors.norm_ih);
    pack_row(d, H, w->norm_hh_weight, to + d->vectors.norm_hh);
    pack_row(&units, H, w->norm_c_weight, to + d->vectors.norm_c);
    pack_row(&units, H, w->norm_c_bias, to + d->vectors.norm_c_bias);
}

/* The sum of both biases. */
static void pack_bias(const struct lstm_dims *d, int64_t H, const real *b_ih, const real *b_hh, real *bias) {
    for (int64_t c = 0; c < d->gates_width; c++) {
        const int64_t row = gate_row(d, H, c);
        bias[c] = row < 0 ? 0 : (b_ih ? b_ih[row] : 0) + (b_hh ? b_hh[row] : 0);
    }
}

/* One layer and direction. */
static void pack_layer(const struct lstm_model *m, const struct lstm_isa *isa, const struct lstm_dims *d, int64_t layer,
                       bool backward, const struct lstm_weights *w, const struct lstm_packed *offsets, char *packed) {
    const struct lstm_dims units = without_gates(d, d->H_padded), outputs = without_gates(d, d->R_padded);
    const int64_t H = m->hidden_size, R = d->R, I = lstm_layer_input(m, layer);
    const bool looks_up = lstm_looks_up(m, layer);
    void *weight_ih = packed + offsets->weight_ih, *weight_hh = packed + offsets->weight_hh;
    void *weight_hr = packed + offsets->weight_hr;
    pack_vectors(m, d, w, (real *)(packed + offsets->vectors));
    if (m->initial_state) {
        memcpy(packed + offsets->h_0, w->h_0, (size_t)R * sizeof(real));
        if (w->c_0) pack_row(&units, H, w->c_0, (real *)(packed + offsets->c_0));
    }
    if (backward && lstm_is_bfloat16(m->format)) {
        if (!looks_up) pack_row_pairs(d, H, I, w->weight_ih, weight_ih);
        pack_row_pairs(d, H, R, w->weight_hh, weight_hh);
        if (m->proj_size) pack_row_pairs(&outputs, R, H, w->weight_hr, weight_hr);
        return;
    }
    if (backward) {
        if (!looks_up) pack_rows(d, H, I, w->weight_ih, weight_ih);
        pack_rows(d, H, R, w->weight_hh, weight_hh);
        if (m->proj_size) pack_rows(&outputs, R, H, w->weight_hr, weight_hr);
        return;
    }
    if (looks_up)
        pack_table(m, d, w, weight_ih);
    else
        pack_matrix(m, d, isa, H, I, lstm_input_format(m, layer), w->weight_ih, weight_ih);
    pack_matrix(m, d, isa, H, R, m->format, w->weight_hh, weight_hh);
    if (m->proj_size) pack_matrix(m, &outputs, isa, R, H, m->format, w->weight_hr, weight_hr);
    const bool has_offset = ((const struct lstm_format_kernels *)isa->formats)->int8_offset;
    if (w->scale_ih && !looks_up)
        pack_scales(d, H, I, layer == 0, has_offset, w->weight_ih, w->scale_ih, (float *)(packed + offsets->scale_ih));
    if (w->scale_hh)
        pack_scales(d, H, R, false, has_offset, w->weight_hh, w->scale_hh, (float *)(packed + offsets->scale_hh));
    pack_bias(d, H, w->bias_ih, w->bias_hh, (real *)(packed + offsets->bias));
}

static void pack(const struct lstm_model *m, const struct lstm_isa *isa, bool backward,
                 const struct lstm_weights *weights, void *packed) {
    const struct lstm_dims d = lstm_dims(m, isa);
    for (int64_t layer = 0; layer < m->num_layers; layer++)
        for (int64_t direction = 0; direction < m->num_directions; direction++, weights++) {
            struct lstm_packed offsets;
            lstm_plan_packed(m, isa, backward, layer, direction, &offsets);
            pack_layer(m, isa, &d, layer, backward, weights, &offsets, packed);
        }
}

/* ---- left operands of weight gradients ------------------------------------------------------------------------- */

#define PACK_ROWS 16 /* rows packed at a time */

ALWAYS_INLINE void pack_tile_of(int64_t n, const real *const *rows, int64_t column, const int tile_rows,
                                const int present, real *to) {
    for (int64_t k = 0; k < n; k++, to += tile_rows) {
        memcpy(to, rows[k] + column, (size_t)present * sizeof(real));
        for (int r = present; r < tile_rows; r++) to[r] = 0;
    }
}

/* Packs n rows of a tile of `tile_rows` columns, with zeros in the columns after `present`. (With constants, as a call
 * of memcpy for each row takes three times as long.) */
static void pack_tile(int64_t n, const real *const *rows, int64_t column, int64_t tile_rows, int64_t present,
                      real *to) {
    UNROLL
    for (int numbers = 1; numbers <= 6; numbers++)
        if (tile_rows == 6 && present == numbers) pack_tile_of(n, rows, column, 6, numbers, to);
    UNROLL
    for (int numbers = 1; numbers <= 3; numbers++)
        if (tile_rows == 3 && present == numbers) pack_tile_of(n, rows, column, 3, numbers, to);
}

#endif
