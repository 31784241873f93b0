/* What driver.c does not call: operations.h, models with 16-bit weights, interruption, fleets, sizes that are too
   large,
 * offsets into tapes. Every result must be finite and the same on all instruction sets with fused multiply-add; memory
 * is as in driver.c (`calls end`, `calls begin`). Exit status 1: a result is wrong. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lstm_fast.h"
#include "lstm_fleet.h"
#include "operations.h"

/* ---- networks ---------------------------------------------------------------------------------------------------- */

static bool always(void *context) { return ++*(int *)context > 0; }

/* Matrices of 16-bit words, forward only: all with an exponent near that of 1/16, whatever the format. */
static void *words_in(struct trial *t, int64_t n, enum lstm_format format) {
    uint16_t *words = block(t, 2 * n);
    for (int64_t k = 0; k < n; k++) {
        const double v = next_number();
        const unsigned fraction = (unsigned)(fabs(v) * 100), sign = v < 0 ? 0x8000u : 0;
        words[k] = (uint16_t)(sign | ((format == LSTM_FORMAT_FLOAT16 ? 0x2c00u : 0x3d80u) + fraction % 127));
    }
    return words;
}

static uint64_t run_words(const struct lstm_isa *isa, enum lstm_format format, int64_t B, int64_t H, int64_t P) {
    struct trial t = begin(isa, LSTM_F32);
    const int64_t T = 4, I = 5, D = 2, L = 2, R = P ? P : H;
    struct lstm_model m = {.input_size = I, .hidden_size = H, .num_layers = L, .num_directions = D, .format = format};
    m.proj_size = P, m.layer_norm = P > 0;
    struct lstm_weights weights[4];
    for (int64_t k = 0; k < L * D; k++) {
        struct lstm_weights *w = weights + k;
        *w = (struct lstm_weights){.weight_ih = words_in(&t, 4 * H * (k < D ? I : D * R), format),
                                   .weight_hh = words_in(&t, 4 * H * R, format),
                                   .bias_ih = in(&t, 4 * H)};
        if (P) w->weight_hr = words_in(&t, P * H, format);
        if (!m.layer_norm) continue;
        w->norm_ih_weight = in(&t, 4 * H), w->norm_hh_weight = in(&t, 4 * H);
        w->norm_c_weight = in(&t, H), w->norm_c_bias = in(&t, H);
    }
    t.model = m;
    struct lstm_forward f = {.packed = pack(&t, weights, false)};
    f.call = (struct lstm_call){.model = m, .isa = isa, .T = T, .B = B, .n_threads = 2};
    f.x = (struct lstm_sequence){in(&t, T * B * I), B * I, I};
    f.output = (struct lstm_sequence){out(&t, T * B * D * R), B * D * R, D * R};
    f.h_n = out(&t, L * D * B * R), f.c_n = out(&t, L * D * B * H);
    int64_t bytes;
    check(lstm_forward_bytes(&f.call, false, &bytes), "lstm_forward_bytes");
    f.workspace = block(&t, bytes);
    check(lstm_forward(&f), "lstm_forward");
    return finish(&t);
}

