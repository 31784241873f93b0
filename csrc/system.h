/* What the operating system provides: locks, threads, forks, clocks, processors. The only files that call it are
 * system.c, for POSIX, system_windows.c and system_wasi.c; dispatch.c alone asks Linux for AMX. */
#ifndef LSTM_SYSTEM_H
#define LSTM_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifndef _WIN32
#include <pthread.h>
#endif

/* A lock, and a condition on which threads sleep until a holder of the lock wakes all of them. */
#ifdef _WIN32
struct lstm_monitor {
    void *lock, *woken; /* SRWLOCK and CONDITION_VARIABLE, without windows.h and its macros everywhere */
};
#define LSTM_MONITOR {0, 0}
#else
struct lstm_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t woken;
};
#define LSTM_MONITOR {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER}
#endif

void lstm_lock(struct lstm_monitor *);
void lstm_unlock(struct lstm_monitor *);
void lstm_sleep(struct lstm_monitor *);                      /* call with the lock held; may return without a wake */
void lstm_sleep_for(struct lstm_monitor *, int64_t most_ns); /* likewise; returns soon after most_ns at the latest */
void lstm_wake(struct lstm_monitor *);                       /* wakes all sleepers; call with the lock held */

/* Starts a detached thread. False: none can be started. */
bool lstm_start_thread(void *(*function)(void *), void *argument);

/* How many of n threads (at most LSTM_MOST_TRIALS) with stacks of stack_bytes bytes (0: the default) this process can
 * have at once: starts them, and ends them again. */
#define LSTM_MOST_TRIALS 256
int lstm_try_threads(int n, size_t stack_bytes);

/* `in_child` runs in each child made by fork, before anything else of the core. */
void lstm_at_fork(void (*in_child)(void));

int64_t lstm_now_ns(void);        /* monotonic */
int64_t lstm_thread_ran_ns(void); /* processor time of this thread */
int lstm_processor(void);         /* processor on which this thread runs; -1: unknown */
int lstm_usable_processors(void); /* processors that this process may use (affinity) */
int lstm_runnable_threads(void);  /* in all processes; -1: unknown (not Linux). Takes 10 us */
void lstm_yield(void);            /* lets another thread run on this processor */

/* Tells the processor that this is a spin loop. */
static inline void lstm_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* Moves a thread of this process (0: this one) to another processor than `from`, if its affinity has one. The affinity
 * is restored afterwards. */
int lstm_thread_id(void);
void lstm_leave_processor(int thread, int from);

#endif
