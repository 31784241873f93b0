/* Threads: one parallel region per call, on one of two back-ends, OpenMP or a pool (pool.h). The only file with
 * OpenMP. */
#include "threads.h"

#include <ctype.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "barrier.h"
#include "float_mode.h"
#include "oversubscription.h"
#include "pool.h"
#include "system.h"

/* ---- back-ends ------------------------------------------------------------------------------------------------------
 * libgomp's threads do not survive a fork, and a child that waits for them hangs (GCC PR 52303): with OpenMP it stays
 * on one thread. */
static enum lstm_backend backend =
#ifdef _OPENMP
    LSTM_OPENMP;
#else
    LSTM_POOL;
#endif
static volatile bool is_forked_child;

static void in_child(void) { is_forked_child = true; }

void lstm_watch_forks(void) {
    lstm_at_fork(in_child);
    lstm_watch_forks_of_pool();
}

enum lstm_backend lstm_backend(void) { return backend; }

bool lstm_use_backend(enum lstm_backend wanted) {
    if (wanted == LSTM_OPENMP && !lstm_has_openmp()) return false;
    backend = wanted;
    return true;
}

bool lstm_has_openmp(void) {
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

/* Teams larger than the processors would wait for each other, whatever OMP_NUM_THREADS says. */
int lstm_max_threads(void) {
    const int processors = lstm_usable_processors();
    if (backend == LSTM_SERIAL || (backend == LSTM_OPENMP && is_forked_child)) return 1;
#ifdef _OPENMP
    const int most = omp_get_max_threads();
#else
    const char *setting = getenv("OMP_NUM_THREADS");
    const long n = setting ? strtol(setting, NULL, 10) : 0; /* (of a list the first, as OpenMP takes it) */
    const int most = n < 1 || n > LSTM_MOST_THREADS ? LSTM_MOST_THREADS : (int)n;
#endif
    return most < processors ? most : processors;
}

/* ---- when no thread can be started ----------------------------------------------------------------------------------
 * libgomp ends the process if it cannot start a thread: so threads of the same kind are tried before one of its teams
 * grows (60 us each, and only then; a team per calling thread, and a smaller one ends the threads that it does not
 * need). The pool's own start of a thread may fail. */
#define NS_BETWEEN_TRIALS 1000000000ll

static atomic_llong shortage_ns; /* when threads were last missing; 0: never */
static atomic_int team_in_shortage;
static atomic_bool is_shortage_new;

bool lstm_threads_were_missing(void) {
    return atomic_load_explicit(&is_shortage_new, memory_order_relaxed) && atomic_exchange(&is_shortage_new, false);
}

static void record_shortage(int n_threads) {
    atomic_store(&team_in_shortage, n_threads);
    if (atomic_exchange(&shortage_ns, lstm_now_ns()) == 0) atomic_store(&is_shortage_new, true);
}

#ifdef _OPENMP
/* OMP_STACKSIZE as libgomp reads it; 0: the default. */
static size_t omp_stack_bytes(void) {
    const char *setting = getenv("OMP_STACKSIZE");
    char *unit;
    if (!setting && !(setting = getenv("GOMP_STACKSIZE"))) return 0;
    size_t bytes = strtoull(setting, &unit, 10);
    while (isspace((unsigned char)*unit)) unit++;
    const int letter = toupper((unsigned char)*unit);
    const int shift = letter == 'B' ? 0 : letter == 'M' ? 20 : letter == 'G' ? 30 : 10;
    return bytes << shift >> shift == bytes ? bytes << shift : SIZE_MAX;
}

static int affordable_team(int n_threads) {
    static _Thread_local int team = 1; /* largest team that this calling thread has had */
    if (n_threads > team) {
        const int64_t since = atomic_load_explicit(&shortage_ns, memory_order_relaxed);
        const int least = atomic_load_explicit(&team_in_shortage, memory_order_relaxed);
        if (since && lstm_now_ns() - since < NS_BETWEEN_TRIALS) {
            if (n_threads > least) n_threads = least;
        } else {
            const int n = 1 + lstm_try_threads(n_threads - 1, omp_stack_bytes());
            if (n < n_threads) record_shortage(n_threads = n);
        }
    }
    if (n_threads > 1) team = n_threads;
    return n_threads;
}
#endif

/* ---- the team ---------------------------------------------------------------------------------------------------- */

static void run_worker(int rank, int size, void *arguments) {
    struct lstm_shared *shared = arguments;
    struct lstm_worker worker = {.rank = rank,
                                 .size = size,
                                 .shared = shared,
                                 .interrupted = shared->call->interrupted,
                                 .context = shared->call->interrupted_context};
    const bool is_team = size > 1;
    const int64_t before = is_team ? lstm_thread_ran_ns() : 0;
    if (is_team) {
        struct flag *flag = &shared->flags[rank];
        const int here = lstm_processor();
        atomic_store_explicit(&flag->thread, lstm_thread_id(), memory_order_relaxed);
        atomic_store_explicit(&flag->processor, here, memory_order_relaxed);
        if (rank && here == atomic_load_explicit(&shared->flags[0].processor, memory_order_relaxed))
            lstm_part(&worker, 0, here); /* the system woke it where the caller runs */
    }
    worker.callers_mode = set_float_mode(FLOAT_MODE_OF_CALL);
    shared->function(&worker, shared->arguments);
    if (is_team) {
        atomic_fetch_add(&shared->ran_ns, lstm_thread_ran_ns() - before - worker.spun_ns);
        lstm_meet(&worker, LLONG_MAX); /* (rather than in OpenMP's barrier, which spins longer, uncounted) */
    }
    set_float_mode(worker.callers_mode);
}

static void run_team(int n_threads, struct lstm_shared *shared) {
    static const struct lstm_monitor monitor = LSTM_MONITOR;
    shared->monitor = monitor;
    atomic_init(&shared->n_sleepers, 0);
    atomic_init(&shared->ran_ns, 0);
    shared->spin_ns = n_threads <= lstm_usable_processors() ? LSTM_LONG_SPIN_NS : LSTM_SHORT_SPIN_NS;
    for (int rank = 0; rank < n_threads; rank++) {
        atomic_init(&shared->flags[rank].reached, 0);
        atomic_init(&shared->flags[rank].processor, LSTM_NOWHERE);
        atomic_init(&shared->flags[rank].thread, 0);
    }
    if (backend == LSTM_POOL) {
        const int n = lstm_run_pool(n_threads, run_worker, shared);
        if (n < n_threads) record_shortage(n);
        return;
    }
#ifdef _OPENMP
    n_threads = affordable_team(n_threads);
    if (n_threads > 1) {
#pragma omp parallel num_threads(n_threads)
        run_worker(omp_get_thread_num(), omp_get_num_threads(), shared);
        return;
    }
#endif
    run_worker(0, 1, shared);
}

#define NS_BETWEEN_LOOKS 1000000ll

/* Whether a team would find a processor for each of its workers, as seen in the last millisecond. */
static bool has_spare_processors(int n_threads, int64_t now) {
    static atomic_llong looked_ns;
    static atomic_bool has_spare;
    if (now - atomic_load_explicit(&looked_ns, memory_order_relaxed) >= NS_BETWEEN_LOOKS) {
        const int n = lstm_runnable_threads(); /* the count includes this thread */
        atomic_store_explicit(&has_spare, n > 0 && n - 1 + n_threads <= lstm_usable_processors(), memory_order_relaxed);
        atomic_store_explicit(&looked_ns, now, memory_order_relaxed);
    }
    return atomic_load_explicit(&has_spare, memory_order_relaxed);
}

/* On a team, unless the machine is oversubscribed. The splits that tests choose always get one, and are not
 * recorded. */
static void run_call(int n_threads, struct lstm_shared *shared) {
    const bool is_recorded = shared->call->split == LSTM_SPLIT_BEST;
    const int64_t begin = lstm_now_ns();
    if (is_recorded && lstm_is_oversubscribed()) {
        run_worker(0, 1, shared);
        const int64_t end = lstm_now_ns();
        lstm_record_serial_call(end - begin, has_spare_processors(n_threads, end));
        return;
    }
    run_team(n_threads, shared);
    const int64_t ran_ns = atomic_load_explicit(&shared->ran_ns, memory_order_relaxed);
    if (is_recorded && ran_ns) lstm_record_team(lstm_now_ns() - begin, ran_ns); /* (0: it had one worker) */
}

enum lstm_status lstm_parallel(const struct lstm_call *call, int n_threads, lstm_worker_function *function,
                               void *arguments) {
    struct lstm_shared shared;
    shared.call = call, shared.function = function, shared.arguments = arguments;
    atomic_init(&shared.is_cancelled, false);
    atomic_init(&shared.stop_at, LLONG_MAX);
    if (n_threads > LSTM_MOST_THREADS) n_threads = LSTM_MOST_THREADS;
    if (n_threads > 1 && backend != LSTM_SERIAL && !(backend == LSTM_OPENMP && is_forked_child))
        run_call(n_threads, &shared);
    else
        run_worker(0, 1, &shared);
    return atomic_load(&shared.is_cancelled) ? LSTM_INTERRUPTED : LSTM_OK;
}
