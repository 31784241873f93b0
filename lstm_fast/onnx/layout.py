"""Conversion of ONNX's gate order and activation names to and from ours.

ONNX       W (D, 4H, I), R (D, 4H, H) rows i, o, f, g;  B (D, 8H) = that of W, that of R;  P (D, 3H) i, o, f
lstm_fast  weight_ih (4H, I), weight_hh (4H, H), bias_ih, bias_hh (4H) rows i, f, g, o;  weight_peephole (3H) i, f, o
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..reference.gates import GATES

if TYPE_CHECKING:
    from .._types import Array

ONNX_GATES = ("i", "o", "f", "g")  # ONNX calls g, the candidate, c


def _positions(names: Sequence[str], among: Sequence[str]) -> tuple[int, ...]:
    return tuple(among.index(name) for name in names)


def _without_candidate(names: Sequence[str]) -> list[str]:
    """Return the gates that have peepholes."""
    return [name for name in names if name != "g"]


# For 4 gates, 3 (those with peepholes) and 1 (a plain RNN): the positions of our gates among ONNX's, and back.
FROM_ONNX = {
    4: _positions(list(GATES), ONNX_GATES),
    3: _positions(_without_candidate(list(GATES)), _without_candidate(ONNX_GATES)),
    1: (0,),
}
TO_ONNX = {
    4: _positions(ONNX_GATES, list(GATES)),
    3: _positions(_without_candidate(ONNX_GATES), _without_candidate(list(GATES))),
    1: (0,),
}

# Our names to ONNX's. Like ONNX Runtime, we ignore case when reading.
ACTIVATIONS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
FROM_ACTIVATION = {theirs.lower(): ours for ours, theirs in ACTIVATIONS.items()}


def rows(array: Array, n_gates: int, order: Sequence[int]) -> Array:
    """Return the array with the H rows of each gate along the first axis in this order."""
    by_gate = array.reshape(n_gates, len(array) // n_gates, *array.shape[1:])
    return by_gate[list(order)].reshape(array.shape)
