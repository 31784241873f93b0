/* The cells: what happens to one vector of hidden units between the products, and what makes each cell different.
 *
 * LSTM, forward:
 *     i, f, o = sigmoid(pre_i), sigmoid(pre_f), sigmoid(pre_o)     g = tanh(pre_g)
 *     c = f * c_prev + i * g                                       h = o * tanh(c)
 * and backward, with d_h and d_c the gradients that reach h and c:
 *     d_o = d_h tanh(c)                  d_c += d_h o (1 - tanh(c)^2)
 *     d_i = d_c g,  d_f = d_c c_prev,  d_g = d_c i,  d_c_prev = d_c f
 *     before the activation: d_i i (1 - i), d_f f (1 - f), d_g (1 - g^2), d_o o (1 - o)
 *
 * A variant v changes single lines of that: find its name below. v is NULL for the plain LSTM, a constant where these
 * functions are inlined, so that nothing of v is left in its code. (Layer norm and the projection act on whole rows, and
 * what this file has of them is the norm of c; resets, recurrent dropout and zoneout are in loops/.) */

/* A copy of a variant whose activations are the plain ones and which has no layer norm: known where this is inlined, so that
 * peepholes, coupled gates and clips cost little, and kept in registers. */
ALWAYS_INLINE struct NAME(lstm_variant) NAME(simple)(const struct NAME(lstm_variant) *v) {
    struct NAME(lstm_variant) simple = *v;
    simple.activation.kind = simple.recurrent_activation.kind = simple.cell_activation.kind = LSTM_DEFAULT;
    simple.layer_norm = false;
    return simple;
}

/* Peepholes: each gate sees the cell state through a weight of its own, the output gate the new state. */
enum NAME(peephole) { NAME(PEEPHOLE_I), NAME(PEEPHOLE_F), NAME(PEEPHOLE_O) };

ALWAYS_INLINE VEC NAME(peephole_weight)(const struct NAME(lstm_variant) *v, enum NAME(peephole) which, int64_t unit) {
    return V(load)(v->peephole + which * v->H_padded + unit);
}

ALWAYS_INLINE VEC NAME(peep)(const struct NAME(lstm_variant) *v, enum NAME(peephole) which, int64_t unit, VEC pre, VEC c) {
    return v && v->peephole ? V(fma)(NAME(peephole_weight)(v, which, unit), c, pre) : pre;
}

/* z within [-bound, bound]; 0: no bound. NaN stays. */
ALWAYS_INLINE VEC NAME(clip)(REAL bound, VEC z) {
    return bound > 0 ? V(at_most)(V(broadcast)(bound), V(at_least)(V(broadcast)(-bound), z)) : z;
}

/* What a gate or the candidate sees. */
ALWAYS_INLINE VEC NAME(clip_gate)(const struct NAME(lstm_variant) *v, VEC pre) {
    return NAME(clip)(v ? v->gate_clip : 0, pre);
}

ALWAYS_INLINE VEC NAME(gate)(const struct NAME(lstm_variant) *v, VEC pre) {
    return v->recurrent_activation.kind ? NAME(activate)(&v->recurrent_activation, pre) : NAME(sigmoid)(pre);
}

ALWAYS_INLINE VEC NAME(candidate)(const struct NAME(lstm_variant) *v, VEC pre) {
    return v->activation.kind ? NAME(activate)(&v->activation, pre) : NAME(tanh)(pre);
}

/* tanh(c), c normalised before or not. */
ALWAYS_INLINE VEC NAME(squash)(const struct NAME(lstm_variant) *v, VEC c) {
    return v && v->cell_activation.kind ? NAME(activate)(&v->cell_activation, c) : NAME(tanh)(c);
}

ALWAYS_INLINE VEC NAME(lstm_c)(const struct NAME(lstm_variant) *v, VEC i, VEC f, VEC g, VEC c_prev) {
    return NAME(clip)(v ? v->cell_clip : 0, V(fma)(f, c_prev, i * g));
}

