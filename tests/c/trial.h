/* What driver.c runs: a network of some kind and shape, its call, and all of its arrays. */
#ifndef TRIAL_H
#define TRIAL_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lstm_fast.h"
#include "memory.h"

struct shape {
    int64_t T, B, I, H, L, D;
};

/* A network by name, and the options of its calls. */
struct kind {
    const char *name;
    enum lstm_cell cell;
    bool has_units;  /* options of single units: peepholes, coupled gates, clips, activations */
    bool has_rows;   /* options of whole rows: projection, layer norm */
    bool has_states; /* options of states: recurrent dropout, zoneout, resets, a learned initial state */
    bool recomputes_gates;
    enum lstm_format format; /* either BFLOAT16: weights of float32, training; INT8: inference */
    int input_bits;          /* of INT8 */
};

enum layout { PADDED, RAGGED, PACKED };

struct array {
    void *data;
    size_t bytes;
    size_t size; /* of a number */
};

/* One run. Arrays are drawn and hashed in the order in which they are made. */
enum { MOST_ARRAYS = 128, MOST_LAYERS = 8 };
struct trial {
    const struct lstm_isa *isa;
    const struct kind *kind;
    enum lstm_dtype dtype;
    struct shape s;
    enum layout layout;
    struct lstm_model model;
    struct lstm_call call;
    int64_t LD, R, W, gate_rows;
    int64_t n; /* rows of the caller's sequences */
    struct array in[MOST_ARRAYS], out[MOST_ARRAYS];
    int n_in, n_out;
    struct array blocks[16]; /* all others, to be freed */
    int n_blocks;
};

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

static uint64_t random_state;

/* Numbers in (-1, 1) that are the same everywhere (splitmix64, 24 bits). */
static double next_number(void) {
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 40) / 8388608.0 - 1.0;
}

/* Random numbers, or NaN in outputs: all must be written. */
static struct array make_array(enum lstm_dtype dtype, int64_t n, bool is_output) {
    const size_t size = dtype == LSTM_F32 ? sizeof(float) : sizeof(double);
    struct array a = {NULL, (size_t)n * size, size};
    a.data = get_memory(a.bytes);
    for (int64_t k = 0; k < n; k++) {
        const double v = is_output ? NAN : next_number();
        if (dtype == LSTM_F32)
            ((float *)a.data)[k] = (float)v;
        else
            ((double *)a.data)[k] = v;
    }
    return a;
}

static void *in(struct trial *t, int64_t n) {
    t->in[t->n_in] = make_array(t->dtype, n, false);
    return t->in[t->n_in++].data;
}

static void *whole_numbers_in(struct trial *t, int64_t n) {
    struct array a = {get_memory((size_t)n), (size_t)n, 1};
    for (int64_t k = 0; k < n; k++) ((int8_t *)a.data)[k] = (int8_t)(127 * next_number());
    t->in[t->n_in++] = a;
    return a.data;
}

/* Scales the weights to [-1/2, 1/2]. */
static const float *scales_in(struct trial *t, int64_t n) {
    float *scales = in(t, n);
    for (int64_t k = 0; k < n; k++) scales[k] = (scales[k] + 1) / 512;
    return scales;
}

static void *out(struct trial *t, int64_t n) {
    t->out[t->n_out] = make_array(t->dtype, n, true);
    return t->out[t->n_out++].data;
}

/* 64-byte aligned memory (get_memory), filled with NaN because its contents must not matter. */
static void *block(struct trial *t, int64_t bytes) {
    struct array a = {get_memory((size_t)bytes), (size_t)bytes, 1};
    memset(a.data, 0xff, a.bytes);
    t->blocks[t->n_blocks++] = a;
    return a.data;
}

static int64_t *integers(struct trial *t, int64_t n) { return block(t, n * (int64_t)sizeof(int64_t)); }

/* Hashes the bytes of each number in little-endian order on every machine. */
static uint64_t hash(uint64_t h, struct array a) {
    const bool is_reversed = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    const size_t flip = is_reversed ? a.size - 1 : 0;
    for (size_t k = 0; k < a.bytes; k++) h = (h ^ ((unsigned char *)a.data)[k ^ flip]) * 1099511628211u;
    return h;
}

static void check(enum lstm_status status, const char *what) {
    if (status == LSTM_OK) return;
    printf("%s failed with status %d\n", what, (int)status);
    exit(2);
}

/* ---- the network and the call ------------------------------------------------------------------------------------ */

static struct lstm_model describe_model(const struct kind *kind, enum lstm_dtype dtype, struct shape s) {
    struct lstm_model m = {.cell = kind->cell,
                           .dtype = dtype,
                           .input_size = s.I,
                           .hidden_size = s.H,
                           .num_layers = s.L,
                           .num_directions = s.D,
                           .initial_state = kind->has_states,
                           .format = kind->format,
                           .rounds_weights = kind->format == LSTM_FORMAT_BFLOAT16
                                             || kind->format == LSTM_FORMAT_BFLOAT16_AMX,
                           .input_bits = kind->input_bits};
    if (kind->has_units) {
        m.peepholes = m.coupled_gates = true;
        m.cell_clip = 0.5, m.gate_clip = 1.5;
        m.activation = (struct lstm_activation){LSTM_ELU, 0.75, 0};
        m.recurrent_activation = (struct lstm_activation){LSTM_HARD_SIGMOID, 0.25, 0.5};
        m.cell_activation = (struct lstm_activation){LSTM_SOFTPLUS, 0, 0};
    }
    if (kind->has_rows) m.layer_norm = true, m.proj_size = s.H > 1 ? s.H - 1 : 0;
    return m;
}

