"""Layouts: the axes in which callers give sequences and states, read and undone here and nowhere else.

The core takes a sequence as steps, (T, B, n), and a state as (L * D, B, n). A Layout turns what the caller gave into
views of that form, and results into views of the caller's form; it also knows the words for error messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._arguments import real_array, shaped

if TYPE_CHECKING:
    from ._types import Array, DType


class Layout(NamedTuple):
    """Axes of a sequence, by their letters.

    axes : "TBI", "BTI" (batch first), "TI" (unbatched), "BI" (one step of a cell) or "I" (one step, unbatched)

    The turning methods return views and take anything that can be indexed like an array, PyTorch's tensors too.
    """

    axes: str

    # ---- sequences ----

    def to_steps(self, sequence: Any) -> Any:
        """A sequence (or numbers of its steps, (T, B)) with the axes (T, B, ...)."""
        match self.axes:
            case "TBI":
                return sequence
            case "BTI":
                return sequence.swapaxes(0, 1)
            case "TI":
                return sequence[:, None]
            case "BI":
                return sequence[None]
            case _:
                return sequence[None, None]

    def from_steps(self, steps: Any) -> Any:
        """The inverse of to_steps."""
        match self.axes:
            case "TBI":
                return steps
            case "BTI":
                return steps.swapaxes(0, 1)
            case "TI":
                return steps[:, 0]
            case "BI":
                return steps[0]
            case _:
                return steps[0, 0]

    def to_rows(self, sequence: Any) -> Any:
        """A sequence with the axes (B, T, ...): a row for each sequence of the batch."""
        return self.to_steps(sequence).swapaxes(0, 1)

    def from_rows(self, rows: Any) -> Any:
        """The inverse of to_rows."""
        return self.from_steps(rows.swapaxes(0, 1))

    def sequence_shape(self, T: int, B: int, n: int) -> tuple[int, ...]:
        """Shape of a sequence of n numbers a step."""
        match self.axes:
            case "TBI":
                return T, B, n
            case "BTI":
                return B, T, n
            case "TI":
                return T, n
            case "BI":
                return B, n
            case _:
                return (n,)

    def empty_steps(self, T: int, B: int, n: int, dtype: DType) -> Array:
        """A new sequence, as steps (T, B, n): contiguous when from_steps has turned it."""
        if self.axes == "TBI":
            return np.empty((T, B, n), dtype)
        steps: Array = self.to_steps(np.empty(self.sequence_shape(T, B, n), dtype))
        return steps

    # ---- states ----

    def to_states(self, state: Any) -> Any:
        """A state with the axes (L * D, B, n)."""
        match self.axes:
            case "TBI" | "BTI":
                return state
            case "TI":
                return state[:, None]
            case "BI":
                return state[None]
            case _:
                return state[None, None]

    def from_states(self, state: Any) -> Any:
        """The inverse of to_states; None stays None."""
        if state is None:
            return None
        match self.axes:
            case "TBI" | "BTI":
                return state
            case "TI":
                return state[:, 0]
            case "BI":
                return state[0]
            case _:
                return state[0, 0]

    def from_core(self, output: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """A sequence and two states of the core in these axes; sequence and c may be None."""
        if self.axes == "TBI":
            return output, h, c
        return None if output is None else self.from_steps(output), self.from_states(h), self.from_states(c)

    def state_shape(self, n_states: int, B: int, n: int) -> tuple[int, ...]:
        """Shape of a state of n numbers; n_states = L * D."""
        match self.axes:
            case "TBI" | "BTI":
                return n_states, B, n
            case "TI":
                return n_states, n
            case "BI":
                return B, n
            case _:
                return (n,)

    # ---- arguments ----

    def read_sequence(self, name: str, value: Any, dtype: DType, T: int, B: int, n: int) -> Array:
        """A sequence of these sizes, checked, as steps."""
        array = real_array(name, value, dtype)
        steps: Array = self.to_steps(shaped(name, array, self.sequence_shape(T, B, n), "of the output"))
        return steps

    def read_state(
        self, name: str, value: Any, dtype: DType, n_states: int, B: int, n: int, letter: str
    ) -> Array | None:
        """A state, or None, checked, with the axes (L * D, B, n); letter names its last axis in errors."""
        if value is None:
            return None
        words = {
            "TI": f"(num_layers * D, {letter})",
            "BI": f"(B, {letter})",
            "I": f"({letter},)",
        }.get(self.axes, f"(num_layers * D, B, {letter})")
        array = shaped(name, real_array(name, value, dtype), self.state_shape(n_states, B, n), words)
        state: Array = self.to_states(array)
        return state

    def read_flags(self, name: str, value: Any, T: int, B: int) -> Array:
        """One boolean for each step, as (T, B)."""
        flags, shape = np.asarray(value), self.sequence_shape(T, B, 0)[:-1]
        if flags.dtype != bool or flags.shape != shape:
            words = f"({self.axes[0]},)" if len(shape) == 1 else f"({', '.join(self.axes[:-1])})"
            raise ValueError(f"{name} must be boolean of shape {words} = {shape}, got {flags.dtype} {flags.shape}")
        steps: Array = self.to_steps(flags)
        return steps

    def read_lengths(self, value: Any) -> Any:
        """lengths as the argument of a batch: one sequence without a batch axis may have a plain number."""
        return [value] if self.axes == "TI" and value is not None and np.ndim(value) == 0 else value


STEPS, BATCH_FIRST, UNBATCHED = Layout("TBI"), Layout("BTI"), Layout("TI")
CELL, UNBATCHED_CELL = Layout("BI"), Layout("I")


def read_input(x: Any, dtype: DType, input_size: int, batch_first: bool, or_else: str = "") -> tuple[Array, Layout]:
    """x of a network, checked, as steps, and its layout. or_else: what the argument may be instead, for the error."""
    x = real_array("x", x, dtype)
    if x.ndim not in (2, 3) or x.shape[-1] != input_size:
        raise ValueError(
            f"x must have shape {'(B, T, I)' if batch_first else '(T, B, I)'} or, unbatched, (T, I), "
            f"with I = input_size = {input_size}{or_else}, got {x.shape}"
        )
    if x.ndim == 3 and not batch_first:
        return x, STEPS
    layout = UNBATCHED if x.ndim == 2 else BATCH_FIRST
    return layout.to_steps(x), layout


def read_cell_input(x: Any, dtype: DType, input_size: int) -> tuple[Array, Layout]:
    """x of a cell, one step, checked, as steps (1, B, I), and its layout."""
    x = real_array("x", x, dtype)
    if x.ndim not in (1, 2) or x.shape[-1] != input_size:
        raise ValueError(f"x must have shape (B, I) or (I,), with I = input_size = {input_size}, got {x.shape}")
    layout = UNBATCHED_CELL if x.ndim == 1 else CELL
    return layout.to_steps(x), layout


def pad(sequences: Sequence[Array], n_steps: int | None = None) -> tuple[Array, Array]:
    """Arrays (T_i, ...) of one dtype as one array (N, T, ...), zero in the padding, and their lengths (N,).

    T is n_steps, or that of the longest. There must be at least one sequence.
    """
    lengths = np.array([len(one) for one in sequences], np.int64)
    T = int(lengths.max()) if n_steps is None else n_steps
    rows = np.zeros((len(sequences), T, *sequences[0].shape[1:]), np.result_type(*sequences))
    for row, one in zip(rows, sequences):
        row[: len(one)] = one
    return rows, lengths


class PackedLayout:
    """Layout of the data of PyTorch's PackedSequence: all rows of step 0, then of step 1, ..., longest sequence first.

    batch_sizes : (T,) integers in descending order, the number of rows of each step

    T, B, n are steps, sequences and rows of the data; order is how the core finds them: None where there is no padding.
    """

    def __init__(self, batch_sizes: Array) -> None:
        self.T, self.B, self.n = len(batch_sizes), int(batch_sizes[0]), int(batch_sizes.sum())
        self.order: tuple[Array, None, Array] | None = None
        if self.n < self.T * self.B:
            lengths = self.T - np.searchsorted(batch_sizes[::-1], np.arange(self.B), side="right")
            self.order = lengths, None, np.cumsum(batch_sizes) - batch_sizes

    def to_steps(self, data: Array) -> Array:
        """Data (n, I) as the core takes them: a view where they are contiguous."""
        shape = (self.T, self.B, -1) if self.order is None else (1, self.n, -1)
        return np.ascontiguousarray(data).reshape(shape)

    @staticmethod
    def is_valid(batch_sizes: Array, n_rows: int) -> bool:
        """Whether data of so many rows can be cut into steps of these sizes."""
        if batch_sizes.ndim != 1 or not len(batch_sizes):
            return False
        falls = (batch_sizes[1:] <= batch_sizes[:-1]).all()
        return bool(batch_sizes[-1] > 0 and batch_sizes.sum() == n_rows and falls)
