"""The architecture of a network: from the names and shapes of its parameters, and as options for a configuration."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from . import _variants
from ._errors import network_type
from ._inference import Network

# Kinds of parameters; the kinds on one line occur together.
TOGETHER = (
    ("weight_ih", "weight_hh"),
    ("bias_ih", "bias_hh"),
    ("weight_hr",),
    ("weight_peephole",),
    ("norm_ih_weight", "norm_hh_weight", "norm_c_weight", "norm_c_bias"),
    ("h_0", "c_0"),
)
KINDS = tuple(kind for together in TOGETHER for kind in together)
SUFFIX = r"(?:_l(?:0|[1-9]\d{0,4})(?:_reverse)?)?"
NAME = re.compile(rf"(?P<prefix>.*?)(?P<kind>{'|'.join(KINDS)})(?P<suffix>{SUFFIX})", re.DOTALL)

# Arguments of constructors without effect on a trained network, and arguments that follow from the parameters.
INITIAL = ("seed", "forget_bias", "dtype")
INFERRED = (
    "input_size",
    "hidden_size",
    "num_layers",
    "bias",
    "bidirectional",
    "proj_size",
    "peepholes",
    "layer_norm",
    "learn_initial_state",
)

Key = tuple[str, str]  # kind and suffix of a parameter
Shapes = Mapping[str, tuple[int, ...]]


def check_type(name: str, network: object, classes: tuple[type, ...]) -> None:
    """Raise a TypeError unless a network has one of these types. A subclass would be restored as its base class."""
    if getattr(type(network), "saved_as", type(network)) not in classes:
        got = f"{type(network).__name__}, a subclass" if isinstance(network, classes) else network_type(network)
        *most, last = (cls.__name__ for cls in classes)
        words = f"{', '.join(most)} or {last}" if most else last
        raise TypeError(f"{name} must be an {words}, got {got}")


def options(network: Network) -> dict[str, Any]:
    """Return the arguments of the constructor that make a network of the same architecture."""
    config = {name: value for name, value in network.config().items() if name not in INITIAL}
    if config.get("compute_dtype", "") is None:
        del config["compute_dtype"]  # so that files are readable by older versions, and equal to theirs
    if not config.get("index_input", True):
        del config["index_input"]
    return config


def is_parameter_name(name: object) -> bool:
    """Return whether a parameter of a network can have this name, under some prefix."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def by_prefix(names: Iterable[object]) -> dict[str, dict[Key, str]]:
    """Return {prefix: {(kind, suffix): name}} of the names that a parameter of a network can have."""
    found: dict[str, dict[Key, str]] = defaultdict(dict)
    for name in names:
        if isinstance(name, str) and (match := NAME.fullmatch(name)):
            found[match["prefix"]][match["kind"], match["suffix"]] = name
    return dict(found)


def is_lstm(parameters: Mapping[Key, str], shapes: Shapes) -> bool:
    """Return whether parameters are those of an LSTM. A GRU or a plain RNN has the same names with other shapes."""
    first = next((suffix for kind, suffix in parameters if kind == "weight_hh"), None)
    if first is None:
        return any(kind == "weight_ih" for kind, _ in parameters)  # an LSTM without it raises a separate error
    shape = shapes[parameters["weight_hh", first]]
    return (
        len(shape) != 2
        or shape[0] not in (shape[1], 3 * shape[1])
        or any(kind in ("weight_hr", "weight_peephole") for kind, _ in parameters)
    )


