/* Memory of the exact size: heap blocks, which sanitizers watch, or pages between two that may not be touched. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _WIN32
#include <malloc.h>
#elif !defined(__wasi__)
#include <sys/mman.h>
#endif

enum memory_kind { HEAP, ENDS_AT_GUARD, BEGINS_AT_GUARD };

static enum memory_kind memory_kind;

#ifdef _WIN32 /* which has no posix_memalign; no guard pages there */
static void *get_memory(size_t bytes) {
    void *memory = _aligned_malloc(bytes, 64);
    if (!memory) exit(2);
    return memory;
}

static void free_memory(void *memory, size_t bytes) {
    (void)bytes;
    _aligned_free(memory);
}
#elif defined(__wasi__)
static void *get_memory(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes ? bytes : 1)) exit(2);
    return memory;
}

static void free_memory(void *memory, size_t bytes) {
    (void)bytes;
    free(memory);
}
#else
enum { PAGE = 16384 /* or a divisor of it */ };

static void *must_have(void *memory) {
    if (memory && memory != MAP_FAILED) return memory;
    printf("out of memory\n");
    exit(2);
}

static size_t whole_pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

/* 64-byte aligned if the size is a multiple of 64 bytes, or if memory does not end at a guard page. */
static void *get_memory(size_t bytes) {
    if (memory_kind == HEAP) {
        void *memory = NULL;
        if (posix_memalign(&memory, 64, bytes)) return must_have(NULL);
        return must_have(memory);
    }
    const size_t inner = whole_pages(bytes);
    char *outer = must_have(mmap(NULL, inner + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (inner && mprotect(outer + PAGE, inner, PROT_READ | PROT_WRITE)) must_have(NULL);
    return outer + PAGE + (memory_kind == ENDS_AT_GUARD ? inner - bytes : 0);
}

static void free_memory(void *memory, size_t bytes) {
    if (memory_kind == HEAP) {
        free(memory);
        return;
    }
    const size_t inner = whole_pages(bytes);
    munmap((char *)memory - PAGE - (memory_kind == ENDS_AT_GUARD ? inner - bytes : 0), inner + 2 * PAGE);
}
#endif

#endif
