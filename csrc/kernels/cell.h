/* The cells: everything that distinguishes one recurrent cell from another, for one vector of hidden units.
 *
 * Forward, the plain LSTM is six lines, as in README.md and lstm_fast/reference/cell.py: plain_memory and plain_output
 * below. They are two functions because step.h computes i, f, g and c of many units before their o and h.
 *
 * Backward, with d_h and d_c the gradients that reach h and c:
 *
 *     d_o = d_h tanh(c)                  d_c += d_h o (1 - tanh(c)^2)
 *     d_i = d_c g,  d_f = d_c c_prev,  d_g = d_c i,  d_c_prev = d_c f
 *     before the activation: d_i i (1 - i), d_f f (1 - f), d_g (1 - g^2), d_o o (1 - o)
 *
 * A variant v changes individual lines. v is NULL for the plain LSTM, and a compile-time constant where these functions
 * are inlined, so that its code contains nothing of the variants. (Layer norm and the projection act on whole rows; of
 * these, only the norm of c appears in this file. Resets, recurrent dropout and zoneout are in loops/.) */
#ifndef LSTM_CELL_H
#define LSTM_CELL_H

#include "../compiler.h"
#include "../real.h"
#include "activations.h"
#include "table.h"
#include "vector.h"

/* ---- the plain LSTM ----------------------------------------------------------------------------------------------
 * The arguments of sigmoid and tanh carry the exponentials they need, which are evaluated together beforehand. */

struct memory {
    vec i, f, g, c;
};

struct output {
    vec o, h;
};

ALWAYS_INLINE struct memory plain_memory(vec sum_i, vec sum_f, vec sum_g, vec c_prev) {
    struct argument pre[] = {for_sigmoid(sum_i), for_sigmoid(sum_f), for_tanh(sum_g)};
    exponentials(3, pre);
    const struct argument pre_i = pre[0], pre_f = pre[1], pre_g = pre[2];
    const vec i = sigmoid(pre_i);
    const vec f = sigmoid(pre_f);
    const vec g = vtanh(pre_g);
    const vec c = vfma(f, c_prev, i * g); /* f * c_prev + i * g */
    return (struct memory){i, f, g, c};
}

ALWAYS_INLINE struct output plain_output(vec sum_o, vec new_c) {
    struct argument pre[] = {for_sigmoid(sum_o), for_tanh(new_c)};
    exponentials(2, pre);
    const struct argument pre_o = pre[0], c = pre[1];
    const vec o = sigmoid(pre_o);
    const vec h = o * vtanh(c);
    return (struct output){o, h};
}

/* ---- cell options ------------------------------------------------------------------------------------------------ */

/* A copy of a variant with the default activations and without layer norm, both known at compile time: peepholes,
 * coupled gates and clips then cost little, and stay in registers. */
ALWAYS_INLINE struct lstm_variant simplified(const struct lstm_variant *v) {
    struct lstm_variant simple = *v;
    simple.activation.kind = simple.recurrent_activation.kind = simple.cell_activation.kind = LSTM_DEFAULT;
    simple.layer_norm = false;
    return simple;
}

/* Peepholes: each gate reads the cell state through its own weight; the output gate reads the new state. */
enum peephole { PEEPHOLE_I, PEEPHOLE_F, PEEPHOLE_O };

ALWAYS_INLINE vec peephole_weight(const struct lstm_variant *v, enum peephole gate, int64_t unit) {
    return load(v->peephole + gate * v->H_padded + unit);
}

ALWAYS_INLINE vec peep(const struct lstm_variant *v, enum peephole gate, int64_t unit, vec pre, vec c) {
    return v && v->peephole ? vfma(peephole_weight(v, gate, unit), c, pre) : pre;
}

/* z clamped to [-bound, bound]; 0: no bound. NaN stays NaN. */
ALWAYS_INLINE vec clip(real bound, vec z) {
    return bound > 0 ? at_most(broadcast(bound), at_least(broadcast(-bound), z)) : z;
}

