"""Derivatives of the activations in float32, as functions of the output y, with the operations of the kernels."""

from collections.abc import Callable

import numpy as np

from ._types import Array
from .float32 import add, divide, flush, multiply, subtract

ONE = np.float32(1)


def slope(spec: tuple[str, float, float], y: Array) -> Array:
    """Return dy/dz of the activation (name, alpha, beta) for the output y."""
    name, *parameters = spec
    alpha, beta = map(np.float32, parameters)
    return np.broadcast_to(SLOPES[name](flush(y), alpha, beta), y.shape)


def _of_softsign(y: Array) -> Array:
    return multiply(subtract(ONE, np.abs(y)), subtract(ONE, np.abs(y)))


def _of_scaled_tanh(y: Array, alpha: np.float32, beta: np.float32) -> Array:
    return multiply(beta, subtract(alpha, multiply(y, divide(y, alpha))))


def _where(condition: Array, yes: Array | np.float32, no: Array | np.float32) -> Array:
    return np.where(condition, yes, no).astype(np.float32)


# For softplus, the kernels' expm1 is within 2 units in the last place of this; all others are exact.
SLOPES: dict[str, Callable[[Array, np.float32, np.float32], Array]] = {
    "tanh": lambda y, alpha, beta: subtract(ONE, multiply(y, y)),
    "sigmoid": lambda y, alpha, beta: multiply(y, subtract(ONE, y)),
    "relu": lambda y, alpha, beta: _where(y > 0, ONE, np.float32(0)),
    "affine": lambda y, alpha, beta: np.asarray(alpha),
    "leaky_relu": lambda y, alpha, beta: _where(y <= 0, alpha, ONE),
    "thresholded_relu": lambda y, alpha, beta: _where(y > 0, ONE, np.float32(0)),
    "scaled_tanh": _of_scaled_tanh,
    "hard_sigmoid": lambda y, alpha, beta: _where((y > 0) & (y < 1), alpha, np.float32(0)),
    "elu": lambda y, alpha, beta: _where(y <= 0, add(y, alpha), ONE),
    "softsign": lambda y, alpha, beta: _of_softsign(y),
    "softplus": lambda y, alpha, beta: flush(-np.expm1(-y.astype(np.float64))),
}
