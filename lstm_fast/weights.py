"""LSTM weights under PyTorch's names, with any prefix: from a safetensors file or a state_dict, and to a file.

names(source)            list the prefixes of all LSTMs
load(source, prefix)     load an LSTM; sizes and most options follow from names and shapes
save(lstm, path)         write an LSTM to a file, atomically
digest(source)           verify a file and return its SHA-256 digest, or None if it has none

Files are read and written in _safetensors.py, sources in _weight_sources.py; _architecture.py infers the sizes.
"""

from __future__ import annotations

import re
from os import PathLike
from typing import Any

import numpy as np

from . import _architecture, _safetensors
from ._errors import type_name
from ._formats import scale_name
from ._weight_sources import Source, read
from .modules import LSTM, LSTMCell
from .quantized import QuantizedLSTM

__all__ = ["digest", "load", "names", "save"]

# How PyTorch names the parts of a weight that is computed from them, and the function that puts it together again.
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


def names(source: Any) -> list[str]:
    """List the prefixes under which a source has an LSTM.

    Parameters
    ----------
    source : path, mapping, torch.nn.Module or bytes
        As for `load`.

    Returns
    -------
    list of str
        Prefixes of weight_ih_l0 in the names; "" if there is none.

    Raises
    ------
    FormatError
        If a file is damaged or not a safetensors file.

    Examples
    --------
    >>> import torch
    >>> import lstm_fast as lf
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(3, 8), "head": torch.nn.Linear(8, 1)})
    >>> lf.weights.names(model.state_dict())
    ['encoder.']
    """
    found = read(source)
    _options(found, "")
    return list(found.lstms)


def load(source: Any, prefix: str | None = None, **options: Any) -> LSTM | LSTMCell | QuantizedLSTM:
    """Load the LSTM, or LSTMCell, whose parameters have PyTorch's names under some prefix.

    Parameters
    ----------
    source : path, mapping, torch.nn.Module or bytes
        A safetensors file or its bytes; a mapping from names to NumPy arrays, PyTorch tensors on any device or nested
        lists (a state_dict, torch.load(path), numpy.load(path), json.load(file)), or a checkpoint that contains one
        such mapping; or a module, whose batch_first, dropout and compute_dtype are also used. Other parameters are
        ignored.
    prefix : str, optional
        Prefix of weight_ih_l0, with or without its trailing dot; not needed if there is only one LSTM.
    **options
        Arguments of LSTM that names and shapes do not determine: batch_first, dropout, dtype, cell_clip, ...
        They override those in a file of lstm_fast. By default dtype is float64 if any parameter is, else float32
        (float16 and bfloat16 are widened, numbers of nested lists are rounded).

    Returns
    -------
    LSTM, LSTMCell or QuantizedLSTM
        An LSTMCell if the names have no _l0, a QuantizedLSTM if `save` wrote one.

    Raises
    ------
    ValueError
        If there is no LSTM, or several and no prefix (the message lists them), or the parameters do not fit together.
    FormatError
        In the same cases for a file, or if it is damaged or not a safetensors file.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import lstm_fast as lf
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(3, 8), "head": torch.nn.Linear(8, 1)})
    >>> lstm = lf.weights.load(model.state_dict(), "encoder")
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    >>> output, _ = lstm(x)
    >>> expected, _ = model["encoder"](torch.from_numpy(x))
    >>> bool(np.allclose(output, expected.detach().numpy(), atol=1e-6))
    True
    """
    found = read(source)
    chosen = _choose(found, prefix)
    if given := [name for name in options if name in _architecture.INFERRED]:
        raise TypeError(f"{', '.join(given)} must not be given: names and shapes of the parameters determine them")
    if stored := _format_of(found, chosen):
        return _load_quantized(found, chosen, *stored, options)
    try:
        sizes, own_names = _architecture.infer(chosen, found.lstms[chosen], found.shapes)
        arrays = {own: found.array(name) for own, name in own_names.items()}
    except ValueError as error:
        raise found.error(f"{found.name}: {error}") from None
    is_double = any(array.dtype == np.float64 for array in arrays.values())
    arguments = sizes | {"dtype": np.float64 if is_double else np.float32} | _options(found, chosen) | options
    lstm = (LSTM if "num_layers" in sizes else LSTMCell)(**arguments)
    lstm.load_state_dict(arrays)
    return lstm


def save(lstm: LSTM | LSTMCell | QuantizedLSTM, path: str | PathLike[str], prefix: str = "") -> None:
    """Write an LSTM, LSTMCell or QuantizedLSTM to a safetensors file, atomically.

    The parameters have the prefix and PyTorch's names; the options are in the metadata. `load` restores the same
    network, and safetensors.torch.load_file reads the tensors. Those of a QuantizedLSTM are F16, BF16 or I8, the latter
    with scale_ih_l0 and scale_hh_l0, one float32 per row.

    Parameters
    ----------
    lstm : LSTM, LSTMCell or QuantizedLSTM
        Instances of subclasses are not accepted.
    path : path
        The file. It is unchanged after an error.
    prefix : str, default ""
        Prefix of each name, including its trailing dot.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 8, peepholes=True, cell_clip=3.0, seed=0)
    >>> lf.weights.save(lstm, "lstm.safetensors", prefix="encoder.")
    >>> lf.weights.load("lstm.safetensors")
    LSTM(3, 8, peepholes=True, cell_clip=3.0)
    """
    _architecture.check_type("lstm", lstm, (LSTM, LSTMCell, QuantizedLSTM))
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string, got {prefix!r}")
    options = _architecture.options(lstm)
    for name in _architecture.INFERRED:
        options.pop(name, None)
    parameters = {prefix + name: value for name, value in lstm.state_dict().items()}
    config = {"file": "weights", "prefix": prefix, "network": options}
    if isinstance(lstm, QuantizedLSTM):
        config |= {"format": lstm.format, "inputs": lstm.inputs}
    _safetensors.write(path, parameters, config)


