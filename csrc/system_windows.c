/* system.h for Windows 8 and later. Its locks need no initialization and its threads no library of POSIX's. */
#ifdef _WIN32
#include "system.h"

#include <windows.h>

#if _WIN32_WINNT < 0x0602
#error "compile with -D_WIN32_WINNT=0x0602 or later: Windows 8"
#endif

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

int64_t lstm_now_ns(void) {
    LARGE_INTEGER frequency, count;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&count);
    const int64_t seconds = count.QuadPart / frequency.QuadPart, rest = count.QuadPart % frequency.QuadPart;
    return seconds * 1000000000 + rest * 1000000000 / frequency.QuadPart;
}

/* (QueryThreadCycleTime is finer, but in cycles of an unknown length.) */
int64_t lstm_thread_ran_ns(void) {
    FILETIME begin, end, in_kernel, in_program;
    if (!GetThreadTimes(GetCurrentThread(), &begin, &end, &in_kernel, &in_program)) return 0;
    const int64_t high = (int64_t)in_kernel.dwHighDateTime + in_program.dwHighDateTime;
    return ((high << 32) + in_kernel.dwLowDateTime + in_program.dwLowDateTime) * 100;
}

/* ---- processors (of the process's group: 64 at most) ------------------------------------------------------------- */

int lstm_processor(void) { return (int)GetCurrentProcessorNumber(); }

int lstm_usable_processors(void) {
    DWORD_PTR usable, of_system;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &usable, &of_system)) return 1;
    const int n = __builtin_popcountll(usable);
    return n > 0 ? n : 1; /* (0: the process has threads in several groups) */
}

int lstm_runnable_threads(void) { return -1; }
int lstm_thread_id(void) { return (int)GetCurrentThreadId(); }

void lstm_leave_processor(int thread, int from) {
    DWORD_PTR usable, of_system;
    if (from < 0 || from > 63 || !GetProcessAffinityMask(GetCurrentProcess(), &usable, &of_system)) return;
    const DWORD_PTR others = usable & ~((DWORD_PTR)1 << from);
    const HANDLE handle = thread ? OpenThread(THREAD_SET_INFORMATION | THREAD_QUERY_INFORMATION, FALSE, (DWORD)thread)
                                 : GetCurrentThread();
    if (!handle) return;
    const DWORD_PTR before = others ? SetThreadAffinityMask(handle, others) : 0;
    if (before) SetThreadAffinityMask(handle, before);
    if (thread) CloseHandle(handle);
}

void lstm_yield(void) { SwitchToThread(); }

/* ---- locks and threads ------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(SRWLOCK) == sizeof(void *) && sizeof(CONDITION_VARIABLE) == sizeof(void *), "as in system.h");
static SRWLOCK *lock_of(struct lstm_monitor *m) { return (SRWLOCK *)&m->lock; }
static CONDITION_VARIABLE *woken_of(struct lstm_monitor *m) { return (CONDITION_VARIABLE *)&m->woken; }

void lstm_lock(struct lstm_monitor *m) { AcquireSRWLockExclusive(lock_of(m)); }
void lstm_unlock(struct lstm_monitor *m) { ReleaseSRWLockExclusive(lock_of(m)); }
void lstm_sleep(struct lstm_monitor *m) { SleepConditionVariableSRW(woken_of(m), lock_of(m), INFINITE, 0); }
void lstm_sleep_for(struct lstm_monitor *m, int64_t most_ns) {
    SleepConditionVariableSRW(woken_of(m), lock_of(m), (DWORD)(most_ns / 1000000 + 1), 0);
}
void lstm_wake(struct lstm_monitor *m) { WakeAllConditionVariable(woken_of(m)); }

/* (64-bit Windows has one calling convention, and nobody reads the exit code.) */
bool lstm_start_thread(void *(*function)(void *), void *argument) {
    _Static_assert(sizeof(void *) == 8, "32-bit Windows calls thread functions in another way");
    const LPTHREAD_START_ROUTINE start = (LPTHREAD_START_ROUTINE)(void (*)(void))function;
    const HANDLE thread = CreateThread(NULL, 0, start, argument, 0, NULL);
    if (thread) CloseHandle(thread); /* it runs on */
    return thread != NULL;
}

/* OpenMP alone asks, for libgomp's sake. */
int lstm_try_threads(int n, size_t stack_bytes) {
    (void)stack_bytes;
    return n;
}

void lstm_at_fork(void (*in_child)(void)) { (void)in_child; }
#else
typedef int lstm_not_windows; /* (C forbids an empty translation unit) */
#endif
