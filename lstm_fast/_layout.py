"""Axis layouts of sequences and states. All conversions between the caller's axes and the core's happen here.

The core computes on steps, (T, B, n), and on states, (L * D, B, n). A Layout converts arguments to views of that form
and results back, and describes shapes in error messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import array_of, integer_array, order_of_lengths, real_array, shaped

if TYPE_CHECKING:
    from ._types import Array, DType


class Layout:
    """Axes of a sequence: "TBI", "BTI" (batch first), "TI" (unbatched), "BI" (cell) or "I" (cell, unbatched).

    "KTBI", "KBTI" and "KTI" belong to fleets of K models (`FleetLayout`); the core has the axis K too.
    Conversions return views, and work for arrays and for PyTorch tensors.
    """

    __slots__ = ("axes",)

    def __init__(self, axes: str) -> None:
        self.axes = axes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.axes == other.axes

    def __hash__(self) -> int:
        return hash(self.axes)

    def __repr__(self) -> str:
        return f"Layout({self.axes!r})"

    # ---- sequences ----

    def to_steps(self, sequence: Any) -> Any:
        """Convert a sequence, or one value for each of its steps, to axes (T, B, ...)."""
        match self.axes:
            case "TBI" | "KTBI":
                return sequence
            case "BTI":
                return sequence.swapaxes(0, 1)
            case "KBTI":
                return sequence.swapaxes(1, 2)
            case "TI":
                return sequence[:, None]
            case "KTI":
                return sequence[:, :, None]
            case "BI":
                return sequence[None]
            case _:
                return sequence[None, None]

    def from_steps(self, steps: Any) -> Any:
        """Invert to_steps."""
        match self.axes:
            case "TBI" | "KTBI":
                return steps
            case "BTI":
                return steps.swapaxes(0, 1)
            case "KBTI":
                return steps.swapaxes(1, 2)
            case "TI":
                return steps[:, 0]
            case "KTI":
                return steps[:, :, 0]
            case "BI":
                return steps[0]
            case _:
                return steps[0, 0]

    def to_rows(self, sequence: Any) -> Any:
        """Convert a sequence to axes (B, T, ...)."""
        return self.to_steps(sequence).swapaxes(0, 1)

    def from_rows(self, rows: Any) -> Any:
        """Invert to_rows."""
        return self.from_steps(rows.swapaxes(0, 1))

    def sequence_shape(self, T: int, B: int, n: int) -> tuple[int, ...]:
        """Return the shape of a sequence with n features."""
        match self.axes:
            case "TBI" | "KTBI":
                return T, B, n
            case "BTI" | "KBTI":
                return B, T, n
            case "TI" | "KTI":
                return T, n
            case "BI":
                return B, n
            case _:
                return (n,)

    def empty_steps(self, T: int, B: int, n: int, dtype: DType) -> Array:
        """Allocate a sequence; return its steps (T, B, n). from_steps gives a contiguous array."""
        if self.axes == "TBI":
            return np.empty((T, B, n), dtype)
        steps: Array = self.to_steps(np.empty(self.sequence_shape(T, B, n), dtype))
        return steps

    # ---- states ----

    def to_states(self, state: Any) -> Any:
        """Convert a state to axes (L * D, B, n)."""
        match self.axes:
            case "TBI" | "BTI" | "KTBI" | "KBTI":
                return state
            case "TI":
                return state[:, None]
            case "KTI":
                return state[:, :, None]
            case "BI":
                return state[None]
            case _:
                return state[None, None]

    def from_states(self, state: Any) -> Any:
        """Invert to_states; None stays None."""
        if state is None:
            return None
        match self.axes:
            case "TBI" | "BTI" | "KTBI" | "KBTI":
                return state
            case "TI":
                return state[:, 0]
            case "KTI":
                return state[:, :, 0]
            case "BI":
                return state[0]
            case _:
                return state[0, 0]

    def from_core(self, output: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """Convert a sequence and two states of the core to these axes; the sequence and c may be None."""
        if self.axes == "TBI":
            return output, h, c
        return None if output is None else self.from_steps(output), self.from_states(h), self.from_states(c)

    def state_shape(self, n_states: int, B: int, n: int) -> tuple[int, ...]:
        """Return the shape of a state of size n; n_states = L * D."""
        match self.axes:
            case "TBI" | "BTI" | "KTBI" | "KBTI":
                return n_states, B, n
            case "TI" | "KTI":
                return n_states, n
            case "BI":
                return B, n
            case _:
                return (n,)

    # ---- arguments ----

    def read_sequence(self, name: str, value: Any, dtype: DType, T: int, B: int, n: int) -> Array:
        """Validate a sequence of this size; return its steps."""
        array = real_array(name, value, dtype)
        steps: Array = self.to_steps(shaped(name, array, self.sequence_shape(T, B, n), "of the output"))
        return steps

    def read_state(
        self, name: str, value: Any, dtype: DType, n_states: int, B: int, n: int, letter: str
    ) -> Array | None:
        """Validate a state, or None; return it with axes (L * D, B, n). letter names the last axis in errors."""
        if value is None:
            return None
        words = {
            "TI": f"(num_layers * D, {letter})",
            "BI": f"(B, {letter})",
            "I": f"({letter},)",
            "KTI": f"(K, num_layers * D, {letter})",
        }.get(self.axes, f"({'K, ' * ('K' in self.axes)}num_layers * D, B, {letter})")
        array = shaped(name, real_array(name, value, dtype), self.state_shape(n_states, B, n), words)
        state: Array = self.to_states(array)
        return state

    def read_flags(self, name: str, value: Any, T: int, B: int) -> Array:
        """Validate one bool per step; return them as (T, B)."""
        flags, shape = array_of(name, value, "bool"), self.sequence_shape(T, B, 0)[:-1]
        if flags.dtype != bool or flags.shape != shape:
            words = f"({self.axes[0]},)" if len(shape) == 1 else f"({', '.join(self.axes[:-1])})"
            raise ValueError(f"{name} must be boolean of shape {words} = {shape}, got {flags.dtype} {flags.shape}")
        steps: Array = self.to_steps(flags)
        return steps

    def read_resets(self, value: Any, T: int, B: int) -> Array | None:
        """Validate one bool per step; return them as contiguous uint8 (T, B), or None if all are False."""
        # Copied before they are searched: for a huge broadcast array, the copy fails immediately.
        steps = np.ascontiguousarray(self.read_flags("resets", value, T, B), np.uint8)
        return steps if steps.any() else None

    def check_symbols(self, x: Array, n_symbols: int, lengths: Any = None, name: str = "x") -> None:
        """Raise unless the symbols x (T, B, 1), outside the padding, are from 0 to n_symbols - 1."""
        if not x.size or (x.min() >= 0 and x.max() < n_symbols):
            return
        T, B = x.shape[:2]
        wrong = (x[..., 0] < 0) | (x[..., 0] >= n_symbols)
        if lengths is not None:
            order_of_lengths(lengths, T, B)  # for its errors
            wrong &= np.arange(T)[:, None] < np.asarray(lengths)
        if wrong.any():
            t, b = np.argwhere(wrong)[0]
            positions = {"TBI": [t, b], "BTI": [b, t], "TI": [t], "BI": [b], "I": []}  # in the caller's axes
            position = ", ".join(map(str, positions[self.axes]))
            raise ValueError(
                f"{name} must hold symbols from 0 to input_size - 1 = {n_symbols - 1}, got {x[t, b, 0]}"
                + f" at [{position}]" * (position != "")
            )

    def read_lengths(self, value: Any) -> Any:
        """Convert the lengths argument to one number per sequence; an unbatched sequence may have a plain number."""
        return [value] if self.axes == "TI" and value is not None and np.ndim(value) == 0 else value


STEPS, BATCH_FIRST, UNBATCHED = Layout("TBI"), Layout("BTI"), Layout("TI")
CELL, UNBATCHED_CELL = Layout("BI"), Layout("I")


def layout_of(is_unbatched: bool, batch_first: bool) -> Layout:
    """Return the layout of a sequence of a network."""
    return UNBATCHED if is_unbatched else BATCH_FIRST if batch_first else STEPS


def read_input(x: Any, dtype: DType, input_size: int, batch_first: bool, or_else: str = "") -> tuple[Array, Layout]:
    """Validate x of a network; return its steps and its layout. or_else: alternatives to mention in the error."""
    x = real_array("x", x, dtype)
    if x.ndim not in (2, 3) or x.shape[-1] != input_size:
        raise ValueError(
            f"x must have shape {'(B, T, I)' if batch_first else '(T, B, I)'} or, unbatched, (T, I), "
            f"with I = input_size = {input_size}{or_else}, got {x.shape}"
        )
    if x.ndim == 3 and not batch_first:
        return x, STEPS
    layout = layout_of(x.ndim == 2, batch_first)
    return layout.to_steps(x), layout


def read_symbols(x: Any, batch_first: bool, or_else: str = "") -> tuple[Array, Layout]:
    """Validate x of a network with index_input; return a copy as steps (T, B, 1), not yet checked, and its layout."""
    x = integer_array("x", x)
    if x.ndim not in (1, 2):
        raise ValueError(
            f"x must have shape {'(B, T)' if batch_first else '(T, B)'} or, unbatched, (T,), with index_input"
            f"{or_else}, got {x.shape}"
        )
    layout = layout_of(x.ndim == 1, batch_first)
    return layout.to_steps(x[..., None]), layout


def read_cell_input(x: Any, dtype: DType, input_size: int) -> tuple[Array, Layout]:
    """Validate x of a cell; return it as steps (1, B, I), and its layout."""
    x = real_array("x", x, dtype)
    if x.ndim not in (1, 2) or x.shape[-1] != input_size:
        raise ValueError(f"x must have shape (B, I) or (I,), with I = input_size = {input_size}, got {x.shape}")
    layout = UNBATCHED_CELL if x.ndim == 1 else CELL
    return layout.to_steps(x), layout
