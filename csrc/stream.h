/* Copies to memory that is not read again soon. */
#ifndef LSTM_STREAM_H
#define LSTM_STREAM_H

#include <stdint.h>
#include <string.h>

#include "compiler.h"

/* Both addresses and n are multiples of 64. Where there are such stores, they do not read a line from memory before
 * they write it, which takes two thirds of the time. */
static inline void lstm_stream(void *to, const void *from, int64_t n) {
#ifdef __SSE2__
    typedef long long word VECTOR_OF(16);
    for (int64_t k = 0; k < n / 16; k++) {
#ifdef __clang__
        __builtin_nontemporal_store(((const word *)from)[k], (word *)to + k);
#else
        __builtin_ia32_movntdq((word *)to + k, ((const word *)from)[k]);
#endif
    }
    __builtin_ia32_sfence(); /* another thread may read it after a barrier */
#else
    memcpy(to, from, (size_t)n);
#endif
}

#endif
