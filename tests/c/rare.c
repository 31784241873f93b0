/* What the shapes of driver.c and calls.c do not reach: options alone, threads as the core shares them out, NaN and
 * zeros in formats, interruption at any question, a forked child. Results must not depend on instruction set, threads
 * or an interrupted call before; memory is as in driver.c (`rare end`, `rare begin`). Exit status 1: one does. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lstm_fast.h"
#include "trial.h"

static int n_wrong;

static void expect(bool is_right, const char *what, const struct lstm_isa *isa, int number) {
    if (is_right) return;
    printf("%s, case %d: %s\n", isa ? isa->name : "any", number, what);
    n_wrong++;
}

struct wish {
    struct shape s;
    struct kind kind;
    struct lstm_model options; /* options that override the defaults */
    struct lstm_call call;     /* likewise: dropout, recurrent_dropout, zoneout_h, zoneout_c, n_threads */
    bool has_resets, has_lengths, has_states, has_nan;
};

/* Interrupts at the n-th call; never if n is 0. */
struct questions {
    int n, asked;
};

static bool ask(void *context) {
    struct questions *q = context;
    return ++q->asked == q->n;
}

static void finish(struct trial *t) {
    for (int k = 0; k < t->n_out; k++) free_memory(t->out[k].data, t->out[k].bytes);
    for (int k = 0; k < t->n_in; k++) free_memory(t->in[k].data, t->in[k].bytes);
    for (int k = 0; k < t->n_blocks; k++) free_memory(t->blocks[k].data, t->blocks[k].bytes);
}

static void take_options(struct trial *t, const struct wish *w) {
    const struct lstm_model *o = &w->options;
    struct lstm_model *m = &t->model;
    m->proj_size = o->proj_size, m->peepholes = o->peepholes, m->layer_norm = o->layer_norm;
    m->coupled_gates = o->coupled_gates, m->cell_clip = o->cell_clip, m->gate_clip = o->gate_clip;
    m->activation = o->activation, m->recurrent_activation = o->recurrent_activation;
    m->cell_activation = o->cell_activation, m->initial_state = o->initial_state;
    m->index_input = o->index_input;
    t->LD = t->s.L * t->s.D;
    t->R = m->proj_size ? m->proj_size : t->s.H;
    t->W = t->s.D * t->R;
    t->gate_rows = (m->cell == LSTM_CELL_LSTM ? LSTM_GATES : 1) * t->s.H;
    describe_call(t, LSTM_SPLIT_BEST);
    t->call.dropout = w->call.dropout, t->call.recurrent_dropout = w->call.recurrent_dropout;
    t->call.zoneout_h = w->call.zoneout_h, t->call.zoneout_c = w->call.zoneout_c;
    t->call.split = w->call.split, t->call.n_threads = w->call.n_threads ? w->call.n_threads : 1;
    if (!w->has_resets) return;
    uint8_t *resets = block(t, t->s.T * t->s.B);
    for (int64_t k = 0; k < t->s.T * t->s.B; k++) resets[k] = k % 7 == 0;
    t->call.resets = resets;
}

/* Every fifth row of x is zero or has a NaN. */
static void spoil(float *x, int64_t rows, int64_t width) {
    for (int64_t row = 0; row < rows; row += 5) {
        if (row % 2)
            for (int64_t k = 0; k < width; k++) x[row * width + k] = 0;
        else
            x[row * width + row % width] = NAN;
    }
}

/* x, numbers or symbols. */
static struct lstm_sequence make_x(struct trial *t) {
    const struct shape s = t->s;
    if (!t->model.index_input) return (struct lstm_sequence){in(t, t->n * s.I), s.B * s.I, s.I};
    int64_t *symbols = integers(t, t->n);
    for (int64_t k = 0; k < t->n; k++) symbols[k] = k * 5 % s.I;
    return (struct lstm_sequence){symbols, s.B, 1};
}

static void stop_at(struct lstm_call *call, struct questions *q, int n) {
    *q = (struct questions){n, 0};
    call->interrupted = ask, call->interrupted_context = q;
}

