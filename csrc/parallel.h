/* Threads: one parallel region a call. The only users are the loops; the only OpenMP is in parallel.c. */
#ifndef LSTM_PARALLEL_H
#define LSTM_PARALLEL_H

#include "lstm_fast.h"

struct lstm_shared; /* what the members of a team share */

/* One member of the team. rank 0 is the calling thread: it alone asks `interrupted`. */
struct lstm_member {
    int rank, size;
    struct lstm_shared *shared;
    long long n_barriers;
    lstm_interrupted_function *interrupted;
    void *context;
    int64_t work, asked_ns; /* since the clock was read; when `interrupted` was last called */
    int64_t spun_ns;        /* in barriers */
    unsigned long long callers_mode; /* floating-point mode of this thread outside the call */
};

typedef void lstm_member_function(struct lstm_member *, void *arguments);

/* Runs function on up to n_threads threads, with subnormal numbers flushed to zero, rounding to nearest and no traps;
 * the caller's floating-point mode is as before afterwards. One thread: no OpenMP at all. Also one thread, for a while,
 * when other processes kept the last teams from running. */
enum lstm_status lstm_parallel(const struct lstm_call *, int n_threads, lstm_member_function *, void *arguments);

/* All members wait for each other. False: the call was interrupted, and every member hears it at the same barrier. */
bool lstm_barrier(struct lstm_member *);

/* Reports `flops` of work done; true once the call is interrupted (leave the loop, meet at the next barrier). */
bool lstm_cancelled(struct lstm_member *, int64_t flops);

/* Members' shares of n things: [begin, end). */
static inline void lstm_share(const struct lstm_member *m, int64_t n, int64_t *begin, int64_t *end) {
    *begin = n * m->rank / m->size;
    *end = n * (m->rank + 1) / m->size;
}

#endif
