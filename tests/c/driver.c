/* The core without Python: runs forward and backward over awkward shapes on every instruction set of this machine and
 * prints one hash of all result bits per shape. Built with sanitizers it detects stray accesses, as every array,
 * packed weights, tapes and workspaces included, is a separate heap block of the exact size; run on two machines
 * it shows whether they give the same bits.
 *
 * test_c_driver.py builds and runs it. `driver quick` runs a third of the lines, `driver every=N` one in N; `splits`
 * runs every split of the threads everywhere; `end` and `begin` put each array against a page that may not be touched
 * (masked loads and stores are invisible to sanitizers). Exit status 1: instruction sets with fused multiply-add
 * differ; 2: a call fails. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lstm_fast.h"
#include "trial.h"

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Sets the outputs and the workspace, and runs. */
static void forward(struct trial *t, struct lstm_forward *f, int64_t step_stride, int64_t row_stride) {
    const struct shape s = t->s;
    int64_t bytes;
    f->output = (struct lstm_sequence){out(t, t->n * t->W), step_stride, row_stride};
    f->h_n = out(t, t->LD * s.B * t->R);
    f->c_n = t->kind->cell == LSTM_CELL_LSTM ? out(t, t->LD * s.B * s.H) : NULL;
    check(lstm_forward_bytes(&f->call, f->tape != NULL, &bytes), "lstm_forward_bytes");
    f->workspace = block(t, bytes);
    check(lstm_forward(f), "lstm_forward");
}

static void run_trial(struct trial *t) {
    const struct shape s = t->s;
    const int64_t h_size = t->LD * s.B * t->R, c_size = t->LD * s.B * s.H;
    struct lstm_weights weights[MOST_LAYERS];
    struct lstm_weight_gradients d_weights[MOST_LAYERS];
    struct array d_bias_hh[MOST_LAYERS]; /* equal to d_bias_ih: compared, not hashed */
    for (int64_t k = 0; k < t->LD; k++) {
        make_weights(t, k, weights + k, d_weights + k);
        d_bias_hh[k] = t->blocks[t->n_blocks++] = make_array(t->dtype, t->gate_rows, true);
        d_weights[k].d_bias_hh = d_bias_hh[k].data;
    }
    const bool trains = t->model.format != LSTM_FORMAT_INT8;
    int64_t bytes;
    check(lstm_tape_bytes(&t->call, &bytes), "lstm_tape_bytes");
    struct lstm_forward f = {.call = t->call, .packed = pack(t, weights, false)};
    if (trains) f.tape = block(t, bytes);
    f.x = (struct lstm_sequence){in(t, t->n * s.I), s.B * s.I, s.I};
    f.h_0 = in(t, h_size);
    f.c_0 = in(t, c_size);
    if (t->kind->has_states) f.h_0 = f.c_0 = NULL; /* the learned ones */
    if (trains) forward(t, &f, s.B * t->W, t->W);

    /* Inference, batch first: the same numbers in another layout, without random masks. */
    struct lstm_forward g = f;
    g.call.dropout = g.call.recurrent_dropout = g.call.zoneout_h = g.call.zoneout_c = 0;
    g.tape = NULL;
    forward(t, &g, t->W, t->layout == PACKED ? t->W : s.T * t->W);

    if (!trains) return;
    struct lstm_backward b = {
        .call = t->call, .x = f.x, .h_0 = f.h_0, .c_0 = f.c_0, .d_weights = d_weights, .tape = f.tape};
    b.packed = pack(t, weights, true);
    b.packed_forward = f.packed;
    b.d_output = (struct lstm_sequence){in(t, t->n * t->W), s.B * t->W, t->W};
    b.d_h_n = in(t, h_size);
    b.d_c_n = in(t, c_size);
    b.d_x = (struct lstm_sequence){out(t, t->n * s.I), s.B * s.I, s.I};
    b.d_h_0 = out(t, h_size);
    b.d_c_0 = t->kind->cell == LSTM_CELL_LSTM ? out(t, c_size) : NULL;
    check(lstm_backward_bytes(&t->call, &bytes), "lstm_backward_bytes");
    b.workspace = block(t, bytes);
    check(lstm_backward(&b), "lstm_backward");
    for (int64_t k = 0; k < t->LD; k++)
        if (memcmp(d_bias_hh[k].data, d_weights[k].d_bias_ih, d_bias_hh[k].bytes)) {
            printf("the gradients of the biases differ\n");
            exit(2);
        }
}

