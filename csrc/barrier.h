/* What the workers of a team share, and how they wait for each other. For threads.c; the loops use threads.h. */
#ifndef LSTM_BARRIER_H
#define LSTM_BARRIER_H

#include <stdatomic.h>

#include "lstm_fast.h"
#include "system.h"
#include "threads.h"

#define LSTM_NOWHERE (-1)

/* How long a worker spins before it sleeps; the short one if there are more workers than processors. */
#define LSTM_LONG_SPIN_NS 2000000ll
#define LSTM_SHORT_SPIN_NS 20000ll

struct flag {
    _Alignas(64) atomic_llong reached; /* number of the barrier that the worker has reached; in a separate cache line */
    atomic_int processor;              /* where it ran then, or when it began; at first LSTM_NOWHERE */
    atomic_int thread;                 /* lstm_thread_id() */
};

struct lstm_shared {
    atomic_bool is_cancelled;
    atomic_llong stop_at;        /* number of the barrier at which all workers return */
    atomic_llong ran_ns;         /* total run time of all workers */
    struct lstm_monitor monitor; /* the workers asleep in a barrier */
    atomic_int n_sleepers;
    int64_t spin_ns; /* how long a worker spins before it sleeps */
    const struct lstm_call *call;
    lstm_worker_function *function;
    void *arguments;
    struct flag flags[LSTM_MOST_THREADS];
};

/* Waits until all workers have reached the barrier with this number. */
void lstm_meet(struct lstm_worker *, long long number);

/* Moves this worker or the other one off the processor that they share; never rank 0, the caller's thread. */
void lstm_part(struct lstm_worker *, int other_rank, int processor);

#endif
