/* An optimizer step, one pass over flat parameters. Formulas: lstm_fast/train/optimizers.py. */
#ifndef LSTM_OPTIMIZER_H
#define LSTM_OPTIMIZER_H

#include "../lstm_fast.h"
#include "../real.h"
#include "../threads.h"

static void sgd(const struct lstm_optimizer *o) {
    real *p = o->parameters, *momentum = o->first;
    const real *d = o->gradients;
    const real lr = (real)o->lr, mu = (real)o->beta_1, decay = (real)o->weight_decay, scale = (real)o->scale;
    for (int64_t k = 0; k < o->n; k++) {
        real step = d[k] * scale + decay * p[k];
        if (momentum) {
            momentum[k] = mu * momentum[k] + step;
            step = o->nesterov ? step + mu * momentum[k] : momentum[k];
        }
        p[k] -= lr * step;
    }
}

/* x to the power n by squaring: the same bits everywhere, which libm's pow does not guarantee. */
static double power(double x, int64_t n) {
    double y = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2) y *= x;
    return y;
}

static void adam(const struct lstm_optimizer *o) {
    real *p = o->parameters, *first = o->first, *second = o->second;
    const real *d = o->gradients;
    const real b1 = (real)o->beta_1, b2 = (real)o->beta_2, scale = (real)o->scale, eps = (real)o->epsilon;
    const real coupled = o->decoupled ? 0 : (real)o->weight_decay;
    const real shrink = o->decoupled ? (real)(1 - o->lr * o->weight_decay) : 1;
    const real rate = (real)(o->lr / (1 - power(o->beta_1, o->step)));
    const real unbias = (real)(1 / __builtin_sqrt(1 - power(o->beta_2, o->step)));
    for (int64_t k = 0; k < o->n; k++) {
        const real g = d[k] * scale + coupled * p[k];
        first[k] = b1 * first[k] + (1 - b1) * g;
        second[k] = b2 * second[k] + (1 - b2) * g * g;
        p[k] = p[k] * shrink - rate * first[k] / (square_root(second[k]) * unbias + eps);
    }
}

static void optimize_worker(struct lstm_worker *worker, void *arguments) {
    const struct lstm_optimizer *o = arguments;
    (void)worker;
    (o->second ? adam : sgd)(o);
}

/* On one thread, but through lstm_parallel, which sets the floating-point mode. */
static void optimize(const struct lstm_optimizer *o) {
    const struct lstm_call call = {0};
    lstm_parallel(&call, 1, optimize_worker, (void *)o);
}

/* The sum of squares, in double precision, as four interleaved sums. */
static double square_sum(int64_t n, const real *x) {
    double sums[4] = {0};
    for (int64_t k = 0; k < n; k++) sums[k % 4] += (double)x[k] * (double)x[k];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

#endif