ALWAYS_INLINE vec clip_gate(const struct lstm_variant *v, vec pre) { return clip(v ? v->gate_clip : 0, pre); }
ALWAYS_INLINE vec clip_c(const struct lstm_variant *v, vec c) { return clip(v ? v->cell_clip : 0, c); }

ALWAYS_INLINE vec gate_activation(const struct lstm_variant *v, vec pre) {
    return v->recurrent_activation.kind ? activate(&v->recurrent_activation, pre) : sigmoid_of(pre);
}

ALWAYS_INLINE vec candidate_activation(const struct lstm_variant *v, vec pre) {
    return v->activation.kind ? activate(&v->activation, pre) : tanh_of(pre);
}

ALWAYS_INLINE vec cell_activation(const struct lstm_variant *v, vec c) {
    return v && v->cell_activation.kind ? activate(&v->cell_activation, c) : tanh_of(c);
}

/* ---- the LSTM forward -------------------------------------------------------------------------------------------- */

/* i, f, g and the new c of the units starting at `unit`. sums: the four products in gate order. */
ALWAYS_INLINE struct memory cell_memory(const struct lstm_variant *v, int64_t unit, const vec *sums, vec c_prev) {
    const vec pre_i = clip_gate(v, peep(v, PEEPHOLE_I, unit, sums[LSTM_GATE_I], c_prev));
    const vec pre_f = clip_gate(v, peep(v, PEEPHOLE_F, unit, sums[LSTM_GATE_F], c_prev));
    const vec pre_g = clip_gate(v, sums[LSTM_GATE_G]);
    struct memory m;
    /* An option that changes the lines below must be in this condition: plain_memory ignores it. */
    if (v && (v->coupled_gates || v->recurrent_activation.kind || v->activation.kind)) {
        m.i = gate_activation(v, pre_i);
        m.f = one() - m.i;
        if (!v->coupled_gates) m.f = gate_activation(v, pre_f);
        m.g = candidate_activation(v, pre_g);
        m.c = vfma(m.f, c_prev, m.i * m.g);
    } else
        m = plain_memory(pre_i, pre_f, pre_g, c_prev);
    m.c = clip_c(v, m.c);
    return m;
}

/* o and the new h. The cell activation acts on c or, with layer norm, on its norm: normalized_c. */
ALWAYS_INLINE struct output cell_output(const struct lstm_variant *v, int64_t unit, vec sum_o, vec c,
                                        vec normalized_c) {
    const vec pre_o = clip_gate(v, peep(v, PEEPHOLE_O, unit, sum_o, c));
    if (v && (v->recurrent_activation.kind || v->cell_activation.kind)) {
        const vec o = gate_activation(v, pre_o);
        return (struct output){o, o * cell_activation(v, normalized_c)};
    }
    return plain_output(pre_o, normalized_c);
}

/* ---- the LSTM backward ------------------------------------------------------------------------------------------- */

/* c, recomputed bit for bit from the gates on the tape. */
ALWAYS_INLINE vec recompute_c(const struct lstm_variant *v, const real *gates, vec c_prev) {
    const vec i = load(gates + LSTM_GATE_I * VL), f = load(gates + LSTM_GATE_F * VL);
    const vec g = load(gates + LSTM_GATE_G * VL);
    return clip_c(v, vfma(f, c_prev, i * g));
}

/* d where y lies strictly between low and high, else zero: no gradient passes an active clip. */
ALWAYS_INLINE vec unclipped(real low, real high, vec y, vec d) {
    return vselect((y <= broadcast(low)) | (y >= broadcast(high)), zero(), d);
}

ALWAYS_INLINE vec gate_slope(const struct lstm_variant *v, vec y) {
    vec slope = y * (one() - y);
    if (v && v->recurrent_activation.kind) slope = activation_slope(&v->recurrent_activation, y);
    return v && v->gate_clip > 0 ? unclipped(v->gate_low, v->gate_high, y, slope) : slope;
}

