/* The core without Python: runs forward and backward over awkward shapes on every instruction set of this machine and
 * prints one hash of all result bits per shape. Built with sanitizers it looks for stray accesses (every array is its own
 * heap block of the exact size); run on two machines it shows whether they give the same bits.
 *
 *     cc -std=c11 -g -fsanitize=address,undefined ... ; see test_c_driver.py
 *
 * Exit status 1 if instruction sets with fused multiply-add differ, 2 if a call fails. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lstm_fast.h"

static uint64_t random_state;

/* Numbers in (-1, 1) that are the same everywhere (splitmix64, 24 bits). */
static double next_number(void) {
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 40) / 8388608.0 - 1.0;
}

struct array {
    void *data;
    size_t bytes;
};

static struct array fresh(enum lstm_dtype dtype, int64_t n, double scale) {
    struct array a = {NULL, (size_t)n * (dtype == LSTM_F32 ? 4 : 8)};
    a.data = malloc(a.bytes ? a.bytes : 1);
    for (int64_t k = 0; k < n; k++) {
        const double v = scale != 0 ? scale * next_number() : NAN; /* outputs begin as NaN: all must be written */
        if (dtype == LSTM_F32)
            ((float *)a.data)[k] = (float)v;
        else
            ((double *)a.data)[k] = v;
    }
    return a;
}

static void *aligned(int64_t bytes) { return aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64 + 64); }

static uint64_t hash(uint64_t h, struct array a) {
    for (size_t k = 0; k < a.bytes; k++) h = (h ^ ((unsigned char *)a.data)[k]) * 1099511628211u;
    return h;
}

static void check(enum lstm_status s, const char *what) {
    if (s == LSTM_OK) return;
    printf("%s failed with status %d\n", what, (int)s);
    exit(2);
}

struct shape {
    int64_t T, B, I, H, L, D;
};

/* A network by name, and what its calls have. */
struct kind {
    const char *name;
    enum lstm_cell cell;
    bool has_units;  /* what acts on single units: peepholes, coupled gates, clips, activations */
    bool has_rows;   /* what acts on whole rows: projection, layer norm */
    bool has_states; /* what acts on states: recurrent dropout, zoneout, resets, a learned initial state */
    bool recomputes_gates;
};

static struct lstm_model describe(const struct kind *kind, enum lstm_dtype dtype, struct shape s) {
    struct lstm_model m = {.cell = kind->cell,
                           .dtype = dtype,
                           .input_size = s.I,
                           .hidden_size = s.H,
                           .num_layers = s.L,
                           .num_directions = s.D,
                           .initial_state = kind->has_states};
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

enum layout { PADDED, RAGGED, PACKED };

static uint64_t run(const struct lstm_isa *isa, const struct kind *kind, enum lstm_dtype dtype, struct shape s,
                    enum lstm_split split, enum layout layout) {
    enum { MOST = 128 };
    const struct lstm_model model = describe(kind, dtype, s);
    const bool is_lstm = kind->cell == LSTM_CELL_LSTM;
    const int64_t LD = s.L * s.D, R = model.proj_size ? model.proj_size : s.H, rows = (is_lstm ? LSTM_GATES : 1) * s.H,
                  W = s.D * R;
    int64_t lengths[1024], batch_rows[1024]; /* from T down to 0, the last rows of the batch first */
    for (int64_t b = 0; b < s.B; b++) lengths[b] = s.T - b * s.T / (s.B > 1 ? s.B - 1 : 1), batch_rows[b] = s.B - 1 - b;
    int64_t packed_rows[1024], n = 0; /* packed: the same lengths, but none 0; n rows of the caller's sequences */
    for (int64_t b = 0; layout == PACKED && b < s.B; b++) lengths[b] += lengths[b] == 0;
    for (int64_t t = 0; layout == PACKED && t < s.T; t++) {
        packed_rows[t] = n;
        for (int64_t b = 0; b < s.B; b++) n += lengths[b] > t;
    }
    if (layout != PACKED) n = s.T * s.B;
    uint8_t *resets = malloc((size_t)(s.T * s.B) + 1);
    for (int64_t k = 0; k < s.T * s.B; k++) resets[k] = k * 7 % 5 == 0;
    struct lstm_call call = {.model = model,
                             .isa = isa,
                             .T = s.T,
                             .B = s.B,
                             .split = split,
                             .n_threads = split == LSTM_SPLIT_BEST ? 1 : 3,
                             .dropout = s.L > 1 ? 0.3 : 0,
                             .seed = 77,
                             .lengths = layout != PADDED ? lengths : NULL,
                             .rows = layout == RAGGED ? batch_rows : NULL,
                             .packed_rows = layout == PACKED ? packed_rows : NULL,
                             .recompute_gates = kind->recomputes_gates};
    if (kind->has_states) {
        call.recurrent_dropout = 0.25, call.zoneout_h = 0.5;
        if (is_lstm) call.zoneout_c = 0.25;
        call.resets = resets;
    }
    struct array in[MOST], out[MOST];
    int n_in = 0, n_out = 0;
#define IN(n) (in[n_in] = fresh(dtype, n, 1), in[n_in++].data)
#define OUT(n) (out[n_out] = fresh(dtype, n, 0), out[n_out++].data)
    random_state = 12345;
    struct lstm_weights weights[8];
    struct lstm_weight_gradients d_weights[8];
    struct array d_bias_hh[8];
    for (int64_t k = 0; k < LD; k++) {
        const int64_t I = k < s.D ? s.I : W;
        struct lstm_weights *w = weights + k;
        struct lstm_weight_gradients *d = d_weights + k;
        *w = (struct lstm_weights){.weight_ih = IN(rows * I),
                                   .weight_hh = IN(rows * R),
                                   .bias_ih = IN(rows),
                                   .bias_hh = k % 2 ? NULL : IN(rows)};
        *d = (struct lstm_weight_gradients){
            .d_weight_ih = OUT(rows * I), .d_weight_hh = OUT(rows * R), .d_bias_ih = OUT(rows)};
        d_bias_hh[k] = fresh(dtype, rows, 0),
        d->d_bias_hh = d_bias_hh[k].data; /* the same again: compared, not hashed */
        if (model.proj_size) w->weight_hr = IN(R * s.H), d->d_weight_hr = OUT(R * s.H);
        if (model.peepholes) w->weight_peephole = IN(3 * s.H), d->d_weight_peephole = OUT(3 * s.H);
        if (model.layer_norm) {
            w->norm_ih_weight = IN(rows), w->norm_hh_weight = IN(rows), w->norm_c_weight = IN(s.H),
            w->norm_c_bias = IN(s.H);
            d->d_norm_ih_weight = OUT(rows), d->d_norm_hh_weight = OUT(rows), d->d_norm_c_weight = OUT(s.H),
            d->d_norm_c_bias = OUT(s.H);
        }
        if (model.initial_state) w->h_0 = IN(R), d->d_h_0 = OUT(R);
        if (model.initial_state && is_lstm) w->c_0 = IN(s.H), d->d_c_0 = OUT(s.H);
    }
    int64_t bytes;
    check(lstm_packed_bytes(&model, isa, false, &bytes), "lstm_packed_bytes");
    void *packed = aligned(bytes);
    lstm_pack(&model, isa, false, weights, packed);
    check(lstm_packed_bytes(&model, isa, true, &bytes), "lstm_packed_bytes");
    void *packed_backward = aligned(bytes);
    lstm_pack(&model, isa, true, weights, packed_backward);
    check(lstm_tape_bytes(&call, &bytes), "lstm_tape_bytes");
    void *tape = aligned(bytes);

