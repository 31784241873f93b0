/* The instruction sets. One table, read by the dispatcher (dispatch.c), by the builds (units.py, CMakeLists.txt) and by
 * the tests.
 *
 *     MACHINE(name, base, vector_bytes, compiler flags, features of the processor)
 *
 * Rows run from the slowest to the fastest; the first runs on every machine. A row that is its own base has kernels of
 * its own, written in kernels/vector/<name>.h; the others extend their base by instructions for formats of fewer bits.
 * Every row has kernels for these, written in kernels/formats/vector/<name>.h. To add an instruction set or a machine,
 * see CONTRIBUTING.md. (A compiler flag may be implied by another.) */
#ifndef LSTM_ISAS_H
#define LSTM_ISAS_H

#include "compiler.h"

/* The target machine (processor family). Units for another machine (-DLSTM_MACHINE, with -DLSTM_ISA) are empty. */
#define LSTM_ON_ANY 1
#if defined(__x86_64__) || defined(__i386__)
#define LSTM_ON_X86 1
#else
#define LSTM_ON_X86 0
#endif
#ifdef __aarch64__
#define LSTM_ON_ARM 1
#else
#define LSTM_ON_ARM 0
#endif
#define LSTM_ON(machine) JOIN(LSTM_ON, machine)

/* clang-format off */
#define LSTM_ISAS(ANY, X86, ARM) \
    ANY(portable, portable, 16, "", 0) \
    X86(avx2, avx2, 32, "-mavx2 -mfma -mf16c", CPU_AVX2 | CPU_FMA | CPU_F16C) \
    X86(avx_vnni, avx2, 32, "-mavx2 -mfma -mf16c -mavxvnni", CPU_AVX2 | CPU_FMA | CPU_F16C | CPU_AVX_VNNI) \
    X86(avx512, avx512, 64, "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512", \
        CPU_AVX512F | CPU_AVX512DQ | CPU_AVX512VL | CPU_AVX512BW | CPU_FMA) \
    X86(avx512_vnni, avx512, 64, \
        "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 -mavx512vnni", \
        CPU_AVX512F | CPU_AVX512DQ | CPU_AVX512VL | CPU_AVX512BW | CPU_FMA | CPU_AVX512_VNNI) \
    X86(avx512_bf16, avx512, 64, \
        "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 -mavx512vnni -mavx512bf16", \
        CPU_AVX512F | CPU_AVX512DQ | CPU_AVX512VL | CPU_AVX512BW | CPU_FMA | CPU_AVX512_VNNI | CPU_AVX512_BF16) \
    X86(amx, avx512, 64, \
        "-mavx512dq -mavx512vl -mfma -mprefer-vector-width=512 -mavx512vnni -mavx512bf16 -mamx-tile -mamx-int8 -mamx-bf16", \
        CPU_AVX512F | CPU_AVX512DQ | CPU_AVX512VL | CPU_AVX512BW | CPU_FMA | CPU_AVX512_VNNI | CPU_AVX512_BF16 \
        | CPU_AMX_TILE | CPU_AMX_INT8 | CPU_AMX_BF16) \
    ARM(neon, neon, 16, "", 0) /* part of every aarch64 */

/* The features named above, spelled as /proc/cpuinfo has them (in capitals), each
 *
 *     FEATURE(name, leaf of CPUID, subleaf, register, bit, registers that the operating system must save) */
#define LSTM_X86_FEATURES(FEATURE) \
    FEATURE(FMA,         1, 0, c, 12, YMM) \
    FEATURE(F16C,        1, 0, c, 29, YMM) \
    FEATURE(AVX2,        7, 0, b,  5, YMM) \
    FEATURE(AVX_VNNI,    7, 1, a,  4, YMM) \
    FEATURE(AVX512F,     7, 0, b, 16, ZMM) \
    FEATURE(AVX512DQ,    7, 0, b, 17, ZMM) \
    FEATURE(AVX512BW,    7, 0, b, 30, ZMM) \
    FEATURE(AVX512VL,    7, 0, b, 31, ZMM) \
    FEATURE(AVX512_VNNI, 7, 0, c, 11, ZMM) \
    FEATURE(AVX512_BF16, 7, 1, a,  5, ZMM) \
    FEATURE(AMX_TILE,    7, 0, d, 24, TILES) \
    FEATURE(AMX_INT8,    7, 0, d, 25, TILES) \
    FEATURE(AMX_BF16,    7, 0, d, 22, TILES)
/* clang-format on */

#endif
