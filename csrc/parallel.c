/* Threads: the only file with OpenMP, the barrier, the rule for crowded machines, the fork rule and the floating-point mode. */
#define _GNU_SOURCE /* clock_gettime, sched_getcpu */
#include "parallel.h"

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
    if (is_forked_child) return 1;
    const int most = omp_get_max_threads(), processors = omp_get_num_procs();
    return most < processors ? most : processors; /* more would wait for each other, whatever OMP_NUM_THREADS says */
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

/* ---- what a team shares ------------------------------------------------------------------------------------------- */
#define LARGEST_TEAM 256

struct lstm_flag {
    _Alignas(64) atomic_llong reached; /* number of the barrier that this member has come to: a cache line of its own */
    atomic_int processor;              /* on which it was then, or when it began; NOWHERE before */
};

struct lstm_shared {
    atomic_bool is_cancelled;
    atomic_llong stop_at; /* number of the barrier at which all leave */
    atomic_llong ran_ns; /* by all members */
#ifdef _OPENMP
    pthread_mutex_t mutex; /* of those who sleep in a barrier */
    pthread_cond_t woken;
    atomic_int n_sleepers;
    int64_t spin_ns; /* before sleeping */
    struct lstm_flag flags[LARGEST_TEAM];
#endif
};

static int64_t read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

/* ---- interruption ------------------------------------------------------------------------------------------------- */
#define WORK_BETWEEN_CLOCKS (1ll << 23) /* flops: a millisecond or less even for the portable kernels */
#define NS_BETWEEN_QUESTIONS 10000000ll

bool lstm_cancelled(struct lstm_member *m, int64_t flops) {
    if (atomic_load_explicit(&m->shared->is_cancelled, memory_order_relaxed)) return true;
    if (m->rank != 0 || !m->interrupted || (m->work += flops) < WORK_BETWEEN_CLOCKS) return false;
    m->work = 0;
    const int64_t now = now_ns();
    if (m->asked_ns == 0) m->asked_ns = now;
    if (now - m->asked_ns < NS_BETWEEN_QUESTIONS) return false;
    m->asked_ns = now;
    set_mode(m->callers_mode); /* for Python's signal handlers */
    const bool is_interrupted = m->interrupted(m->context);
    m->callers_mode = set_mode(MODE_OF_CALL);
    if (is_interrupted) atomic_store_explicit(&m->shared->is_cancelled, true, memory_order_relaxed);
    return is_interrupted;
}

/* ---- where a thread runs ------------------------------------------------------------------------------------------- */
#define NOWHERE (-1)
#if defined(_OPENMP) && defined(__linux__)
static int this_processor(void) { return sched_getcpu(); }
#elif defined(_OPENMP)
static int this_processor(void) { return NOWHERE; }
#endif

/* ---- barrier ------------------------------------------------------------------------------------------------------
 * Each member raises its own flag and looks at those of the others: one hop between caches where all run. Who has waited
 * for two milliseconds sleeps, so that its processor is free for the one who is late. (Sleeping after 30 us was worse: the
 * host of a virtual machine gave the sleeper's processor away, and it came back 4 to 12 ms later.) Nobody spins on the
 * processor of the one who is late: the system may have put both there when they woke, and then moves the one that sleeps. */
#ifdef _OPENMP
#define SPINS_PER_CLOCK 64
#define LONG_SPIN_NS 2000000ll
#define SHORT_SPIN_NS 20000ll /* where there are more members than processors */

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static void raise_flag(struct lstm_member *m, long long number) {
    struct lstm_shared *shared = m->shared;
    atomic_store_explicit(&shared->flags[m->rank].processor, this_processor(), memory_order_relaxed);
    atomic_store(&shared->flags[m->rank].reached, number); /* before the sleepers are counted */
    if (atomic_load(&shared->n_sleepers)) {
        pthread_mutex_lock(&shared->mutex);
        pthread_cond_broadcast(&shared->woken);
        pthread_mutex_unlock(&shared->mutex);
    }
}