ALWAYS_INLINE vec candidate_slope(const struct lstm_variant *v, vec y) {
    vec slope = one() - y * y;
    if (v && v->activation.kind) slope = activation_slope(&v->activation, y);
    return v && v->gate_clip > 0 ? unclipped(v->candidate_low, v->candidate_high, y, slope) : slope;
}

ALWAYS_INLINE vec cell_activation_slope(const struct lstm_variant *v, vec y) {
    if (v && v->cell_activation.kind) return activation_slope(&v->cell_activation, y);
    return one() - y * y;
}

/* d_c plus the gradient through a peephole; stores the term of the peephole's own gradient. */
ALWAYS_INLINE vec peep_backward(const struct lstm_variant *v, enum peephole gate, int64_t unit, vec d_pre, vec c,
                                vec d_c, real *terms) {
    if (!v || !v->peephole) return d_c;
    store(terms + v->peephole_terms + gate * v->H_padded + unit, d_pre * c);
    return vfma(d_pre, peephole_weight(v, gate, unit), d_c);
}

/* One vector of units at a step: states, and the gradients that reach them. d_c includes the contribution of d_h
 * through tanh(c). */
struct unit_gradients {
    vec c, c_prev, tanh_c, d_h, d_c;
};

/* The cell backward: writes d_gates, four vectors in gate order like `gates`. Returns d_c_prev. */
ALWAYS_INLINE vec gates_backward(const struct lstm_variant *v, int64_t unit, const real *gates, struct unit_gradients s,
                                 real *d_gates, real *terms) {
    const vec i = load(gates + LSTM_GATE_I * VL), f = load(gates + LSTM_GATE_F * VL);
    const vec g = load(gates + LSTM_GATE_G * VL), o = load(gates + LSTM_GATE_O * VL);
    const vec d_pre_o = s.d_h * s.tanh_c * gate_slope(v, o);
    vec d_c = peep_backward(v, PEEPHOLE_O, unit, d_pre_o, s.c, s.d_c, terms);
    if (v && v->cell_clip > 0) d_c = unclipped(-v->cell_clip, v->cell_clip, s.c, d_c);
    vec d_c_prev = d_c * f, d_pre_i, d_pre_f;
    if (v && v->coupled_gates) {
        d_pre_i = (d_c * g - d_c * s.c_prev) * gate_slope(v, i);
        d_pre_f = zero();
    } else {
        d_pre_i = d_c * g * gate_slope(v, i);
        d_pre_f = d_c * s.c_prev * gate_slope(v, f);
    }
    const vec d_pre_g = d_c * i * candidate_slope(v, g);
    d_c_prev = peep_backward(v, PEEPHOLE_I, unit, d_pre_i, s.c_prev, d_c_prev, terms);
    d_c_prev = peep_backward(v, PEEPHOLE_F, unit, d_pre_f, s.c_prev, d_c_prev, terms);
    store(d_gates + LSTM_GATE_I * VL, d_pre_i);
    store(d_gates + LSTM_GATE_F * VL, d_pre_f);
    store(d_gates + LSTM_GATE_G * VL, d_pre_g);
    store(d_gates + LSTM_GATE_O * VL, d_pre_o);
    return d_c_prev;
}

/* ---- the plain RNN: h = nonlinearity(pre) ------------------------------------------------------------------------ */

/* relu keeps NaN, and its slope at 0 is 0, as in PyTorch. */
ALWAYS_INLINE vec rnn_cell(enum lstm_cell cell, vec pre) {
    if (cell == LSTM_CELL_RNN_TANH) return tanh_of(pre);
    if (cell == LSTM_CELL_RNN_RELU) return relu(pre);
    return pre;
}

ALWAYS_INLINE vec rnn_cell_backward(enum lstm_cell cell, vec h, vec d_h) {
    if (cell == LSTM_CELL_RNN_TANH) return d_h * (one() - h * h);
    if (cell == LSTM_CELL_RNN_RELU) return (vec)((bits)d_h & (bits)(h > zero()));
    return d_h;
}

#endif