/* Forward and, if the format trains, backward; each interrupted first. The hash of the outputs. */
static uint64_t run(const struct lstm_isa *isa, enum lstm_dtype dtype, const struct wish *w, int n, int number) {
    const struct shape s = w->s;
    struct trial t = {.isa = isa, .kind = &w->kind, .dtype = dtype, .s = s};
    t.layout = w->has_lengths ? RAGGED : PADDED;
    random_state = 4242;
    t.model = describe_model(&w->kind, dtype, s);
    take_options(&t, w);
    const bool has_c = w->kind.cell == LSTM_CELL_LSTM, trains = w->kind.format != LSTM_FORMAT_INT8;
    const int64_t h_size = t.LD * s.B * t.R, c_size = t.LD * s.B * s.H;
    struct lstm_weights weights[MOST_LAYERS];
    struct lstm_weight_gradients d[MOST_LAYERS];
    for (int64_t k = 0; k < t.LD; k++) make_weights(&t, k, weights + k, d + k);
    int64_t bytes;
    struct questions q;
    struct lstm_forward f = {.call = t.call, .packed = pack(&t, weights, false)};
    check(lstm_tape_bytes(&t.call, &bytes), "lstm_tape_bytes");
    if (trains) f.tape = block(&t, bytes);
    f.x = make_x(&t);
    if (w->has_nan) spoil((void *)f.x.data, t.n, s.I);
    if (w->has_states) f.h_0 = in(&t, h_size), f.c_0 = has_c ? in(&t, c_size) : NULL;
    f.output = (struct lstm_sequence){out(&t, t.n * t.W), s.B * t.W, t.W};
    f.h_n = out(&t, h_size), f.c_n = has_c ? out(&t, c_size) : NULL;
    check(lstm_forward_bytes(&f.call, trains, &bytes), "lstm_forward_bytes");
    f.workspace = block(&t, bytes);
    stop_at(&f.call, &q, n);
    enum lstm_status status = lstm_forward(&f);
    expect((status == LSTM_INTERRUPTED) == (n > 0 && q.asked >= n), "status of forward", isa, number);
    f.call = t.call;
    check(lstm_forward(&f), "lstm_forward");
    if (trains) {
        struct lstm_backward b = {.call = t.call, .x = f.x, .h_0 = f.h_0, .c_0 = f.c_0, .d_weights = d, .tape = f.tape};
        b.packed = pack(&t, weights, true), b.packed_forward = f.packed;
        b.d_output = (struct lstm_sequence){in(&t, t.n * t.W), s.B * t.W, t.W};
        if (!t.model.index_input) b.d_x = (struct lstm_sequence){out(&t, t.n * s.I), s.B * s.I, s.I};
        b.d_h_0 = out(&t, h_size), b.d_c_0 = has_c ? out(&t, c_size) : NULL;
        check(lstm_backward_bytes(&b.call, &bytes), "lstm_backward_bytes");
        b.workspace = block(&t, bytes);
        stop_at(&b.call, &q, n);
        status = lstm_backward(&b);
        expect((status == LSTM_INTERRUPTED) == (n > 0 && q.asked >= n), "status of backward", isa, number);
        b.call = t.call;
        check(lstm_backward(&b), "lstm_backward");
    }
    uint64_t h = 14695981039346656037u;
    for (int k = 0; k < t.n_out; k++) { /* the sign of NaN is not promised */
        float *numbers = t.out[k].data;
        for (size_t j = 0; dtype == LSTM_F32 && j < t.out[k].bytes / 4; j++)
            if (isnan(numbers[j])) {
                numbers[j] = NAN;
                expect(w->has_nan, "NaN", isa, number);
            }
        h = hash(h, t.out[k]);
    }
    finish(&t);
    return h;
}

/* ---- the cases --------------------------------------------------------------------------------------------------- */

enum { MOST_WISHES = 128 };

