/* The compiled instruction sets and whether this machine can run them. No arithmetic. */
#include "kernels/kernels.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#define DECLARE(isa) \
    extern const struct lstm_kernels_f32 lstm_kernels_f32_##isa; \
    extern const struct lstm_kernels_f64 lstm_kernels_f64_##isa;
#define ENTRY(isa, bytes) \
    {#isa, supports_##isa, {&lstm_kernels_f32_##isa, &lstm_kernels_f64_##isa}, bytes}

static bool supports_portable(void) { return true; }
DECLARE(portable)

#if defined(__x86_64__) || defined(__i386__)
/* __builtin_cpu_supports asks XGETBV too: an operating system that does not save the wide registers says no. Clang's does not
 * know f16c before version 19. */
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
static bool supports_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}
static bool supports_avx512(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
           && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
}
DECLARE(avx2)
DECLARE(avx512)
#elif defined(__aarch64__)
static bool supports_neon(void) { return true; } /* part of every aarch64 */
DECLARE(neon)
#endif

const struct lstm_isa lstm_isas[] = {
    ENTRY(portable, 16),
#if defined(__x86_64__) || defined(__i386__)
    ENTRY(avx2, 32),
    ENTRY(avx512, 64),
#elif defined(__aarch64__)
    ENTRY(neon, 16),
#endif
    {0},
};
