/* Compiler-specific spellings. GCC and Clang only: the kernels are written with their vector extensions. */
#ifndef LSTM_COMPILER_H
#define LSTM_COMPILER_H

#define ALWAYS_INLINE static inline __attribute__((always_inline, unused))
#define NEVER_INLINE static __attribute__((noinline, unused))
#define UNLIKELY(condition) __builtin_expect(condition, 0)

/* Joins the expansions of two names to a_b. */
#define JOINED(a, b) a##_##b
#define JOIN(a, b) JOINED(a, b)

/* A vector type: `typedef float vec VECTOR_OF(32);`. */
#define VECTOR_OF(bytes) __attribute__((vector_size(bytes), may_alias))

/* Which of two numbers in one word comes first in memory: the one in the lower half? */
#define LOW_HALF_FIRST (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* UNROLL precedes a loop with a constant trip count and unrolls it completely, so that arrays indexed by its counter
 * stay in registers. UNROLL_BY(n) unrolls any loop n times. (Clang accepts GCC's pragma but then keeps short loops
 * rolled: five times slower.) */
#define PRAGMA(words) _Pragma(#words)
#ifdef __clang__
#define UNROLL PRAGMA(clang loop unroll(full))
#define UNROLL_BY(n) PRAGMA(clang loop unroll_count(n))
#else
#define UNROLL PRAGMA(GCC unroll 24)
#define UNROLL_BY(n) PRAGMA(GCC unroll n)
#endif

#endif
