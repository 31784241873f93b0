"""One LSTM or RNN node: its attributes and weights, validated and converted to lstm_fast's conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .._errors import FormatError
from ..modules import LSTM, RNN
from ..modules.reverse import ReverseLSTM, ReverseRNN
from ..reference.activations import ACTIVATIONS, activation
from .layout import ACTIVATIONS as ACTIVATION_NAMES
from .layout import FROM_ACTIVATION, FROM_ONNX, rows

if TYPE_CHECKING:
    from .._types import Activation, Array, DType

Attributes: TypeAlias = Mapping[str, Any]
Options: TypeAlias = dict[str, Any]

STATES = ("sequence_lens", "initial_h", "initial_c")
INPUTS = {
    "LSTM": ("X", "W", "R", "B", *STATES, "P"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "DynamicQuantizeLSTM": (
        *("X", "W", "R", "B", *STATES, "P"),
        *("W_scale", "W_zero_point", "R_scale", "R_zero_point"),
    ),
}
# output_sequence (version 1) only determines whether Y is needed.
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
CLASSES: dict[str, tuple[type[LSTM] | type[RNN], type[ReverseLSTM] | type[ReverseRNN]]] = {
    "LSTM": (LSTM, ReverseLSTM),
    "RNN": (RNN, ReverseRNN),
}


class Direction(NamedTuple):
    """One direction of a node: constructor options, and parameters by name without _l0."""

    is_reverse: bool
    options: Options
    parameters: dict[str, Array]


class Description(NamedTuple):
    """A node in lstm_fast's conventions. kind is "LSTM" or "RNN"."""

    kind: str
    layout: int
    dtype: DType
    input_size: int
    hidden_size: int
    has_bias: bool
    directions: list[Direction]


def describe(kind: str, attributes: Attributes, **weights: Array | None) -> Description:
    """Validate and convert the attributes and the weights W, R, B and P of a node; raises FormatError."""
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
    are_reverse, n_gates = DIRECTIONS[direction], 4 if kind == "LSTM" else 1
    W, R, B, P = _weights(**weights)
    if R.ndim != 3 or W.ndim != 3:
        raise FormatError(f"W and R must have 3 axes, got {W.shape} and {R.shape}")
    D, I, H = len(are_reverse), W.shape[2], attributes.get("hidden_size", R.shape[2])
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
            for name, half in zip(("bias_ih", "bias_hh"), np.split(B[d], 2), strict=True):
                parameters[name] = rows(half, n_gates, order)
        if P is not None:
            parameters["weight_peephole"] = rows(P[d], 3, FROM_ONNX[3])
            options[d]["peepholes"] = True
        directions.append(Direction(is_reverse, options[d], parameters))
    return Description(kind, layout, W.dtype, I, H, B is not None, directions)


def _weights(
    W: Array | None, R: Array | None, B: Array | None = None, P: Array | None = None
) -> tuple[Array, Array, Array | None, Array | None]:
    """The weights in float64 if any of them is, else in float32, which represents 16-bit numbers exactly."""
    given = {"W": W, "R": R, "B": B, "P": P}
    for name, array in given.items():
        if array is not None and array.dtype.kind != "f" and array.dtype.name != "bfloat16":
            raise FormatError(f"{name} must be float16, bfloat16, float32 or float64, got {array.dtype}")
    if W is None or R is None:
        raise FormatError(f"input {'W' if W is None else 'R'} is missing")
    is_double = any(array is not None and array.dtype == np.float64 for array in given.values())
    dtype = np.float64 if is_double else np.float32
    B, P = (None if array is None else array.astype(dtype) for array in (B, P))
    return W.astype(dtype), R.astype(dtype), B, P


# ---- options ----