/* A training call, interrupted twice, which must return the right status; then with norms and optional outputs. */
static uint64_t run_interrupted(const struct lstm_isa *isa, enum lstm_dtype dtype, enum lstm_split split) {
    const struct kind kind = {.name = "lstm", .cell = LSTM_CELL_LSTM};
    struct trial t = begin(isa, dtype);
    t.kind = &kind;
    const int64_t T = split == LSTM_SPLIT_BEST ? 300 : 12; /* long enough for the clock to be read */
    t.s = (struct shape){T, 4, 3, 24, 2, 2};
    t.model = describe_model(&kind, dtype, t.s);
    t.LD = 4, t.R = 24, t.W = 48, t.gate_rows = 96;
    describe_call(&t, split);
    struct lstm_weights weights[4];
    struct lstm_weight_gradients d[4];
    for (int64_t k = 0; k < 4; k++) {
        make_weights(&t, k, weights + k, d + k);
        d[k].d_bias_hh = d[k].d_bias_ih = NULL;
        t.n_out--; /* d_bias_ih, the last of a plain layer, stays NaN */
        t.blocks[t.n_blocks++] = t.out[t.n_out];
    }
    int64_t bytes;
    check(lstm_tape_bytes(&t.call, &bytes), "lstm_tape_bytes");
    struct lstm_forward f = {.call = t.call, .packed = pack(&t, weights, false), .tape = block(&t, bytes)};
    f.x = (struct lstm_sequence){in(&t, t.n * 3), 12, 3};
    f.output = (struct lstm_sequence){out(&t, t.n * 48), 4 * 48, 48};
    f.h_n = out(&t, 4 * 4 * 24), f.c_n = out(&t, 4 * 4 * 24);
    check(lstm_forward_bytes(&f.call, true, &bytes), "lstm_forward_bytes");
    f.workspace = block(&t, bytes);
    int n_calls = 0;
    f.call.interrupted = always, f.call.interrupted_context = &n_calls;
    enum lstm_status status = lstm_forward(&f);
    expect(status == (n_calls ? LSTM_INTERRUPTED : LSTM_OK), "status of an interrupted forward", isa);
    f.call.interrupted = NULL;
    check(lstm_forward(&f), "lstm_forward");
    struct lstm_backward b = {.call = f.call, .x = f.x, .d_weights = d, .tape = f.tape, .packed_forward = f.packed};
    b.packed = pack(&t, weights, true);
    b.d_h_n = in(&t, 4 * 4 * 24);
    b.d_h_0 = out(&t, 4 * 4 * 24), b.d_c_0 = out(&t, 4 * 4 * 24);
    const enum lstm_dtype own = t.dtype;
    t.dtype = LSTM_F64;
    double *norms[2] = {in(&t, 4 * T * 4), in(&t, 4 * T * 4)};
    t.dtype = own;
    b.d_h_norms = norms[0], b.d_c_norms = norms[1];
    check(lstm_backward_bytes(&b.call, &bytes), "lstm_backward_bytes");
    b.workspace = block(&t, bytes);
    b.call.interrupted = always, n_calls = 0;
    status = lstm_backward(&b);
    expect(status == (n_calls ? LSTM_INTERRUPTED : LSTM_OK), "status of an interrupted backward", isa);
    b.call.interrupted = NULL;
    check(lstm_backward(&b), "lstm_backward");
    for (int64_t k = 0; k < 4 * T * 4; k++) expect(norms[0][k] >= 0 && norms[1][k] >= 0, "a norm is negative", isa);
    return finish(&t);
}

/* ---- fleets ------------------------------------------------------------------------------------------------------ */

