"""Sections 2 to 4: the activations, one LSTM unit with weights that can be followed by hand, and two companies."""

from collections import namedtuple

import numpy as np

import lstm_fast as lf
from lstm_fast import _core

# In the order of the weights' rows.
GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}
GateWeights = namedtuple("GateWeights", "h x bias")  # of the short-term memory, of the input
WEIGHTS = {
    "i": GateWeights(2.00, 1.65, 0.62),
    "f": GateWeights(2.70, 1.63, 1.62),
    "g": GateWeights(1.41, 0.94, -0.32),
    "o": GateWeights(4.38, -0.19, 0.59),
}

# The values of days 1 to 4, and that of day 5, which is to be predicted.
COMPANIES = {"A": ((0.0, 0.5, 0.25, 1.0), 0.0), "B": ((1.0, 0.5, 0.25, 1.0), 1.0)}


def sigmoid(values):
    """By the kernels that the cells use."""
    return _core.sigmoid(np.asarray(values, np.float64))


def tanh(values):
    """By the kernels that the cells use."""
    return _core.tanh(np.asarray(values, np.float64))


def make_unit(weights=WEIGHTS):
    """An LSTM of one unit and one input with these GateWeights."""
    unit = lf.LSTM(1, 1, dtype=np.float64)
    rows = [weights[gate] for gate in GATES]
    unit.load_state_dict(
        {
            "weight_hh_l0": [[row.h] for row in rows],
            "weight_ih_l0": [[row.x] for row in rows],
            "bias_ih_l0": [row.bias for row in rows],
            "bias_hh_l0": np.zeros(4),
        }
    )
    return unit


def gate_weights(unit):
    """The GateWeights of a unit, by gate; the two biases are added, as the unit does."""
    p = unit.parameters()
    bias = p["bias_ih_l0"] + p["bias_hh_l0"]
    rows = zip(p["weight_hh_l0"][:, 0], p["weight_ih_l0"][:, 0], bias)
    return {gate: GateWeights(*row) for gate, row in zip(GATES, rows)}


def step(unit, x, h_prev, c_prev):
    """One step of the unit: a dict of i, f, g, o, c, h and, as pre_i ... pre_o, what went into each activation."""
    trace = unit.trace([[x]], ([[h_prev]], [[c_prev]]))
    numbers = {name: values.item() for name, values in trace._asdict().items()}
    for gate in GATES:  # back through the activation, so that these too are what the unit computed
        a = numbers[gate]
        numbers["pre_" + gate] = np.arctanh(a) if gate == "g" else np.log(a / (1 - a))
    return numbers


def company_values():
    """x (T, B, 1) of both companies as one batch, and what is to be predicted (B,)."""
    x = np.array([values for values, _ in COMPANIES.values()]).T[:, :, None]
    return np.ascontiguousarray(x), np.array([truth for _, truth in COMPANIES.values()])


def company_days(unit):
    """For each company a dict of x, f, i, g, o, c, h: arrays of one number a day. The last h is the prediction."""
    x, _ = company_values()
    trace = unit.trace(x)
    return {
        name: {"x": x[:, b, 0], **{gate: getattr(trace, gate)[0, 0, :, b, 0] for gate in "figoch"}}
        for b, name in enumerate(COMPANIES)
    }
