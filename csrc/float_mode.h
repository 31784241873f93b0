/* The floating-point mode of a call. Every thread sets its own: workers do not inherit the caller's mode, so the bits
 * would otherwise depend on which thread computes what. */
#ifndef LSTM_FLOAT_MODE_H
#define LSTM_FLOAT_MODE_H

/* Sets the mode and returns the previous one. */
#if defined(__x86_64__) || defined(__i386__)
#define FLOAT_MODE_OF_CALL 0x9fc0u /* flush to zero, denormals are zero, all exceptions masked, round to nearest */
static inline unsigned long long set_float_mode(unsigned long long mode) {
    const unsigned long long old = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((unsigned)mode);
    return old;
}
#elif defined(__aarch64__)
#define FLOAT_MODE_OF_CALL (1ull << 24) /* flush to zero, round to nearest, no traps */
static inline unsigned long long set_float_mode(unsigned long long mode) {
    unsigned long long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
    return old;
}
#else
#define FLOAT_MODE_OF_CALL 0u
static inline unsigned long long set_float_mode(unsigned long long mode) { return mode; }
#endif

#endif
