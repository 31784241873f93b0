/* Describes the options of a model's cell for the kernels. */
#ifndef LSTM_VARIANT_H
#define LSTM_VARIANT_H

#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "blocks.h"

/* The smallest and largest value of an activation on [-bound, bound]; all activations are monotonic. */
static void range_of_activation(const struct lstm_call *call, struct lstm_activation activation, real bound, real *low,
                                real *high) {
    const real z[] = {-bound, bound};
    real y[2];
    kernels_of(call)->activate(activation, false, 2, z, y);
    const int first = y[0] > y[1];
    *low = y[first], *high = y[!first];
}

/* vectors: the packed parameters of struct lstm_vectors. */
static struct lstm_variant variant_of(const struct lstm_call *call, const struct lstm_dims *d, const real *vectors) {
    const struct lstm_model *m = &call->model;
    const bool has_activations = m->activation.kind || m->recurrent_activation.kind || m->cell_activation.kind;
    struct lstm_variant v = {.is_simple = !m->layer_norm && !has_activations,
                             .coupled_gates = m->coupled_gates,
                             .layer_norm = m->layer_norm,
                             .cell_clip = (real)m->cell_clip,
                             .gate_clip = (real)m->gate_clip,
                             .activation = m->activation,
                             .recurrent_activation = m->recurrent_activation,
                             .cell_activation = m->cell_activation,
                             .H_padded = d->H_padded,
                             .peephole = m->peepholes ? vectors + d->vectors.peephole : NULL,
                             .norm_c = vectors + d->vectors.norm_c,
                             .norm_c_bias = vectors + d->vectors.norm_c_bias,
                             .peephole_terms = d->vectors.peephole,
                             .norm_c_terms = d->vectors.norm_c,
                             .norm_c_bias_terms = d->vectors.norm_c_bias};
    struct lstm_activation of_gates = m->recurrent_activation;
    if (!of_gates.kind) of_gates.kind = LSTM_SIGMOID;
    range_of_activation(call, of_gates, v.gate_clip, &v.gate_low, &v.gate_high);
    range_of_activation(call, m->activation, v.gate_clip, &v.candidate_low, &v.candidate_high);
    return v;
}

#endif
