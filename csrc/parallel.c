/* Threads: the only file with OpenMP, the fork rule and the floating-point mode. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "parallel.h"

#include <limits.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

/* ---- fork ---------------------------------------------------------------------------------------------------------
 * libgomp's threads do not survive fork, and waiting for them hangs the child (GCC PR 52303). A child stays serial. */
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
    return is_forked_child ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

/* ---- floating-point mode ------------------------------------------------------------------------------------------
 * Set in every thread of a call: a worker does not inherit it, and then the bits would depend on who computes. */
#if defined(__x86_64__) || defined(__i386__)
#define MODE_OF_CALL 0x9fc0u /* flush to zero, denormals are zero, all exceptions masked, round to nearest */
static unsigned long long set_mode(unsigned long long mode) {
    unsigned long long old = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((unsigned)mode);
    return old;
}
#elif defined(__aarch64__)
#define MODE_OF_CALL (1ull << 24) /* flush to zero, round to nearest, no traps */
static unsigned long long set_mode(unsigned long long mode) {
    unsigned long long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
    return old;
}
#else
#define MODE_OF_CALL 0u
static unsigned long long set_mode(unsigned long long mode) { return mode; }
#endif

/* ---- interruption ------------------------------------------------------------------------------------------------- */
#define WORK_BETWEEN_CLOCKS (1ll << 23) /* flops: a millisecond or less even for the portable kernels */
#define NS_BETWEEN_QUESTIONS 10000000ll

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool lstm_cancelled(struct lstm_member *m, int64_t flops) {
    if (m->rank == 0 && m->interrupted && (m->work += flops) >= WORK_BETWEEN_CLOCKS) {
        m->work = 0;
        int64_t now = now_ns();
        if (m->asked_ns == 0) m->asked_ns = now;
        if (now - m->asked_ns >= NS_BETWEEN_QUESTIONS) {
            m->asked_ns = now;
            if (m->interrupted(m->context)) atomic_store_explicit(&m->shared->is_cancelled, true, memory_order_relaxed);
        }
    }
    return atomic_load_explicit(&m->shared->is_cancelled, memory_order_relaxed);
}

bool lstm_barrier(struct lstm_member *m) {
    const long long number = ++m->n_barriers;
    /* Rank 0 may be at barrier n + 1 while another has not yet looked after barrier n: hence a number, not a flag. */
    if (m->rank == 0 && atomic_load_explicit(&m->shared->is_cancelled, memory_order_relaxed)
        && atomic_load(&m->shared->stop_at) == LLONG_MAX)
        atomic_store(&m->shared->stop_at, number);
#ifdef _OPENMP
    if (m->size > 1) {
#pragma omp barrier
    }
#endif
    return atomic_load(&m->shared->stop_at) > number;
}

/* ---- the team ----------------------------------------------------------------------------------------------------- */
static void run_member(int rank, int size, struct lstm_shared *shared, const struct lstm_call *call,
                       lstm_member_function *function, void *arguments) {
    struct lstm_member member = {.rank = rank, .size = size, .shared = shared,
                                 .interrupted = call->interrupted, .context = call->interrupted_context};
    const unsigned long long mode = set_mode(MODE_OF_CALL);
    function(&member, arguments);
    set_mode(mode);
}

enum lstm_status lstm_parallel(const struct lstm_call *call, int n_threads, lstm_member_function *function,
                               void *arguments) {
    struct lstm_shared shared;
    atomic_init(&shared.is_cancelled, false);
    atomic_init(&shared.stop_at, LLONG_MAX);
#ifdef _OPENMP
    if (n_threads > 1 && !is_forked_child) {
#pragma omp parallel num_threads(n_threads)
        run_member(omp_get_thread_num(), omp_get_num_threads(), &shared, call, function, arguments);
    } else
#endif
        run_member(0, 1, &shared, call, function, arguments);
    (void)n_threads;
    return atomic_load(&shared.is_cancelled) ? LSTM_INTERRUPTED : LSTM_OK;
}
