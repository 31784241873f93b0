"""Sizes of a network and shapes of its parameters, as in PyTorch's modules, and the layout of its input."""

from typing import NamedTuple

import numpy as np
from torch import Tensor


class Sizes(NamedTuple):
    input_size: int
    hidden_size: int
    num_layers: int
    num_directions: int
    bias: bool
    proj_size: int

    @property
    def state_sizes(self) -> tuple[int, int]:
        """The sizes of h and c."""
        return self.proj_size or self.hidden_size, self.hidden_size

    @property
    def num_states(self) -> int:
        return self.num_layers * self.num_directions

    @property
    def output_size(self) -> int:
        return self.num_directions * (self.proj_size or self.hidden_size)


class TensorLayout(NamedTuple):
    """How a caller passes a sequence: the axes of lstm_fast's Layout, or "NI", PackedSequence data with batch_sizes.

    resets: uint8 (T, B), where sequences restart, in the order of the core; a copy of the argument.
    """

    axes: str
    batch_sizes: Tensor | None = None
    resets: np.ndarray | None = None


def parameter_shapes(sizes: Sizes) -> list[tuple[int, ...]]:
    """Shapes of all parameters, in PyTorch's order."""
    I, H, L, D, bias, P = sizes
    R = P or H
    return [
        shape
        for k in range(L * D)
        for shape in ((4 * H, I if k < D else D * R), (4 * H, R), *((4 * H,),) * (2 * bias), *((P, H),) * bool(P))
    ]
