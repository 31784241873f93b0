#define _GNU_SOURCE /* sched_getcpu, cpu_set_t */
#if !defined(_WIN32) && !defined(__wasi__)
#include "system.h"

#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#endif

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

static int64_t read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
int64_t lstm_now_ns(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t lstm_thread_ran_ns(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

/* ---- processors -------------------------------------------------------------------------------------------------- */

#ifdef __linux__
int lstm_processor(void) { return sched_getcpu(); }

int lstm_usable_processors(void) {
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) == 0) return CPU_COUNT(&usable);
    const long n = sysconf(_SC_NPROCESSORS_ONLN); /* (more processors than a cpu_set_t has) */
    return n > 0 ? (int)n : 1;
}

/* The fourth word of a line like "0.20 0.18 0.12 1/80 11206". */
int lstm_runnable_threads(void) {
    char line[80] = "";
    const int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const ssize_t n = read(file, line, sizeof line - 1);
    close(file);
    const char *slash = n > 0 ? strchr(line, '/') : NULL;
    while (slash && slash > line && slash[-1] != ' ') slash--;
    return slash ? atoi(slash) : -1;
}

int lstm_thread_id(void) { return (int)syscall(SYS_gettid); }

void lstm_leave_processor(int thread, int from) {
    cpu_set_t usable, others;
    if (from < 0 || from >= CPU_SETSIZE || sched_getaffinity(thread, sizeof usable, &usable)) return;
    others = usable;
    CPU_CLR((size_t)from, &others);
    if (CPU_COUNT(&others) && sched_setaffinity(thread, sizeof others, &others) == 0)
        sched_setaffinity(thread, sizeof usable, &usable);
}
#else
int lstm_processor(void) { return -1; }
int lstm_runnable_threads(void) { return -1; }
int lstm_thread_id(void) { return 0; }
void lstm_leave_processor(int thread, int from) { (void)thread, (void)from; }
int lstm_usable_processors(void) {
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}
#endif

/* ---- locks and threads ------------------------------------------------------------------------------------------- */

void lstm_lock(struct lstm_monitor *m) { pthread_mutex_lock(&m->mutex); }
void lstm_unlock(struct lstm_monitor *m) { pthread_mutex_unlock(&m->mutex); }
void lstm_sleep(struct lstm_monitor *m) { pthread_cond_wait(&m->woken, &m->mutex); }
void lstm_sleep_for(struct lstm_monitor *m, int64_t most_ns) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end); /* the clock of conditions, on every system */
    end.tv_nsec += most_ns % 1000000000;
    end.tv_sec += (time_t)(most_ns / 1000000000) + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&m->woken, &m->mutex, &end);
}
void lstm_wake(struct lstm_monitor *m) { pthread_cond_broadcast(&m->woken); }
void lstm_yield(void) { sched_yield(); }
void lstm_at_fork(void (*in_child)(void)) { pthread_atfork(NULL, NULL, in_child); }

/* Threads receive no signals (they inherit the mask): those are for the threads of the caller's program. */
static bool start(pthread_t *thread, bool is_detached, size_t stack_bytes, void *(*function)(void *), void *argument) {
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes)) return false;
    if (is_detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_bytes) pthread_attr_setstacksize(&attributes, stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool is_started = pthread_create(thread, &attributes, function, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return is_started;
}

bool lstm_start_thread(void *(*function)(void *), void *argument) {
    pthread_t thread;
    return start(&thread, true, 0, function, argument);
}

static void *wait_for_end(void *monitor) {
    lstm_lock(monitor);
    lstm_unlock(monitor);
    return NULL;
}

int lstm_try_threads(int n, size_t stack_bytes) {
    struct lstm_monitor end = LSTM_MONITOR;
    pthread_t threads[LSTM_MOST_TRIALS];
    int count = 0;
    if (n > LSTM_MOST_TRIALS) n = LSTM_MOST_TRIALS;
    lstm_lock(&end);
    while (count < n && start(threads + count, false, stack_bytes, wait_for_end, &end)) count++;
    lstm_unlock(&end);
    for (int k = 0; k < count; k++) pthread_join(threads[k], NULL);
    return count;
}
#endif