def _options(kind: str, attributes: Attributes, D: int) -> list[Options]:
    """Constructor arguments for each direction."""
    clip, coupled = attributes.get("clip"), attributes.get("input_forget", 0)
    if clip is not None and not clip > 0:
        raise FormatError(f"attribute clip must be a positive number, got {clip!r}")
    if coupled not in (0, 1):
        raise FormatError(f"attribute input_forget must be 0 or 1, got {coupled!r}")
    activations, n = _activations(kind, attributes, D), len(PLAIN_ACTIVATIONS[kind])
    by_direction = [activations[d * n : (d + 1) * n] for d in range(D)]
    if kind == "RNN":
        if clip is not None and clip < np.finfo(np.float32).max:
            raise FormatError("attribute clip of RNN is not supported")
        return [{"nonlinearity": _nonlinearity(spec)} for (spec,) in by_direction]
    gate_clip = _number(clip) if clip is not None and clip < np.inf else None
    return [
        {
            "recurrent_activation": of_gates,
            "activation": of_candidate,
            "cell_activation": of_cell,
            "coupled_gates": bool(coupled),
            "gate_clip": gate_clip,
        }
        for of_gates, of_candidate, of_cell in by_direction
    ]


def _nonlinearity(spec: Activation) -> str:
    name = "identity" if spec == "affine" else spec  # with other parameters it is a tuple
    if name not in ("tanh", "relu", "identity"):
        raise FormatError(f"attribute activations of RNN: {spec} is not supported; expected Tanh, Relu or Affine(1, 0)")
    return str(name)


def _activations(kind: str, attributes: Attributes, D: int) -> list[Activation]:
    """Our activation of each gate and direction. alpha and beta are consumed in order by those with parameters."""
    n = D * len(PLAIN_ACTIVATIONS[kind])
    names = attributes.get("activations") or list(PLAIN_ACTIVATIONS[kind]) * D
    names = names[:D] if kind == "RNN" else names  # by default an RNN has two, whatever its direction
    if len(names) != n:
        raise FormatError(f"attribute activations must have {n} names, got {names!r}")
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
        n_parameters = len(ACTIVATIONS[ours].parameters)
        specs.append(_activation(ours, [next(values[name], None) for name in tuple(values)[:n_parameters]]))
    return specs


def _number(value: float) -> float:
    """The shortest number with this float32 value: attributes are float32, in which 0.2 is 0.200000003."""
    return float(str(np.float32(value)))


def _activation(name: str, given: Sequence[float | None]) -> Activation:
    """An activation for our constructor.

    Missing parameters have the defaults of ONNX's operator of the same name, which are also ours; two activations
    have no such operator.
    """
    if name in ("affine", "scaled_tanh") and None in given:
        raise FormatError(
            f"attribute activation_{'alpha' if given[0] is None else 'beta'} must have a number for {name}"
        )
    defaults = ACTIVATIONS[name].parameters
    values = tuple([default if value is None else _number(value) for value, default in zip(given, defaults)])
    spec: Any = (name, *values)
    try:
        activation(spec)
    except ValueError as error:
        raise FormatError(f"attribute activation_alpha: {error}") from None
    result: Activation = spec if values != defaults else name
    return result


# ---- networks ----


def build(
    layers: Sequence[Description], initial: Sequence[Sequence[dict[str, Array]]] | None = None, **options: Any
) -> LSTM | RNN:
    """Build a network from one Description per layer, which differ only in weights and input size.

    initial: the learned initial state, {"h_0": (H,), "c_0": (H,)}, of each layer and direction; None: not learned.
    options: further constructor arguments.
    """
    first = layers[0]
    directions = first.directions
    if len(directions) == 2 and directions[0].options != directions[1].options:
        raise FormatError("attribute activations: different activations for the second direction are not supported")
    arguments = {
        **directions[0].options,
        "bias": first.has_bias,
        "bidirectional": len(directions) == 2,
        "dtype": first.dtype,
        "learn_initial_state": initial is not None,
        "seed": 0,
        **options,
    }
    cls = CLASSES[first.kind][directions[0].is_reverse]
    try:
        network = cls(first.input_size, first.hidden_size, len(layers), **arguments)
    except (ValueError, TypeError) as error:
        raise FormatError(str(error)) from None
    parameters: dict[str, Array] = {}
    for k, layer in enumerate(layers):
        for d, direction in enumerate(layer.directions):
            values = direction.parameters | (initial[k][d] if initial else {})
            parameters |= {f"{name}_l{k}{('', '_reverse')[d]}": value for name, value in values.items()}
    network.load_state_dict(parameters)
    return network