static uint64_t hash_of_run(const struct lstm_isa *isa, const struct kind *kind, enum lstm_dtype dtype, struct shape s,
                            enum lstm_split split, enum layout layout) {
    struct trial t = {.isa = isa, .kind = kind, .dtype = dtype, .s = s, .layout = layout};
    t.model = describe_model(kind, dtype, s);
    t.LD = s.L * s.D;
    t.R = t.model.proj_size ? t.model.proj_size : s.H;
    t.W = s.D * t.R;
    t.gate_rows = (kind->cell == LSTM_CELL_LSTM ? LSTM_GATES : 1) * s.H;
    random_state = 12345;
    describe_call(&t, split);
    run_trial(&t);
    uint64_t h = 14695981039346656037u;
    for (int k = 0; k < t.n_out; k++) h = hash(h, t.out[k]), free_memory(t.out[k].data, t.out[k].bytes);
    for (int k = 0; k < t.n_in; k++) free_memory(t.in[k].data, t.in[k].bytes);
    for (int k = 0; k < t.n_blocks; k++) free_memory(t.blocks[k].data, t.blocks[k].bytes);
    return h;
}

/* ---- all shapes -------------------------------------------------------------------------------------------------- */

static bool has_every_split;

/* A line of hashes. Returns 1 if those that must agree do not.
 *
 * Threads compute with the kernels and the loops that one thread uses, so each instruction set and layout of a line is
 * run by three threads once, not with every split. The result's hash chooses the split: each meets all kinds, shapes,
 * instruction sets and layouts in some line, the same ones in every run. */
static int run_line(const struct kind *kind, enum lstm_dtype dtype, struct shape s) {
    uint64_t fused[3] = {0, 0, 0}; /* of each layout */
    int status = 0;
    printf("T%d B%d I%d H%d L%d D%d %s f%d", (int)s.T, (int)s.B, (int)s.I, (int)s.H, (int)s.L, (int)s.D, kind->name,
           dtype == LSTM_F32 ? 32 : 64);
    for (const struct lstm_isa *isa = lstm_isas; isa->name; isa++) {
        if (!isa->is_supported()) continue;
        if (kind->format == LSTM_FORMAT_REAL && strcmp(isa->name, isa->base)) continue; /* the kernels of its base */
        for (int layout = PADDED; layout <= (s.T && s.B ? PACKED : RAGGED); layout++) {
            const uint64_t h = hash_of_run(isa, kind, dtype, s, LSTM_SPLIT_BEST, (enum layout)layout);
            if (layout != PACKED) /* (bitwise equal to padded sequences: tests/test_packed.py) */
                printf(" %s%s %016llx", isa->name, layout == RAGGED ? "-ragged" : "", (unsigned long long)h);
            const int n_splits = (layout == PACKED ? LSTM_SPLIT_DIRECTIONS : LSTM_SPLIT_LAYERS) - LSTM_SPLIT_ROWS + 1;
            for (int split = LSTM_SPLIT_ROWS; split < LSTM_SPLIT_ROWS + n_splits; split++) {
                const bool is_chosen = (uint64_t)(split - LSTM_SPLIT_ROWS) == (h >> 32) % (uint64_t)n_splits;
                if ((is_chosen || has_every_split)
                    && hash_of_run(isa, kind, dtype, s, (enum lstm_split)split, (enum layout)layout) != h)
                    status = 1, printf(" (split %d of threads differs)", split);
            }
            if (strcmp(isa->name, "portable") == 0) continue;
            if (fused[layout] && fused[layout] != h) status = 1, printf(" (differs)");
            fused[layout] = h;
        }
    }
    printf("\n");
    return status;
}