    struct lstm_forward f = {.call = call,
                             .x = {IN(n * s.I), s.B * s.I, s.I},
                             .h_0 = IN(LD * s.B * R),
                             .c_0 = IN(LD * s.B * s.H),
                             .output = {OUT(n * W), s.B * W, W},
                             .h_n = OUT(LD * s.B * R),
                             .packed = packed,
                             .tape = tape};
    if (kind->has_states) f.h_0 = f.c_0 = NULL; /* the learned ones */
    f.c_n = is_lstm ? OUT(LD * s.B * s.H) : NULL;
    check(lstm_forward_bytes(&call, true, &bytes), "lstm_forward_bytes");
    f.workspace = aligned(bytes);
    check(lstm_forward(&f), "lstm_forward");

    /* Inference, batch first: the same numbers in another layout, nothing left to chance. */
    struct lstm_forward g = f;
    void *training_workspace = f.workspace;
    g.call.dropout = g.call.recurrent_dropout = g.call.zoneout_h = g.call.zoneout_c = 0;
    g.tape = NULL;
    g.output = (struct lstm_sequence){OUT(n * W), W, layout == PACKED ? W : s.T * W};
    g.h_n = OUT(LD * s.B * R);
    g.c_n = is_lstm ? OUT(LD * s.B * s.H) : NULL;
    check(lstm_forward_bytes(&g.call, false, &bytes), "lstm_forward_bytes");
    g.workspace = aligned(bytes);
    check(lstm_forward(&g), "lstm_forward");

    struct lstm_backward b = {.call = call,
                              .x = f.x,
                              .h_0 = f.h_0,
                              .c_0 = f.c_0,
                              .d_output = {IN(n * W), s.B * W, W},
                              .d_h_n = IN(LD * s.B * R),
                              .d_c_n = IN(LD * s.B * s.H),
                              .d_x = {OUT(n * s.I), s.B * s.I, s.I},
                              .d_h_0 = OUT(LD * s.B * R),
                              .d_weights = d_weights,
                              .packed = packed_backward,
                              .packed_forward = packed,
                              .tape = tape};
    b.d_c_0 = is_lstm ? OUT(LD * s.B * s.H) : NULL;
    check(lstm_backward_bytes(&call, &bytes), "lstm_backward_bytes");
    b.workspace = aligned(bytes);
    check(lstm_backward(&b), "lstm_backward");
    for (int64_t k = 0; k < LD; k++) {
        if (memcmp(d_bias_hh[k].data, d_weights[k].d_bias_ih, d_bias_hh[k].bytes)) {
            printf("the gradients of the biases differ\n");
            exit(2);
        }
        free(d_bias_hh[k].data);
    }

