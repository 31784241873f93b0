/* The entry points, which dispatch on the dtype. */
#include "lstm_fast.h"

#include "loops/loops.h"

void lstm_pack(const struct lstm_model *m, const struct lstm_isa *isa, bool backward,
               const struct lstm_weights *weights, void *packed) {
    (m->dtype == LSTM_F32 ? lstm_pack_f32 : lstm_pack_f64)(m, isa, backward, weights, packed);
}

enum lstm_status lstm_forward(const struct lstm_forward *args) {
    return (args->call.model.dtype == LSTM_F32 ? lstm_forward_f32 : lstm_forward_f64)(args);
}

enum lstm_status lstm_backward(const struct lstm_backward *args) {
    return (args->call.model.dtype == LSTM_F32 ? lstm_backward_f32 : lstm_backward_f64)(args);
}

enum lstm_status lstm_linear(const struct lstm_linear *args) {
    return (args->call.model.dtype == LSTM_F32 ? lstm_linear_f32 : lstm_linear_f64)(args);
}

void lstm_optimize(const struct lstm_optimizer *o) {
    (o->dtype == LSTM_F32 ? lstm_optimize_f32 : lstm_optimize_f64)(o);
}

double lstm_square_sum(enum lstm_dtype dtype, int64_t n, const void *values) {
    return (dtype == LSTM_F32 ? lstm_square_sum_f32 : lstm_square_sum_f64)(n, values);
}

void lstm_activate(const struct lstm_isa *isa, enum lstm_dtype dtype, struct lstm_activation activation, bool slope,
                   int64_t n, const void *x, void *y) {
    (dtype == LSTM_F32 ? lstm_activate_f32 : lstm_activate_f64)(isa, activation, slope, n, x, y);
}