static void sleep_until(struct lstm_member *m, const atomic_llong *flag, long long number) {
    struct lstm_shared *shared = m->shared;
    pthread_mutex_lock(&shared->mutex);
    atomic_fetch_add(&shared->n_sleepers, 1); /* before the flag is looked at again */
    while (atomic_load(flag) < number) pthread_cond_wait(&shared->woken, &shared->mutex);
    atomic_fetch_sub(&shared->n_sleepers, 1);
    pthread_mutex_unlock(&shared->mutex);
}

static void meet(struct lstm_member *m, long long number) {
    raise_flag(m, number);
    for (int rank = 0; rank < m->size; rank++) {
        const atomic_llong *flag = &m->shared->flags[rank].reached;
        const atomic_int *where = &m->shared->flags[rank].processor;
        int64_t since = 0; /* when waiting became worth counting */
        for (int k = 0; atomic_load_explicit(flag, memory_order_acquire) < number; k++) {
            relax();
            if (k % SPINS_PER_CLOCK != SPINS_PER_CLOCK - 1) continue;
            const int64_t now = now_ns();
            if (!since) since = now;
            const int there = atomic_load_explicit(where, memory_order_relaxed);
            if (there == NOWHERE) sched_yield(); /* it has not begun */
            const bool is_in_its_way = there != NOWHERE && there == this_processor();
            if (!is_in_its_way && now - since < m->shared->spin_ns) continue;
            m->spun_ns += now - since;
            since = 0;
            sleep_until(m, flag, number);
        }
        if (since) m->spun_ns += now_ns() - since;
    }
}
#else
static void meet(struct lstm_member *m, long long number) { (void)m, (void)number; }
#endif

bool lstm_barrier(struct lstm_member *m) {
    const long long number = ++m->n_barriers;
    if (m->size == 1) return !atomic_load_explicit(&m->shared->is_cancelled, memory_order_relaxed);
    /* Rank 0 may be at barrier n + 1 while another has not yet looked after barrier n: hence a number, not a flag. */
    if (m->rank == 0 && atomic_load_explicit(&m->shared->is_cancelled, memory_order_relaxed)
        && atomic_load_explicit(&m->shared->stop_at, memory_order_relaxed) == LLONG_MAX)
        atomic_store_explicit(&m->shared->stop_at, number, memory_order_relaxed);
    meet(m, number);
    return atomic_load_explicit(&m->shared->stop_at, memory_order_relaxed) > number;
}

/* ---- crowded machines ---------------------------------------------------------------------------------------------
 * A team is as slow as its slowest member, and a member whose processor another process wants stands still for
 * milliseconds while the others wait in a barrier. So every team notes how long its members ran, less what they spun. Over
 * the time elapsed that is how many times as fast as one thread they were. When the last teams were hardly faster, calls run
 * alone for a while; then teams try again, and if they fare no better, the while doubles. Results do not depend on it.
 * (The evidence must outlast the stray millisecond that a virtual machine's host takes, unless it is overwhelming. The while
 * is time of calls, not of the clock: who computes now and then would otherwise begin anew each time.) */
#ifdef _OPENMP
#define WORTH_A_TEAM 1.1        /* time run over time elapsed */
#define EVIDENCE_NS 40000000ll  /* of team time, before this is concluded; older than twice that fades */
#define OVERWHELMING 0.7        /* below which a fourth of the evidence will do */
#define LEAST_ALONE_NS 40000000ll
#define MOST_ALONE_NS 1000000000ll
#define ALONE_PER_CALL 32       /* at most: a team that takes twice the time of one thread then costs 3 % */
#define FORGOTTEN_NS 10000000000ll /* by the clock */

/* Of this process, and only ever a hint: races between teams may lose an entry. */
static atomic_llong alone_left_ns, alone_ns, noted_ns, recent_ns, recent_ran_ns;
#define RECALL(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define REMEMBER(x, value) atomic_store_explicit(&(x), value, memory_order_relaxed)

static bool is_crowded(long long now) { return RECALL(alone_left_ns) > 0 && now - RECALL(noted_ns) < FORGOTTEN_NS; }

static void note_alone(long long elapsed) { REMEMBER(alone_left_ns, RECALL(alone_left_ns) - elapsed); }

