/* Random masks: dropout between layers, recurrent dropout, zoneout.
 *
 * Their random words (kernels/random.h) are keyed by the seed, with coordinates as the counter. So a mask depends on
 * neither threads nor time chunks, and backward regenerates it instead of storing it. Element k at step t of batch row
 * b uses word k % 4 of the counter (k / 4, b, t, stream). */
#ifndef LSTM_MASKS_H
#define LSTM_MASKS_H

#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../real.h"
#include "blocks.h"

/* Streams: the layer for dropout; one of these plus layer * D + direction for the others. */
#define STREAM_RECURRENT (1u << 28)
#define STREAM_ZONEOUT_H (2u << 28)
#define STREAM_ZONEOUT_C (3u << 28)

/* A row of a mask, at one step of one batch row. */
struct mask_row {
    const struct lstm_kernels *kernels;
    struct lstm_random random;
    uint64_t threshold; /* an element is hit if its word is below; 2^32 hits all */
};

static struct mask_row mask_of(const struct lstm_call *call, double p, uint32_t stream, int64_t t, int64_t b) {
    return (struct mask_row){
        kernels_of(call), {call->seed, (uint32_t)b, (uint32_t)t, stream}, (uint64_t)(p * 4294967296.0)};
}

/* Up to MASK_PIECE elements, starting at k of n: -1 if hit, else 0. Returns their number. */
#define MASK_PIECE (4 * LSTM_RANDOM_BLOCK)
static int64_t draw_mask(const struct mask_row *mask, int64_t k, int64_t n, int32_t *hits) {
    const int64_t count = n - k < MASK_PIECE ? n - k : MASK_PIECE;
    uint32_t words[MASK_PIECE];
    const uint32_t last = (uint32_t)(mask->threshold - 1);
    mask->kernels->random_words(&mask->random, (uint32_t)(k / 4), count, words);
    for (int64_t j = 0; j < count; j++) hits[j] = mask->threshold ? -(int32_t)(words[j] <= last) : 0;
    return count;
}

/* Dropout: y[k] = x[k] / (1 - p) or 0 for the `width` outputs of a layer at step t of batch row b. y may be x. */
static void apply_dropout(const struct lstm_call *call, int64_t layer, int64_t t, int64_t b, int64_t width,
                          const real *x, real *y) {
    const struct mask_row mask = mask_of(call, call->dropout, (uint32_t)layer, t, b);
    const real scale = (real)(1 / (1 - call->dropout));
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = draw_mask(&mask, k, width, hits);
        for (int64_t j = 0; j < n; j++) y[k + j] = hits[j] ? 0 : x[k + j] * scale;
    }
}

/* Recurrent dropout: the row of factors (R) of h_prev of batch row b in the recurrent product, the same at every
 * step. */
static void recurrent_mask(const struct lstm_call *call, int64_t index, int64_t b, int64_t width, real *row) {
    const struct mask_row mask = mask_of(call, call->recurrent_dropout, STREAM_RECURRENT + (uint32_t)index, 0, b);
    const real scale = (real)(1 / (1 - call->recurrent_dropout));
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = draw_mask(&mask, k, width, hits);
        for (int64_t j = 0; j < n; j++) row[k + j] = hits[j] ? 0 : scale;
    }
}

/* Zoneout: y keeps the old value where the mask hits. old NULL: zeros. */
static void zoneout(struct mask_row mask, int64_t width, const real *old, real *y) {
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = draw_mask(&mask, k, width, hits);
        if (old)
            for (int64_t j = 0; j < n; j++) y[k + j] = hits[j] ? old[k + j] : y[k + j];
        else
            for (int64_t j = 0; j < n; j++) y[k + j] = hits[j] ? 0 : y[k + j];
    }
}

/* Moves the gradient of the old value to d_old; the gradient of the new value stays in d. */
static void zoneout_backward(struct mask_row mask, int64_t width, real *d, real *d_old) {
    int32_t hits[MASK_PIECE];
    for (int64_t k = 0, n; k < width; k += n) {
        n = draw_mask(&mask, k, width, hits);
        for (int64_t j = 0; j < n; j++) {
            const real all = d[k + j];
            d_old[k + j] = hits[j] ? all : 0;
            d[k + j] = hits[j] ? 0 : all;
        }
    }
}

#endif
