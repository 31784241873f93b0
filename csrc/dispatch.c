/* The instruction sets of this build, with the test of whether this machine can run them. No arithmetic. */
#include "isas.h"
#include "lstm_fast.h"

#define NOT_THIS_MACHINE(name, base, vector_bytes, flags, is_supported)
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#define ISAS_OF_THIS_MACHINE(ROW) LSTM_ISAS(ROW, ROW, NOT_THIS_MACHINE)
#elif defined(__aarch64__)
#define ISAS_OF_THIS_MACHINE(ROW) LSTM_ISAS(ROW, NOT_THIS_MACHINE, ROW)
#else
#define ISAS_OF_THIS_MACHINE(ROW) LSTM_ISAS(ROW, NOT_THIS_MACHINE, NOT_THIS_MACHINE)
#endif

/* The builtin also asks XGETBV, so the answer is no under an operating system that does not save the wide registers. */
#define CPU(feature) (__builtin_cpu_init(), __builtin_cpu_supports(#feature))
#define CPU_F16C has_f16c()
#define CPU_AVX_VNNI has_avx_vnni()

#if defined(__x86_64__) || defined(__i386__)
/* Older builtins do not know these names. */
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx_vnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
#endif

#define TEST(name, base, vector_bytes, flags, processor) \
    static bool supports_##name(void) { return processor; }
ISAS_OF_THIS_MACHINE(TEST)

#define DECLARE(name, base, vector_bytes, flags, processor) \
    extern const struct lstm_kernels lstm_kernels_f32_##base, lstm_kernels_f64_##base; \
    extern const struct lstm_format_kernels lstm_formats_##name;
struct lstm_kernels; /* one layout per dtype: kernels/table.h */
struct lstm_format_kernels;
ISAS_OF_THIS_MACHINE(DECLARE)

#define ENTRY(name, base, vector_bytes, flags, processor) \
    {#name,       #base, supports_##name, {&lstm_kernels_f32_##base, &lstm_kernels_f64_##base}, &lstm_formats_##name, \
     vector_bytes},
const struct lstm_isa lstm_isas[] = {ISAS_OF_THIS_MACHINE(ENTRY){0}};
