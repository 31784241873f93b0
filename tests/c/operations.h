/* For calls.c: checks of results, and the operations outside of networks: the readout, the optimizers, losses,
 * activations. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "losses.h"
#include "lstm_fast.h"
#include "trial.h"

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int n_wrong;

static void expect(bool is_right, const char *what, const struct lstm_isa *isa) {
    if (is_right) return;
    printf("%s: %s\n", isa ? isa->name : "any", what);
    n_wrong++;
}

static double value(enum lstm_dtype dtype, const void *data, int64_t k) {
    return dtype == LSTM_F32 ? (double)((const float *)data)[k] : ((const double *)data)[k];
}

/* The hash of all outputs, which must be finite; frees everything. */
static uint64_t finish(struct trial *t) {
    uint64_t h = 14695981039346656037u;
    for (int j = 0; j < t->n_out; j++) {
        const int64_t n = (int64_t)t->out[j].bytes / (t->dtype == LSTM_F32 ? 4 : 8);
        for (int64_t k = 0; k < n; k++)
            expect(isfinite(value(t->dtype, t->out[j].data, k)), "a result is not finite", t->isa);
        h = hash(h, t->out[j]);
        free_memory(t->out[j].data, t->out[j].bytes);
    }
    for (int k = 0; k < t->n_in; k++) free_memory(t->in[k].data, t->in[k].bytes);
    for (int k = 0; k < t->n_blocks; k++) free_memory(t->blocks[k].data, t->blocks[k].bytes);
    return h;
}

static struct trial begin(const struct lstm_isa *isa, enum lstm_dtype dtype) {
    random_state = 999;
    return (struct trial){.isa = isa, .dtype = dtype};
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static uint64_t run_linear(const struct lstm_isa *isa, enum lstm_dtype dtype, int n_threads) {
    static const int64_t sizes[][3] = {{1, 1, 1},    {0, 3, 2},   {5, 7, 33},    {700, 17, 9},
                                       {64, 64, 64}, {3, 130, 5}, {1500, 65, 48}};
    uint64_t h = 0;
    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        struct trial t = begin(isa, dtype);
        const int64_t n = sizes[k / 2][0], I = sizes[k / 2][1], O = sizes[k / 2][2];
        const bool has_bias = k % 2;
        struct lstm_linear a = {.n = n, .n_inputs = I, .n_outputs = O};
        a.call = (struct lstm_call){.isa = isa, .n_threads = n_threads, .model = {.dtype = dtype}};
        a.x = in(&t, n * I), a.weight = in(&t, O * I), a.y = out(&t, n * O);
        if (has_bias) a.bias = in(&t, O);
        int64_t bytes;
        check(lstm_linear_bytes(&a, &bytes), "lstm_linear_bytes");
        a.workspace = block(&t, bytes);
        check(lstm_linear(&a), "lstm_linear");
        for (int64_t row = 0; row < n; row += 3) { /* the sum, in double */
            double sum = has_bias ? value(dtype, a.bias, O - 1) : 0;
            for (int64_t j = 0; j < I; j++)
                sum += value(dtype, a.x, row * I + j) * value(dtype, a.weight, (O - 1) * I + j);
            expect(fabs(sum - value(dtype, a.y, row * O + O - 1)) < (dtype == LSTM_F32 ? 1e-4 : 1e-12), "y", isa);
        }
        a.d_y = in(&t, n * O), a.d_x = out(&t, n * I), a.d_weight = out(&t, O * I);
        if (has_bias) a.d_bias = out(&t, O);
        check(lstm_linear_bytes(&a, &bytes), "lstm_linear_bytes, backward");
        a.workspace = block(&t, bytes);
        check(lstm_linear(&a), "lstm_linear, backward");
        double sum = 0;
        for (int64_t row = 0; row < n; row++) sum += value(dtype, a.d_y, row * O) * value(dtype, a.x, row * I);
        expect(fabs(sum - value(dtype, a.d_weight, 0)) < (dtype == LSTM_F32 ? 1e-3 : 1e-11), "d_weight", isa);
        h = h * 31 + finish(&t);
    }
    return h;
}

/* Gradients of the sign of the parameters: each step must shrink the sum of squares. */
static void run_optimizers(enum lstm_dtype dtype) {
    for (int kind = 0; kind < 6; kind++)
        for (int64_t n = 0; n < 40; n += 13) {
            struct trial t = begin(lstm_isas, dtype);
            struct lstm_optimizer o = {.dtype = dtype, .n = n, .scale = 1, .lr = 1e-3, .epsilon = 1e-8};
            o.parameters = in(&t, n), o.gradients = o.parameters;
            void *gradients = in(&t, n);
            memcpy(gradients, o.parameters, t.in[0].bytes);
            o.gradients = gradients;
            o.beta_1 = kind ? 0.9 : 0, o.beta_2 = 0.999, o.nesterov = kind == 2;
            o.weight_decay = kind == 3 ? 0.1 : 0, o.decoupled = kind == 5;
            if (kind) o.first = in(&t, n), memset(o.first, 0, t.in[t.n_in - 1].bytes);
            if (kind > 3) o.second = in(&t, n), memset(o.second, 0, t.in[t.n_in - 1].bytes);
            const double before = lstm_square_sum(dtype, n, o.parameters);
            for (o.step = 1; o.step < 4; o.step++) lstm_optimize(&o);
            const double after = lstm_square_sum(dtype, n, o.parameters);
            expect(n ? after < before : after == 0, "an optimizer does not descend", NULL);
            finish(&t);
        }
}

static uint64_t run_activations(const struct lstm_isa *isa, enum lstm_dtype dtype) {
    struct trial t = begin(isa, dtype);
    for (int kind = LSTM_DEFAULT; kind <= LSTM_SOFTPLUS; kind++)
        for (int64_t n = 0; n <= 33; n += 11) {
            const struct lstm_activation activation = {(enum lstm_activation_kind)kind, 0.5, 0.25};
            const void *x = in(&t, n);
            void *y = out(&t, n), *slope = out(&t, n);
            lstm_activate(isa, dtype, activation, false, n, x, y);
            lstm_activate(isa, dtype, activation, true, n, y, slope);
        }
    return finish(&t);
}

/* Losses of rows of all sizes, with and without classes, and the sums. */
static void run_losses(void) {
    for (int64_t m = 1; m < 300; m += m < 20 ? 1 : 47) {
        struct trial t = begin(lstm_isas, LSTM_F64);
        const int64_t n = 3, classes[] = {0, m - 1, m / 2};
        const double *p = in(&t, n * m), *y = in(&t, n * m);
        double *loss = out(&t, n), *gradient = out(&t, n * m);
        lstm_cross_entropy(n, m, p, classes, loss, gradient);
        lstm_row_sums(n, m, gradient, loss);
        for (int64_t i = 0; i < n; i++) expect(fabs(loss[i]) < 1e-12, "the gradient of a loss of classes", NULL);
        lstm_cross_entropy(n, m, p, NULL, loss, gradient);
        lstm_binary_cross_entropy(n * m, p, y, out(&t, n * m), out(&t, n * m));
        finish(&t);
    }
}

#endif
