/* Checked size arithmetic: a running total of bytes with a sticky overflow flag. */
#ifndef LSTM_SIZES_H
#define LSTM_SIZES_H

#include "lstm_fast.h"

struct total {
    int64_t bytes;
    bool overflow;
};

static inline int64_t times(struct total *t, int64_t a, int64_t b) {
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        t->overflow = true;
        return 0;
    }
    return product;
}

/* Reserves count blocks of `bytes`, rounded up to whole cache lines, and returns the offset of the first. */
static inline int64_t take(struct total *t, int64_t count, int64_t bytes, int64_t *block_bytes) {
    const int64_t offset = t->bytes;
    if (bytes > INT64_MAX - 63) t->overflow = true, bytes = 0;
    bytes = (bytes + 63) / 64 * 64;
    if (block_bytes) *block_bytes = bytes;
    if (__builtin_add_overflow(t->bytes, times(t, count, bytes), &t->bytes)) t->overflow = true, t->bytes = 0;
    return offset;
}

static inline enum lstm_status status_of(const struct total *t) { return t->overflow ? LSTM_TOO_LARGE : LSTM_OK; }

static inline int64_t at_most(int64_t limit, int64_t n) { return n < limit ? n : limit; }
static inline int64_t at_least(int64_t limit, int64_t n) { return n > limit ? n : limit; }
static inline int64_t round_up(int64_t n, int64_t power_of_2) { return (n + power_of_2 - 1) & -power_of_2; }

/* Larger sizes are rejected before they are multiplied, so that H_padded, D * H and 4 * H stay exact. */
static inline bool is_too_large(const struct lstm_model *m) {
    return m->input_size > LSTM_LARGEST_SIZE || m->hidden_size > LSTM_LARGEST_SIZE || m->num_layers > LSTM_LARGEST_SIZE
           || m->proj_size > LSTM_LARGEST_SIZE;
}

#endif
