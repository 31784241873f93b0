/* Random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Counter k is
 * (k, b, t, stream), the key is the seed; what comes out depends on these alone.
 *
 * A counter is four lanes, c0 c1 c2 c3. The products of c0 and c2, each in two lanes from low to high, are lo0 hi0 lo2 hi2, and
 * from the last to the first hi2 lo2 hi0 lo0: just where a round wants them, c1 and c3 being moved to lanes 0 and 2. */
#define RANDOM_VECTORS 4 /* side by side: each is one long chain */

/* Words 4 first .. 4 first + n - 1, in any case whole multiples of LSTM_RANDOM_BLOCK. */
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
                x[v] = reverse_fours(multiply_even(x[v], factors)) ^ (lanes_u32)((lanes_u64)x[v] >> 32) ^ key;
        }
        memcpy(words, x, sizeof x);
    }
}