/* Forward, backward and readout of models, with a model in each lane or not: the same results. */
static uint64_t run_fleet(const struct lstm_isa *isa, enum lstm_dtype dtype, bool has_lanes) {
    struct trial t = begin(isa, dtype);
    const int64_t K = 19, T = 70, B = 1, I = 3, H = 2, G = 4 * H, P = G * (I + H + 2);
    const struct lstm_model m = {
        .dtype = dtype, .input_size = I, .hidden_size = H, .num_layers = 1, .num_directions = 1};
    const struct lstm_call call = {.model = m, .isa = isa, .T = T, .B = B, .n_threads = 2};
    const int64_t element = dtype == LSTM_F32 ? 4 : 8;
    char *p = in(&t, K * P), *d = out(&t, K * P);
    const struct lstm_weights w = {.weight_ih = p,
                                   .weight_hh = p + element * G * I,
                                   .bias_ih = p + element * G * (I + H),
                                   .bias_hh = p + element * G * (I + H + 1)};
    const struct lstm_weight_gradients d_w = {.d_weight_ih = d,
                                              .d_weight_hh = d + element * G * I,
                                              .d_bias_ih = d + element * G * (I + H),
                                              .d_bias_hh = d + element * G * (I + H + 1)};
    const struct lstm_fleet fleet = {.n_models = K,
                                     .weights = &w,
                                     .weights_stride = P,
                                     .gradients_stride = P,
                                     .x_stride = T * B * I,
                                     .output_stride = T * B * H,
                                     .d_output_stride = T * B * H,
                                     .d_x_stride = T * B * I,
                                     .lanes = has_lanes ? isa : NULL};
    int64_t bytes;
    check(lstm_tape_bytes(&call, &bytes), "lstm_tape_bytes");
    struct lstm_forward f = {.call = call, .tape = block(&t, K * ((bytes + 63) / 64 * 64))};
    f.x = (struct lstm_sequence){in(&t, K * T * B * I), B * I, I};
    f.output = (struct lstm_sequence){out(&t, K * T * B * H), B * H, H};
    f.h_0 = in(&t, K * B * H), f.h_n = out(&t, K * B * H), f.c_n = out(&t, K * B * H);
    check(lstm_fleet_forward_bytes(&fleet, &call, true, &bytes), "lstm_fleet_forward_bytes");
    f.workspace = block(&t, bytes);
    check(lstm_fleet_forward(&fleet, &f), "lstm_fleet_forward");
    struct lstm_backward b = {.call = call, .x = f.x, .h_0 = f.h_0, .d_weights = &d_w, .tape = f.tape};
    b.d_output = (struct lstm_sequence){in(&t, K * T * B * H), B * H, H};
    b.d_x = (struct lstm_sequence){out(&t, K * T * B * I), B * I, I};
    b.d_h_0 = out(&t, K * B * H), b.d_c_0 = out(&t, K * B * H);
    check(lstm_fleet_backward_bytes(&fleet, &call, &bytes), "lstm_fleet_backward_bytes");
    b.workspace = block(&t, bytes);
    check(lstm_fleet_backward(&fleet, &b), "lstm_fleet_backward");
    struct lstm_linear a = {.call = call, .n = T * B, .n_inputs = H, .n_outputs = 2, .x = f.output.data};
    a.weight = p, a.bias = p + element * 2 * H, a.y = out(&t, K * T * B * 2);
    check(lstm_fleet_linear_bytes(&fleet, &a, &bytes), "lstm_fleet_linear_bytes");
    a.workspace = block(&t, bytes);
    check(lstm_fleet_linear(&fleet, &a), "lstm_fleet_linear");
    return finish(&t);
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static void run_sizes(const struct lstm_isa *isa, enum lstm_dtype dtype) {
    static const int64_t sizes[] = {1, 7, (int64_t)1 << 20, (int64_t)1 << 40, (int64_t)1 << 62, INT64_MAX};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int k = 0; k < N * N * N * N; k++) {
        const int64_t I = sizes[k % N], H = sizes[k / N % N], L = sizes[k / N / N % N], T = sizes[k / N / N / N];
        struct lstm_call call = {.isa = isa, .T = T, .B = 3, .n_threads = 2};
        call.model = (struct lstm_model){
            .dtype = dtype, .input_size = I, .hidden_size = H, .num_layers = L, .num_directions = 2};
        call.model.layer_norm = k % 2, call.model.proj_size = k % 5 ? 0 : sizes[k % 7 % N];
        int64_t bytes = 0;
        const double least = (double)T * 3 * (double)L * 2 * (double)H * 4; /* of h, or of c without a projection */
        const enum lstm_status status = lstm_tape_bytes(&call, &bytes);
        expect(status == LSTM_TOO_LARGE || (double)bytes >= least, "a tape too small", isa);
        expect((lstm_tape_gates(&call, 0, 0) < 0) == (status != LSTM_OK), "offset of the gates", isa);
        expect((lstm_tape_c(&call, 0, 0) < 0) == (status != LSTM_OK), "offset of c", isa);
        expect((lstm_tape_h(&call, 0) < 0) == (status != LSTM_OK), "offset of h", isa);
        for (int backward = 0; backward < 2; backward++) {
            const enum lstm_status packs = lstm_packed_bytes(&call.model, isa, backward, &bytes);
            expect(packs == LSTM_TOO_LARGE || (double)bytes >= (double)H * (double)I * 4, "packed too small", isa);
            const struct lstm_forward f = {.call = call, .tape = backward ? &bytes : NULL};
            if (lstm_forward_bytes(&call, backward, &bytes) != LSTM_OK) /* rejected before anything is read */
                expect(lstm_forward(&f) == LSTM_TOO_LARGE, "forward of such a size", isa);
        }
        const struct lstm_backward b = {.call = call};
        if (lstm_backward_bytes(&call, &bytes) != LSTM_OK)
            expect(lstm_backward(&b) == LSTM_TOO_LARGE, "backward of such a size", isa);
        const struct lstm_linear linear = {.call = call, .n = T, .n_inputs = I, .n_outputs = H};
        if (lstm_linear_bytes(&linear, &bytes) == LSTM_OK)
            expect((double)bytes >= (double)H * (double)I, "the workspace of a readout", isa);
        else
            expect(lstm_linear(&linear) == LSTM_TOO_LARGE, "a readout of such a size", isa);
    }
}

