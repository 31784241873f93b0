/* Workers are started when a team first needs them and live as long as the process, asleep between teams. All memory is
 * static: at most LSTM_MOST_THREADS of them for all teams together. */
#include "pool.h"

#include <stdatomic.h>

#include "lstm_fast.h"
#include "system.h"

struct pool_worker {
    struct lstm_monitor monitor;
    lstm_team_function *function;
    void *arguments;
    int rank, size;
    bool is_started, is_taken;        /* guarded by the lock of `pool` */
    _Alignas(64) atomic_bool is_busy; /* true from when it is given work until it no longer touches the caller's data */
};

static struct lstm_monitor pool = LSTM_MONITOR;
static struct pool_worker workers[LSTM_MOST_THREADS] = {[0 ... LSTM_MOST_THREADS - 1] = {.monitor = LSTM_MONITOR}};

static atomic_int n_used; /* workers that have ever been started */

/* A child made by fork has none of the threads, and whatever locks they held then. */
static void reset_in_child(void) {
    static const struct lstm_monitor unlocked = LSTM_MONITOR;
    static const struct pool_worker absent = {.monitor = LSTM_MONITOR};
    pool = unlocked;
    for (int k = 0; k < atomic_load(&n_used); k++) workers[k] = absent;
}

void lstm_watch_forks_of_pool(void) { lstm_at_fork(reset_in_child); }

/* Waking a thread takes as long as 35 us where an idle processor goes back to the host of a virtual machine; a call
 * that follows immediately finds the workers awake. */
#define SPIN_NS 50000
#define LOOKS_PER_CLOCK 64

static void wait_until(struct pool_worker *w, bool is_busy) {
    const int64_t begin = lstm_now_ns();
    for (int k = 1; atomic_load_explicit(&w->is_busy, memory_order_acquire) != is_busy; k++) {
        lstm_relax();
        if (k % LOOKS_PER_CLOCK || lstm_now_ns() - begin < SPIN_NS) continue;
        lstm_lock(&w->monitor);
        while (atomic_load_explicit(&w->is_busy, memory_order_acquire) != is_busy) lstm_sleep(&w->monitor);
        lstm_unlock(&w->monitor);
        return;
    }
}

static void set_busy(struct pool_worker *w, bool is_busy) {
    lstm_lock(&w->monitor);
    atomic_store_explicit(&w->is_busy, is_busy, memory_order_release);
    lstm_wake(&w->monitor);
    lstm_unlock(&w->monitor);
}

static void *work(void *argument) {
    struct pool_worker *w = argument;
    for (;;) {
        wait_until(w, true);
        w->function(w->rank, w->size, w->arguments);
        set_busy(w, false);
    }
    return NULL;
}

/* Takes up to n idle workers; returns how many. */
static int take_workers(int n, struct pool_worker **taken) {
    int count = 0;
    lstm_lock(&pool);
    for (int k = 0; k < LSTM_MOST_THREADS && count < n; k++) {
        struct pool_worker *w = workers + k;
        if (w->is_taken) continue;
        if (k >= atomic_load(&n_used)) atomic_store(&n_used, k + 1); /* set before the thread begins */
        if (!w->is_started) w->is_started = lstm_start_thread(work, w);
        if (!w->is_started) break;
        w->is_taken = true;
        taken[count++] = w;
    }
    lstm_unlock(&pool);
    return count;
}

int lstm_run_pool(int n, lstm_team_function *function, void *arguments) {
    struct pool_worker *taken[LSTM_MOST_THREADS];
    const int count = take_workers(n < LSTM_MOST_THREADS ? n - 1 : LSTM_MOST_THREADS - 1, taken);
    for (int k = 0; k < count; k++) {
        struct pool_worker *w = taken[k];
        w->rank = k + 1, w->size = count + 1, w->arguments = arguments, w->function = function;
        set_busy(w, true);
    }
    function(0, count + 1, arguments);
    for (int k = 0; k < count; k++) wait_until(taken[k], false);
    lstm_lock(&pool);
    for (int k = 0; k < count; k++) taken[k]->is_taken = false;
    lstm_unlock(&pool);
    return count + 1;
}
