/* system.h for WebAssembly with WASI: one thread, so locks do nothing and no other thread starts. */
#ifdef __wasi__
#define _GNU_SOURCE /* clock_gettime */
#include "system.h"

#include <time.h>

int64_t lstm_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
int64_t lstm_thread_ran_ns(void) { return lstm_now_ns(); }

int lstm_processor(void) { return -1; }
int lstm_usable_processors(void) { return 1; }
int lstm_runnable_threads(void) { return -1; }
int lstm_thread_id(void) { return 0; }
void lstm_leave_processor(int thread, int from) { (void)thread, (void)from; }
void lstm_yield(void) {}

void lstm_lock(struct lstm_monitor *m) { (void)m; }
void lstm_unlock(struct lstm_monitor *m) { (void)m; }
void lstm_sleep(struct lstm_monitor *m) { (void)m; }
void lstm_wake(struct lstm_monitor *m) { (void)m; }
void lstm_at_fork(void (*in_child)(void)) { (void)in_child; }
bool lstm_start_thread(void *(*function)(void *), void *argument) { return (void)function, (void)argument, false; }
int lstm_try_threads(int n, size_t stack_bytes) { return (void)n, (void)stack_bytes, 0; }
#endif
