/* Lanes across models: a fleet's models in the lanes of a vector, one model each, for layers of few units, which leave
 * vectors of units partly empty. Filled by fleet_lanes.h, computed by loops/lanes.h. The plain LSTM with one layer and
 * one direction. */
#ifndef LSTM_LANE_ARGS_H
#define LSTM_LANE_ARGS_H

#include "lstm_fast.h"

/* Shorter vectors hold too few models. */
#define LSTM_LEAST_LANE_BYTES 32

/* Rows that kernels compute together. */
#define LSTM_MOST_LANE_ROWS 4

/* Element (model, t, b, k) is data[model * model_stride + t * step_stride + b * row_stride + k]. */
struct lstm_lane_sequence {
    void *data;
    int64_t model_stride, step_stride, row_stride;
};

/* A call for as many models as a vector has lanes. Arrays belong to the first model, as in struct lstm_forward and
 * struct lstm_backward; its states (B, H) and norms (T, B) are followed by the next model's without a gap. */
struct lstm_lanes {
    int64_t T, B, input_size, hidden_size;
    struct lstm_weights weights;
    int64_t weights_stride;
    struct lstm_lane_sequence x, output;
    const void *h_0, *c_0;
    void *h_n, *c_n;
    void *tape;      /* gates (T, B, H, 4), c (T + 1, B, H) and h (T, B, H) of vectors; NULL: inference */
    void *workspace; /* lstm_lanes_vectors */
    struct lstm_worker *worker;
    /* Backward: */
    struct lstm_lane_sequence d_output, d_x; /* data NULL: zero; not computed */
    const void *d_h_n, *d_c_n;
    void *d_h_0, *d_c_0;
    double *d_h_norms, *d_c_norms;
    struct lstm_weight_gradients d_weights;
    int64_t gradients_stride;
};

/* Vectors of the workspace of a call. */
static inline int64_t lstm_lanes_vectors(int64_t B, int64_t I, int64_t H, bool backward) {
    const int64_t weights = LSTM_GATES * H * (I + H + 1);
    if (!backward) return weights + LSTM_MOST_LANE_ROWS * (I + LSTM_GATES * H) + 3 * B * H;
    return 2 * weights + (1 + LSTM_GATES) * B * H + LSTM_SUM_BLOCK * (I + H + LSTM_GATES * H)
           + LSTM_MOST_LANE_ROWS * (I + 2 * H);
}

#endif
