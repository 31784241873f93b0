/* The instruction sets: one table, read by the dispatcher (dispatch.c), the build (units.py) and the tests.
 *
 *     MACHINE(name, base, vector_bytes, compiler flags, requirements on the processor and the operating system)
 *
 * Rows are ordered from the slowest to the fastest; the first runs on every machine. A row that is its own base has a
 * vector vocabulary, kernels/vector/<name>.h; the others extend their base with instructions for the low-precision
 * formats. Every row has a vocabulary for these formats, kernels/formats/vector/<name>.h. To add an instruction set,
 * add its row here and these files. */
#ifndef LSTM_ISAS_H
#define LSTM_ISAS_H

/* clang-format off */
#define LSTM_ISAS(ANY, X86, ARM) \
    ANY(portable, portable, 16, "", true) \
    X86(avx2, avx2, 32, "-mavx2 -mfma -mf16c", CPU(avx2) && CPU(fma) && CPU_F16C) \
    X86(avx_vnni, avx2, 32, "-mavx2 -mfma -mf16c -mavxvnni", \
        CPU(avx2) && CPU(fma) && CPU_F16C && CPU_AVX_VNNI) \
    X86(avx512, avx512, 64, "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512", \
        CPU(avx512f) && CPU(avx512dq) && CPU(avx512vl) && CPU(avx512bw) && CPU(fma)) \
    X86(avx512_vnni, avx512, 64, \
        "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 -mavx512vnni", \
        CPU(avx512f) && CPU(avx512dq) && CPU(avx512vl) && CPU(avx512bw) && CPU(fma) && CPU(avx512vnni)) \
    X86(avx512_bf16, avx512, 64, \
        "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 -mavx512vnni -mavx512bf16", \
        CPU(avx512f) && CPU(avx512dq) && CPU(avx512vl) && CPU(avx512bw) && CPU(fma) && CPU(avx512vnni) \
        && CPU(avx512bf16)) \
    X86(amx, avx512, 64, \
        "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 -mavx512vnni -mamx-tile -mamx-int8", \
        CPU(avx512f) && CPU(avx512dq) && CPU(avx512vl) && CPU(avx512bw) && CPU(fma) && CPU(avx512vnni) \
        && CPU_AMX_TILE && CPU_AMX_INT8 && OS_AMX) \
    ARM(neon, neon, 16, "", true) /* part of every aarch64 */
/* clang-format on */

#endif
