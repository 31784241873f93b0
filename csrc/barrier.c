/* The barrier and interruption. */
#include "barrier.h"

#include <limits.h>

#include "float_mode.h"

/* ---- interruption ------------------------------------------------------------------------------------------------ */

#define FLOPS_BETWEEN_CLOCKS (1ll << 23) /* a millisecond or less, even for the portable kernels */
#define NS_BETWEEN_QUESTIONS 10000000ll

/* Asks the caller, unless it was asked a moment ago. */
static bool ask(struct lstm_worker *worker) {
    const int64_t now = lstm_now_ns();
    if (worker->asked_ns == 0) worker->asked_ns = now;
    if (now - worker->asked_ns < NS_BETWEEN_QUESTIONS) return false;
    worker->asked_ns = now;
    set_float_mode(worker->callers_mode); /* Python's signal handlers run in the caller's mode */
    const bool is_interrupted = worker->interrupted(worker->context);
    worker->callers_mode = set_float_mode(FLOAT_MODE_OF_CALL);
    if (is_interrupted) atomic_store_explicit(&worker->shared->is_cancelled, true, memory_order_relaxed);
    return is_interrupted;
}

bool lstm_cancelled(struct lstm_worker *worker, int64_t flops) {
    if (atomic_load_explicit(&worker->shared->is_cancelled, memory_order_relaxed)) return true;
    if (worker->rank != 0 || !worker->interrupted || (worker->flops += flops) < FLOPS_BETWEEN_CLOCKS) return false;
    worker->flops = 0;
    return ask(worker);
}

/* ---- the barrier ----------------------------------------------------------------------------------------------------
 * Each worker raises its own flag and watches those of the others: one hop between caches, 0.2 us, if all are running.
 * A worker that has waited for two milliseconds goes to sleep, so that its processor is free for the late one.
 * (Sleeping after 5 to 200 us or yielding instead of spinning showed no gain on a busy machine: waking takes 35 us, one
 * time in a hundred 150, where an idle processor goes back to the host of a virtual machine.)
 *
 * No worker spins on the processor of the late one: the system may have put both there when they woke, and leaves them
 * there if they take turns, five times slower than one thread. The one of higher rank, never the caller, moves. */
#define SPINS_PER_CLOCK 64

static void raise_flag(struct lstm_worker *worker, long long number) {
    struct lstm_shared *shared = worker->shared;
    atomic_store_explicit(&shared->flags[worker->rank].processor, lstm_processor(), memory_order_relaxed);
    atomic_store(&shared->flags[worker->rank].reached, number); /* stored before the sleepers are counted */
    if (atomic_load(&shared->n_sleepers)) {
        lstm_lock(&shared->monitor);
        lstm_wake(&shared->monitor);
        lstm_unlock(&shared->monitor);
    }
}

/* Rank 0 wakes to ask the caller, as the others may take long. They learn it where they next look. */
static void sleep_until(struct lstm_worker *worker, const atomic_llong *reached, long long number) {
    struct lstm_shared *shared = worker->shared;
    lstm_lock(&shared->monitor);
    atomic_fetch_add(&shared->n_sleepers, 1); /* counted before the flag is read again */
    while (atomic_load(reached) < number) {
        if (worker->rank != 0 || !worker->interrupted) {
            lstm_sleep(&shared->monitor);
            continue;
        }
        lstm_sleep_for(&shared->monitor, NS_BETWEEN_QUESTIONS);
        lstm_unlock(&shared->monitor);
        if (!atomic_load_explicit(&shared->is_cancelled, memory_order_relaxed)) ask(worker);
        lstm_lock(&shared->monitor);
    }
    atomic_fetch_sub(&shared->n_sleepers, 1);
    lstm_unlock(&shared->monitor);
}

void lstm_part(struct lstm_worker *worker, int other_rank, int processor) {
    const int rank = worker->rank > other_rank ? worker->rank : other_rank;
    struct flag *flag = &worker->shared->flags[rank];
    lstm_leave_processor(atomic_load_explicit(&flag->thread, memory_order_relaxed), processor);
    atomic_store_explicit(&flag->processor, rank == worker->rank ? lstm_processor() : LSTM_NOWHERE,
                          memory_order_relaxed);
}

static void wait_for(struct lstm_worker *worker, int rank, long long number) {
    const struct flag *flag = &worker->shared->flags[rank];
    int64_t since = 0; /* the first time that the clock was read; 0: not yet */
    for (int k = 0; atomic_load_explicit(&flag->reached, memory_order_acquire) < number; k++) {
        lstm_relax();
        if (k % SPINS_PER_CLOCK != SPINS_PER_CLOCK - 1) continue;
        const int64_t now = lstm_now_ns();
        if (!since) since = now;
        const int there = atomic_load_explicit(&flag->processor, memory_order_relaxed), here = lstm_processor();
        if (there == LSTM_NOWHERE) lstm_yield(); /* it has not started, or was moved */
        if (there != LSTM_NOWHERE && there == here) lstm_part(worker, rank, here);
        if (now - since < worker->shared->spin_ns) continue;
        worker->spun_ns += now - since;
        since = 0;
        sleep_until(worker, &flag->reached, number);
    }
    if (since) worker->spun_ns += lstm_now_ns() - since;
}

void lstm_meet(struct lstm_worker *worker, long long number) {
    raise_flag(worker, number);
    for (int rank = 0; rank < worker->size; rank++) wait_for(worker, rank, number);
}

void lstm_arrive(struct lstm_worker *worker) { raise_flag(worker, ++worker->n_barriers); }

void lstm_await(struct lstm_worker *worker, int rank, int slack) {
    if (rank != worker->rank) wait_for(worker, rank, worker->n_barriers - slack);
}

bool lstm_barrier(struct lstm_worker *worker) {
    struct lstm_shared *shared = worker->shared;
    const long long number = ++worker->n_barriers;
    const bool is_cancelled = atomic_load_explicit(&shared->is_cancelled, memory_order_relaxed);
    if (worker->size == 1) return !is_cancelled;
    /* Rank 0 may be at barrier n + 1 before another has looked after barrier n: hence a number, not a flag. */
    if (worker->rank == 0 && is_cancelled && atomic_load_explicit(&shared->stop_at, memory_order_relaxed) == LLONG_MAX)
        atomic_store_explicit(&shared->stop_at, number, memory_order_relaxed);
    lstm_meet(worker, number);
    return atomic_load_explicit(&shared->stop_at, memory_order_relaxed) > number;
}
