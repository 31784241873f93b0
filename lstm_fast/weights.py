"""LSTM weights under PyTorch's names, with any prefix: from a safetensors file or a state_dict, and to a file.

names(source)            prefixes under which there is an LSTM
load(source, prefix)     the LSTM: sizes, layers, directions, projection, bias and our own options from names and shapes
save(lstm, path)         the other way, atomically
"""

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from . import _architecture, _safetensors
from ._errors import FormatError, is_torch_module, type_name
from ._inference import Network
from .modules import LSTM, LSTMCell

# What PyTorch calls the parts of a weight that is computed from them, and the function that puts it back together.
PARTS = {
    "_g": "torch.nn.utils.remove_weight_norm",
    "_v": "torch.nn.utils.remove_weight_norm",
    "_orig": "torch.nn.utils.prune.remove (or remove_spectral_norm)",
    ".original": "torch.nn.utils.parametrize.remove_parametrizations",
    ".original0": "torch.nn.utils.parametrize.remove_parametrizations",
    ".original1": "torch.nn.utils.parametrize.remove_parametrizations",
}
PART = re.compile(
    rf"(?P<prefix>.*?)(?:parametrizations\.)?(?P<weight>(?:weight|bias)_(?:ih|hh|hr){_architecture.SUFFIX})"
    rf"(?P<part>{'|'.join(map(re.escape, PARTS))})",
    re.DOTALL,
)


def names(source):
    """The prefixes under which a safetensors file or a state_dict has an LSTM, "" for no prefix.

    source : path of a safetensors file, or a mapping from names to arrays (or tensors)
    """
    return list(_read(source).lstms)


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
    read = _read(source)
    chosen = _choose(read, prefix)
    if given := [name for name in options if name in _architecture.INFERRED]:
        raise TypeError(f"{', '.join(given)} must not be given: names and shapes of the parameters tell")
    try:
        sizes, own_names = _architecture.infer(chosen, read.lstms[chosen], read.shapes)
        arrays = {own: _array(name, read.tensors[name]) for own, name in own_names.items()}
    except ValueError as error:
        raise read.error(f"{read.name}: {error}") from None
    dtype = np.float64 if any(array.dtype == np.float64 for array in arrays.values()) else np.float32
    cls = LSTM if "num_layers" in sizes else LSTMCell
    lstm = cls(**sizes, **{"dtype": dtype} | _options(read, chosen, sizes) | options)
    lstm.load_state_dict(arrays)
    return lstm


def save(lstm, path, prefix=""):
    """Writes an LSTM or LSTMCell to a safetensors file: parameters under prefix + PyTorch's names, options in the metadata.

    Atomic: the file is there as a whole or, after an error, as it was before. load gives the LSTM back; PyTorch reads the
    tensors with safetensors.torch.load_file.
    """
    _architecture.check_type("lstm", lstm, (LSTM, LSTMCell))
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string, got {prefix!r}")
    options = {name: value for name, value in _architecture.options(lstm).items() if name not in _architecture.INFERRED}
    _safetensors.write(
        path,
        {prefix + name: value for name, value in lstm.state_dict().items()},
        {"file": "weights", "prefix": prefix, "network": options},
    )


# ---- sources ----


class _Source(NamedTuple):
    """What was read, and how errors speak of it."""

    name: str
    tensors: Mapping[str, Any]
    shapes: dict[str, tuple[int, ...]]  # of the names that belong to an LSTM or to something like it
    lstms: dict[str, dict[_architecture.Key, str]]
    config: Mapping[str, Any] | None = None
    module: Any = None
    error: type[ValueError] = ValueError


def _read(source):
    if is_torch_module(source):
        return _of_mapping(source.state_dict())._replace(module=source)
    if isinstance(source, Mapping):
        return _of_mapping(source)
    if isinstance(source, Network) or isinstance(getattr(source, "lstm", None), Network):
        raise TypeError(
            f"source must be a path or a mapping from names to arrays, got {type_name(source)}, which is a network of "
            "lstm_fast already: use it, or copy.deepcopy(network)"
        )
    if not isinstance(source, (str, PathLike, bytes, bytearray, memoryview)):
        raise TypeError(f"source must be a path or a mapping from names to arrays, got {type_name(source)}")
    file = _safetensors.read(source)
    read = _of_mapping(file.tensors)._replace(name=file.name, error=FormatError, config=file.config)
    if file.config is not None:
        _check_config(read)
    return read