int main(int n_words, char **words) {
    for (int k = 1; k < n_words; k++) {
        if (strcmp(words[k], "end") == 0) memory_kind = ENDS_AT_GUARD;
        if (strcmp(words[k], "begin") == 0) memory_kind = BEGINS_AT_GUARD;
    }
    lstm_watch_forks();
    expect(lstm_max_threads() >= 1 && lstm_best_isa()->is_supported(), "threads or instruction set", NULL);
    printf("OpenMP: %d\n", lstm_has_openmp());
    uint64_t fused[2][32] = {{0}};
    for (const struct lstm_isa *isa = lstm_isas; isa->name; isa++) {
        if (!isa->is_supported()) continue;
        for (int dtype = LSTM_F32; dtype <= LSTM_F64; dtype++) {
            uint64_t got[32] = {0};
            int n = 0;
            if (strcmp(isa->name, isa->base) == 0) { /* else it uses the kernels of its base */
                got[n++] = run_linear(isa, dtype, 1);
                got[n++] = run_linear(isa, dtype, 3);
                expect(got[0] == got[1], "threads change the readout", isa);
                got[n++] = run_activations(isa, dtype);
                for (int split = LSTM_SPLIT_BEST; split <= LSTM_SPLIT_UNITS; split++)
                    got[n++] = run_interrupted(isa, dtype, split);
                got[n++] = run_fleet(isa, dtype, true);
                expect(got[n - 1] == run_fleet(isa, dtype, false), "lanes change a fleet", isa);
                run_sizes(isa, dtype);
            }
            n = 8;
            for (int format = LSTM_FORMAT_FLOAT16; dtype == LSTM_F32 && format <= LSTM_FORMAT_BFLOAT16; format++)
                for (int64_t H = 1; H < 70; H += 17)
                    got[n++] = run_words(isa, format, H % 5 + 1, H, 0), got[n++] = run_words(isa, format, 9, H, H / 2);
            if (isa == lstm_isas) continue; /* portable: no fused multiply-add */
            for (int k = 0; k < 32; k++) {
                expect(!got[k] || !fused[dtype][k] || fused[dtype][k] == got[k], "other bits", isa);
                if (got[k]) fused[dtype][k] = got[k];
            }
        }
    }
    for (int dtype = LSTM_F32; dtype <= LSTM_F64; dtype++) run_optimizers(dtype);
    run_losses();
    printf("%d wrong\n", n_wrong);
    return n_wrong > 0;
}
