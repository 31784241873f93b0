"""One LSTM or RNN node: attributes and weights checked and turned into what lstm_fast calls them."""

from collections import namedtuple
from numbers import Real

import numpy as np

from .._errors import FormatError
from ..modules import LSTM, RNN
from ..reference.activations import ACTIVATIONS, activation
from .layout import ACTIVATIONS as ACTIVATION_NAMES
from .layout import FROM_ACTIVATION, FROM_ONNX, rows
from .operators import dequantize
from .reverse import ReverseLSTM, ReverseRNN

INPUTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "DynamicQuantizeLSTM": (
        "X",
        "W",
        "R",
        "B",
        "sequence_lens",
        "initial_h",
        "initial_c",
        "P",
        "W_scale",
        "W_zero_point",
        "R_scale",
        "R_zero_point",
    ),
}
# output_sequence (version 1) said only whether Y is wanted.
ATTRIBUTES = {
    "activation_alpha": list,
    "activation_beta": list,
    "activations": list,
    "clip": float,
    "direction": str,
    "hidden_size": int,
    "input_forget": int,
    "layout": int,
    "output_sequence": int,
}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
PLAIN_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "RNN": ("Tanh",)}
CLASSES = {"LSTM": (LSTM, ReverseLSTM), "RNN": (RNN, ReverseRNN)}
N_PARAMETERS = {"affine": 2, "leaky_relu": 1, "thresholded_relu": 1, "scaled_tanh": 2, "hard_sigmoid": 2, "elu": 1}

Direction = namedtuple("Direction", "is_reverse options parameters")
Direction.__doc__ = """One direction of a node: options of the constructor, parameters by name without _l0."""

Description = namedtuple("Description", "kind layout dtype input_size hidden_size has_bias directions")
Description.__doc__ = """A node in our words. kind: "LSTM" or "RNN"."""


