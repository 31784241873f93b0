/* Threads: the only file with OpenMP, the barrier, the fork rule and affinity. */
#define _GNU_SOURCE /* clock_gettime, sched_getcpu */
#include "threads.h"

#include <limits.h>
#include <stdatomic.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(_OPENMP) || !defined(_WIN32)
#include <pthread.h>
#include <sched.h>
#endif

#include "float_mode.h"
#include "oversubscription.h"

/* ---- fork -----------------------------------------------------------------------------------------------------------
 * libgomp's threads do not survive a fork, and a child that waits for them hangs (GCC PR 52303): it stays on one
 * thread. */
static volatile bool is_forked_child;

#ifndef _WIN32
static void in_child(void) { is_forked_child = true; }
void lstm_watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }
#else
void lstm_watch_forks(void) {}
#endif

bool lstm_has_openmp(void) {
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

int lstm_max_threads(void) {
#ifdef _OPENMP
    if (is_forked_child) return 1;
    const int most = omp_get_max_threads(), processors = omp_get_num_procs();
    return most < processors ? most : processors; /* more would wait for each other, whatever OMP_NUM_THREADS says */
#else
    return 1;
#endif
}

/* ---- what a team shares ------------------------------------------------------------------------------------------ */

#define NOWHERE (-1)

struct flag {
    _Alignas(64) atomic_llong reached; /* number of the barrier that the worker has come to; a cache line of its own */
    atomic_int processor;              /* on which it ran then, or when it began; NOWHERE before */
};

struct lstm_shared {
    atomic_bool is_cancelled;
    atomic_llong stop_at; /* number of the barrier at which all leave */
    atomic_llong ran_ns;  /* by all workers */
#ifdef _OPENMP
    pthread_mutex_t mutex; /* of those asleep in a barrier */
    pthread_cond_t woken;
    atomic_int n_sleepers;
    int64_t spin_ns; /* before sleeping */
    struct flag flags[LSTM_MOST_THREADS];
#endif
};

static int64_t read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

/* ---- interruption ------------------------------------------------------------------------------------------------ */

#define FLOPS_BETWEEN_CLOCKS (1ll << 23) /* a millisecond or less, even for the portable kernels */
#define NS_BETWEEN_QUESTIONS 10000000ll

bool lstm_cancelled(struct lstm_worker *worker, int64_t flops) {
    if (atomic_load_explicit(&worker->shared->is_cancelled, memory_order_relaxed)) return true;
    if (worker->rank != 0 || !worker->interrupted || (worker->flops += flops) < FLOPS_BETWEEN_CLOCKS) return false;
    worker->flops = 0;
    const int64_t now = now_ns();
    if (worker->asked_ns == 0) worker->asked_ns = now;
    if (now - worker->asked_ns < NS_BETWEEN_QUESTIONS) return false;
    worker->asked_ns = now;
    set_float_mode(worker->callers_mode); /* for Python's signal handlers */
    const bool is_interrupted = worker->interrupted(worker->context);
    worker->callers_mode = set_float_mode(FLOAT_MODE_OF_CALL);
    if (is_interrupted) atomic_store_explicit(&worker->shared->is_cancelled, true, memory_order_relaxed);
    return is_interrupted;
}

/* ---- the barrier ----------------------------------------------------------------------------------------------------
 * Each worker raises its own flag and watches those of the others: one hop between caches if all are running. A worker
 * that has waited for two milliseconds goes to sleep, so that its processor is free for the late one. (Sleeping after
 * 30 us was worse: the host of a virtual machine gave the sleeper's processor away, and it came back 4 to 12 ms later.)
 * No worker spins on the processor of the late one: the system may have put both there when they woke, and moves the
 * one that sleeps. */
#ifdef _OPENMP
#define SPINS_PER_CLOCK 64
#define LONG_SPIN_NS 2000000ll
#define SHORT_SPIN_NS 20000ll /* if there are more workers than processors */

static int this_processor(void) {
#ifdef __linux__
    return sched_getcpu();
#else
    return NOWHERE;
#endif
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static void raise_flag(struct lstm_worker *worker, long long number) {
    struct lstm_shared *shared = worker->shared;
    atomic_store_explicit(&shared->flags[worker->rank].processor, this_processor(), memory_order_relaxed);
    atomic_store(&shared->flags[worker->rank].reached, number); /* before the sleepers are counted */
    if (atomic_load(&shared->n_sleepers)) {
        pthread_mutex_lock(&shared->mutex);
        pthread_cond_broadcast(&shared->woken);
        pthread_mutex_unlock(&shared->mutex);
    }
}

static void sleep_until(struct lstm_worker *worker, const atomic_llong *reached, long long number) {
    struct lstm_shared *shared = worker->shared;
    pthread_mutex_lock(&shared->mutex);
    atomic_fetch_add(&shared->n_sleepers, 1); /* before the flag is read again */
    while (atomic_load(reached) < number) pthread_cond_wait(&shared->woken, &shared->mutex);
    atomic_fetch_sub(&shared->n_sleepers, 1);
    pthread_mutex_unlock(&shared->mutex);
}

static void meet(struct lstm_worker *worker, long long number) {
    raise_flag(worker, number);
    for (int rank = 0; rank < worker->size; rank++) {
        const struct flag *flag = &worker->shared->flags[rank];
        int64_t since = 0; /* when waiting became worth counting */
        for (int k = 0; atomic_load_explicit(&flag->reached, memory_order_acquire) < number; k++) {
            relax();
            if (k % SPINS_PER_CLOCK != SPINS_PER_CLOCK - 1) continue;
            const int64_t now = now_ns();
            if (!since) since = now;
            const int there = atomic_load_explicit(&flag->processor, memory_order_relaxed);
            if (there == NOWHERE) sched_yield(); /* it has not begun */
            const bool is_in_its_way = there != NOWHERE && there == this_processor();
            if (!is_in_its_way && now - since < worker->shared->spin_ns) continue;
            worker->spun_ns += now - since;
            since = 0;
            sleep_until(worker, &flag->reached, number);
        }
        if (since) worker->spun_ns += now_ns() - since;
    }
}
#else
static void meet(struct lstm_worker *worker, long long number) { (void)worker, (void)number; }
#endif

bool lstm_barrier(struct lstm_worker *worker) {
    struct lstm_shared *shared = worker->shared;
    const long long number = ++worker->n_barriers;
    const bool is_cancelled = atomic_load_explicit(&shared->is_cancelled, memory_order_relaxed);
    if (worker->size == 1) return !is_cancelled;
    /* Rank 0 may be at barrier n + 1 before another has looked after barrier n: hence a number, not a flag. */
    if (worker->rank == 0 && is_cancelled && atomic_load_explicit(&shared->stop_at, memory_order_relaxed) == LLONG_MAX)
        atomic_store_explicit(&shared->stop_at, number, memory_order_relaxed);
    meet(worker, number);
    return atomic_load_explicit(&shared->stop_at, memory_order_relaxed) > number;
}

/* ---- the team ---------------------------------------------------------------------------------------------------- */

static void run_worker(int rank, int size, struct lstm_shared *shared, const struct lstm_call *call,
                       lstm_worker_function *function, void *arguments) {
    struct lstm_worker worker = {.rank = rank,
                                 .size = size,
                                 .shared = shared,
                                 .interrupted = call->interrupted,
                                 .context = call->interrupted_context};
    const bool is_team = size > 1;
    const int64_t before = is_team ? read_clock(CLOCK_THREAD_CPUTIME_ID) : 0;
#ifdef _OPENMP
    if (is_team) atomic_store_explicit(&shared->flags[rank].processor, this_processor(), memory_order_relaxed);
#endif
    worker.callers_mode = set_float_mode(FLOAT_MODE_OF_CALL);
    function(&worker, arguments);
    set_float_mode(worker.callers_mode);
    if (!is_team) return;
    atomic_fetch_add(&shared->ran_ns, read_clock(CLOCK_THREAD_CPUTIME_ID) - before - worker.spun_ns);
    meet(&worker, LLONG_MAX); /* (rather than in OpenMP's barrier, which spins longer and does not count it) */
}

#ifdef _OPENMP
static void run_team(int n_threads, struct lstm_shared *shared, const struct lstm_call *call,
                     lstm_worker_function *function, void *arguments) {
    shared->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    shared->woken = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    atomic_init(&shared->n_sleepers, 0);
    atomic_init(&shared->ran_ns, 0);
    shared->spin_ns = n_threads <= omp_get_num_procs() ? LONG_SPIN_NS : SHORT_SPIN_NS;
    for (int rank = 0; rank < n_threads; rank++) {
        atomic_init(&shared->flags[rank].reached, 0);
        atomic_init(&shared->flags[rank].processor, NOWHERE);
    }
#pragma omp parallel num_threads(n_threads)
    run_worker(omp_get_thread_num(), omp_get_num_threads(), shared, call, function, arguments);
    pthread_cond_destroy(&shared->woken);
    pthread_mutex_destroy(&shared->mutex);
}

/* A team, unless the machine is oversubscribed. The splits that tests choose always get one, and are not recorded. */
static void run_team_or_worker(int n_threads, struct lstm_shared *shared, const struct lstm_call *call,
                               lstm_worker_function *function, void *arguments) {
    const bool is_recorded = call->split == LSTM_SPLIT_BEST;
    const int64_t begin = now_ns();
    if (is_recorded && lstm_is_oversubscribed(begin)) {
        run_worker(0, 1, shared, call, function, arguments);
        lstm_record_serial_call(now_ns() - begin);
        return;
    }
    run_team(n_threads, shared, call, function, arguments);
    const int64_t end = now_ns();
    if (is_recorded) lstm_record_team(end, end - begin, atomic_load_explicit(&shared->ran_ns, memory_order_relaxed));
}
#endif

enum lstm_status lstm_parallel(const struct lstm_call *call, int n_threads, lstm_worker_function *function,
                               void *arguments) {
    struct lstm_shared shared;
    atomic_init(&shared.is_cancelled, false);
    atomic_init(&shared.stop_at, LLONG_MAX);
#ifdef _OPENMP
    if (n_threads > 1 && !is_forked_child)
        run_team_or_worker(n_threads < LSTM_MOST_THREADS ? n_threads : LSTM_MOST_THREADS, &shared, call, function,
                           arguments);
    else
#endif
        run_worker(0, 1, &shared, call, function, arguments);
    (void)n_threads;
    return atomic_load(&shared.is_cancelled) ? LSTM_INTERRUPTED : LSTM_OK;
}
