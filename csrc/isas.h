/* The instruction sets. One table, read by the dispatcher (dispatch.c), by the build (units.py) and by the tests.
 *
 *     MACHINE(name, vector_bytes, compiler flags, what the processor and the operating system must support)
 *
 * Rows run from the slowest to the fastest; the first runs on every machine. To add an instruction set, add its row
 * here and its vector vocabulary, kernels/vector/<name>.h. */
#ifndef LSTM_ISAS_H
#define LSTM_ISAS_H

/* clang-format off */
#define LSTM_ISAS(ANY, X86, ARM) \
    ANY(portable, 16, "", true) \
    X86(avx2, 32, "-mavx2 -mfma -mf16c", CPU(avx2) && CPU(fma) && CPU_F16C) \
    X86(avx512, 64, "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512", \
        CPU(avx512f) && CPU(avx512dq) && CPU(avx512vl) && CPU(avx512bw) && CPU(fma)) \
    ARM(neon, 16, "", true) /* part of every aarch64 */
/* clang-format on */

#endif
