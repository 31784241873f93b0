"""Axes of fleets: those of one model after the axis K of the models. Parameters of all models as rows of one array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _layout
from .._arguments import array_of, integer_array, real_array, shaped
from .._layout import Layout
from .._parameters import ParameterTable

if TYPE_CHECKING:
    from .._types import Array, DType


class FleetTable(ParameterTable):
    """The table of one model for a buffer (K, P), a row for each model: its arrays are stacked, (K, ...)."""

    def __init__(self, table: ParameterTable, n_models: int) -> None:
        self.shapes = {name: (n_models, *shape) for name, shape in table.shapes.items()}
        self.names, self.slices, self.size, self.n_models = table.names, table.slices, table.size, n_models

    @property
    def flat_shape(self) -> tuple[int, ...]:
        return (self.n_models, self.size)

    def views(self, flat: Array) -> dict[str, Array]:
        """Return stacked views of a buffer (K, P), by name."""
        return {name: flat[:, self.slices[name]].reshape(shape) for name, shape in self.shapes.items()}


class FleetLayout:
    """The layout of one model, "TBI", "BTI" or "TI", for arrays with an axis K before its axes."""

    def __init__(self, layout: Layout, n_models: int) -> None:
        self.layout, self.n_models = layout, n_models

    def to_steps(self, sequence: Any) -> Any:
        """Convert a sequence to axes (K, T, B, ...)."""
        match self.layout.axes:
            case "TBI":
                return sequence
            case "BTI":
                return sequence.swapaxes(1, 2)
            case _:
                return sequence[:, :, None]

    def from_steps(self, steps: Any) -> Any:
        """Invert to_steps; None stays None."""
        if steps is None or self.layout.axes == "TBI":
            return steps
        return steps.swapaxes(1, 2) if self.layout.axes == "BTI" else steps[:, :, 0]

    def from_states(self, state: Any) -> Any:
        """Convert a state (K, L * D, B, n) to the axes of the caller; None stays None."""
        return state[:, :, 0] if state is not None and self.layout.axes == "TI" else state

    def from_core(self, steps: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """Convert a sequence, which may be None, and two states to the axes of the caller."""
        return self.from_steps(steps), self.from_states(h), self.from_states(c)

    def empty_steps(self, T: int, B: int, n: int, dtype: DType) -> Array:
        """Allocate a sequence; return its steps (K, T, B, n). from_steps gives a contiguous array."""
        steps: Array = self.to_steps(np.empty((self.n_models, *self.layout.sequence_shape(T, B, n)), dtype))
        return steps

    # ---- arguments ----

    def read_sequence(self, name: str, value: Any, dtype: DType, T: int, B: int, n: int) -> Array:
        """Validate a sequence of this size; return its steps, the last axis contiguous."""
        shape = self.n_models, *self.layout.sequence_shape(T, B, n)
        return contiguous_rows(self.to_steps(shaped(name, real_array(name, value, dtype), shape, "of the output")))

    def read_state(
        self, name: str, value: Any, dtype: DType, n_states: int, B: int, n: int, letter: str
    ) -> Array | None:
        """Validate a state, or None; return it with axes (K, L * D, B, n), contiguous."""
        if value is None:
            return None
        shape = self.n_models, *self.layout.state_shape(n_states, B, n)
        words = f"(K, num_layers * D, {letter})" if self.layout.axes == "TI" else f"(K, num_layers * D, B, {letter})"
        array = np.ascontiguousarray(shaped(name, real_array(name, value, dtype), shape, words))
        return array[:, :, None] if self.layout.axes == "TI" else array

    def read_resets(self, value: Any, T: int, B: int) -> Array | None:
        """Validate one bool for each step; return them as uint8 (K, T, B), or None if all are False."""
        flags, shape = array_of("resets", value, "bool"), (self.n_models, *self.layout.sequence_shape(T, B, 0)[:-1])
        if flags.dtype != bool or flags.shape != shape:
            raise ValueError(f"resets must be boolean of shape {shape}, got {flags.dtype} {flags.shape}")
        steps = np.ascontiguousarray(self.to_steps(flags), np.uint8)
        return steps if steps.any() else None

    def check_symbols(self, x: Array, n_symbols: int, lengths: Any = None) -> None:
        """Raise unless the symbols x (K, T, B, 1), outside the padding, are from 0 to n_symbols - 1."""
        if not x.size or (x.min() >= 0 and x.max() < n_symbols):
            return
        for k, own in enumerate(x):
            try:
                self.layout.check_symbols(own, n_symbols, None if lengths is None else np.reshape(lengths[k], -1))
            except ValueError as error:
                raise ValueError(f"model {k}: {error}") from None

    def read_lengths(self, value: Any, T: int, B: int) -> tuple[Array, Array] | None:
        """Validate lengths (K, B), or (K,) without batch axis; return those of each model in descending order and their
        rows, or None if all are T."""
        lengths = array_of("lengths", value, "integers")
        shape = (self.n_models,) if self.layout.axes == "TI" else (self.n_models, B)
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
        raise ValueError(
            f"x must have shape {'(K, B, T)' if batch_first else '(K, T, B)'} or, unbatched, (K, T), with index_input "
            f"and K = {n_models} models, got {x.shape}"
        )
    layout = FleetLayout(_layout_of(x.ndim == 2, batch_first), n_models)
    return layout.to_steps(x[..., None]), layout


def _layout_of(is_single: bool, batch_first: bool) -> Layout:
    return _layout.UNBATCHED if is_single else _layout.BATCH_FIRST if batch_first else _layout.STEPS


def read_input(x: Any, dtype: DType, input_size: int, batch_first: bool, n_models: int) -> tuple[Array, FleetLayout]:
    """Validate x of a fleet; return its steps (K, T, B, I) and its layout."""
    x = real_array("x", x, dtype)
    if x.ndim not in (3, 4) or x.shape[-1] != input_size or x.shape[0] != n_models:
        raise ValueError(
            f"x must have shape {'(K, B, T, I)' if batch_first else '(K, T, B, I)'} or, unbatched, (K, T, I), with "
            f"K = {n_models} models and I = input_size = {input_size}, got {x.shape}"
        )
    layout = FleetLayout(_layout_of(x.ndim == 3, batch_first), n_models)
    return contiguous_rows(layout.to_steps(x)), layout
