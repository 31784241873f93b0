"""Sections 2 to 4: the activations, one LSTM unit small enough to compute by hand, and two companies."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

import lstm_fast as lf
from lstm_fast import Trace
from lstm_fast.reference import GATES

Array: TypeAlias = NDArray[Any]


class GateWeights(NamedTuple):
    """The weights of one gate: of the short-term memory, of the input, and the bias."""

    h: float
    x: float
    bias: float


WEIGHTS = {
    "i": GateWeights(2.00, 1.65, 0.62),
    "f": GateWeights(2.70, 1.63, 1.62),
    "g": GateWeights(1.41, 0.94, -0.32),
    "o": GateWeights(4.38, -0.19, 0.59),
}

# Values of days 1 to 4, and of day 5, the target.
COMPANIES = {"A": ((0.0, 0.5, 0.25, 1.0), 0.0), "B": ((1.0, 0.5, 0.25, 1.0), 1.0)}


def sigmoid(values: ArrayLike) -> Array:
    """Return the sigmoid of the values (n,), elementwise, computed by the gate of an LSTM."""
    return _gates_of_one_step(values).i[0, 0, 0, :, 0]


def tanh(values: ArrayLike) -> Array:
    """Return tanh of the values (n,), elementwise, computed by the candidate of an LSTM."""
    return _gates_of_one_step(values).g[0, 0, 0, :, 0]


def _gates_of_one_step(values: ArrayLike) -> Trace:
    """Return the trace of one step of a unit with the values as its pre-activations."""
    unit = make_unit(dict.fromkeys(GATES, GateWeights(0.0, 1.0, 0.0)))
    return unit.trace(np.reshape(np.asarray(values, np.float64), (1, -1, 1)))


def make_unit(weights: Mapping[str, GateWeights] = WEIGHTS) -> lf.LSTM:
    """Return LSTM with one unit and one input; weights by gate."""
    unit = lf.LSTM(1, 1, dtype=np.float64)
    rows = [weights[gate] for gate in GATES]
    unit.load_state_dict(
        {
            "weight_hh_l0": [[row.h] for row in rows],
            "weight_ih_l0": [[row.x] for row in rows],
            "bias_ih_l0": [row.bias for row in rows],
            "bias_hh_l0": np.zeros(len(GATES)),
        }
    )
    return unit


def gate_weights(unit: lf.LSTM) -> dict[str, GateWeights]:
    """Return the weights of a unit by gate; its two biases are added."""
    p = unit.parameters()
    bias = p["bias_ih_l0"] + p["bias_hh_l0"]
    rows = zip(p["weight_hh_l0"][:, 0], p["weight_ih_l0"][:, 0], bias)
    return {gate: GateWeights(*row) for gate, row in zip(GATES, rows)}


def step(unit: lf.LSTM, x: float, h_prev: float, c_prev: float) -> dict[str, float]:
    """Compute one step of the unit: i, f, g, o, c, h and the pre-activations pre_i, pre_f, pre_g, pre_o."""
    trace = unit.trace([[x]], ([[h_prev]], [[c_prev]]))
    numbers = {name: values.item() for name, values in trace._asdict().items()}
    for gate in GATES:  # recovered from the activations, so that they too come from the unit
        a = numbers[gate]
        numbers["pre_" + gate] = float(np.arctanh(a) if gate == "g" else np.log(a / (1 - a)))
    return numbers


def company_values() -> tuple[Array, Array]:
    """Return the values of both companies as one batch (T, B, 1), and the targets (B,)."""
    x = np.array([values for values, _ in COMPANIES.values()]).T[:, :, None]
    return np.ascontiguousarray(x), np.array([truth for _, truth in COMPANIES.values()])


def company_days(unit: lf.LSTM) -> dict[str, dict[str, Array]]:
    """Return x, f, i, g, o, c and h of each company, one number per day. The last h is the prediction."""
    x, _ = company_values()
    trace = unit.trace(x)
    return {
        name: {"x": x[:, b, 0], **{gate: getattr(trace, gate)[0, 0, :, b, 0] for gate in "figoch"}}
        for b, name in enumerate(COMPANIES)
    }
