"""Files of fleets: safetensors, parameters stacked (K, ...), the options in the metadata."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _architecture, _safetensors
from .._errors import FormatError
from ..modules import LSTM

if TYPE_CHECKING:
    from .._types import Array

MISFITS = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)  # raised by invalid content


def save(lstm: LSTM, parameters: dict[str, Array], path: str | PathLike[str]) -> None:
    """Write stacked parameters and the options of one of their models."""
    _safetensors.write(path, parameters, {"file": "fleet", "network": _architecture.options(lstm)})


def load(path: str | PathLike[str]) -> tuple[LSTM, dict[str, Array]]:
    """Return an LSTM with the options in a file, and the stacked parameters."""
    file = _safetensors.read(path)
    if file.config is None or file.config.get("file") != "fleet":
        raise FormatError(f"{file.name} must be a file that Fleet.save wrote")
    try:
        shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
        counts = {shape[0] if shape else 0 for shape in shapes.values()}
        if len(counts) != 1 or not min(counts):
            raise ValueError(f"all tensors must have the same first axis, the number of models, got {sorted(counts)}")
        return _network(file.tensors, {name: shape[1:] for name, shape in shapes.items()}, file.config["network"])
    except MISFITS as error:
        raise FormatError(f"{file.name} does not hold a fleet: {error!r:.300}") from None


def _network(
    tensors: dict[str, Any], shapes: dict[str, tuple[int, ...]], options: dict[str, Any]
) -> tuple[LSTM, dict[str, Array]]:
    """Determine the options; the shapes decide the sizes, before anything is allocated."""
    sizes, names = _architecture.infer("", _architecture.by_prefix(shapes).get("", {}), shapes)
    given = {name: _safetensors.values(value) for name, value in options.items()}
    for name, size in sizes.items():
        if given.get(name) != size:
            raise ValueError(f"{name} must be {size!r} by the shapes of its parameters, got {given.get(name)!r}")
    if len(names) != len(tensors):
        raise ValueError(f"there must be parameters alone, got {sorted(set(tensors) - set(names.values()))}")
    arrays = {own: tensors[name].array(name) for own, name in names.items()}
    dtype = np.result_type(*arrays.values())
    return LSTM(**given, dtype=dtype), arrays
