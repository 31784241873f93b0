"""ONNX's eleven activations, each with its derivative in terms of the output y, because that is what a tape keeps.

For a few parameters y does not tell the derivative, and they are refused: with alpha < 0, elu and leaky_relu have
one sign on both sides of 0, and thresholded_relu is 0 at 0, amid its slope; scaled_tanh with alpha = 0 is 0
everywhere. At a kink the derivative is 0 where y is that of a flat side (relu, hard_sigmoid), else that of the
negative side (leaky_relu, elu).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    function: Callable  # of the input z
    derivative: Callable  # of the output y
    parameters: tuple = ()  # alpha, or alpha and beta: in ACTIVATIONS the defaults

    def __call__(self, z):
        return self.function(z, *self.parameters)

    def backward(self, d_y, y):
        """d_z from d_y and the output."""
        return d_y * np.asarray(self.derivative(y, *self.parameters)).astype(y.dtype)


def sigmoid(z):
    """1 / (1 + exp(-z)); where exp overflows to infinity the result is its limit, 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def relu(z):
    return np.where(z.real <= 0, 0, z)


def magnitude(z):
    """|z|, with the sign of the real part alone: differentiable by complex steps, which abs is not."""
    return np.where(z.real < 0, -z, z)


def hard_sigmoid(z, alpha, beta):
    y = alpha * z + beta
    return np.where(y.real <= 0, 0, np.where(y.real >= 1, 1, y))


# Defaults are those of ONNX's operators of these names. softplus is log(1 + e^z) and elu, below 0, alpha * (e^z - 1):
# written so that nothing overflows.
ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda y: 1 - y * y),
    "sigmoid": Activation(sigmoid, lambda y: y * (1 - y)),
    "relu": Activation(relu, lambda y: y.real > 0),
    "affine": Activation(lambda z, alpha, beta: alpha * z + beta, lambda y, alpha, beta: alpha, (1.0, 0.0)),
    "leaky_relu": Activation(
        lambda z, alpha: np.where(z.real < 0, alpha * z, z), lambda y, alpha: np.where(y.real <= 0, alpha, 1), (0.01,)
    ),
    "thresholded_relu": Activation(
        lambda z, alpha: np.where(z.real < alpha, 0, z), lambda y, alpha: y.real > 0, (1.0,)
    ),
    "scaled_tanh": Activation(
        lambda z, alpha, beta: alpha * np.tanh(beta * z),
        lambda y, alpha, beta: beta * (alpha - y * (y / alpha)),
        (1.0, 1.0),
    ),
    "hard_sigmoid": Activation(hard_sigmoid, lambda y, alpha, beta: alpha * ((y.real > 0) & (y.real < 1)), (0.2, 0.5)),
    "elu": Activation(
        lambda z, alpha: np.where(z.real < 0, alpha * np.expm1(-relu(-z)), z),
        lambda y, alpha: np.where(y.real <= 0, y + alpha, 1),
        (1.0,),
    ),
    "softsign": Activation(lambda z: z / (1 + magnitude(z)), lambda y: (1 - magnitude(y)) ** 2),
    "softplus": Activation(lambda z: relu(z) + np.log1p(np.exp(-magnitude(z))), lambda y: -np.expm1(-y)),
}
NOT_NEGATIVE = ("leaky_relu", "thresholded_relu", "elu")


def activation(name, argument="activation"):
    """The Activation of a name, or of a tuple (name, alpha) or (name, alpha, beta); what is left out is the default."""
    name, *given = (name,) if isinstance(name, str) else name
    if name not in ACTIVATIONS:
        raise ValueError(f"`{argument}` must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    function, derivative, defaults = ACTIVATIONS[name]
    if len(given) > len(defaults):
        raise ValueError(f"`{argument}`: {name} takes {len(defaults)} parameters, got {len(given)}")
    parameters = (*(float(value) for value in given), *defaults[len(given) :])
    if name in NOT_NEGATIVE and not parameters[0] >= 0:
        raise ValueError(f"`{argument}`: alpha of {name} must not be negative, got {parameters[0]}")
    if name == "scaled_tanh" and parameters[0] == 0:
        raise ValueError(f"`{argument}`: alpha of {name} must not be 0")
    return Activation(function, derivative, parameters)
