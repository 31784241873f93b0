"""Conversion of an LSTM to a Keras layer, and of Keras masks to lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _variants
from .._errors import network_type
from .._options import not_supported
from ..modules import LSTM
from ..quantized import QuantizedLSTM
from ..reference.gates import GATES
from .layers import ACTIVATIONS, KERAS_GATES

if TYPE_CHECKING:
    from .._types import Array, ArrayLike


def to_layer(lstm: LSTM | QuantizedLSTM, name: str | None = None, **config: Any) -> Any:
    """Convert an LSTM to a built Keras layer.

    Parameters
    ----------
    lstm : LSTM or QuantizedLSTM
        Its parameters are copied; the two biases are added. compute_dtype is ignored: Keras has its own dtype policy.
    name : str, optional
        Name of the layer or model.
    **config
        Additional keyword arguments for keras.layers.LSTM; return_sequences is True by default.

    Returns
    -------
    Keras layer
        A keras.layers.LSTM or, with two directions, a keras.layers.Bidirectional. With several layers, a keras.Model
        of them, with keras.layers.Dropout in between if lstm.dropout is not 0.

    Raises
    ------
    ValueError
        If the LSTM has an option that Keras lacks; the message names it.

    Examples
    --------
    >>> import keras
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 8, batch_first=True, seed=0)
    >>> layer = lf.keras.to_layer(lstm, name="encoder")
    >>> x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    >>> bool(np.allclose(keras.ops.convert_to_numpy(layer(x)), lstm(x)[0], atol=1e-6))
    True
    """
    activations = _check(lstm)
    try:
        import keras
    except ImportError:
        raise ImportError("to_layer needs Keras 3 and one of its backends: pip install keras") from None
    p, dtype = lstm.parameters(), lstm.dtype.name
    last = {"return_sequences": True} | config
    layers = []
    for k in range(lstm.num_layers):
        own = last if k == lstm.num_layers - 1 else last | {"return_sequences": True, "return_state": False}
        named = {"name": name} if name and lstm.num_layers == 1 else {}
        arguments = {
            "units": lstm.hidden_size,
            "use_bias": lstm.bias,
            "recurrent_dropout": lstm.recurrent_dropout,
            "dtype": dtype,
        }
        arguments |= activations | own
        if lstm.bidirectional:
            layer = keras.layers.Bidirectional(keras.layers.LSTM(**arguments), dtype=dtype, **named)
        else:
            layer = keras.layers.LSTM(**arguments, **named)
        layer.build((None, None, p[f"weight_ih_l{k}"].shape[1]))
        suffixes = (f"_l{k}", f"_l{k}_reverse")[: lstm.num_directions]
        layer.set_weights([array for suffix in suffixes for array in _variables(p, suffix)])
        if k and lstm.dropout:
            layers.append(keras.layers.Dropout(lstm.dropout, dtype=dtype))
        layers.append(layer)
    if len(layers) == 1:
        return layers[0]
    output = sequence = keras.Input((None, lstm.input_size), dtype=dtype)
    for layer in layers:
        output = layer(output)
    model = keras.Model(sequence, output, name=name)
    model.dtype_policy = dtype  # else float64 input becomes float32
    return model


def _check(lstm: LSTM | QuantizedLSTM) -> dict[str, str]:
    """Return the arguments activation and recurrent_activation; raise if Keras lacks an option of the LSTM."""
    if not isinstance(lstm, (LSTM, QuantizedLSTM)):
        raise TypeError(f"lstm must be an LSTM, got {network_type(lstm)}")
    for name, default, value in not_supported("keras", lstm, LSTM):
        if name != "zoneout":
            raise ValueError(f"{name} must be {default!r} for Keras, got {value!r}")
        if any(_variants.zoneout(value)):
            raise ValueError(f"zoneout must be 0 for Keras, got {value!r}")
    names = {name: _activation(name, getattr(lstm, name)) for name in ("activation", "recurrent_activation")}
    if _activation("cell_activation", lstm.cell_activation) != names["activation"]:
        raise ValueError(
            f"cell_activation must equal activation for Keras, {lstm.activation!r}, got {lstm.cell_activation!r}"
        )
    return names


def _activation(argument: str, value: Any) -> str:
    """Return the name of an activation in Keras."""
    for name, ours in ACTIVATIONS.items():
        if _variants.activation(argument, ours) == _variants.activation(argument, value):
            return name
    raise ValueError(
        f"{argument} must be supported by Keras: {', '.join(map(repr, ACTIVATIONS.values()))}, got {value!r}"
    )


def _variables(p: dict[str, Array], suffix: str) -> list[Array]:
    """Return kernel, recurrent_kernel and optional bias of a direction."""

    def columns(array: Array) -> Array:
        gates = dict(zip(GATES, np.split(array, len(GATES)), strict=True))
        stacked: Array = np.concatenate([gates[gate] for gate in KERAS_GATES])
        return stacked.T

    weights = [columns(p["weight_ih" + suffix]), columns(p["weight_hh" + suffix])]
    if "bias_ih" + suffix in p:
        weights.append(columns(p["bias_ih" + suffix] + p["bias_hh" + suffix]))
    return weights


def lengths(mask: ArrayLike) -> Array:
    """Convert a Keras mask to the lengths argument of an LSTM.

    Parameters
    ----------
    mask : array_like of bool of shape (B, T)
        True at the steps of each sequence, starting with the first; a row of False is a sequence of length 0.

    Returns
    -------
    ndarray of int of shape (B,)
        Number of steps of each sequence.

    Raises
    ------
    ValueError
        If the mask has gaps or padding on the left; the message names the first such sequence.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lf.keras.lengths([[True, True, False], [True, True, True]])
    array([2, 3])
    """
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim != 2:
        raise ValueError(f"mask must be boolean of shape (B, T), got {mask.dtype} {mask.shape}")
    steps: Array = mask.sum(axis=1)
    wrong = np.flatnonzero((mask != (np.arange(mask.shape[1]) < steps[:, None])).any(axis=1))
    if len(wrong):
        raise ValueError(
            "mask must be padded on the right, True up to the end of each sequence and False after it, "
            f"got a gap or left padding in sequence {wrong[0]}"
        )
    return steps