    uint64_t h = 14695981039346656037u;
    for (int k = 0; k < n_out; k++) h = hash(h, out[k]), free(out[k].data);
    for (int k = 0; k < n_in; k++) free(in[k].data);
    free(resets), free(packed), free(packed_backward), free(tape), free(training_workspace), free(g.workspace),
        free(b.workspace);
    return h;
}

int main(void) {
    static const struct shape shapes[] = {
        {1, 1, 1, 1, 1, 1},   {0, 2, 3, 4, 2, 2},   {3, 0, 3, 4, 1, 1},   {2, 1, 3, 2, 1, 1},   {3, 2, 1, 3, 2, 1},
        {2, 3, 16, 7, 1, 2},  {5, 7, 2, 8, 2, 2},   {3, 8, 3, 9, 1, 1},   {2, 9, 20, 15, 3, 1}, {17, 1, 5, 16, 1, 2},
        {2, 13, 4, 17, 2, 1}, {3, 6, 3, 31, 1, 1},  {4, 5, 7, 33, 1, 2},  {2, 4, 8, 64, 2, 1},  {3, 2, 9, 65, 1, 1},
        {130, 1, 3, 8, 3, 1}, {3, 600, 2, 5, 1, 1}, {600, 2, 3, 4, 1, 2}, {2, 3, 65, 24, 1, 1},
    };
    static const struct kind kinds[] = {
        {.name = "lstm", .cell = LSTM_CELL_LSTM},
        {.name = "tanh", .cell = LSTM_CELL_RNN_TANH},
        {.name = "relu", .cell = LSTM_CELL_RNN_RELU},
        {.name = "identity", .cell = LSTM_CELL_RNN_IDENTITY},
        {.name = "lstm-units", .cell = LSTM_CELL_LSTM, .has_units = true},
        {.name = "lstm-rows", .cell = LSTM_CELL_LSTM, .has_rows = true},
        {.name = "lstm-states", .cell = LSTM_CELL_LSTM, .has_states = true},
        {.name = "lstm-all", .cell = LSTM_CELL_LSTM, .has_units = true, .has_rows = true, .has_states = true},
        {.name = "lstm-lean", .cell = LSTM_CELL_LSTM, .recomputes_gates = true},
        {.name = "lstm-all-lean",
         .cell = LSTM_CELL_LSTM,
         .has_units = true,
         .has_rows = true,
         .has_states = true,
         .recomputes_gates = true},
        {.name = "tanh-states", .cell = LSTM_CELL_RNN_TANH, .has_states = true},
    };
    int status = 0;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (const struct kind *kind = kinds; kind < kinds + sizeof kinds / sizeof *kinds; kind++)
            for (int dtype = LSTM_F32; dtype <= LSTM_F64; dtype++) {
                /* A plain network with relu or identity, and a cell with such activations, may grow beyond all bounds: short
                 * sequences only. */
                const bool may_grow = kind->cell == LSTM_CELL_RNN_RELU || kind->cell == LSTM_CELL_RNN_IDENTITY
                                      || kind->has_units;
                if (may_grow && shapes[k].T > 20) continue;
                const struct shape s = shapes[k];
                uint64_t fused[3] = {0, 0, 0}; /* of each layout */
                printf("T%d B%d I%d H%d L%d D%d %s f%d", (int)s.T, (int)s.B, (int)s.I, (int)s.H, (int)s.L, (int)s.D,
                       kind->name, dtype == LSTM_F32 ? 32 : 64);
                for (const struct lstm_isa *isa = lstm_isas; isa->name; isa++) {
                    if (!isa->is_supported()) continue;
                    for (int layout = PADDED; layout <= (s.T && s.B ? PACKED : RAGGED); layout++) {
                        const uint64_t h = run(isa, kind, (enum lstm_dtype)dtype, s, LSTM_SPLIT_BEST, layout);
                        if (layout != PACKED) /* (whose bits are those of padded sequences: tests/test_packed.py) */
                            printf(" %s%s %016llx", isa->name, layout == RAGGED ? "-ragged" : "",
                                   (unsigned long long)h);
                        const int last_split = layout == PACKED ? LSTM_SPLIT_DIRECTIONS : LSTM_SPLIT_UNITS;
                        for (int split = LSTM_SPLIT_ROWS; split <= last_split; split++)
                            if (run(isa, kind, (enum lstm_dtype)dtype, s, (enum lstm_split)split, layout) != h)
                                status = 1, printf(" (split %d of threads differs)", split);
                        if (strcmp(isa->name, "portable") == 0) continue;
                        if (fused[layout] && fused[layout] != h) status = 1, printf(" (differs)");
                        fused[layout] = h;
                    }
                }
                printf("\n");
            }
    return status;
}
