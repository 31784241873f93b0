/* Random words: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Counter k is (k,
 * b, t, stream) and the key is the seed; the words depend on nothing else.
 *
 * A counter takes four lanes, c0 c1 c2 c3. The 64-bit products of c0 and c2 are lo0 hi0 lo2 hi2, low halves first;
 * reversed, hi2 lo2 hi0 lo0, they are where the next round needs them once c1 and c3 have moved to lanes 0 and 2. */
#ifndef LSTM_KERNELS_RANDOM_H
#define LSTM_KERNELS_RANDOM_H

#include <stdint.h>
#include <string.h>

#include "../compiler.h"
#include "table.h"
#include "vector.h"

/* c1 and c3 in lanes 0 and 2, zeros in the others. */
ALWAYS_INLINE lanes_u32 move_odd(lanes_u32 x) {
    typedef uint64_t lanes_u64 VECTOR_OF(VECTOR_BYTES);
    return (lanes_u32)(LOW_HALF_FIRST ? (lanes_u64)x >> 32 : (lanes_u64)x << 32);
}

/* Vectors generated together, so that several chains of dependent operations overlap. */
#define RANDOM_VECTORS 4

/* Writes words 4 * first to 4 * first + n - 1, with n rounded up to whole LSTM_RANDOM_BLOCKs. */
static void random_words(const struct lstm_random *r, uint32_t first, int64_t n, uint32_t *words) {
    enum { LANES = VECTOR_BYTES / 4 };
    lanes_u32 next, factors = {0}, key_start = {0}, key_step = {0}, step = {0};
    for (int k = 0; k < LANES; k += 4) {
        next[k] = first + (uint32_t)k / 4, next[k + 1] = r->b, next[k + 2] = r->t, next[k + 3] = r->stream;
        step[k] = LANES / 4;
        factors[k] = 0xD2511F53u, factors[k + 2] = 0xCD9E8D57u;
        key_start[k] = (uint32_t)r->seed, key_start[k + 2] = (uint32_t)(r->seed >> 32);
        key_step[k] = 0x9E3779B9u, key_step[k + 2] = 0xBB67AE85u;
    }
    for (; n > 0; n -= RANDOM_VECTORS * LANES, words += RANDOM_VECTORS * LANES) {
        lanes_u32 x[RANDOM_VECTORS], key = key_start;
        UNROLL
        for (int v = 0; v < RANDOM_VECTORS; v++, next += step) x[v] = next;
        for (int round = 0; round < 10; round++, key += key_step) {
            UNROLL
            for (int v = 0; v < RANDOM_VECTORS; v++)
                x[v] = reverse_fours(multiply_even(x[v], factors)) ^ move_odd(x[v]) ^ key;
        }
        memcpy(words, x, sizeof x);
    }
}

_Static_assert(LSTM_RANDOM_BLOCK % (RANDOM_VECTORS * VECTOR_BYTES / 4) == 0, "random_words would write past a block");

#endif
