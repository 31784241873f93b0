/* Random masks: dropout between layers, recurrent dropout, zoneout. Their words (kernels/random_body.h) are keyed by the seed
 * and counted by coordinates, so that a mask depends on neither threads nor time chunks and backward makes it again instead of
 * keeping it. Element k of step t and batch row b takes word k % 4 of the counter (k / 4, b, t, stream). */

#ifndef STREAM_RECURRENT
/* Streams: of dropout the layer, of the others layer * D + direction and one of these. */
#define STREAM_RECURRENT (1u << 28)
#define STREAM_ZONEOUT_H (2u << 28)
#define STREAM_ZONEOUT_C (3u << 28)
#define MASK_PIECE (4 * LSTM_RANDOM_BLOCK) /* elements at a time */
#endif

/* A row of a mask: its elements of step t and batch row b. */
struct NAME(mask) {
    const struct NAME(lstm_kernels) *kernels;
    struct lstm_random random;
    uint64_t threshold; /* an element is hit if its word is below; 2^32 hits all */
};

static struct NAME(mask) NAME(mask)(const struct lstm_call *call, double p, uint32_t stream, int64_t t, int64_t b) {
    return (struct NAME(mask)){KERNELS(call), {call->seed, (uint32_t)b, (uint32_t)t, stream}, (uint64_t)(p * 4294967296.0)};
}

/* Elements k .. of n, at most a piece: -1 where one is hit, else 0. Returns how many. */
static int64_t NAME(draw)(const struct NAME(mask) *m, int64_t k, int64_t n, int32_t *hits) {
    const int64_t count = n - k < MASK_PIECE ? n - k : MASK_PIECE;
    uint32_t words[MASK_PIECE];
    const uint32_t last = (uint32_t)(m->threshold - 1);
    m->kernels->random_words(&m->random, (uint32_t)(k / 4), count, words);
    for (int64_t j = 0; j < count; j++) hits[j] = m->threshold ? -(int32_t)(words[j] <= last) : 0;
    return count;
}

/* y[k] = x[k] / (1 - p) or 0, for the `width` outputs of layer, step t and batch row b. y may be x. */
static void NAME(drop)(const struct lstm_call *call, int64_t layer, int64_t t, int64_t b, int64_t width, const REAL *x,
                       REAL *y) {
    const struct NAME(mask) m = NAME(mask)(call, call->dropout, (uint32_t)layer, t, b);
    const REAL scale = (REAL)(1 / (1 - call->dropout));
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = NAME(draw)(&m, k, width, hits);
        for (int64_t j = 0; j < n; j++) y[k + j] = hits[j] ? 0 : x[k + j] * scale;
    }
}

/* The mask (R) that multiplies h_prev of batch row b in the recurrent product of every step. */
static void NAME(make_recurrent_mask)(const struct lstm_call *call, int64_t index, int64_t b, int64_t width, REAL *row) {
    const struct NAME(mask) m = NAME(mask)(call, call->recurrent_dropout, STREAM_RECURRENT + (uint32_t)index, 0, b);
    const REAL scale = (REAL)(1 / (1 - call->recurrent_dropout));
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = NAME(draw)(&m, k, width, hits);
        for (int64_t j = 0; j < n; j++) row[k + j] = hits[j] ? 0 : scale;
    }
}

/* Zoneout: y keeps the old value where it is hit; old NULL: zeros. */
static void NAME(keep_old)(struct NAME(mask) m, int64_t width, const REAL *old, REAL *y) {
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = NAME(draw)(&m, k, width, hits);
        if (old)
            for (int64_t j = 0; j < n; j++) y[k + j] = hits[j] ? old[k + j] : y[k + j];
        else
            for (int64_t j = 0; j < n; j++) y[k + j] = hits[j] ? 0 : y[k + j];
    }
}

/* And back: what reached the old value into `kept`, the rest stays in d. */
static void NAME(part_gradient)(struct NAME(mask) m, int64_t width, REAL *d, REAL *kept) {
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = NAME(draw)(&m, k, width, hits);
        for (int64_t j = 0; j < n; j++) {
            const REAL all = d[k + j];
            kept[k + j] = hits[j] ? all : 0;
            d[k + j] = hits[j] ? 0 : all;
        }
    }
}
