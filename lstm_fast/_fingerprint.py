"""fingerprint: the SHA-256 of a model's parameters, short enough to compare in a message."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _arguments
from ._errors import is_torch_module, type_name


def fingerprint(model: Any) -> str:
    """Return the SHA-256 of a model's parameters.

    Two models have the same fingerprint if and only if their parameters have the same names, shapes, dtypes and bits,
    on any machine. Options without parameters, such as dropout or batch_first, have no effect, nor has the order of the
    parameters.

    Parameters
    ----------
    model : LSTM, RNN, LSTMCell, QuantizedLSTM, SequenceModel, QuantizedModel, torch.nn.Module or mapping
        Any object whose `parameters` method returns a mapping from names to arrays; such a mapping, for example a
        `state_dict`; or a PyTorch module, whose `state_dict` is used.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    TypeError
        If it has no parameters, or one that is not an array of numbers.

    Notes
    -----
    The digest covers, for each parameter in ascending order of the names (by code point), the line
    ``f"{name} {dtype} {shape}\\n"`` in UTF-8 with NumPy's name of the dtype and the axes joined by ``x``, as in
    ``weight_ih_l0 float32 32x3``, and the bytes of its numbers in C order, least significant byte first. Parameters of
    quantized models are hashed as stored: bfloat16 as uint16.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lf.fingerprint(lf.LSTM(3, 8, seed=0)) == lf.fingerprint(lf.LSTM(3, 8, dropout=0.0, seed=0))
    True
    >>> lf.fingerprint(lf.LSTM(3, 8, seed=0)) == lf.fingerprint(lf.LSTM(3, 8, seed=1))
    False
    """
    return fingerprints({name: array[None] for name, array in _parameters(model).items()})[0]


def fingerprints(stacked: Mapping[str, np.ndarray]) -> list[str]:
    """Return the fingerprint of each of K models, whose parameters are stacked: (K, ...)."""
    parts = []
    for name, array in sorted(stacked.items()):
        line = f"{name} {array.dtype.name} {'x'.join(map(str, array.shape[1:]))}\n".encode()
        contiguous = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        parts.append((line, contiguous.reshape(len(array), -1).view(np.uint8)))
    digests = [hashlib.sha256() for _ in range(len(parts[0][1]) if parts else 1)]
    for k, digest in enumerate(digests):
        for line, numbers in parts:
            digest.update(line)
            digest.update(numbers[k])
    return [digest.hexdigest() for digest in digests]


def _parameters(model: Any) -> dict[str, np.ndarray]:
    found = model.state_dict() if is_torch_module(model) else model
    if not isinstance(found, Mapping) and callable(getattr(found, "parameters", None)):
        found = found.parameters()
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise TypeError(
            f"model must have parameters by name, or be a mapping from names to arrays, got {type_name(model)}"
        )
    return {name: _array(name, value) for name, value in found.items()}


def _array(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not have: its bits
            value = value.view(sys.modules["torch"].int16).numpy().view(np.uint16)
    array = _arguments.array_of(name, value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of numbers, got {type_name(value)} of dtype {array.dtype}")
    return array