/* The cell's first half: i, f, g and the new c. What nothing stands between goes side by side (activations_body.h). */
struct NAME(lstm_memory) {
    VEC i, f, g, c;
};

ALWAYS_INLINE struct NAME(lstm_memory) NAME(lstm_cell_c)(const struct NAME(lstm_variant) *v, int64_t unit, const VEC *pre,
                                                         VEC c_prev) {
    const VEC seen[] = {NAME(clip_gate)(v, NAME(peep)(v, NAME(PEEPHOLE_I), unit, pre[LSTM_GATE_I], c_prev)),
                        NAME(clip_gate)(v, NAME(peep)(v, NAME(PEEPHOLE_F), unit, pre[LSTM_GATE_F], c_prev)),
                        NAME(clip_gate)(v, pre[LSTM_GATE_G])};
    VEC is[3];
    if (v && (v->coupled_gates || v->recurrent_activation.kind || v->activation.kind)) {
        is[0] = NAME(gate)(v, seen[0]);
        is[1] = V(broadcast)((REAL)1) - is[0];
        if (!v->coupled_gates) is[1] = NAME(gate)(v, seen[1]);
        is[2] = NAME(candidate)(v, seen[2]);
    } else
        NAME(sigmoids_and_tanh)(3, seen, is);
    return (struct NAME(lstm_memory)){is[0], is[1], is[2], NAME(lstm_c)(v, is[0], is[1], is[2], c_prev)};
}

/* Its second half: o and the new h, from c and, with layer norm, the norm of c. */
struct NAME(lstm_output) {
    VEC o, h;
};

ALWAYS_INLINE struct NAME(lstm_output) NAME(lstm_cell_h)(const struct NAME(lstm_variant) *v, int64_t unit, VEC pre_o, VEC c,
                                                         VEC normal_c) {
    const VEC seen[] = {NAME(clip_gate)(v, NAME(peep)(v, NAME(PEEPHOLE_O), unit, pre_o, c)), normal_c};
    VEC is[2];
    if (v && (v->recurrent_activation.kind || v->cell_activation.kind)) {
        is[0] = NAME(gate)(v, seen[0]);
        is[1] = NAME(squash)(v, seen[1]);
    } else
        NAME(sigmoids_and_tanh)(2, seen, is);
    return (struct NAME(lstm_output)){is[0], is[0] * is[1]};
}

/* c once more, to the bit, from the gates that a tape keeps. */
ALWAYS_INLINE VEC NAME(made_c)(const struct NAME(lstm_variant) *v, const REAL *gates, VEC c_prev) {
    return NAME(lstm_c)(v, V(load)(gates + LSTM_GATE_I * VL), V(load)(gates + LSTM_GATE_F * VL),
                        V(load)(gates + LSTM_GATE_G * VL), c_prev);
}

/* ---- backward ---- */

/* d where y lies between low and high, zero where it has reached one of them: nothing flows through what is clipped. */
ALWAYS_INLINE VEC NAME(unclipped)(REAL low, REAL high, VEC y, VEC d) {
    return V(choose)((y <= V(broadcast)(low)) | (y >= V(broadcast)(high)), V(broadcast)((REAL)0), d);
}

ALWAYS_INLINE VEC NAME(gate_slope)(const struct NAME(lstm_variant) *v, VEC y) {
    VEC slope = y * (V(broadcast)((REAL)1) - y);
    if (v && v->recurrent_activation.kind) slope = NAME(slope)(&v->recurrent_activation, y);
    return v && v->gate_clip > 0 ? NAME(unclipped)(v->gate_low, v->gate_high, y, slope) : slope;
}

ALWAYS_INLINE VEC NAME(candidate_slope)(const struct NAME(lstm_variant) *v, VEC y) {
    VEC slope = V(broadcast)((REAL)1) - y * y;
    if (v && v->activation.kind) slope = NAME(slope)(&v->activation, y);
    return v && v->gate_clip > 0 ? NAME(unclipped)(v->candidate_low, v->candidate_high, y, slope) : slope;
}