int main(int n_words, char **words) {
    static const struct shape shapes[] = {
        {1, 1, 1, 1, 1, 1},   {0, 2, 3, 4, 2, 2},   {3, 0, 3, 4, 1, 1},   {2, 1, 3, 2, 1, 1},   {3, 2, 1, 3, 2, 1},
        {2, 3, 16, 7, 1, 2},  {5, 7, 2, 8, 2, 2},   {3, 8, 3, 9, 1, 1},   {2, 9, 20, 15, 3, 1}, {17, 1, 5, 16, 1, 2},
        {2, 13, 4, 17, 2, 1}, {3, 6, 3, 31, 1, 1},  {4, 5, 7, 33, 1, 2},  {2, 4, 8, 64, 2, 1},  {3, 2, 9, 65, 1, 1},
        {130, 1, 3, 8, 3, 1}, {3, 600, 2, 5, 1, 1}, {600, 2, 3, 4, 1, 2}, {2, 3, 65, 24, 1, 1},
    };
    /* Names as in data/bits.txt. */
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
        {"lstm-all-lean", LSTM_CELL_LSTM, .has_units = true, .has_rows = true, .has_states = true,
         .recomputes_gates = true},
        {.name = "tanh-states", .cell = LSTM_CELL_RNN_TANH, .has_states = true},
        {.name = "lstm-bfloat16", .cell = LSTM_CELL_LSTM, .format = LSTM_FORMAT_BFLOAT16},
        {"lstm-bfloat16-all", LSTM_CELL_LSTM, .has_units = true, .has_rows = true, .has_states = true,
         .format = LSTM_FORMAT_BFLOAT16},
        {.name = "lstm-bfloat16-lean",
         .cell = LSTM_CELL_LSTM,
         .recomputes_gates = true,
         .format = LSTM_FORMAT_BFLOAT16},
        {.name = "lstm-int8", .cell = LSTM_CELL_LSTM, .format = LSTM_FORMAT_INT8},
        {.name = "lstm-int8-inputs", .cell = LSTM_CELL_LSTM, .format = LSTM_FORMAT_INT8, .input_bits = 8},
        {.name = "lstm-int8-inputs16", .cell = LSTM_CELL_LSTM, .format = LSTM_FORMAT_INT8, .input_bits = 16},
        {.name = "lstm-int8-states", .cell = LSTM_CELL_LSTM, .has_states = true, .format = LSTM_FORMAT_INT8},
        {.name = "lstm-bfloat16-amx", .cell = LSTM_CELL_LSTM, .format = LSTM_FORMAT_BFLOAT16_AMX},
        {"lstm-bfloat16-amx-all", LSTM_CELL_LSTM, .has_units = true, .has_rows = true, .has_states = true,
         .format = LSTM_FORMAT_BFLOAT16_AMX},
    };
    int every = 1; /* one of so many pairs; quick: a third of them, with every shape and every kind */
    for (int k = 1; k < n_words; k++) {
        if (strcmp(words[k], "quick") == 0) every = 3;
        if (strncmp(words[k], "every=", 6) == 0) every = atoi(words[k] + 6) > 0 ? atoi(words[k] + 6) : 1;
        if (strcmp(words[k], "splits") == 0) has_every_split = true;
        if (strcmp(words[k], "end") == 0) memory_kind = ENDS_AT_GUARD;
        if (strcmp(words[k], "begin") == 0) memory_kind = BEGINS_AT_GUARD;
    }
    int status = 0;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++) {
            if ((k + j) % (size_t)every) continue;
            const struct kind *kind = kinds + j;
            /* Networks with relu or identity, and cells with such activations, may overflow: short sequences only. */
            const bool may_grow = kind->cell == LSTM_CELL_RNN_RELU || kind->cell == LSTM_CELL_RNN_IDENTITY
                                  || kind->has_units;
            if (may_grow && shapes[k].T > 20) continue;
            status |= run_line(kind, LSTM_F32, shapes[k]);
            if (kind->format == LSTM_FORMAT_REAL) status |= run_line(kind, LSTM_F64, shapes[k]);
        }
    return status;
}
