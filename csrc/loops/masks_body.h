/* Random masks: dropout between layers, recurrent dropout, zoneout. Philox4x32-10 (Salmon et al., SC 2011) keyed by the
 * seed and counted by coordinates, so that a mask depends on neither threads nor time chunks and backward makes it again
 * instead of keeping it. Element k of step t and batch row b takes word k % 4 of the counter (k / 4, b, t, stream). */

#ifndef STREAM_RECURRENT
/* Streams: of dropout the layer, of the others layer * D + direction and one of these. */
#define STREAM_RECURRENT (1u << 28)
#define STREAM_ZONEOUT_H (2u << 28)
#define STREAM_ZONEOUT_C (3u << 28)
#endif

static inline void NAME(philox)(uint32_t counter[4], uint32_t key_low, uint32_t key_high) {
    for (int round = 0; round < 10; round++) {
        const uint64_t first = (uint64_t)0xD2511F53u * counter[0], second = (uint64_t)0xCD9E8D57u * counter[2];
        const uint32_t c1 = counter[1], c3 = counter[3];
        counter[0] = (uint32_t)(second >> 32) ^ c1 ^ key_low;
        counter[1] = (uint32_t)second;
        counter[2] = (uint32_t)(first >> 32) ^ c3 ^ key_high;
        counter[3] = (uint32_t)first;
        key_low += 0x9E3779B9u;
        key_high += 0xBB67AE85u;
    }
}

/* A row of a mask: its elements of step t and batch row b. */
struct NAME(mask) {
    uint64_t seed, threshold; /* an element is hit if its word is below */
    uint32_t b, t, stream, words[4];
};

static struct NAME(mask) NAME(mask)(const struct lstm_call *call, double p, uint32_t stream, int64_t t, int64_t b) {
    return (struct NAME(mask)){call->seed, (uint64_t)(p * 4294967296.0) /* 2^32 hits all */, (uint32_t)b, (uint32_t)t,
                               stream, {0}};
}

/* Whether element k is hit; to be asked in order, from 0. */
static inline bool NAME(is_hit)(struct NAME(mask) *m, int64_t k) {
    if (k % 4 == 0) {
        m->words[0] = (uint32_t)(k / 4), m->words[1] = m->b, m->words[2] = m->t, m->words[3] = m->stream;
        NAME(philox)(m->words, (uint32_t)m->seed, (uint32_t)(m->seed >> 32));
    }
    return m->words[k % 4] < m->threshold;
}

/* y[k] = x[k] / (1 - p) or 0, for the `width` outputs of layer, step t and batch row b. y may be x. */
static void NAME(drop)(const struct lstm_call *call, int64_t layer, int64_t t, int64_t b, int64_t width, const REAL *x,
                       REAL *y) {
    struct NAME(mask) m = NAME(mask)(call, call->dropout, (uint32_t)layer, t, b);
    const REAL scale = (REAL)(1 / (1 - call->dropout));
    for (int64_t k = 0; k < width; k++) y[k] = NAME(is_hit)(&m, k) ? 0 : x[k] * scale;
}

/* The mask (R) that multiplies h_prev of batch row b in the recurrent product of every step. */
static void NAME(make_recurrent_mask)(const struct lstm_call *call, int64_t index, int64_t b, int64_t n, REAL *row) {
    struct NAME(mask) m = NAME(mask)(call, call->recurrent_dropout, STREAM_RECURRENT + (uint32_t)index, 0, b);
    const REAL scale = (REAL)(1 / (1 - call->recurrent_dropout));
    for (int64_t k = 0; k < n; k++) row[k] = NAME(is_hit)(&m, k) ? 0 : scale;
}

/* Zoneout: y keeps the old value where it is hit; old NULL: zeros. */
static void NAME(keep_old)(struct NAME(mask) m, int64_t n, const REAL *old, REAL *y) {
    for (int64_t k = 0; k < n; k++)
        if (NAME(is_hit)(&m, k)) y[k] = old ? old[k] : 0;
}

/* And back: what reached the old value into `kept`, the rest stays in d. */
static void NAME(part_gradient)(struct NAME(mask) m, int64_t n, REAL *d, REAL *kept) {
    for (int64_t k = 0; k < n; k++) {
        const bool is_hit = NAME(is_hit)(&m, k);
        kept[k] = is_hit ? d[k] : 0;
        d[k] = is_hit ? 0 : d[k];
    }
}