def infer(
    prefix: str, parameters: Mapping[Key, str], shapes: Shapes, n_gates: int = 4
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the sizes and options of a network from the shapes of its parameters, before anything is allocated.

    Parameters
    ----------
    prefix : str
        What the names have before the kind; for messages.
    parameters : {(kind, suffix): name}
        One value of by_prefix().
    shapes : {name: shape}
    n_gates : int
        4 for an LSTM, 1 for a plain RNN.

    Returns
    -------
    options : dict
        The arguments INFERRED that the class has; without layers (no _l0 in the names), the arguments of LSTMCell.
    names : dict
        The network's own name of each parameter: its name in shapes.

    Raises
    ------
    ValueError
        If a parameter is missing or does not fit the others.
    """
    is_lstm = n_gates == 4
    suffixes, kinds = _complete(prefix, parameters, is_lstm)
    D = 1 + suffixes[-1].endswith("_reverse")
    ordered = {(kind, suffix): parameters[kind, suffix] for suffix in suffixes for kind in kinds}
    found = {key: shapes[name] for key, name in ordered.items()}
    ih, hh = found["weight_ih", suffixes[0]], found["weight_hh", suffixes[0]]
    (G, I), R = ih if len(ih) == 2 else (0, 0), hh[1] if len(hh) == 2 else 0
    own: dict[str, Any] = {"input_size": I, "hidden_size": G // n_gates, "bias": "bias_ih" in kinds}
    of_lstm = {"peepholes": "weight_peephole" in kinds, "layer_norm": "norm_c_bias" in kinds} if is_lstm else {}
    own |= of_lstm
    if suffixes != [""]:  # not an LSTMCell
        own |= {"num_layers": len(suffixes) // D, "bidirectional": D == 2, "learn_initial_state": "h_0" in kinds}
        own |= {"proj_size": R if "weight_hr" in kinds else 0} if is_lstm else {}
    expected: dict[Key, tuple[int, ...]] = {}
    for k, suffix in enumerate(suffixes):
        of_layer = _variants.layer_shapes(
            input_size=I if k < D else D * R,
            hidden_size=G // n_gates,
            h_size=R,
            num_gates=n_gates,
            has_cell_state=is_lstm,
            bias="bias_ih" in kinds,
            learn_initial_state="h_0" in kinds and suffix != "",
            **of_lstm,
        )
        expected |= {(kind, suffix): shape for kind, shape in of_layer.items()}
    wrong = [
        f"{name} {found[key]}" + f" instead of {expected[key]}" * (key in expected)
        for key, name in ordered.items()
        if found[key] != expected.get(key)
    ]
    if not I * (G // n_gates) * R or wrong or len(expected) != len(ordered) or len(ordered) != len(parameters):
        what, G_words = ("an LSTM", "4H") if is_lstm else ("an RNN", "H")
        raise ValueError(
            f"shapes must match {what} of one size, weight_ih ({G_words}, I), weight_hh ({G_words}, H), ..., got "
            + ", ".join(wrong or (f"{name} {shapes[name]}" for name in parameters.values()))
        )
    return own, {kind + suffix: name for (kind, suffix), name in ordered.items()}


def _complete(prefix: str, parameters: Mapping[Key, str], is_lstm: bool) -> tuple[list[str], list[str]]:
    """Return suffixes, layer by layer, and kinds of parameters in which each kind has all suffixes."""
    have = {"weight_ih", *(kind for kind, _ in parameters)}
    kinds = [kind for together in TOGETHER if have & set(together) for kind in together if is_lstm or kind != "c_0"]
    layers = {int(suffix[2:].split("_")[0]) for _, suffix in parameters if suffix}
    L, D = max(layers, default=0) + 1, 1 + any(suffix.endswith("_reverse") for _, suffix in parameters)
    if len(parameters) < L * D:  # before creating names for a huge number of layers
        raise ValueError(
            f"there must be parameters of {L} layers and {D} directions under prefix {prefix!r}, got "
            f"{len(parameters)} of layers {sorted(layers)}"
        )
    suffixes = [f"_l{k}{way}" for k in range(L) for way in ("", "_reverse")[:D]] if layers else [""]
    missing = [prefix + kind + suffix for suffix in suffixes for kind in kinds if (kind, suffix) not in parameters]
    if missing:
        raise ValueError(f"parameters are missing: {', '.join(missing)}")
    return suffixes, kinds
