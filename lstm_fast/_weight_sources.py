"""Sources of weights with PyTorch's names: files, mappings, PyTorch modules."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _architecture, _arguments, _safetensors
from ._errors import FormatError, is_torch_module, type_name
from ._inference import Network
from ._safetensors_format import Tensor

if TYPE_CHECKING:
    from ._types import Array


class Source(NamedTuple):
    """Contents of a source, and its description in errors.

    shapes: of the tensors with parameter names; lstms: by prefix, the parameters of each LSTM among them. config comes
    from a file of lstm_fast, module is the torch.nn.Module that was given.
    """

    name: str
    tensors: Mapping[Any, Any]
    shapes: dict[str, tuple[int, ...]]
    lstms: dict[str, dict[_architecture.Key, str]]
    config: Mapping[str, Any] | None = None
    module: Any = None
    error: type[ValueError] = ValueError

    def array(self, name: str) -> Array:
        """Return a tensor as an array; float16 and bfloat16 are widened to float32."""
        value = self.tensors[name]
        if isinstance(value, Tensor):
            return value.array(name)
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if value.dtype.itemsize < 4 else value
        _arguments.reject_bits(name, value)
        if getattr(value, "dtype", None) == np.int8:
            raise TypeError(f"{name} must hold weights, got int8 without scales: use those of network.dequantized()")
        has_dtype = hasattr(value, "dtype")
        array = _arguments.array_of(name, value)
        is_list_of_floats = (
            not has_dtype and array.dtype == np.float64
        )  # from JSON: float32 unless dtype says otherwise
        return array.astype(np.float32) if array.dtype.itemsize < 4 or is_list_of_floats else array


def read(source: Any) -> Source:
    """Read a path, the bytes of a file, a mapping or a torch.nn.Module."""
    if is_torch_module(source):
        return _of_mapping(source.state_dict())._replace(module=source)
    if isinstance(source, Mapping):
        return _of_mapping(source)
    expected = "source must be a path or a mapping from names to arrays"
    if isinstance(source, Network) or isinstance(getattr(source, "lstm", None), Network):
        got = f"{type_name(source)}, which is a network of lstm_fast already"
        raise TypeError(f"{expected}, got {got}: use it, or copy.deepcopy(network)")
    if not isinstance(source, (str, PathLike, bytes, bytearray, memoryview)):
        raise TypeError(f"{expected}, got {type_name(source)}")
    file = _safetensors.read(source)
    return _of_mapping(file.tensors)._replace(name=file.name, error=FormatError, config=file.config)


def _of_mapping(tensors: Mapping[Any, Any]) -> Source:
    """Return a mapping, or the only one inside it that has an LSTM: {"state_dict": {...}, "epoch": 3}."""
    shapes = {name: _shape(name, tensors[name]) for name in tensors if _architecture.is_parameter_name(name)}
    prefixes = _architecture.by_prefix(shapes)
    lstms = {prefix: one for prefix, one in prefixes.items() if _architecture.is_lstm(one, shapes)}
    result = Source("source", tensors, shapes, lstms)
    if lstms or not isinstance(tensors, dict):
        return result
    inner = {key: read(one) for key, one in tensors.items() if isinstance(one, Mapping) or is_torch_module(one)}
    found = [key for key, one in inner.items() if one.lstms]
    if len(found) > 1:
        have = ", ".join(map(repr, found))
        raise ValueError(f"source must have one mapping with an LSTM, got {have}: pass source[...]")
    return inner[found[0]] if found else result


def _shape(name: str, value: Any) -> tuple[int, ...]:
    try:
        return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers, got {type_name(value)} ({error})") from None
