/* Threads: one parallel region per call. Only the loops use it. */
#ifndef LSTM_THREADS_H
#define LSTM_THREADS_H

#include "lstm_fast.h"

struct lstm_shared; /* what the workers of a team share */

/* One worker of a team. Rank 0 is the calling thread, the only one that calls `interrupted`. */
struct lstm_worker {
    int rank, size;
    struct lstm_shared *shared;
    long long n_barriers;
    lstm_interrupted_function *interrupted;
    void *context;
    int64_t flops;                   /* since the clock was last read */
    int64_t asked_ns;                /* when `interrupted` was last called */
    int64_t spun_ns;                 /* time spent spinning in barriers */
    unsigned long long callers_mode; /* floating-point mode of this thread outside the call */
};

typedef void lstm_worker_function(struct lstm_worker *, void *arguments);

/* Runs the function on up to n_threads threads, with subnormal numbers flushed to zero, rounding to nearest and no
 * traps; the caller's floating-point mode is restored afterwards. With one thread there is no team at all. If the
 * system has no more threads to give, the team is smaller; on an oversubscribed machine it falls back to one thread for
 * a while (oversubscription.h). */
enum lstm_status lstm_parallel(const struct lstm_call *, int n_threads, lstm_worker_function *, void *arguments);

/* Waits for all workers. False: the call was interrupted; all workers return false at the same barrier. */
bool lstm_barrier(struct lstm_worker *);

/* A barrier in halves, for pipelines. All workers arrive equally often, and then meet at a barrier, also if the call is
 * interrupted. lstm_await waits until the worker of that rank has arrived as often as this one, but `slack` times. */
void lstm_arrive(struct lstm_worker *);
void lstm_await(struct lstm_worker *, int rank, int slack);

/* Reports `flops` of finished work. True once the call is interrupted: leave the loop and go to the next barrier. */
bool lstm_cancelled(struct lstm_worker *, int64_t flops);

/* The worker's share [begin, end) of n things. */
static inline void lstm_share(const struct lstm_worker *worker, int64_t n, int64_t *begin, int64_t *end) {
    *begin = n * worker->rank / worker->size;
    *end = n * (worker->rank + 1) / worker->size;
}

#endif
