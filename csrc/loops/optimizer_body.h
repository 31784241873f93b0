/* One pass over flat parameters: an optimiser's step. Formulas: lstm_fast/train/optimizers.py. */

static void NAME(sgd)(const struct lstm_optimizer *o) {
    REAL *p = o->parameters, *momentum = o->first;
    const REAL *d = o->gradients;
    const REAL lr = (REAL)o->lr, mu = (REAL)o->beta_1, decay = (REAL)o->weight_decay, scale = (REAL)o->scale;
    for (int64_t k = 0; k < o->n; k++) {
        REAL step = d[k] * scale + decay * p[k];
        if (momentum) {
            momentum[k] = mu * momentum[k] + step;
            step = o->nesterov ? step + mu * momentum[k] : momentum[k];
        }
        p[k] -= lr * step;
    }
}

/* x to the n by squaring: the same bits everywhere, which a library's pow does not promise. */
static double NAME(power)(double x, int64_t n) {
    double y = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2) y *= x;
    return y;
}

static void NAME(adam)(const struct lstm_optimizer *o) {
    REAL *p = o->parameters, *first = o->first, *second = o->second;
    const REAL *d = o->gradients;
    const REAL b1 = (REAL)o->beta_1, b2 = (REAL)o->beta_2, scale = (REAL)o->scale, eps = (REAL)o->epsilon;
    const REAL coupled = o->decoupled ? 0 : (REAL)o->weight_decay, shrink = o->decoupled ? (REAL)(1 - o->lr * o->weight_decay) : 1;
    const REAL rate = (REAL)(o->lr / (1 - NAME(power)(o->beta_1, o->step)));
    const REAL unbias = (REAL)(1 / __builtin_sqrt(1 - NAME(power)(o->beta_2, o->step)));
    for (int64_t k = 0; k < o->n; k++) {
        const REAL g = d[k] * scale + coupled * p[k];
        first[k] = b1 * first[k] + (1 - b1) * g;
        second[k] = b2 * second[k] + (1 - b2) * g * g;
        const REAL root = sizeof(REAL) == 4 ? (REAL)__builtin_sqrtf((float)second[k]) : (REAL)__builtin_sqrt((double)second[k]);
        p[k] = p[k] * shrink - rate * first[k] / (root * unbias + eps);
    }
}

static void NAME(optimize_member)(struct lstm_member *m, void *arguments) {
    const struct lstm_optimizer *o = arguments;
    (void)m;
    (o->second ? NAME(adam) : NAME(sgd))(o);
}

void NAME(lstm_optimize)(const struct lstm_optimizer *o) {
    const struct lstm_call call = {0};
    lstm_parallel(&call, 1, NAME(optimize_member), (void *)o);
}

/* Sum of squares in four strands, in double. */
double NAME(lstm_square_sum)(int64_t n, const void *values) {
    const REAL *x = values;
    double sums[4] = {0};
    for (int64_t k = 0; k < n; k++) sums[k % 4] += (double)x[k] * (double)x[k];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}
