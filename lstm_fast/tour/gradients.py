"""Section 1: how an input and its gradient decay or grow through many recurrent steps."""

from typing import NamedTuple

import numpy as np

import lstm_fast as lf
from lstm_fast.reference import gate_rows


class Span(NamedTuple):
    """An input of 1 after many steps."""

    factor: float  # multiplier of each step
    memory: float  # remainder of the input
    gradient: float  # gradient of memory with respect to the input


def rnn_span(weight_hh: float, steps: int) -> Span:
    """Run a plain RNN, h = x + weight_hh * h_prev. The input 1 enters as h_0; all later inputs are 0."""
    rnn = lf.RNN(1, 1, nonlinearity="identity", bias=False, dtype=np.float64)
    rnn.load_state_dict({"weight_ih_l0": [[1.0]], "weight_hh_l0": [[weight_hh]]})
    one = np.ones((1, 1))
    _, h_n, tape = rnn.forward(np.zeros((steps, 1)), one)
    d_h_0 = rnn.backward(tape, None, one).d_h_0
    return Span(weight_hh, h_n.item(), d_h_0.item())


def lstm_span(forget_bias: float, steps: int) -> Span:
    """Run an LSTM unit with a forget-gate bias as its only parameter. The input 1 enters as c_0; later inputs are 0."""
    lstm = lf.LSTM(1, 1, dtype=np.float64)
    with lstm.edit() as p:
        for name in p:
            p[name][...] = 0
        p["bias_ih_l0"][gate_rows("f", 1)] = forget_bias
    x, h_0, one = np.zeros((steps, 1)), np.zeros((1, 1)), np.ones((1, 1))
    _, (_, c_n), tape = lstm.forward(x, (h_0, one))
    d_c_0 = lstm.backward(tape, None, (None, one)).d_c_0
    assert d_c_0 is not None, "an LSTM has a cell state"
    return Span(lstm.trace(x).f.flat[0].item(), c_n.item(), d_c_0.item())
