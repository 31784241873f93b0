/* lstm_fast: fleets, the part of the contract for many models of one shape. See lstm_fast.h. */
#ifndef LSTM_FLEET_H
#define LSTM_FLEET_H

#include "lstm_fast.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One call for n_models models, each with its own weights and data: threads share the models, and the results are
 * bitwise equal to separate calls. The arguments describe model 0. Weights, gradients and sequences of model k begin k
 * strides later; all other arrays (states, lengths, rows, resets, norms, tapes, packed weights) follow one another
 * without gaps, tapes and packed weights rounded up to 64 bytes. Not packed_rows. The rows of x, y, d_y and d_x of
 * lstm_linear follow the previous model's. */
struct lstm_fleet {
    int64_t n_models;
    const struct lstm_weights *weights; /* weights of model 0, L * D entries */
    bool packs; /* `packed` is OUT: filled by the call. Where it is NULL, weights are packed in the workspace */
    int64_t weights_stride, gradients_stride, x_stride, output_stride, d_output_stride, d_x_stride; /* in elements */
    /* Layers of few units run with a model in each lane of the vectors of this instruction set, which must give the
     * same bits as the call's; NULL: never. */
    const struct lstm_isa *lanes;
    const uint64_t *seeds; /* (n_models), seeds of the masks; NULL: call.seed for all */
};

/* The number of models that run in the lanes of one vector in training; 0: each runs by itself. */
int64_t lstm_fleet_group(const struct lstm_fleet *, const struct lstm_call *);
enum lstm_status lstm_fleet_forward_bytes(const struct lstm_fleet *, const struct lstm_call *, bool training,
                                          int64_t *bytes);
enum lstm_status lstm_fleet_forward(const struct lstm_fleet *, const struct lstm_forward *);
enum lstm_status lstm_fleet_backward_bytes(const struct lstm_fleet *, const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_fleet_backward(const struct lstm_fleet *, const struct lstm_backward *);
enum lstm_status lstm_fleet_linear_bytes(const struct lstm_fleet *, const struct lstm_linear *, int64_t *bytes);
enum lstm_status lstm_fleet_linear(const struct lstm_fleet *, const struct lstm_linear *);

#ifdef __cplusplus
}
#endif

#endif
