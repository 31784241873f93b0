"""Validation of x of live sequences: one step, or a block of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments, _layout

if TYPE_CHECKING:
    from ._inference import Network
    from ._types import Array


def read_step(network: Network, B: int, x: Any) -> Array:
    """Convert x of one step of B sequences to a contiguous array (B, I) or (I,); symbols to int64 (B,) or ()."""
    if network.index_input:
        return _symbols_of_step(network, B, x)
    x, I = _arguments.real_array("x", x, network.dtype), network.input_size
    if x.shape != (B, I) and (B > 1 or x.shape != (I,)):
        words = f"(B, I) = ({B}, {I})" + (f" or (I,) = ({I},)" if B == 1 else "")
        raise ValueError(f"x must have shape {words}, got {x.shape}")
    return np.ascontiguousarray(x)


def _symbols_of_step(network: Network, B: int, x: Any) -> Array:
    symbols = _arguments.integer_array("x", x)
    if symbols.shape != (B,) and (B > 1 or symbols.shape):
        words = f"have shape (B,) = ({B},)" + " or be an integer" * (B == 1)
        raise ValueError(f"x must {words} with index_input, got shape {symbols.shape}")
    layout = _layout.CELL if symbols.ndim else _layout.UNBATCHED_CELL
    layout.check_symbols(symbols.reshape(1, B, 1), network.input_size)
    return symbols


def read_block(network: Network, B: int, x: Any) -> tuple[Array, bool]:
    """Convert x of a block to steps (T, B, n) that the core can read; return also whether x has a batch axis."""
    if network.index_input:
        steps, layout = _layout.read_symbols(x, batch_first=False)
        if steps.shape[1] != B:
            raise ValueError(f"x must have shape (T, B) = (T, {B}) with index_input, got {np.shape(x)}")
        layout.check_symbols(steps, network.input_size)
        return steps, layout == _layout.STEPS
    x, I = _arguments.real_array("x", x, network.dtype), network.input_size
    if x.ndim < 2 or (x.shape[1:] != (B, I) and (B > 1 or x.shape[1:] != (I,))):
        words = f"(T, B, I) = (T, {B}, {I})" + (f" or (T, I) = (T, {I})" if B == 1 else "")
        raise ValueError(f"x must have shape {words}, got {x.shape}")
    layout = _layout.layout_of(x.ndim == 2, batch_first=False)
    return _arguments.sequence(layout.to_steps(x)), layout == _layout.STEPS