static void note_team(long long now, long long elapsed, long long ran_here) {
    const long long fade = RECALL(recent_ns) > 2 * EVIDENCE_NS ? 2 : 1;
    const long long recent = RECALL(recent_ns) / fade + elapsed, ran = RECALL(recent_ran_ns) / fade + ran_here;
    const double speedup = (double)ran / (double)(recent + 1);
    REMEMBER(recent_ns, recent);
    REMEMBER(recent_ran_ns, ran);
    if (recent < EVIDENCE_NS / 4 || speedup > (recent < EVIDENCE_NS ? OVERWHELMING : WORTH_A_TEAM)) {
        if (recent >= EVIDENCE_NS) REMEMBER(alone_ns, 0); /* teams work again */
        return;
    }
    const long long most = ALONE_PER_CALL * elapsed > MOST_ALONE_NS ? ALONE_PER_CALL * elapsed : MOST_ALONE_NS;
    long long alone = now - RECALL(noted_ns) < FORGOTTEN_NS ? 2 * RECALL(alone_ns) : 0;
    if (alone < LEAST_ALONE_NS + 2 * elapsed) alone = LEAST_ALONE_NS + 2 * elapsed;
    if (alone > most) alone = most;
    REMEMBER(alone_ns, alone);
    REMEMBER(alone_left_ns, alone);
    REMEMBER(noted_ns, now);
    REMEMBER(recent_ns, 0);
    REMEMBER(recent_ran_ns, 0);
}
#endif

/* ---- the team ----------------------------------------------------------------------------------------------------- */
static void run_member(int rank, int size, struct lstm_shared *shared, const struct lstm_call *call,
                       lstm_member_function *function, void *arguments) {
    struct lstm_member member = {.rank = rank, .size = size, .shared = shared,
                                 .interrupted = call->interrupted, .context = call->interrupted_context};
    const bool is_team = size > 1;
    const int64_t before = is_team ? read_clock(CLOCK_THREAD_CPUTIME_ID) : 0;
#ifdef _OPENMP
    if (is_team) atomic_store_explicit(&shared->flags[rank].processor, this_processor(), memory_order_relaxed);
#endif
    member.callers_mode = set_mode(MODE_OF_CALL);
    function(&member, arguments);
    set_mode(member.callers_mode);
    if (!is_team) return;
    atomic_fetch_add(&shared->ran_ns, read_clock(CLOCK_THREAD_CPUTIME_ID) - before - member.spun_ns);
    meet(&member, LLONG_MAX); /* who is early waits here, not in OpenMP's barrier, which spins longer and never counts it */
}

#ifdef _OPENMP
static void run_team(int n_threads, struct lstm_shared *shared, const struct lstm_call *call,
                     lstm_member_function *function, void *arguments) {
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
    run_member(omp_get_thread_num(), omp_get_num_threads(), shared, call, function, arguments);
    pthread_cond_destroy(&shared->woken);
    pthread_mutex_destroy(&shared->mutex);
}
#endif

enum lstm_status lstm_parallel(const struct lstm_call *call, int n_threads, lstm_member_function *function,
                               void *arguments) {
    struct lstm_shared shared;
    atomic_init(&shared.is_cancelled, false);
    atomic_init(&shared.stop_at, LLONG_MAX);
#ifdef _OPENMP
    if (n_threads > LARGEST_TEAM) n_threads = LARGEST_TEAM;
    if (n_threads > 1 && !is_forked_child) {
        const int64_t begin = now_ns();
        const bool is_noted = call->split == LSTM_SPLIT_BEST;
        if (is_noted && is_crowded(begin)) {
            run_member(0, 1, &shared, call, function, arguments);
            note_alone(now_ns() - begin);
        } else {
            run_team(n_threads, &shared, call, function, arguments);
            const int64_t now = now_ns();
            if (is_noted) note_team(now, now - begin, RECALL(shared.ran_ns));
        }
    } else
#endif
        run_member(0, 1, &shared, call, function, arguments);
    (void)n_threads;
    return atomic_load(&shared.is_cancelled) ? LSTM_INTERRUPTED : LSTM_OK;
}
