"""Axes of fleets: an axis K of the models, followed by the axes of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import array_of, integer_array, real_array
from .._layout import Layout, layout_of

if TYPE_CHECKING:
    from .._types import Array, DType


class FleetLayout(Layout):
    """The layout of one model, "TBI", "BTI" or "TI", for arrays with an axis K before its axes."""

    __slots__ = ("layout", "n_models")

    def __init__(self, layout: Layout, n_models: int) -> None:
        super().__init__("K" + layout.axes)
        self.layout, self.n_models = layout, n_models

    def sequence_shape(self, T: int, B: int, n: int) -> tuple[int, ...]:
        """Return the shape of the sequences of all models, with n features."""
        return self.n_models, *super().sequence_shape(T, B, n)

    def state_shape(self, n_states: int, B: int, n: int) -> tuple[int, ...]:
        """Return the shape of the states of all models; n_states = L * D."""
        return self.n_models, *super().state_shape(n_states, B, n)

    # ---- arguments: contiguous where the core needs it ----

    def read_sequence(self, name: str, value: Any, dtype: DType, T: int, B: int, n: int) -> Array:
        """Validate a sequence of this size; return its steps, the last axis contiguous."""
        return contiguous_rows(super().read_sequence(name, value, dtype, T, B, n))

    def read_state(
        self, name: str, value: Any, dtype: DType, n_states: int, B: int, n: int, letter: str
    ) -> Array | None:
        """Validate a state, or None; return it with axes (K, L * D, B, n), contiguous."""
        state = super().read_state(name, value, dtype, n_states, B, n, letter)
        return None if state is None else np.ascontiguousarray(state)

    def check_symbols(self, x: Array, n_symbols: int, lengths: Any = None, name: str = "x") -> None:
        """Raise unless the symbols x (K, T, B, 1), outside the padding, are from 0 to n_symbols - 1."""
        if not x.size or (x.min() >= 0 and x.max() < n_symbols):
            return
        for k, own in enumerate(x):
            try:
                self.layout.check_symbols(own, n_symbols, None if lengths is None else np.reshape(lengths[k], -1), name)
            except ValueError as error:
                raise ValueError(f"model {k}: {error}") from None

    def order_of_lengths(self, value: Any, T: int, B: int) -> tuple[Array, Array] | None:
        """Validate lengths (K, B), or (K,) without batch axis; return those of each model in descending order and their
        rows, or None if all are T."""
        lengths = array_of("lengths", value, "integers")
        shape = (self.n_models,) if self.axes == "KTI" else (self.n_models, B)
        if lengths.shape != shape or (lengths.dtype.kind not in "iu" and lengths.size):
            raise ValueError(f"lengths must be integers of shape {shape}, got {lengths.dtype} {lengths.shape}")
        outside = (lengths < 0) | (lengths > T)
        if outside.any():
            raise ValueError(f"lengths must be from 0 to T = {T}, got {lengths[outside][0]}")
        return longest_first(lengths.reshape(self.n_models, B).astype(np.int64), T)


def longest_first(lengths: Array | None, T: int) -> tuple[Array, Array] | None:
    """Return lengths (K, B) in descending order and their rows, as the core takes them; None if all are T."""
    if lengths is None or (lengths == T).all():
        return None
    rows = np.argsort(-lengths, axis=1, kind="stable")
    return np.take_along_axis(lengths, rows, axis=1), rows


def contiguous_rows(steps: Array) -> Array:
    """Return an array (K, T, B, n) that the core can read: last axis contiguous, strides whole numbers; or a copy."""
    size = steps.itemsize
    fits = (steps.shape[3] <= 1 or steps.strides[3] == size) and not any(stride % size for stride in steps.strides)
    return steps if fits else np.ascontiguousarray(steps)


def read_symbols(x: Any, batch_first: bool, n_models: int) -> tuple[Array, FleetLayout]:
    """Validate x of a fleet with index_input; return a copy as steps (K, T, B, 1), not yet checked, and its layout."""
    x = integer_array("x", x)
    if x.ndim not in (2, 3) or x.shape[0] != n_models:
        axes = ", ".join(layout_of(False, batch_first).axes[:2])
        raise ValueError(
            f"x must have shape (K, {axes}) or, unbatched, (K, T), with index_input "
            f"and K = {n_models} models, got {x.shape}"
        )
    layout = FleetLayout(layout_of(x.ndim == 2, batch_first), n_models)
    return layout.to_steps(x[..., None]), layout


def read_input(x: Any, dtype: DType, input_size: int, batch_first: bool, n_models: int) -> tuple[Array, FleetLayout]:
    """Validate x of a fleet; return its steps (K, T, B, I) and its layout."""
    x = real_array("x", x, dtype)
    if x.ndim not in (3, 4) or x.shape[-1] != input_size or x.shape[0] != n_models:
        axes = ", ".join(layout_of(False, batch_first).axes)
        raise ValueError(
            f"x must have shape (K, {axes}) or, unbatched, (K, T, I), with "
            f"K = {n_models} models and I = input_size = {input_size}, got {x.shape}"
        )
    layout = FleetLayout(layout_of(x.ndim == 3, batch_first), n_models)
    return contiguous_rows(layout.to_steps(x)), layout
