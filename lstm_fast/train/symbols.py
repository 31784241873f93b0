"""Sequences of symbols, for networks with index_input: integers without the last axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments, _layout
from .storage import Storage

if TYPE_CHECKING:
    from .._inference import Network
    from .._types import Array


EMPTY = np.zeros((0, 0), np.int64)  # no sequences


def read_array(network: Network, x: Any, is_lazy: bool) -> tuple[Storage, _layout.Layout]:
    """Validate the shape and the dtype of an array; if is_lazy, read no more than one step of it."""
    array = _arguments.array_of("x", x, "integers") if is_lazy else x
    steps, layout = _layout.read_symbols(
        array[:1] if is_lazy else array, network.batch_first, ", or be a list of (T,) arrays"
    )
    return Storage((layout.to_steps(array) if is_lazy else steps[..., 0]).swapaxes(0, 1)), layout


def check(network: Network, storage: Storage, layout: _layout.Layout, lengths: Array | None) -> None:
    """Raise unless the symbols of an array in memory are in range."""
    assert isinstance(storage.arrays, np.ndarray)
    layout.check_symbols(storage.arrays.swapaxes(0, 1)[..., None], network.input_size, lengths)


def read_list(network: Network, x: Any, is_lazy: bool) -> list[Array]:
    """Validate the arrays of a list; with is_lazy, symbols are not checked."""
    arrays: list[Array] = []
    for k, one in enumerate(x):
        name, part = f"x[{k}]", _arguments.array_of(f"x[{k}]", one, "integers") if is_lazy else one
        symbols = _arguments.integer_array(name, part[:1] if is_lazy else part)
        if symbols.ndim != 1:
            raise ValueError(f"{name} must have shape (T,) with index_input, got {np.shape(one)}")
        if not is_lazy:
            _layout.UNBATCHED.check_symbols(symbols[:, None, None], network.input_size, name=name)
        arrays.append(part if is_lazy else symbols)
    return arrays
