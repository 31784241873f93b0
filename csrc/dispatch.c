/* The instruction sets of this build, with the test of whether this machine can run them. No arithmetic. */
#define _GNU_SOURCE /* syscall */
#include <string.h>

#include "isas.h"
#include "lstm_fast.h"

#if LSTM_ON_X86
#include <cpuid.h>
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

/* The macros of this file are applied to the rows of isas.h. */
#define NOT_THIS_MACHINE(name, base, vector_bytes, flags, features)
#if LSTM_ON_X86
#define ISAS_OF_THIS_MACHINE(ROW) LSTM_ISAS(ROW, ROW, NOT_THIS_MACHINE)
#elif LSTM_ON_ARM
#define ISAS_OF_THIS_MACHINE(ROW) LSTM_ISAS(ROW, NOT_THIS_MACHINE, ROW)
#else
#define ISAS_OF_THIS_MACHINE(ROW) LSTM_ISAS(ROW, NOT_THIS_MACHINE, NOT_THIS_MACHINE)
#endif

/* ---- the processor --------------------------------------------------------------------------------------------------
 * CPUID and XGETBV, not __builtin_cpu_supports: that of zig always answers no, and older ones lack names. */
#define NUMBER(name, leaf, subleaf, word, bit, saved) NUMBER_##name,
#define BIT(name, leaf, subleaf, word, bit, saved) CPU_##name = 1 << NUMBER_##name,
enum { LSTM_X86_FEATURES(NUMBER) };
enum { LSTM_X86_FEATURES(BIT) };

#if LSTM_ON_X86
/* Bits of XCR0: SSE and AVX; and opmask and both halves of AVX-512; the configuration and the data of the tiles. */
enum { SAVES_YMM = 0x6, SAVES_ZMM = 0xe6, SAVES_TILES = 0x60000 };

/* Which registers the operating system saves. */
static unsigned read_xcr0(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

/* Linux grants the tile registers on request, to the whole process. */
static bool may_use_tiles(void) {
#if defined(__linux__) && defined(__x86_64__)
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XFEATURE_XTILEDATA */) == 0;
#else
    return false;
#endif
}

static bool has_features(int needed) {
    const unsigned xcr0 = read_xcr0();
    unsigned a, b, c, d;
    int found = 0;
#define FIND(name, leaf, subleaf, word, bit, saved) \
    if (needed & CPU_##name && (xcr0 & SAVES_##saved) == SAVES_##saved \
        && __get_cpuid_count(leaf, subleaf, &a, &b, &c, &d) && word & 1u << bit) \
        found |= CPU_##name;
    LSTM_X86_FEATURES(FIND)
    return found == needed && (!(needed & CPU_AMX_TILE) || may_use_tiles());
}

/* VDPBF16PS takes four times as long as a fused multiply-add on Intel's processors (measured on one with AMX), so that
 * two of these and shifts are twice as fast. */
static bool has_slow_bf16(void) {
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && c == signature_INTEL_ecx
           && d == signature_INTEL_edx;
}
#else
static bool has_features(int needed) { return needed == 0; } /* the other rows need none */
static bool has_slow_bf16(void) { return false; }
#endif

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define TEST(name, base, vector_bytes, flags, features) \
    static bool supports_##name(void) { return has_features(features); }
ISAS_OF_THIS_MACHINE(TEST)

#define DECLARE(name, base, vector_bytes, flags, features) \
    extern const struct lstm_kernels lstm_kernels_f32_##base, lstm_kernels_f64_##base; \
    extern const struct lstm_format_kernels lstm_formats_##name;
struct lstm_kernels; /* one layout per dtype: kernels/table.h */
struct lstm_format_kernels;
ISAS_OF_THIS_MACHINE(DECLARE)

#define ENTRY(name, base, vector_bytes, flags, features) \
    {#name,       #base, supports_##name, {&lstm_kernels_f32_##base, &lstm_kernels_f64_##base}, &lstm_formats_##name, \
     vector_bytes},
const struct lstm_isa lstm_isas[] = {ISAS_OF_THIS_MACHINE(ENTRY){0}};

const struct lstm_isa *lstm_best_isa(void) {
    const struct lstm_isa *best = lstm_isas;
    for (const struct lstm_isa *isa = lstm_isas; isa->name; isa++)
        if (isa->is_supported() && !(has_slow_bf16() && !strcmp(isa->name, "avx512_bf16"))) best = isa;
    return best;
}

/* A step of few units is one chain of operations, and a division of a wide vector takes longer. H = 1 to 8, AVX2
 * against AVX-512 on an Intel processor with AMX: inference 1.14 to 1.27 x as fast, training 1.02 to 1.16 x; from H = 9
 * on it is slower. The bits of the portable kernels differ. */
const struct lstm_isa *lstm_narrower_isa(const struct lstm_isa *isa) {
    for (const struct lstm_isa *narrower = lstm_isas + 1; isa > lstm_isas && narrower < isa; narrower++)
        if (narrower->vector_bytes < isa->vector_bytes && narrower->is_supported()) return narrower;
    return NULL;
}