def describe(kind, attributes, W, R, B=None, P=None):
    """A Description from attributes and weights as ONNX has them. FormatError names what does not fit."""
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise FormatError(f"attribute {name} of {kind} is not supported")
        if type(value) is not ATTRIBUTES[name]:
            raise FormatError(f"attribute {name} must be of type {ATTRIBUTES[name].__name__}, got {value!r}")
    direction, layout = attributes.get("direction", "forward"), attributes.get("layout", 0)
    if direction not in DIRECTIONS:
        raise FormatError(f"attribute direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if layout not in (0, 1):
        raise FormatError(f"attribute layout must be 0 or 1, got {layout!r}")
    are_reverse = DIRECTIONS[direction]
    D, n_gates = len(are_reverse), 4 if kind == "LSTM" else 1
    weights = _weights({"W": W, "R": R, "B": B, "P": P})
    W, R, B, P = (weights[name] for name in "WRBP")
    if R.ndim != 3 or W.ndim != 3:
        raise FormatError(f"W and R must have 3 axes, got {W.shape} and {R.shape}")
    H, I = attributes.get("hidden_size", R.shape[2]), W.shape[2]
    if H < 1 or I < 1:
        raise FormatError(
            f"attribute hidden_size must be a positive integer and so must the input size, got {H!r} and {I}"
        )
    for name, array, shape, words in (
        ("W", W, (D, n_gates * H, I), f"(D, {n_gates}H, I)"),
        ("R", R, (D, n_gates * H, H), f"(D, {n_gates}H, H)"),
        ("B", B, (D, 2 * n_gates * H), f"(D, {2 * n_gates}H)"),
        ("P", P, (D, 3 * H), "(D, 3H)"),
    ):
        if array is not None and array.shape != shape:
            raise FormatError(f"{name} must have shape {words} = {shape}, got {array.shape}")
    options = _options(kind, attributes, D)
    order, directions = FROM_ONNX[n_gates], []
    for d, is_reverse in enumerate(are_reverse):
        parameters = {"weight_ih": rows(W[d], n_gates, order), "weight_hh": rows(R[d], n_gates, order)}
        if B is not None:
            parameters |= {
                name: rows(half, n_gates, order) for name, half in zip(("bias_ih", "bias_hh"), np.split(B[d], 2))
            }
        if P is not None:
            parameters["weight_peephole"] = rows(P[d], 3, FROM_ONNX[3])
        directions.append(Direction(is_reverse, options[d] | ({} if P is None else {"peepholes": True}), parameters))
    return Description(kind, layout, W.dtype, I, H, B is not None, directions)


def _weights(arrays):
    """All in float64 if one of them is, else in float32, to which 16 bits widen exactly."""
    for name, array in arrays.items():
        if array is None and name in "WR":
            raise FormatError(f"input {name} is missing")
        if array is not None and array.dtype.kind != "f" and array.dtype.name != "bfloat16":
            raise FormatError(f"{name} must be float16, bfloat16, float32 or float64, got {array.dtype}")
    is_double = any(array is not None and array.dtype == np.float64 for array in arrays.values())
    dtype = np.float64 if is_double else np.float32
    return {name: None if array is None else array.astype(dtype) for name, array in arrays.items()}


def _options(kind, attributes, D):
    """Arguments of the constructor for each direction."""
    clip, coupled = attributes.get("clip"), attributes.get("input_forget", 0)
    if clip is not None and not clip > 0:
        raise FormatError(f"attribute clip must be a positive number, got {clip!r}")
    if coupled not in (0, 1):
        raise FormatError(f"attribute input_forget must be 0 or 1, got {coupled!r}")
    activations, n = _activations(kind, attributes, D), len(PLAIN_ACTIVATIONS[kind])
    options = []
    for d in range(D):
        specs = activations[d * n : (d + 1) * n]
        if kind == "LSTM":
            options.append(dict(zip(("recurrent_activation", "activation", "cell_activation"), specs)))
            is_clipped = clip is not None and clip < np.inf
            options[-1] |= {"coupled_gates": bool(coupled), "gate_clip": _number(clip) if is_clipped else None}
        else:
            spec = "identity" if specs[0] == "affine" else specs[0]
            if spec not in ("tanh", "relu", "identity"):
                raise FormatError(
                    f"attribute activations of RNN: {spec} is not supported, but Tanh, Relu, Affine (1, 0)"
                )
            if clip is not None and clip < np.finfo(np.float32).max:
                raise FormatError("attribute clip of RNN is not supported")
            options.append({"nonlinearity": spec})
    return options


def _activations(kind, attributes, D):
    """Ours of each gate and direction. alpha and beta are taken in turn by those that have any, as in ONNX Runtime."""
    names = attributes.get("activations") or list(PLAIN_ACTIVATIONS[kind]) * D
    names = names[:D] if kind == "RNN" else names  # whose default is two, whatever the direction
    if len(names) != D * len(PLAIN_ACTIVATIONS[kind]):
        raise FormatError(f"attribute activations must have {D * len(PLAIN_ACTIVATIONS[kind])} names, got {names!r}")
    values = {}
    for name in ("activation_alpha", "activation_beta"):
        given = attributes.get(name) or []
        if not all(isinstance(value, Real) for value in given):
            raise FormatError(f"attribute {name} must be a list of numbers, got {given!r}")
        values[name] = iter(given)
    specs = []
    for name in names:
        ours = FROM_ACTIVATION.get(str(name).lower())
        if ours is None:
            raise FormatError(f"attribute activations must be of {', '.join(ACTIVATION_NAMES.values())}, got {name!r}")
        n = N_PARAMETERS.get(ours, 0)
        given = [next(values["activation_alpha"], None)] if n else []
        given += [next(values["activation_beta"], None)] if n == 2 else []
        specs.append(_spec(ours, given))
    return specs


def _number(value):
    """0.2 for the float32 next to 0.2, in which attributes are kept."""
    return float(str(np.float32(value)))


def _spec(name, given):
    """The activation for our constructor. A value left out is the default of ONNX's operator of that name, which is ours; for
    two there is no such operator."""
    if name in ("affine", "scaled_tanh") and None in given:
        raise FormatError(
            f"attribute activation_{'alpha' if given[0] is None else 'beta'} must have a number for {name}"
        )
    defaults = ACTIVATIONS[name].parameters
    values = tuple(default if value is None else _number(value) for value, default in zip(given, defaults))
    try:
        activation((name, *values))
    except ValueError as error:
        raise FormatError(f"attribute activation_alpha: {error}") from None
    return (name, *values) if values != defaults else name


def dequantized(W, R, W_scale, W_zero_point, R_scale, R_zero_point):
    """W and R of a DynamicQuantizeLSTM, (D, I, 4H) of 8 bits, as those of an LSTM, (D, 4H, I). Scales: (D) or (D, 4H)."""
    result = []
    for name, array, scale, zero in (("W", W, W_scale, W_zero_point), ("R", R, R_scale, R_zero_point)):
        if array is None or scale is None:
            raise FormatError(f"inputs {name} and {name}_scale are needed")
        n = () if array.ndim != 3 else ((array.shape[0],), (array.shape[0], array.shape[2]))
        if scale.shape not in n or (zero is not None and zero.shape != scale.shape):
            raise FormatError(
                f"{name} must have 3 axes, {name}_scale shape (D,) or (D, 4H), {name}_zero_point the same, got "
                f"{array.shape}, {scale.shape} and {None if zero is None else zero.shape}"
            )
        try:
            result.append(
                np.stack(
                    [dequantize(array[d].T, scale[d], None if zero is None else zero[d], 0) for d in range(len(array))]
                )
            )
        except ValueError as error:
            raise FormatError(f"{name}: {error}") from None
    return result


def build(layers, initial=None, **options):
    """The module of Descriptions, one a layer, that agree in all but weights and input size.

    initial : for each layer and direction its learned state, {"h_0": (H,), "c_0": (H,)}; None: not learned
    options : further arguments of the constructor
    """
    first = layers[0]
    directions = first.directions
    if len(directions) == 2 and directions[0].options != directions[1].options:
        raise FormatError("attribute activations: other ones for the second direction are not supported")
    cls = CLASSES[first.kind][directions[0].is_reverse]
    try:
        module = cls(
            first.input_size,
            first.hidden_size,
            len(layers),
            **directions[0].options,
            bias=first.has_bias,
            bidirectional=len(directions) == 2,
            dtype=first.dtype,
            learn_initial_state=initial is not None,
            seed=0,
            **options,
        )
    except (ValueError, TypeError) as error:
        raise FormatError(str(error)) from None
    module.load_state_dict(
        {
            f"{name}_l{k}{('', '_reverse')[d]}": value
            for k, layer in enumerate(layers)
            for d, direction in enumerate(layer.directions)
            for name, value in (direction.parameters | (initial[k][d] if initial else {})).items()
        }
    )
    return module
