"""LSTM weights under PyTorch's names, with any prefix: from a safetensors file or a state_dict, and to a file.

names(source)            prefixes under which there is an LSTM
load(source, prefix)     the LSTM: sizes, layers, directions, projection, bias and our own options from names and shapes
save(lstm, path)         the other way, atomically
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import _variants
from ._errors import FormatError
from .modules import LSTM, LSTMCell

# Kinds of parameters; those of one line come together.
TOGETHER = (
    ("weight_ih", "weight_hh"),
    ("bias_ih", "bias_hh"),
    ("weight_hr",),
    ("weight_peephole",),
    ("norm_ih_weight", "norm_hh_weight", "norm_c_weight", "norm_c_bias"),
    ("h_0", "c_0"),
)
KINDS = tuple(kind for together in TOGETHER for kind in together)
NAME = re.compile(
    rf"(?P<prefix>.*?)(?P<kind>{'|'.join(KINDS)})(?P<place>|_l(?:0|[1-9]\d{{0,4}})(?:_reverse)?)", re.DOTALL
)
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
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}  # BF16 is the upper half of a float32


def names(source):
    """The prefixes under which a safetensors file or a state_dict has an LSTM, "" for no prefix.

    source : path of a safetensors file, or a mapping from names to arrays (or tensors)
    """
    return list(_find(_read(source)[0]))


def load(source, prefix=None, **options):
    """The LSTM, or LSTMCell, whose parameters have PyTorch's names under some prefix.

    Parameters
    ----------
    source : path of a safetensors file, or a mapping from names to arrays: a state_dict, torch.load(path), np.load(path)
        Arrays of NumPy, tensors of PyTorch on any device, or what NumPy reads. What does not belong to the LSTM is ignored.
    prefix : str, optional
        What stands before weight_ih_l0, with or without its last dot; may be left out if there is one LSTM.
    options : arguments of LSTM that names and shapes do not tell: batch_first, dropout, dtype, activation, cell_clip, ...
        Files of lstm_fast have theirs, which these replace. dtype is float64 where a parameter is, else float32 (float16
        and bfloat16 are widened).

    Returns
    -------
    LSTM, or LSTMCell where the names have no _l0

    Raises
    ------
    ValueError : no LSTM, or several and no prefix (the message lists them); parameters that do not fit together
    FormatError : the same, of a file; or it is damaged, or not of safetensors. (It is a ValueError.)
    """
    tensors, configs = _read(source)
    found = _find(tensors)
    chosen = _choose(found, prefix, source)
    if given := [name for name in options if name in INFERRED]:
        raise TypeError(f"{', '.join(given)} must not be given: names and shapes of the parameters tell")
    try:
        sizes, group = _infer(chosen, found[chosen], tensors)
        arrays = {own: _array(name, tensors[name]) for own, name in group.items()}
    except ValueError as error:
        raise (ValueError if isinstance(source, Mapping) else FormatError)(f"{_word(source)}: {error}") from None
    dtype = np.float64 if any(array.dtype == np.float64 for array in arrays.values()) else np.float32
    kind = LSTM if "num_layers" in sizes else LSTMCell
    lstm = kind(**sizes, **{"dtype": dtype} | configs.get(chosen, {}) | options)
    lstm.load_state_dict(arrays)
    return lstm


def save(lstm, path, prefix=""):
    """Writes an LSTM or LSTMCell to a safetensors file: parameters under prefix + PyTorch's names, options in the metadata.

    Atomic: the file is there as a whole or, after an error, as it was before. load gives the LSTM back; PyTorch reads the
    tensors with safetensors.torch.load_file.
    """
    from .train import checkpoint

    checkpoint.kind_of("lstm", lstm, (LSTM, LSTMCell))
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string, got {prefix!r}")
    config = {
        name: getattr(lstm, name)
        for name in (checkpoint.COMMON if isinstance(lstm, LSTM) else ()) + checkpoint.OF_LSTM
        if name not in INFERRED
    }
    checkpoint.write(
        path,
        {prefix + name: value for name, value in lstm.state_dict().items()},
        {"file": "weights", "prefix": prefix, "network": config},
    )


# ---- names ----


def _find(tensors):
    """{prefix: {(kind, place): name}} of all LSTMs; a GRU or a plain RNN has the same names with other shapes."""
    groups = defaultdict(dict)
    for name in tensors:
        if isinstance(name, str) and (match := NAME.fullmatch(name)):
            groups[match["prefix"]][match["kind"], match["place"]] = name
    return {prefix: group for prefix, group in groups.items() if _is_lstm(group, tensors)}


def _is_lstm(group, tensors):
    first = next((place for kind, place in group if kind == "weight_hh"), None)
    if first is None:
        return any(kind == "weight_ih" for kind, _ in group)  # and lacks one, which is worth an error of its own
    shape = tuple(tensors[group["weight_hh", first]].shape)
    return (
        len(shape) != 2
        or shape[0] not in (shape[1], 3 * shape[1])
        or any(kind in ("weight_hr", "weight_peephole") for kind, _ in group)
    )


def _word(source):
    return "source" if isinstance(source, Mapping) else str(source)


def _choose(found, prefix, source):
    if not found:
        error = ValueError if isinstance(source, Mapping) else FormatError
        raise error(
            f"{_word(source)} must have the parameters of an LSTM (weight_ih_l0, ... under any prefix), got none"
        )
    if prefix is None and len(found) == 1:
        return next(iter(found))
    for one in (prefix, f"{prefix}."):
        if one in found:
            return one
    raise ValueError(f"prefix must be one of {', '.join(map(repr, found))} in {_word(source)}, got {prefix!r}")


# ---- sizes ----


def _infer(prefix, group, tensors):
    """(arguments of LSTM or LSTMCell, {parameter: name in tensors}) if names and shapes are those of one; else ValueError."""
    kinds = {kind for kind, _ in group}
    kinds = {kind for together in TOGETHER if kinds & set(together) for kind in together}
    layers = [int(place[2:].split("_")[0]) for _, place in group if place]
    reverse = any(place.endswith("_reverse") for _, place in group)
    L, D = max(layers, default=0) + 1, 1 + reverse
    if len(group) < L * D:
        raise ValueError(
            f"there must be parameters of {L} layers and {D} directions under prefix {prefix!r}, got "
            f"{len(group)} of layers {sorted(set(layers))}"
        )
    places = [f"_l{k}{way}" for k in range(L) for way in ("", "_reverse")[:D]] if layers else [""]
    missing = [
        prefix + kind + place for place in places for kind in KINDS if kind in kinds and (kind, place) not in group
    ]
    if missing:
        raise ValueError(f"there must also be {', '.join(missing)}")
    group = {(kind, place): group[kind, place] for place in places for kind in KINDS if kind in kinds}
    shapes = {key: tuple(np.shape(tensors[name])) for key, name in group.items()}
    (G, I), (_, R) = (
        shapes[kind, places[0]] if len(shapes[kind, places[0]]) == 2 else (0, 0) for kind in ("weight_ih", "weight_hh")
    )
    own = {
        "input_size": I,
        "hidden_size": G // 4,
        "bias": "bias_ih" in kinds,
        "peepholes": "weight_peephole" in kinds,
        "layer_norm": "norm_c_bias" in kinds,
    }
    if layers:
        own |= {
            "num_layers": L,
            "bidirectional": reverse,
            "proj_size": R if "weight_hr" in kinds else 0,
            "learn_initial_state": "h_0" in kinds,
        }
    options = {name: own[name] for name in ("hidden_size", "bias", "peepholes", "layer_norm")}
    options |= {"learn_initial_state": own.get("learn_initial_state", False)}
    options |= {"h_size": R, "num_gates": 4, "has_cell_state": True}
    expected = {
        (kind, place): shape
        for k, place in enumerate(places)
        for kind, shape in _variants.layer_shapes(input_size=I if k < D else D * R, **options).items()
    }
    wrong = [
        f"{name} {shapes[key]}" + f" instead of {expected[key]}" * (key in expected)
        for key, name in group.items()
        if shapes[key] != expected.get(key)
    ]
    if not I * (G // 4) * R or wrong or len(expected) != len(group):
        raise ValueError(
            "shapes must be those of an LSTM of one size, weight_ih (4H, I), weight_hh (4H, H), ..., got "
            + ", ".join(wrong or (f"{name} {shapes[key]}" for key, name in group.items()))
        )
    return own, {kind + place: name for (kind, place), name in group.items()}


# ---- arrays ----


class _Raw(NamedTuple):
    """A tensor of a safetensors file, as it lies there."""

    dtype: str
    shape: tuple
    data: bytearray


def _array(name, value):
    """A parameter as NumPy's array; float16 and bfloat16, which only need more room, as float32."""
    if isinstance(value, _Raw):
        if value.dtype == "BF16":
            return (np.frombuffer(value.data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(value.shape)
        if value.dtype not in DTYPES:
            raise ValueError(f"{name} must be of type {', '.join(DTYPES)} or BF16, got {value.dtype}")
        array = np.frombuffer(value.data, DTYPES[value.dtype]).reshape(value.shape)
    else:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if value.dtype.itemsize < 4 else value
        array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def _read(source):
    """(tensors by name, options by prefix) of a file or a mapping."""
    if isinstance(source, Mapping):
        return source, {}
    try:
        import safetensors
    except ImportError:
        raise ImportError('files need the package safetensors: pip install "lstm_fast[train]"') from None
    if not isinstance(source, (str, PathLike)):
        raise TypeError(f"source must be a path or a mapping from names to arrays, got {type(source).__name__}")
    data = Path(source).read_bytes()
    try:
        tensors = {
            name: _Raw(raw["dtype"], tuple(raw["shape"]), raw["data"])
            for name, raw in sorted(safetensors.deserialize(data))
            if NAME.fullmatch(name)
        }
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return tensors, _options(header.get("__metadata__", {}))
    except Exception as error:
        raise FormatError(
            f"{source} is not a safetensors file, or damaged: {error} (what torch.save wrote: give torch.load(path))"
        ) from None


def _options(metadata):
    """What files of lstm_fast, of save and of lf.train, say of the LSTM beside its parameters, by prefix."""
    if metadata.get("format") != "lstm_fast":
        return {}
    config = json.loads(metadata["config"])
    prefix, network = (
        (config["prefix"], config["network"]) if config["file"] == "weights" else ("lstm.", config["model"]["network"])
    )
    network = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in network.items()
        if name not in INFERRED
    }
    if "nonlinearity" not in network:  # a plain RNN's has nothing to say to us
        LSTM(1, 2, 2, **network)  # raises what is wrong with them
    return {prefix: network}
