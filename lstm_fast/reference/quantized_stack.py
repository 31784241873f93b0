"""Layers and directions in each format: as in stack.py, with the layers of quantized.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array
from .formats import QuantizedRows
from .quantized import lstm_forward_bfloat16, lstm_forward_bfloat16_amx, lstm_forward_float32, lstm_forward_int8
from .stack import DIRECTIONS, PARAMETERS

FORMATS = ("float32", "float16", "bfloat16", "bfloat16_amx", "int8")
FORWARD = {
    "float32": lstm_forward_float32,
    "float16": lstm_forward_float32,
    "bfloat16": lstm_forward_bfloat16,
    "bfloat16_amx": lstm_forward_bfloat16_amx,
}


def quantized_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    parameters: Mapping[str, ArrayLike],
    *,
    format: str,
    num_layers: int,
    bidirectional: bool,
    inputs: str = "float32",
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    **options: Any,
) -> tuple[Array, Array, Array]:
    """Run a stack of LSTM layers and directions in a format of the library, with the rounding of its kernels.

    Parameters
    ----------
    x : array_like of shape (T,B,I), or of int of shape (T,B)
        Input; symbols stand for one-hot vectors.
    h_0, c_0 : array_like of shape (L*D,B,R), (L*D,B,H), or None
        Initial states, layer by layer, forward before reverse.
    parameters : mapping of str to array_like
        Parameters of a float32 LSTM, by PyTorch's names, or of its quantized copy.
    format : {"float32", "float16", "bfloat16", "bfloat16_amx", "int8"}
        "float16" rounds all parameters and then computes like "float32".
    num_layers : int
        L, the number of layers.
    bidirectional : bool
        Whether each layer has a reverse direction: D = 2.
    inputs : {"float32", "int16", "int8"}, default "float32"
        With "int8": how the first layer multiplies x. The layers above multiply the h of the layer below in int8.
    lengths : array_like of int, shape (B,), optional
        As in `lstm_forward`.
    resets : array_like of bool, shape (T,B), optional
        As in `stack_forward`.
    **options
        The other keyword arguments of `lstm_forward_bfloat16`, the same for all layers and directions.

    Returns
    -------
    output : ndarray of float32, shape (T,B,D*R)
        h of the last layer at every step.
    h_n, c_n : ndarray of float32, shape (L*D,B,R), (L*D,B,H)
        Final states.

    Raises
    ------
    ValueError
        If the format is unknown, and as in the functions of one layer.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, num_layers=2, seed=0), np.ones((5, 1, 3), np.float32)
    >>> output, h_n, c_n = reference.quantized_forward(
    ...     x, None, None, lstm.parameters(), format="int8", num_layers=2, bidirectional=False
    ... )
    >>> bool(0 < np.abs(output - lstm(x)[0]).max() < 5e-3)
    True
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {', '.join(FORMATS)}, got {format!r}")
    if format == "float16":
        parameters = {name: np.asarray(value, np.float16).astype(np.float32) for name, value in parameters.items()}
    (T, B), output = np.shape(x)[:2], _sequence.one_hot(x, np.shape(parameters["weight_ih_l0"])[1], lengths)
    h_n: list[Array] = []
    c_n: list[Array] = []
    for layer in range(num_layers):
        outputs = []
        for suffix, step in DIRECTIONS if bidirectional else DIRECTIONS[:1]:
            order, key, k = _sequence.time_order(lengths, T, B, step < 0), f"_l{layer}{suffix}", len(h_n)
            a: dict[str, Any] = {"bias_ih": None, "bias_hh": None} | options
            a |= {argument: parameters[name + key] for argument, name in PARAMETERS.items() if name + key in parameters}
            for name in ("ih", "hh"):
                if "scale_" + name + key in parameters:
                    q, scale = np.asarray(a["weight_" + name]), np.asarray(parameters["scale_" + name + key])
                    a["weight_" + name] = QuantizedRows(q, scale)
            a |= {
                "x": _sequence.reorder(output, order),
                "h_0": None if h_0 is None else np.asarray(h_0)[k],
                "c_0": None if c_0 is None else np.asarray(c_0)[k],
                "resets": _sequence.reorder_resets(resets, lengths, order, step < 0),
            }
            if format == "int8":
                h_of_layer, h, c = lstm_forward_int8(**a, lengths=lengths, inputs="hidden" if layer else inputs)
            else:
                h_of_layer, h, c = FORWARD[format](**a, lengths=lengths)
            outputs.append(h_of_layer[order, np.arange(B)])  # the order is its own inverse
            h_n.append(h)
            c_n.append(c)
        output = np.concatenate(outputs, axis=2)
    return output, np.stack(h_n), np.stack(c_n)
