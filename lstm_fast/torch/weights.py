"""Packed copies of parameters, and when they are out of date.

The core computes from copies in a layout of its own. PyTorch cannot tell of every write to a parameter: `_version`
counts neither those through `.data`, NumPy or shared memory nor those of a fused optimizer. So each call compares the
parameters with what was packed, every byte of them; docs/bridges.md has the cost.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .. import _core, _threads
from .forms import Sizes
from .memory import ALIGNMENT, array, reader

Entry = TypeVar("Entry")


def num_threads() -> int:
    """The smaller of both libraries' limits."""
    return min(_threads.get_num_threads(), torch.get_num_threads())


def _aligned_copy(values: np.ndarray) -> np.ndarray:
    """On a cache line, as PyTorch's tensors are: otherwise each comparison of a vector reads two lines."""
    memory = np.empty(values.nbytes + ALIGNMENT - 1, np.uint8)
    skip = -memory.ctypes.data % ALIGNMENT
    copy = memory[skip : skip + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


class Packed:
    """Tensors packed for the core, with copies of what was packed. Immutable.

    tensors: plain ones with forms.parameter_shapes(sizes), of one dtype.
    """

    def __init__(self, sizes: Sizes, tensors: Sequence[Tensor]) -> None:
        self.sizes, self.dtype = sizes, tensors[0].dtype
        # Packed from the copies: a write by another thread meanwhile shows at the next call.
        self.copies = [_aligned_copy(array(tensor.detach())) for tensor in tensors]
        I, H, L, D, _, P = sizes
        self.core = _core.Weights("lstm", self.copies[0].dtype, I, H, L, D, self.by_direction(self.copies), proj_size=P)
        self.calls = _core.TensorCalls(self.core, reader, self.copies, num_threads)

    def by_direction(self, entries: Sequence[Entry]) -> list[tuple[Entry | None, ...]]:
        """Entries in PyTorch's order of parameters as the core takes them: a tuple for each layer and direction."""
        names = [
            "weight_ih",
            "weight_hh",
            *("bias_ih", "bias_hh") * self.sizes.bias,
            *("weight_hr",) * bool(self.sizes.proj_size),
        ]
        return [
            tuple(entries[k + names.index(name)] if name in names else None for name in _core.PARAMETERS)
            for k in range(0, len(entries), len(names))
        ]


def packed(old: Packed | None, sizes: Sizes, tensors: Sequence[Tensor], *, is_frozen: bool = False) -> Packed:
    """old if it holds these tensors as they are now (is_frozen: the caller vouches for that), else a new Packed."""
    if old is None or old.sizes != sizes or old.dtype is not tensors[0].dtype:
        return Packed(sizes, tensors)
    return old if is_frozen or old.calls.are_current(tensors) else Packed(sizes, tensors)
