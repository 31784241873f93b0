/* The instruction sets of this build, with the test of whether this machine can run them. No arithmetic. */
#define _GNU_SOURCE /* syscall */
#include <string.h>

#include "isas.h"
#include "lstm_fast.h"

#define NOT_THIS_MACHINE(name, base, vector_bytes, flags, is_supported)
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
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
#define CPU_AVX_VNNI has_leaf_7(1, 'a', 4)
#define CPU_AMX_TILE has_leaf_7(0, 'd', 24)
#define CPU_AMX_INT8 has_leaf_7(0, 'd', 25)
#define OS_AMX may_use_tiles()

#if defined(__x86_64__) || defined(__i386__)
/* Older builtins do not know these names. */
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_leaf_7(unsigned subleaf, char word, int bit) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, subleaf, &a, &b, &c, &d) && ((word == 'a' ? a : d) & 1u << bit);
}

/* Linux grants the tile registers on request, to the whole process. */
static bool may_use_tiles(void) {
#if defined(__linux__) && defined(__x86_64__)
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XFEATURE_XTILEDATA */) == 0;
#else
    return false;
#endif
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

/* VDPBF16PS takes four times as long as a fused multiply-add on Intel's processors (measured on one with AMX), so that
 * two of these and shifts are twice as fast. */
static bool has_slow_bf16(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_init(), __builtin_cpu_is("intel");
#else
    return false;
#endif
}

const struct lstm_isa *lstm_best_isa(void) {
    const struct lstm_isa *best = lstm_isas;
    for (const struct lstm_isa *isa = lstm_isas; isa->name; isa++)
        if (isa->is_supported() && !(has_slow_bf16() && !strcmp(isa->name, "avx512_bf16"))) best = isa;
    return best;
}

/* H = 1 to 8, AVX2 against AVX-512 on an Intel processor with AMX: inference 1.14 to 1.27 x as fast, training 1.02 to
 * 1.16 x; from H = 9 on it is slower. The portable kernels have other bits. */
const struct lstm_isa *lstm_narrower_isa(const struct lstm_isa *isa) {
    for (const struct lstm_isa *narrower = lstm_isas + 1; isa > lstm_isas && narrower < isa; narrower++)
        if (narrower->vector_bytes < isa->vector_bytes && narrower->is_supported()) return narrower;
    return NULL;
}