def digest(source: str | PathLike[str] | bytes) -> str | None:
    """Check a file and return the digest it carries.

    Files of lstm_fast (weights, models, checkpoints of `lstm_fast.train.fit`) carry the SHA-256 digest of all their
    bytes, with zeros instead of its 64 digits. Every reader checks it first: a single changed bit anywhere is a
    FormatError. The digest detects damage, not tampering: whoever edits a file can also update its digest.

    Parameters
    ----------
    source : path or bytes
        A safetensors file, or its bytes.

    Returns
    -------
    str or None
        64 hexadecimal digits; None for a file without a digest, such as one written by another program. Only the
        structure of such a file can be verified; a flipped bit in a tensor goes unnoticed.

    Raises
    ------
    FormatError
        If the file is damaged or not a safetensors file.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lf.weights.save(lf.LSTM(3, 8, seed=0), "lstm.safetensors")
    >>> len(lf.weights.digest("lstm.safetensors"))
    64
    """
    if not isinstance(source, (str, PathLike, bytes, bytearray, memoryview)):
        raise TypeError(f"source must be a path or the bytes of a file, got {type_name(source)}")
    return _safetensors.read(source).digest


def _format_of(found: Source, prefix: str) -> tuple[Any, Any] | None:
    """Format and inputs of the quantized network that lstm_fast wrote; None of any other."""
    try:
        config: Any = found.config or {}
        config = config["model"] if config.get("file") == "model" else config
        return (config["format"], config["inputs"]) if "format" in config else None
    except (AttributeError, KeyError, TypeError) as error:
        raise _safetensors.damaged(found.name, repr(error)) from None


def _load_quantized(found: Source, prefix: str, format: Any, inputs: Any, options: dict[str, Any]) -> QuantizedLSTM:
    arguments = _options(found, prefix) | options
    try:
        sizes, own_names = _architecture.infer(prefix, found.lstms[prefix], found.shapes)
        stored = {own: found.tensors[name].stored(name) for own, name in own_names.items()}
        for own in [own for own in own_names if own.startswith("weight_")]:
            name = prefix + scale_name(own)
            if name in found.tensors:
                stored[scale_name(own)] = found.tensors[name].stored(name)
        return QuantizedLSTM.of_stored(sizes | {"dtype": np.float32} | arguments, format, inputs, stored)
    except (KeyError, TypeError, ValueError) as error:
        raise found.error(f"{found.name}: {error}") from None


def _choose(found: Source, prefix: str | None) -> str:
    """The prefix of the requested LSTM."""
    parts: dict[str, re.Match[str]] = {}
    for name in found.tensors:
        if isinstance(name, str) and (match := PART.fullmatch(name)):
            parts.setdefault(match["prefix"], match)
    is_only = len({*found.lstms, *parts}) == 1
    asked = [prefix, f"{prefix}."] if prefix is not None else list(parts) if is_only else []
    for one in asked:
        if one in parts:
            _raise_for_part(found, parts[one])
    if not found.lstms:
        raise found.error(
            f"{found.name} must have the parameters of an LSTM (weight_ih_l0, ... under any prefix), got none"
        )
    if prefix is None and len(found.lstms) == 1:
        return next(iter(found.lstms))
    for one in asked:
        if one in found.lstms:
            return one
    raise ValueError(f"prefix must be one of {', '.join(map(repr, found.lstms))} in {found.name}, got {prefix!r}")


def _raise_for_part(found: Source, match: re.Match[str]) -> None:
    weight = match["weight"]
    raise found.error(
        f"{found.name} must have {match['prefix']}{weight} itself, got {match[0]}, a part from which PyTorch computes "
        f"it: call {PARTS[match['part']]}(lstm, {weight!r}) before saving"
    )


def _options(found: Source, prefix: str) -> dict[str, Any]:
    """Options stored in a file of lstm_fast, or in a PyTorch module, in addition to the parameters."""
    if found.config is not None:
        try:
            own, options = _options_of(found.config)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise _safetensors.damaged(found.name, repr(error)) from None
        return options if own == prefix else {}
    if found.module is None:
        return {}
    module: Any = dict(found.module.named_modules()).get(prefix.removesuffix("."))
    if not isinstance(getattr(module, "batch_first", None), bool):
        return {}
    options = {"dropout": module.dropout} if module.num_layers > 1 else {}
    compute_dtype = getattr(module, "_compute_dtype", None)  # of lstm_fast.torch.LSTM, for float32
    if compute_dtype is not None and str(module.weight_ih_l0.dtype) == "torch.float32":
        options["compute_dtype"] = compute_dtype
    return {"batch_first": module.batch_first, **options}


def _options_of(config: Any) -> tuple[str, dict[str, Any]]:
    """The prefix and the options in the configuration of a file of weights or of a model of lstm_fast.train."""
    if config["file"] == "weights":
        prefix, network = config["prefix"], config["network"]
    else:
        prefix, network = "lstm.", config["model"]["network"]
    inferred = _architecture.INFERRED
    options = {name: _safetensors.values(value) for name, value in network.items() if name not in inferred}
    if "nonlinearity" not in network:  # of a plain RNN, which is not read
        LSTM(1, 2, 2, **options)  # raises if they are wrong
    return prefix, options
