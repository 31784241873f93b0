/* The cells: what happens to one vector of hidden units between the products. Adding a cell means adding its forward
 * and backward here, and its step in step_body.h.
 *
 * LSTM, forward:
 *     i, f, o = sigmoid(pre_i), sigmoid(pre_f), sigmoid(pre_o)     g = tanh(pre_g)
 *     c = f * c_prev + i * g                                       h = o * tanh(c)
 * and backward, with d_h and d_c the gradients that reach h and c:
 *     d_o = d_h tanh(c)                  d_c += d_h o (1 - tanh(c)^2)
 *     d_i = d_c g,  d_f = d_c c_prev,  d_g = d_c i,  d_c_prev = d_c f
 *     before the activation: d_i i (1 - i), d_f f (1 - f), d_g (1 - g^2), d_o o (1 - o) */

struct NAME(lstm_gates) {
    VEC i, f, g, o;
};

ALWAYS_INLINE struct NAME(lstm_gates) NAME(lstm_open)(const VEC *pre) {
    return (struct NAME(lstm_gates)){.i = NAME(sigmoid)(pre[LSTM_GATE_I]), .f = NAME(sigmoid)(pre[LSTM_GATE_F]),
                                     .g = NAME(tanh)(pre[LSTM_GATE_G]), .o = NAME(sigmoid)(pre[LSTM_GATE_O])};
}

ALWAYS_INLINE VEC NAME(lstm_c)(struct NAME(lstm_gates) gates, VEC c_prev) { return V(fma)(gates.f, c_prev, gates.i * gates.g); }

ALWAYS_INLINE VEC NAME(lstm_h)(VEC o, VEC c) { return o * NAME(tanh)(c); }

/* gates, d_gates: four vectors in gate order. Returns d_c_prev. */
ALWAYS_INLINE VEC NAME(lstm_cell_backward)(const REAL *gates, VEC c, VEC c_prev, VEC d_h, VEC d_c, REAL *d_gates) {
    const VEC one = V(broadcast)((REAL)1);
    const VEC i = V(load)(gates + LSTM_GATE_I * VL), f = V(load)(gates + LSTM_GATE_F * VL);
    const VEC g = V(load)(gates + LSTM_GATE_G * VL), o = V(load)(gates + LSTM_GATE_O * VL);
    const VEC tanh_c = NAME(tanh)(c);
    d_c = V(fma)(d_h * o, one - tanh_c * tanh_c, d_c);
    V(store)(d_gates + LSTM_GATE_I * VL, d_c * g * (i * (one - i)));
    V(store)(d_gates + LSTM_GATE_F * VL, d_c * c_prev * (f * (one - f)));
    V(store)(d_gates + LSTM_GATE_G * VL, d_c * i * (one - g * g));
    V(store)(d_gates + LSTM_GATE_O * VL, d_h * tanh_c * (o * (one - o)));
    return d_c * f;
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
