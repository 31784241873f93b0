"""ONNX's eleven activation functions, each with its derivative.

A derivative is a function of the output y, because the output is what a tape stores. Parameters for which y does not
determine the derivative are rejected: with alpha < 0, elu and leaky_relu have the same sign on both sides of 0, and
thresholded_relu is 0 both below its threshold and at z = 0, where its slope is 1; scaled_tanh with alpha = 0 is 0
everywhere. At a kink the derivative is 0 if y lies on a flat piece (relu, hard_sigmoid), otherwise that of the negative
side (leaky_relu, elu).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ._types import Array

ActivationSpec: TypeAlias = str | tuple[str, float] | tuple[str, float, float]


class Activation(NamedTuple):
    """An activation function with its parameters and its derivative.

    Parameters
    ----------
    function : callable
        `function(z, *parameters)` is the activation y.
    derivative : callable
        `derivative(y, *parameters)` is dy/dz as a function of the output y.
    parameters : tuple of float, default ()
        alpha, or alpha and beta. In ACTIVATIONS these are the defaults.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> leaky = reference.activation(("leaky_relu", 0.1))
    >>> y = leaky(np.array([-2.0, 3.0]))
    >>> y
    array([-0.2,  3. ])
    >>> leaky.backward(np.ones(2), y)
    array([0.1, 1. ])
    """

    function: Callable[..., Array]
    derivative: Callable[..., Any]
    parameters: tuple[float, ...] = ()

    def __call__(self, z: Array) -> Array:
        """Apply the activation to z, element by element."""
        return self.function(z, *self.parameters)

    def backward(self, d_y: Array, y: Array) -> Array:
        """Gradient with respect to the input z.

        Parameters
        ----------
        d_y : ndarray
            Gradient with respect to the output.
        y : ndarray of the same shape
            The output.

        Returns
        -------
        ndarray
            d_z, in the dtype of y.
        """
        slope: Array = np.asarray(self.derivative(y, *self.parameters)).astype(y.dtype)
        return d_y * slope


def sigmoid(z: Array) -> Array:
    """Logistic function 1 / (1 + exp(-z)).

    Parameters
    ----------
    z : ndarray
        Real or complex. Where exp(-z) overflows to infinity, the result is the limit 0 and NumPy does not warn.

    Returns
    -------
    ndarray
        In the dtype of z.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> reference.sigmoid(np.array([-1000.0, 0.0, 10.0]))
    array([0.       , 0.5      , 0.9999546])
    """
    with np.errstate(over="ignore"):
        y: Array = 1 / (1 + np.exp(-z))
    return y


def relu(z: Array) -> Array:
    """0 for z <= 0, else z."""
    return np.where(z.real <= 0, 0, z)


def magnitude(z: Array) -> Array:
    """|z|, taking the sign from the real part: unlike abs, differentiable by complex steps."""
    return np.where(z.real < 0, -z, z)


def hard_sigmoid(z: Array, alpha: float, beta: float) -> Array:
    """alpha * z + beta, clamped to [0, 1]."""
    y = alpha * z + beta
    return np.where(y.real <= 0, 0, np.where(y.real >= 1, 1, y))


# Defaults as in ONNX's operators of the same names. softplus is log(1 + e^z), and elu below 0 is
# alpha * (e^z - 1), both written so that nothing overflows.
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
NON_NEGATIVE_ALPHA = ("leaky_relu", "thresholded_relu", "elu")


def activation(spec: ActivationSpec, argument: str = "activation") -> Activation:
    """Look up an activation by name and set its parameters.

    Parameters
    ----------
    spec : str, (str, alpha) or (str, alpha, beta)
        A name in ACTIVATIONS, with parameters where the defaults are not wanted.
    argument : str, default "activation"
        The caller's argument, to be named in error messages.

    Returns
    -------
    Activation
        The function and its derivative with these parameters.

    Raises
    ------
    ValueError
        For an unknown name, too many parameters, or parameters for which the output does not determine the derivative.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> reference.activation("hard_sigmoid")(np.array([-5.0, 0.0, 1.0]))
    array([0. , 0.5, 0.7])
    >>> reference.activation(("elu", 0.8)).parameters
    (0.8,)
    """
    name, *given = (spec,) if isinstance(spec, str) else spec
    if name not in ACTIVATIONS:
        raise ValueError(f"`{argument}` must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    function, derivative, defaults = ACTIVATIONS[str(name)]
    if len(given) > len(defaults):
        raise ValueError(f"`{argument}`: {name} takes {len(defaults)} parameters, got {len(given)}")
    parameters = (*(float(value) for value in given), *defaults[len(given) :])
    if name in NON_NEGATIVE_ALPHA and not parameters[0] >= 0:
        raise ValueError(f"`{argument}`: alpha of {name} must not be negative, got {parameters[0]}")
    if name == "scaled_tanh" and parameters[0] == 0:
        raise ValueError(f"`{argument}`: alpha of {name} must not be 0")
    return Activation(function, derivative, parameters)