/* Lengths from T down to 0 (packed: to 1), the last rows of the batch first. */
static void describe_lengths(struct trial *t, struct lstm_call *call) {
    const int64_t T = t->s.T, B = t->s.B;
    int64_t *lengths = integers(t, B), *rows = integers(t, B), *packed_rows = integers(t, T);
    t->n = T * B;
    if (t->layout == PADDED) return;
    for (int64_t b = 0; b < B; b++) {
        lengths[b] = T - b * T / (B > 1 ? B - 1 : 1);
        if (t->layout == PACKED && lengths[b] == 0) lengths[b] = 1;
        rows[b] = B - 1 - b;
    }
    call->lengths = lengths;
    if (t->layout == RAGGED) {
        call->rows = rows;
        return;
    }
    t->n = 0;
    for (int64_t step = 0; step < T; step++) {
        packed_rows[step] = t->n;
        for (int64_t b = 0; b < B; b++) t->n += lengths[b] > step;
    }
    call->packed_rows = packed_rows;
}

static void describe_call(struct trial *t, enum lstm_split split) {
    const struct shape s = t->s;
    t->call = (struct lstm_call){.model = t->model,
                                 .isa = t->isa,
                                 .T = s.T,
                                 .B = s.B,
                                 .split = split,
                                 .n_threads = split == LSTM_SPLIT_BEST ? 1 : 3,
                                 .dropout = s.L > 1 ? 0.3 : 0,
                                 .seed = 77,
                                 .recompute_gates = t->kind->recomputes_gates};
    describe_lengths(t, &t->call);
    if (!t->kind->has_states) return;
    uint8_t *resets = block(t, s.T * s.B);
    for (int64_t k = 0; k < s.T * s.B; k++) resets[k] = k * 7 % 5 == 0;
    t->call.resets = resets;
    t->call.recurrent_dropout = 0.25, t->call.zoneout_h = 0.5;
    if (t->kind->cell == LSTM_CELL_LSTM) t->call.zoneout_c = 0.25;
}

/* One layer and direction, k of LD; d->d_bias_hh is left to the caller. */
static void make_weights(struct trial *t, int64_t k, struct lstm_weights *w, struct lstm_weight_gradients *d) {
    const struct lstm_model *m = &t->model;
    const int64_t I = k < t->s.D ? t->s.I : t->W, H = t->s.H, R = t->R, rows = t->gate_rows;
    *w = (struct lstm_weights){0};
    *d = (struct lstm_weight_gradients){0};
    const bool is_int8 = m->format == LSTM_FORMAT_INT8, has_int8_ih = is_int8 && (m->input_bits || k >= t->s.D);
    w->weight_ih = has_int8_ih ? whole_numbers_in(t, rows * I) : in(t, rows * I);
    w->weight_hh = is_int8 ? whole_numbers_in(t, rows * R) : in(t, rows * R);
    if (has_int8_ih) w->scale_ih = scales_in(t, rows);
    if (is_int8) w->scale_hh = scales_in(t, rows);
    w->bias_ih = in(t, rows);
    if (k % 2 == 0) w->bias_hh = in(t, rows);
    if (is_int8) { /* no gradients; never with what follows but a learned state */
        if (m->initial_state) w->h_0 = in(t, R), w->c_0 = in(t, H);
        return;
    }
    d->d_weight_ih = out(t, rows * I);
    d->d_weight_hh = out(t, rows * R);
    d->d_bias_ih = out(t, rows);
    if (m->proj_size) w->weight_hr = in(t, R * H), d->d_weight_hr = out(t, R * H);
    if (m->peepholes) w->weight_peephole = in(t, 3 * H), d->d_weight_peephole = out(t, 3 * H);
    if (m->layer_norm) {
        w->norm_ih_weight = in(t, rows), d->d_norm_ih_weight = out(t, rows);
        w->norm_hh_weight = in(t, rows), d->d_norm_hh_weight = out(t, rows);
        w->norm_c_weight = in(t, H), d->d_norm_c_weight = out(t, H);
        w->norm_c_bias = in(t, H), d->d_norm_c_bias = out(t, H);
    }
    if (m->initial_state) w->h_0 = in(t, R), d->d_h_0 = out(t, R);
    if (m->initial_state && m->cell == LSTM_CELL_LSTM) w->c_0 = in(t, H), d->d_c_0 = out(t, H);
}

static void *pack(struct trial *t, const struct lstm_weights *weights, bool backward) {
    int64_t bytes;
    check(lstm_packed_bytes(&t->model, t->isa, backward, &bytes), "lstm_packed_bytes");
    void *packed = block(t, bytes);
    lstm_pack(&t->model, t->isa, backward, weights, packed);
    return packed;
}

#endif
