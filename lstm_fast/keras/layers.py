"""A Keras layer, by its configuration and weights, as an LSTM; an LSTM as a Keras layer; masks as lengths.

Gates are in the same order (i, f, c, o here is i, f, g, o); kernels are transposed; there is one bias, which becomes bias_ih.
"""

from typing import NamedTuple

import numpy as np

from .. import _variants
from .._errors import FormatError
from ..modules import LSTM
from ..quantized import QuantizedLSTM
from .configs import cells_of

# Keras 3's formulas: hard_sigmoid is relu6(x + 3) / 6, leaky_relu has 0.2 below 0.
ACTIVATIONS = {
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
OF_KERAS_2 = {"hard_sigmoid": ("hard_sigmoid", 0.2, 0.5)}
# What of a configuration matters, with Keras' defaults, which hold where a file has none.
DEFAULTS = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "recurrent_dropout": 0.0,
    "go_backwards": False,
    "merge_mode": "concat",
}


class Layer(NamedTuple):
    """A Keras layer: its class, its configuration, and of each cell [kernel, recurrent_kernel] and the bias if it has one."""

    name: str
    class_name: str
    config: dict
    cells: list
    is_keras_2: bool = False


def _activation(layer, cell, argument):
    value = cell.get(argument, DEFAULTS[argument])
    value = "linear" if value is None else value
    table = ACTIVATIONS | OF_KERAS_2 if layer.is_keras_2 else ACTIVATIONS
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{argument} of layer {layer.name!r} must be one of {', '.join(table)}, got {value!r}")
    return table[value]


def _options(layer, cell):
    """What LSTM has of a cell's configuration; Keras has one activation for g and c."""
    activation = _activation(layer, cell, "activation")
    return {
        "activation": activation,
        "cell_activation": activation,
        "recurrent_activation": _activation(layer, cell, "recurrent_activation"),
        "recurrent_dropout": cell.get("recurrent_dropout", DEFAULTS["recurrent_dropout"]),
    }


