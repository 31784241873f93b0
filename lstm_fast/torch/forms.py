"""Layouts in which callers pass sequences and states, and the one that the core takes."""

from typing import NamedTuple, TypeVar

import numpy as np
from torch import Tensor

Values = TypeVar("Values", np.ndarray, Tensor)
Shape = tuple[int, ...]


class Sizes(NamedTuple):
    input_size: int
    hidden_size: int
    num_layers: int
    num_directions: int
    bias: bool
    proj_size: int


class Form(NamedTuple):
    """Axes of x and of the output.

    "TBI", "BTI" (batch first), "TI" (unbatched); of a cell, one step, "BI" and "I"; "NI", the data of a PackedSequence
    with these batch_sizes. States are (L * D, B, n), unbatched (L * D, n), of a cell (B, n) or (n,).
    """

    axes: str
    batch_sizes: Tensor | None = None


def as_steps(sequence: Values, axes: str) -> Values:
    """An array or a tensor in these axes, not "NI", as a view (T, B, n)."""
    match axes:
        case "BTI":
            return sequence.swapaxes(0, 1)
        case "TI":
            return sequence[:, None]
        case "BI":
            return sequence[None]
        case "I":
            return sequence[None, None]
    return sequence


def sequence_shape(axes: str, T: int, B: int, n: int) -> Shape:
    return tuple({"T": T, "B": B, "I": n}[axis] for axis in axes)


def state_shape(axes: str, n_states: int, B: int, n: int) -> Shape:
    return {"TI": (n_states, n), "BI": (B, n), "I": (n,)}.get(axes, (n_states, B, n))


def parameter_shapes(sizes: Sizes) -> list[Shape]:
    """Shapes of all parameters, in PyTorch's order."""
    I, H, L, D, bias, P = sizes
    R = P or H
    return [
        shape
        for k in range(L * D)
        for shape in ((4 * H, I if k < D else D * R), (4 * H, R), *((4 * H,),) * (2 * bias), *((P, H),) * bool(P))
    ]