ALWAYS_INLINE VEC NAME(squash_slope)(const struct NAME(lstm_variant) *v, VEC y) {
    if (v && v->cell_activation.kind) return NAME(slope)(&v->cell_activation, y);
    return V(broadcast)((REAL)1) - y * y;
}

/* d_c with what a peephole hands to it; stores the term of the peephole's own gradient. */
ALWAYS_INLINE VEC NAME(peep_backward)(const struct NAME(lstm_variant) *v, enum NAME(peephole) which, int64_t unit,
                                      VEC d_pre,
                                      VEC c, VEC d_c, REAL *terms) {
    if (!v || !v->peephole) return d_c;
    V(store)(terms + v->peephole_terms + which * v->H_padded + unit, d_pre * c);
    return V(fma)(d_pre, NAME(peephole_weight)(v, which, unit), d_c);
}

/* One vector of units; gates, d_gates: four vectors in gate order. squashed: tanh(c), through which d_h has reached d_c
 * already. Returns d_c_prev. */
ALWAYS_INLINE VEC NAME(lstm_cell_backward)(const struct NAME(lstm_variant) *v, int64_t unit, const REAL *gates, VEC c,
                                           VEC c_prev,
                                           VEC squashed, VEC d_h, VEC d_c, REAL *d_gates, REAL *terms) {
    const VEC zero = V(broadcast)((REAL)0);
    const VEC i = V(load)(gates + LSTM_GATE_I * VL), f = V(load)(gates + LSTM_GATE_F * VL);
    const VEC g = V(load)(gates + LSTM_GATE_G * VL), o = V(load)(gates + LSTM_GATE_O * VL);
    const VEC d_pre_o = d_h * squashed * NAME(gate_slope)(v, o);
    d_c = NAME(peep_backward)(v, NAME(PEEPHOLE_O), unit, d_pre_o, c, d_c, terms);
    if (v && v->cell_clip > 0) d_c = NAME(unclipped)(-v->cell_clip, v->cell_clip, c, d_c);
    VEC d_c_prev = d_c * f, d_pre_i, d_pre_f;
    if (v && v->coupled_gates) {
        d_pre_i = (d_c * g - d_c * c_prev) * NAME(gate_slope)(v, i);
        d_pre_f = zero;
    } else {
        d_pre_i = d_c * g * NAME(gate_slope)(v, i);
        d_pre_f = d_c * c_prev * NAME(gate_slope)(v, f);
    }
    d_c_prev = NAME(peep_backward)(v, NAME(PEEPHOLE_I), unit, d_pre_i, c_prev, d_c_prev, terms);
    d_c_prev = NAME(peep_backward)(v, NAME(PEEPHOLE_F), unit, d_pre_f, c_prev, d_c_prev, terms);
    V(store)(d_gates + LSTM_GATE_I * VL, d_pre_i);
    V(store)(d_gates + LSTM_GATE_F * VL, d_pre_f);
    V(store)(d_gates + LSTM_GATE_G * VL, d_c * i * NAME(candidate_slope)(v, g));
    V(store)(d_gates + LSTM_GATE_O * VL, d_pre_o);
    return d_c_prev;
}

/* Plain RNN: h = nonlinearity(pre). relu keeps NaN, and its slope at 0 is 0, as in PyTorch. */
ALWAYS_INLINE VEC NAME(rnn_cell)(enum lstm_cell cell, VEC pre) {
    if (cell == LSTM_CELL_RNN_TANH) return NAME(tanh)(pre);
    if (cell == LSTM_CELL_RNN_RELU) return V(at_least)(V(broadcast)((REAL)0), pre);
    return pre;
}

ALWAYS_INLINE VEC NAME(rnn_cell_backward)(enum lstm_cell cell, VEC h, VEC d_h) {
    if (cell == LSTM_CELL_RNN_TANH) return d_h * (V(broadcast)((REAL)1) - h * h);
    if (cell == LSTM_CELL_RNN_RELU) return (VEC)((BITS)d_h & (BITS)(h > V(broadcast)((REAL)0)));
    return d_h;
}
