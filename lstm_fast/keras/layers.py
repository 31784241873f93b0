"""A Keras layer, by its configuration and weights, as an LSTM.

Keras stacks the gates in the order of KERAS_GATES along the columns; its kernels are the transposes of our weights; its
one bias becomes bias_ih.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .._errors import FormatError, type_name
from ..modules import LSTM
from ..reference.gates import GATES
from .configs import Config, cells_of

if TYPE_CHECKING:
    from .._types import Activation, Array

KERAS_GATES = ("i", "f", "g", "o")  # Keras calls g, the candidate, c

# Keras 3's formulas: hard_sigmoid is relu6(x + 3) / 6, leaky_relu has a slope of 0.2 below 0.
ACTIVATIONS: dict[str, Activation] = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "linear": ("affine", 1.0, 0.0),
    "elu": ("elu", 1.0),
    "leaky_relu": ("leaky_relu", 0.2),
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5),
    "softsign": "softsign",
    "softplus": "softplus",
}
KERAS_2_ACTIVATIONS = ACTIVATIONS | {"hard_sigmoid": ("hard_sigmoid", 0.2, 0.5)}

# The entries of a configuration that matter, and Keras' defaults, used where a file has none.
DEFAULTS = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "recurrent_dropout": 0.0,
    "go_backwards": False,
    "merge_mode": "concat",
}
MERGED = {
    "sum": "output[..., :H] + output[..., H:]",
    "mul": "output[..., :H] * output[..., H:]",
    "ave": "(output[..., :H] + output[..., H:]) / 2",
}

Options: TypeAlias = dict[str, Any]


class Layer(NamedTuple):
    """A Keras layer as it is saved.

    cells has the variables of each cell, [kernel, recurrent_kernel] and the bias if there is one. is_uncertain: the
    file does not say which of two defaults recurrent_activation had.
    """

    name: str
    class_name: str
    config: Config
    cells: list[list[Array]]
    is_keras_2: bool = False
    is_uncertain: bool = False


class Part(NamedTuple):
    """One layer of an LSTM: sizes, the variables of the cell in each direction, options of the constructor."""

    input_size: int
    hidden_size: int
    directions: list[list[Array]]
    options: Options


def is_cudnn(cell: Sequence[Array]) -> bool:
    """Return whether a cell belongs to a CuDNNLSTM, which has two biases, (8H,)."""
    return len(cell) == 3 and cell[2].shape == (2 * cell[1].shape[1],)


def with_unique_names(layers: list[Layer], paths: list[str]) -> list[Layer]:
    """Return layers, with ambiguous names replaced by their paths."""
    have = [layer.name for layer in layers]
    return [layer if have.count(layer.name) == 1 else layer._replace(name=path) for layer, path in zip(layers, paths)]


def check_config(given: Config) -> None:
    """Raise a TypeError if an entry is not in DEFAULTS."""
    unknown = [name for name in given if name not in DEFAULTS]
    if unknown:
        raise TypeError(f"an entry of the configuration must be one of {', '.join(DEFAULTS)}, got {', '.join(unknown)}")


def network(layers: Sequence[Layer], given: Config) -> LSTM:
    """Build the LSTM of consecutive Keras layers; given: entries that replace those of their configurations."""
    parts = [part for layer in layers for part in _parts(layer, given)]
    first = parts[0]
    H, D = first.hidden_size, len(first.directions)
    expected = (D * H, H, D, first.options)
    for part in parts[1:]:
        got = (part.input_size, part.hidden_size, len(part.directions), part.options)
        if got != expected:
            raise ValueError(
                "layers of one LSTM must have equal sizes and options and read the previous one's output, (I, H, "
                f"directions, options) = "
                f"{expected}, got {got}: load them one by one"
            )
    cells = [cell for part in parts for cell in part.directions]
    lstm = LSTM(
        first.input_size,
        H,
        len(parts),
        bias=any(len(cell) == 3 for cell in cells),
        batch_first=True,
        bidirectional=D == 2,
        dtype=np.float64 if any(array.dtype == np.float64 for cell in cells for array in cell) else np.float32,
        **first.options,
    )
    with lstm.edit() as p:
        for suffix, cell in zip(lstm.parameter_suffixes, cells, strict=True):
            p["weight_ih" + suffix], p["weight_hh" + suffix], bias_ih, bias_hh = _parameters(cell)
            if lstm.bias:
                p["bias_ih" + suffix][...], p["bias_hh" + suffix][...] = bias_ih, bias_hh
    return lstm


def _parts(layer: Layer, given: Config) -> list[Part]:
    """Return the layers of an LSTM that one Keras layer is."""
    read = cells_of({"class_name": layer.class_name, "config": layer.config})
    if read is None:
        raise ValueError(
            f"layer {layer.name!r} must be an LSTM, an RNN of LSTMCells, or Bidirectional of one with one cell "
            f"in each direction, got {layer.class_name}"
        )
    cells, D = read
    if len(layer.cells) != len(cells):
        raise FormatError(f"layer {layer.name!r} must have weights of {len(cells)} cells, got {len(layer.cells)}")
    _check_order_of_steps(layer, cells, D, given)
    cells = [cell | given for cell in cells]
    parts = []
    for k in range(0, len(cells), D):
        sizes = [_sizes(layer, *both) for both in zip(cells[k : k + D], layer.cells[k : k + D])]
        options = [_options(layer, cell) for cell in cells[k : k + D]]
        if sizes[0] != sizes[-1] or options[0] != options[-1]:
            raise ValueError(
                f"the directions of layer {layer.name!r} must be equal in size and options, got sizes (I, H) {sizes}, "
                f"{options}"
            )
        parts.append(Part(*sizes[0], layer.cells[k : k + D], options[0]))
    return parts


def _check_order_of_steps(layer: Layer, cells: list[Config], D: int, given: Config) -> None:
    """Raise a ValueError that names the alternative if the layer reverses or merges sequences unlike lf.LSTM."""
    merge_mode = given.get("merge_mode", layer.config.get("merge_mode", "concat")) if D == 2 else "concat"
    if merge_mode not in ("concat", None):
        formula = f", {MERGED[merge_mode]}" if merge_mode in MERGED else ""
        raise ValueError(
            f"merge_mode of layer {layer.name!r} must be 'concat' or None, got {merge_mode!r}: "
            f"pass merge_mode='concat' and merge the two directions of the output{formula}"
        )
    own = (given if D == 1 else {}).get("go_backwards")
    backwards = [bool(cell.get("go_backwards", False) if own is None else own) for cell in cells]
    if backwards != ([False, True] if D == 2 else [False] * len(cells)):
        raise ValueError(
            f"go_backwards of layer {layer.name!r} must be False (in Bidirectional, of the forward layer): "
            "pass go_backwards=False and reverse each sequence before the call, x[:, ::-1]"
        )


def _sizes(layer: Layer, cell: Config, arrays: list[Array]) -> tuple[int, int]:
    """Return (I, H) of a cell; its configuration and weights must agree."""
    kernel, recurrent, *bias = arrays
    H = cell.get("units", recurrent.shape[-1] // 4)
    has_bias = cell.get("use_bias", bool(bias))
    if (
        kernel.ndim != 2
        or recurrent.shape != (H, 4 * H)
        or kernel.shape[1] != 4 * H
        or 0 in kernel.shape
        or [b.shape for b in bias] not in ([[(4 * H,)], [(8 * H,)]] if has_bias else [[]])
    ):
        raise FormatError(
            f"weights of layer {layer.name!r} must have shapes (I, 4H), (H, 4H) and (4H,) (of CuDNNLSTM (8H,)) with "
            f"H = units = {H} and use_bias={has_bias}, got {', '.join(str(a.shape) for a in arrays)}"
        )
    return kernel.shape[0], H


def _options(layer: Layer, cell: Config) -> Options:
    """Return the arguments of LSTM from the configuration of a cell. Keras has one activation for g and c."""
    activation = _activation(layer, cell, "activation")
    return {
        "activation": activation,
        "cell_activation": activation,
        "recurrent_activation": _activation(layer, cell, "recurrent_activation"),
        "recurrent_dropout": cell.get("recurrent_dropout", DEFAULTS["recurrent_dropout"]),
    }


def _activation(layer: Layer, cell: Config, argument: str) -> Activation:
    value = cell.get(argument, DEFAULTS[argument])
    value = "linear" if value is None else value
    table = KERAS_2_ACTIVATIONS if layer.is_keras_2 else ACTIVATIONS
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{argument} of layer {layer.name!r} must be one of {', '.join(table)}, got {value!r}")
    return table[value]


def _parameters(cell: Sequence[Array]) -> tuple[Any, Any, Any, Any]:
    """Return weight_ih, weight_hh, bias_ih and bias_hh of a cell.

    CuDNNLSTM stores the matrix of each gate in cuDNN's layout, (H, I) and (H, H), in arrays with the shapes of LSTM.
    """
    kernel, recurrent, *bias = cell

    def gates(array: Array) -> list[Array]:
        by_gate = dict(zip(KERAS_GATES, np.split(array, len(KERAS_GATES), axis=-1), strict=True))
        return [by_gate[gate] for gate in GATES]

    def weight(array: Array) -> Array:
        if is_cudnn(cell):
            return np.concatenate([gate.reshape(gate.shape[::-1]) for gate in gates(array)])
        return np.concatenate([gate.T for gate in gates(array)])

    halves = np.split(bias[0], 1 + is_cudnn(cell)) if bias else []
    bias_ih, bias_hh, *_ = *(np.concatenate(gates(half)) for half in halves), 0, 0
    return weight(kernel), weight(recurrent), bias_ih, bias_hh


def from_layer(layer: Any, **config: Any) -> LSTM:
    """Convert a built Keras 3 layer to an LSTM.

    Parameters
    ----------
    layer : Keras layer or list of Keras layers
        A keras.layers.LSTM, a keras.layers.RNN of an LSTMCell or of a list of LSTMCells of equal size, or a
        keras.layers.Bidirectional of one of these. A list of consecutive layers becomes one LSTM with several layers.
    **config
        Entries of the layer's configuration that replace its own: activation, recurrent_activation, recurrent_dropout,
        go_backwards, merge_mode.

    Returns
    -------
    LSTM
        With batch_first=True and copies of the weights; see the notes of lstm_fast.keras for the correspondence.

    Raises
    ------
    TypeError
        If layer is not a Keras layer or an entry of config is unknown.
    ValueError
        If the layer is not built or lf.LSTM does not support it; the message gives the reason and the alternative.

    Examples
    --------
    >>> import keras
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> layer = keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True))
    >>> x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    >>> expected = keras.ops.convert_to_numpy(layer(x))
    >>> lstm = lf.keras.from_layer(layer)
    >>> lstm
    LSTM(3, 8, batch_first=True, bidirectional=True)
    >>> output, (h_n, c_n) = lstm(x)
    >>> bool(np.allclose(output, expected, atol=1e-6))
    True
    """
    layers = layer if isinstance(layer, (list, tuple)) else [layer]
    if not layers or not all(hasattr(one, "get_config") and hasattr(one, "get_weights") for one in layers):
        got = ", ".join(map(type_name, layers)) or "an empty list"
        raise TypeError(f"layer must be a Keras layer or a list of them, got {got}")
    check_config(config)
    return network([_read(one) for one in layers], config)


def _read(layer: Any) -> Layer:
    """Read a Keras 3 layer in memory."""
    class_name, config = type(layer).__name__, layer.get_config()
    name = config.get("name", class_name)
    cells: list[list[Array]] = []
    if cells_of({"class_name": class_name, "config": config}):
        if not layer.built:
            raise ValueError(f"layer {name!r} must be built: call it, or layer.build(shape of its input)")
        for array in map(np.asarray, layer.get_weights()):
            if array.dtype.itemsize < 4:  # float16, and bfloat16 of ml_dtypes
                array = array.astype(np.float32)
            starts = not cells or (len(cells[-1]) > 1 and array.ndim == 2)
            cells.append([array]) if starts else cells[-1].append(array)
    return Layer(name, class_name, config, cells)
