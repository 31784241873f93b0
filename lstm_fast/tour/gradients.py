"""Section 1: what a recurrent connection does to an input, and to its gradient, over many steps."""

from collections import namedtuple

import numpy as np

import lstm_fast as lf

# factor: what a step multiplies by; memory: what an input of 1 has become; gradient: of that memory, by the input.
Span = namedtuple("Span", "factor memory gradient")


def rnn_span(weight_hh, steps):
    """A plain RNN, h = weight_hh * h_prev + x. The input 1 enters as h_0, later inputs are 0."""
    rnn = lf.RNN(1, 1, nonlinearity="identity", bias=False, dtype=np.float64)
    rnn.load_state_dict({"weight_ih_l0": [[1.0]], "weight_hh_l0": [[weight_hh]]})
    one = np.ones((1, 1))
    _, h_n, tape = rnn.forward(np.zeros((steps, 1)), one)
    d_h_0 = rnn.backward(tape, None, one).d_h_0
    return Span(weight_hh, h_n.item(), d_h_0.item())


def lstm_span(forget_bias, steps):
    """An LSTM unit with no weights but the bias of its forget gate; the input 1 enters as c_0, no more is added."""
    lstm = lf.LSTM(1, 1, dtype=np.float64)
    with lstm.edit() as p:
        for name in p:
            p[name][...] = 0
        p["bias_ih_l0"][1] = forget_bias  # gates in the order i, f, g, o
    x, h_0, one = np.zeros((steps, 1)), np.zeros((1, 1)), np.ones((1, 1))
    _, (_, c_n), tape = lstm.forward(x, (h_0, one))
    d_c_0 = lstm.backward(tape, None, (None, one)).d_c_0
    return Span(lstm.trace(x).f.flat[0].item(), c_n.item(), d_c_0.item())
