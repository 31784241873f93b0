/* The entry points: one dtype or the other. */
#include "loops.h"

void lstm_pack(const struct lstm_model *m, const struct lstm_isa *isa, bool backward, const struct lstm_weights *weights,
               void *packed) {
    (m->dtype == LSTM_F32 ? lstm_pack_f32 : lstm_pack_f64)(m, isa, backward, weights, packed);
}

enum lstm_status lstm_forward(const struct lstm_forward *args) {
    return (args->call.model.dtype == LSTM_F32 ? lstm_forward_f32 : lstm_forward_f64)(args);
}

enum lstm_status lstm_backward(const struct lstm_backward *args) {
    return (args->call.model.dtype == LSTM_F32 ? lstm_backward_f32 : lstm_backward_f64)(args);
}
