/* LD_PRELOADed: makes the n-th allocation of the calling thread fail, once. See test_memory_errors.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

static __thread __attribute__((tls_model("initial-exec"))) long countdown;

void failing_malloc_arm(long n) { countdown = n; }

/* The number of allocations left until the failure; 0: it has happened. */
long failing_malloc_disarm(void) {
    const long left = countdown;
    countdown = 0;
    return left;
}

static int fails(void) {
    if (countdown == 0 || --countdown) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }
