/* Constants of exp in float64: x = n ln 2 + r, exp(x) = 2^n (1 + r + r^2 P(r)). For the activations
 * (kernels/activations.h) and the losses (losses.c); their bits differ, as only the former use fused multiply-adds. */
#ifndef LSTM_EXP_CONSTANTS_H
#define LSTM_EXP_CONSTANTS_H

/* P, highest power first. */
#define LSTM_EXP_COEFFICIENTS_F64 \
    {0x1.1f730349868cep-29, \
     0x1.af4de97ca4194p-26, \
     0x1.27e4db646b17ep-22, \
     0x1.71de0231960ebp-19, \
     0x1.a01a01a6d889cp-16, \
     0x1.a01a01abe7fe1p-13, \
     0x1.6c16c16c162d4p-10, \
     0x1.11111111100dcp-7, \
     0x1.5555555555556p-5, \
     0x1.5555555555557p-3, \
     0x1p-1}

/* ln 2 in two parts: n * high is exact. */
#define LSTM_LN2_HIGH_F64 0x1.62e42feep-1
#define LSTM_LN2_LOW_F64 0x1.a39ef35793c76p-33

#endif