static int make_wishes(struct wish *w) {
    int n = 0;
    const struct kind lstm = {.name = "lstm", .cell = LSTM_CELL_LSTM};
    const struct lstm_activation softsign = {LSTM_SOFTSIGN, 0, 0}, relu = {LSTM_RELU, 0, 0};
    const struct lstm_model options[] = {
        {0},
        {.peepholes = true},
        {.coupled_gates = true},
        {.cell_clip = 0.3},
        {.gate_clip = 0.4},
        {.activation = softsign},
        {.activation = relu},
        {.recurrent_activation = {LSTM_HARD_SIGMOID, 0.2, 0.5}},
        {.cell_activation = softsign},
        {.layer_norm = true},
        {.proj_size = 5},
        {.initial_state = true},
        {.initial_state = true},
        {.coupled_gates = true, .recurrent_activation = {LSTM_SIGMOID, 0, 0}, .gate_clip = 1},
        {.layer_norm = true, .initial_state = true, .cell_clip = 0.5},
        {.index_input = true},
        {.index_input = true, .layer_norm = true, .proj_size = 5},
    };
    for (size_t k = 0; k < sizeof options / sizeof *options; k++)
        for (int format = 0; format < 2; format++) {
            struct wish v = {.s = {4, 3 + (int64_t)k, 3, 19, 2, 1}, .kind = lstm, .options = options[k]};
            v.kind.format = format ? LSTM_FORMAT_BFLOAT16 : LSTM_FORMAT_REAL;
            v.kind.recomputes_gates = k % 3 == 1;
            v.has_resets = k % 2, v.has_states = k % 4 > 1, v.has_lengths = k % 5 == 4;
            w[n++] = v;
        }
    const struct lstm_call random[] = {{.dropout = 0.3},
                                       {.recurrent_dropout = 0.3},
                                       {.zoneout_h = 0.4},
                                       {.zoneout_c = 0.4},
                                       {.zoneout_h = 0.2, .zoneout_c = 0.2}};
    for (size_t k = 0; k < 2 * sizeof random / sizeof *random; k++) {
        struct wish v = {.s = {5, 4, 3, 17, 2, 1}, .kind = lstm, .call = random[k / 2]};
        if (k / 2 < 3 && k % 2) v.kind.cell = LSTM_CELL_RNN_TANH;
        v.has_resets = k % 2;
        w[n++] = v;
    }
    /* A group would have a single row: with AVX-512 and with AVX2. */
    w[n++] = (struct wish){.s = {2, 73, 9, 40, 1, 1}, .kind = lstm};
    w[n++] = (struct wish){.s = {2, 169, 9, 24, 1, 1}, .kind = lstm};
    for (int64_t B = 1; B < 35; B += B < 18 ? 1 : 5) { /* groups of rows */
        struct wish v = {.s = {2, B, 9, 21, 1 + B % 4 / 2, 1}, .kind = lstm};
        v.kind.format = B % 2 ? LSTM_FORMAT_INT8 : LSTM_FORMAT_BFLOAT16;
        if (B % 2) v.kind.input_bits = (int)(B % 3) * 8, v.has_nan = true;
        w[n++] = v;
    }
    static const struct shape large[] = {/* as many threads as are worthwhile */
                                         {20, 32, 32, 48, 1, 1},
                                         {40, 1, 8, 192, 1, 1},
                                         {60, 2, 8, 64, 1, 2},
                                         {60, 1, 16, 96, 2, 1},
                                         {15, 3, 60, 60, 2, 2}};
    for (size_t k = 0; k < 2 * sizeof large / sizeof *large; k++) {
        struct wish v = {.s = large[k / 2], .kind = lstm, .call = {.n_threads = 2}};
        v.options.layer_norm = k % 4 == 1, v.options.proj_size = k % 4 == 3 ? 24 : 0;
        v.kind.recomputes_gates = k % 2, v.call.dropout = v.s.L > 1 ? 0.25 : 0;
        w[n++] = v;
    }
    return n;
}

static void fork_a_child(void) {
    lstm_watch_forks();
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) exit(lstm_has_openmp() && lstm_max_threads() != 1); /* the pool starts again */
    int status = -1;
    waitpid(child, &status, 0);
    expect(status == 0, "a forked child uses threads", NULL, 0);
}

int main(int n_words, char **words) {
    for (int k = 1; k < n_words; k++) {
        if (strcmp(words[k], "end") == 0) memory_kind = ENDS_AT_GUARD;
        if (strcmp(words[k], "begin") == 0) memory_kind = BEGINS_AT_GUARD;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    fork_a_child();
    static struct wish wishes[MOST_WISHES];
    const int n = make_wishes(wishes);
    for (int k = 0; k < n; k++)
        for (int dtype = LSTM_F32; dtype <= (wishes[k].kind.format || wishes[k].call.n_threads ? LSTM_F32 : LSTM_F64);
             dtype++) {
            uint64_t fused = 0;
            for (const struct lstm_isa *isa = lstm_isas; isa->name; isa++) {
                if (!isa->is_supported() || (!wishes[k].kind.format && strcmp(isa->name, isa->base))) continue;
                if (wishes[k].call.n_threads && isa == lstm_isas && isa[1].name) continue; /* the slow one */
                const uint64_t h = run(isa, dtype, wishes + k, 0, k);
                if (wishes[k].call.n_threads) {
                    struct wish alone = wishes[k];
                    alone.call.n_threads = 1;
                    for (int question = 1; question < 4; question++)
                        expect(run(isa, dtype, question == 3 ? &alone : wishes + k, question, k) == h,
                               "threads or an interruption change bits", isa, k);
                }
                if (isa == lstm_isas && strcmp(isa->name, "portable") == 0) continue;
                expect(!fused || fused == h, "other bits", isa, k);
                fused = h;
            }
        }
    printf("%d cases, %d wrong\n", n, n_wrong);
    return n_wrong > 0;
}