def _check_sizes(layer, cell, arrays):
    """Configuration and weights of a cell must fit together."""
    kernel, recurrent, *bias = arrays
    G = recurrent.shape[-1]
    H = cell.get("units", G // 4)
    has_bias = cell.get("use_bias", bool(bias))
    if (
        kernel.ndim != 2
        or recurrent.shape != (H, 4 * H)
        or kernel.shape[1] != 4 * H
        or 0 in kernel.shape
        or [b.shape for b in bias] != [(4 * H,)] * bool(has_bias)
    ):
        raise FormatError(
            f"weights of layer {layer.name!r} must have shapes (I, 4H), (H, 4H) and (4H,) with H = units = {H} "
            f"and use_bias={has_bias}, got {', '.join(str(a.shape) for a in arrays)}"
        )
    return kernel.shape[0], H


def _read(layer, given):
    """The layers that one Keras layer is: a list of (input_size, H, cells by direction, options of LSTM)."""
    read = cells_of({"class_name": layer.class_name, "config": layer.config})
    if read is None:
        raise ValueError(
            f"layer {layer.name!r} must be an LSTM, an RNN of LSTMCells, or Bidirectional of one with one cell "
            f"in each direction, got {layer.class_name}"
        )
    cells, D = read
    if len(layer.cells) != len(cells):
        raise FormatError(f"layer {layer.name!r} must have weights of {len(cells)} cells, got {len(layer.cells)}")
    backwards = [(given if D == 1 else {}).get("go_backwards", cell.get("go_backwards", False)) for cell in cells]
    cells = [cell | given for cell in cells]
    merge_mode = given.get("merge_mode", layer.config.get("merge_mode", "concat")) if D == 2 else "concat"
    if merge_mode not in ("concat", None):
        raise ValueError(
            f"merge_mode of layer {layer.name!r} must be 'concat' or None, got {merge_mode!r}: with "
            "merge_mode='concat' as an argument, both directions are given side by side"
        )
    if backwards != ([False, True] if D == 2 else [False] * len(cells)):
        raise ValueError(
            f"go_backwards of layer {layer.name!r} must be False, in Bidirectional that of the forward layer: "
            "with go_backwards=False as an argument, the network is that of sequences turned round"
        )
    parts = []
    for k in range(0, len(cells), D):
        sizes = [_check_sizes(layer, *both) for both in zip(cells[k : k + D], layer.cells[k : k + D])]
        options = [_options(layer, cell) for cell in cells[k : k + D]]
        if sizes[0] != sizes[-1] or options[0] != options[-1]:
            raise ValueError(
                f"the directions of layer {layer.name!r} must be alike, got sizes (I, H) {sizes}, {options}"
            )
        parts.append((*sizes[0], layer.cells[k : k + D], options[0]))
    return parts


def check_config(given):
    unknown = [name for name in given if name not in DEFAULTS]
    if unknown:
        raise TypeError(f"an entry of the configuration must be one of {', '.join(DEFAULTS)}, got {', '.join(unknown)}")


def network(layers, given):
    """The LSTM of Keras layers that follow each other; given: entries of the configuration to use instead."""
    parts = [part for layer in layers for part in _read(layer, given)]
    I, H, cells, options = parts[0]
    D = len(cells)
    for n_inputs, size, directions, own in parts[1:]:
        if (n_inputs, size, len(directions), own) != (D * H, H, D, options):
            raise ValueError(
                "layers of one LSTM must be alike and read each other's output, (I, H, directions, options) = "
                f"{(D * H, H, D, options)}, got {(n_inputs, size, len(directions), own)}: load them one by one"
            )
    arrays = [arrays for _, _, directions, _ in parts for arrays in directions]
    dtype = np.float64 if any(a.dtype == np.float64 for cell in arrays for a in cell) else np.float32
    lstm = LSTM(
        I,
        H,
        len(parts),
        bias=any(len(cell) == 3 for cell in arrays),
        batch_first=True,
        bidirectional=D == 2,
        dtype=dtype,
        **options,
    )
    with lstm.edit() as p:
        for suffix, (kernel, recurrent, *bias) in zip(lstm.parameter_suffixes, arrays, strict=True):
            p["weight_ih" + suffix], p["weight_hh" + suffix] = kernel.T, recurrent.T
            if lstm.bias:
                p["bias_ih" + suffix][...], p["bias_hh" + suffix][...] = bias[0] if bias else 0, 0
    return lstm


def from_layer(layer, **config):
    """The LSTM of a built layer of Keras 3, with copies of its weights; batch_first is True.

    layer : keras.layers.LSTM, keras.layers.RNN of an LSTMCell or of a list of equally large ones, or
        keras.layers.Bidirectional of one; or a list of such layers that follow each other, which become one LSTM of
        several layers
    config : entries of the layer's configuration to use instead of its own: activation, recurrent_activation,
        recurrent_dropout, go_backwards, merge_mode
    """
    layers = layer if isinstance(layer, (list, tuple)) else [layer]
    if not layers or not all(hasattr(one, "get_config") and hasattr(one, "get_weights") for one in layers):
        raise TypeError(f"layer must be a Keras layer or a list of them, got {layer!r}")
    check_config(config)
    return network([_layer(one) for one in layers], config)


def _layer(layer):
    class_name, config = type(layer).__name__, layer.get_config()
    name = config.get("name", class_name)
    cells = []
    if cells_of({"class_name": class_name, "config": config}):
        if not layer.built:
            raise ValueError(f"layer {name!r} must be built: call it, or layer.build(shape of its input)")
        for array in layer.get_weights():
            array = np.asarray(array)
            array = (
                array.astype(np.float32) if array.dtype.itemsize < 4 else array
            )  # float16, and bfloat16 of ml_dtypes
            starts = not cells or (len(cells[-1]) > 1 and array.ndim == 2)
            cells.append([array]) if starts else cells[-1].append(array)
    return Layer(name, class_name, config, cells)


NOT_IN_KERAS = {
    "proj_size": 0,
    "peepholes": False,
    "layer_norm": False,
    "coupled_gates": False,
    "cell_clip": None,
    "gate_clip": None,
    "learn_initial_state": False,
}


def _name_of_activation(argument, value):
    for name, ours in ACTIVATIONS.items():
        if _variants.activation(argument, ours) == _variants.activation(argument, value):
            return name
    raise ValueError(
        f"{argument} must be one that Keras has, {', '.join(map(repr, ACTIVATIONS.values()))}, got {value!r}"
    )


def to_layer(lstm, name=None, **config):
    """A built Keras layer that computes what an LSTM does, with copies of its parameters.

    One layer becomes keras.layers.LSTM or, with two directions, keras.layers.Bidirectional of one; more become a keras.Model
    of them, with keras.layers.Dropout between if lstm.dropout. The two biases are added up.

    lstm : LSTM; an option that Keras lacks is a ValueError that names it
    config : further arguments of keras.layers.LSTM; return_sequences is True unless given
    """
    if not isinstance(lstm, (LSTM, QuantizedLSTM)):
        raise TypeError(f"lstm must be an LSTM, got {type(lstm).__name__}")
    for option, plain in NOT_IN_KERAS.items():
        if getattr(lstm, option) != plain:
            raise ValueError(f"{option} must be {plain!r} for Keras, got {getattr(lstm, option)!r}")
    if any(_variants.zoneout(lstm.zoneout)):
        raise ValueError(f"zoneout must be 0 for Keras, got {lstm.zoneout!r}")
    activation = _name_of_activation("activation", lstm.activation)
    if _name_of_activation("cell_activation", lstm.cell_activation) != activation:
        raise ValueError(
            f"cell_activation must be that of g for Keras, {lstm.activation!r}, got {lstm.cell_activation!r}"
        )
    try:
        import keras
    except ImportError:
        raise ImportError("to_layer needs Keras 3 and a backend of it: pip install keras") from None
    p, layers = lstm.parameters(), []
    last = {"return_sequences": True} | config
    for k in range(lstm.num_layers):
        own = last if k == lstm.num_layers - 1 else last | {"return_sequences": True, "return_state": False}
        named = {"name": name} if name and lstm.num_layers == 1 else {}
        make = {
            "units": lstm.hidden_size,
            "activation": activation,
            "use_bias": lstm.bias,
            "dtype": lstm.dtype.name,
            "recurrent_activation": _name_of_activation("recurrent_activation", lstm.recurrent_activation),
            "recurrent_dropout": lstm.recurrent_dropout,
        } | own
        layer = (
            keras.layers.Bidirectional(keras.layers.LSTM(**make), dtype=lstm.dtype.name, **named)
            if lstm.bidirectional
            else keras.layers.LSTM(**make, **named)
        )
        layer.build((None, None, p[f"weight_ih_l{k}"].shape[1]))
        layer.set_weights(
            [
                array
                for suffix in (f"_l{k}", f"_l{k}_reverse")[: lstm.num_directions]
                for array in (
                    p["weight_ih" + suffix].T,
                    p["weight_hh" + suffix].T,
                    *([p["bias_ih" + suffix] + p["bias_hh" + suffix]] if lstm.bias else []),
                )
            ]
        )
        layers += [keras.layers.Dropout(lstm.dropout, dtype=lstm.dtype.name)] if k and lstm.dropout else []
        layers.append(layer)
    if lstm.num_layers == 1:
        return layers[0]
    h = sequence = keras.Input((None, lstm.input_size), dtype=lstm.dtype.name)
    for layer in layers:
        h = layer(h)
    model = keras.Model(sequence, h, name=name)
    model.dtype_policy = lstm.dtype.name  # else float64 input is made float32
    return model


def lengths(mask):
    """lengths= of an LSTM from a Keras mask: booleans (B, T), True at the steps of each sequence, which begin at its first.

    A mask with gaps, or padded on the left, is a ValueError that says which sequence; a row of False is a sequence of
    length 0.
    """
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim != 2:
        raise ValueError(f"mask must be boolean of shape (B, T), got {mask.dtype} {mask.shape}")
    steps = mask.sum(axis=1)
    wrong = np.flatnonzero((mask != (np.arange(mask.shape[1]) < steps[:, None])).any(axis=1))
    if len(wrong):
        raise ValueError(
            "mask must be padded on the right, True up to the end of each sequence and False behind it, "
            f"got a gap or left padding in sequence {wrong[0]}"
        )
    return steps