def _of_mapping(tensors):
    """Names and shapes, of a mapping inside it if only that has an LSTM: {"state_dict": {...}, "epoch": 3}."""
    shapes = {
        name: _shape(name, tensors[name])
        for name in tensors
        if isinstance(name, str) and _architecture.NAME.fullmatch(name)
    }
    groups = _architecture.group(shapes)
    lstms = {prefix: one for prefix, one in groups.items() if _architecture.is_lstm(one, shapes)}
    read = _Source("source", tensors, shapes, lstms)
    if lstms or not isinstance(tensors, dict):
        return read
    inner = {
        key: _read(value) for key, value in tensors.items() if isinstance(value, Mapping) or is_torch_module(value)
    }
    found = [key for key, value in inner.items() if value.lstms]
    if len(found) > 1:
        raise ValueError(
            f"source must have one mapping with an LSTM, got {', '.join(map(repr, found))}: pass source[...]"
        )
    return inner[found[0]] if found else read


def _shape(name, value):
    try:
        return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers, got {type_name(value)} ({error})") from None


def _array(name, value):
    """A parameter as NumPy's array; float16 and bfloat16 widened to float32."""
    if isinstance(value, _safetensors.Tensor):
        return value.array(name)
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.dtype.itemsize < 4 else value
    if not hasattr(value, "dtype"):  # nested lists, of JSON for instance
        value = np.asarray(value)
        value = value.astype(np.float32) if value.dtype == np.float64 else value
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


# ---- choices ----


def _choose(read, prefix):
    parts = {}
    for name in read.tensors:
        if isinstance(name, str) and (match := PART.fullmatch(name)):
            parts.setdefault(match["prefix"], match)
    found = read.lstms
    wanted = {prefix, f"{prefix}."} if prefix is not None else parts if len({*found, *parts}) == 1 else ()
    for one in wanted:
        if one in parts:
            weight, part = parts[one]["weight"], parts[one]["part"]
            raise read.error(
                f"{read.name} must have {one}{weight} itself, got {parts[one][0]}, a part from which PyTorch computes it: "
                f"call {PARTS[part]}(lstm, {weight!r}) before saving"
            )
    if not found:
        raise read.error(
            f"{read.name} must have the parameters of an LSTM (weight_ih_l0, ... under any prefix), got none"
        )
    if prefix is None and len(found) == 1:
        return next(iter(found))
    for one in (prefix, f"{prefix}."):
        if one in found:
            return one
    raise ValueError(f"prefix must be one of {', '.join(map(repr, found))} in {read.name}, got {prefix!r}")


def _options(read, prefix, sizes):
    """Arguments that a file of lstm_fast, or a module of PyTorch, has beside the parameters."""
    if read.config is not None:
        own, network = _network_of(read.config)
        return network if own == prefix else {}
    module = dict(read.module.named_modules()).get(prefix.removesuffix(".")) if read.module is not None else None
    if not isinstance(getattr(module, "batch_first", None), bool):
        return {}
    return {"batch_first": module.batch_first} | ({"dropout": module.dropout} if sizes["num_layers"] > 1 else {})


def _network_of(config):
    """(prefix, options that parameters do not tell) from the configuration of a file of weights or of lf.train."""
    prefix, network = (
        (config["prefix"], config["network"]) if config["file"] == "weights" else ("lstm.", config["model"]["network"])
    )
    inferred = _architecture.INFERRED
    return prefix, {name: _safetensors.values(value) for name, value in network.items() if name not in inferred}


def _check_config(read):
    try:
        _, network = _network_of(read.config)
        if "nonlinearity" not in network:  # that of a plain RNN, of which nothing is read
            LSTM(1, 2, 2, **network)  # raises what is wrong with them
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _safetensors.damaged(read.name, repr(error)) from None
