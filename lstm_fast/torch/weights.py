"""Packed copies of parameters, and when they are out of date.

The core computes from copies in its own layout. PyTorch does not detect every write to a parameter: `_version` counts
neither writes through `.data`, NumPy or shared memory nor those of a fused optimizer. So each call compares every byte
of the parameters with the packed copy; docs/from_pytorch.md has the cost.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from .. import _core, _formats, _threads
from .memory import ALIGNMENT, array, reader
from .shapes import Sizes

Entry = TypeVar("Entry")


def num_threads() -> int:
    """Return the smaller of the two libraries' limits."""
    return min(_threads.get_num_threads(), torch.get_num_threads())


def _aligned_copy(values: np.ndarray) -> np.ndarray:
    """Return a copy aligned to a cache line, like PyTorch's tensors: otherwise comparing a vector reads two lines."""
    memory = np.empty(values.nbytes + ALIGNMENT - 1, np.uint8)
    skip = -memory.ctypes.data % ALIGNMENT
    copy = memory[skip : skip + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


class Quantization(NamedTuple):
    """Storage format of weights for inference: the arguments of lstm_fast.LSTM.quantized."""

    format: str
    inputs: str = "float32"

    def check_h(self, states: Any) -> None:
        """Raise a ValueError if h, the first state, is outside the range of the format. Checks nothing else."""
        if self.format != "int8" or not isinstance(states, (tuple, list)) or not isinstance(states[0], Tensor):
            return
        try:
            h = array(states[0])  # 2 us with the next line; PyTorch's own operators take twice as long
        except ValueError:  # not plain: PyTorch computes the call
            return
        if not np.abs(h).max(initial=0) <= 1:  # also if one is NaN
            _formats.check_h(self.format, "h_0", h)


class Packed:
    """Tensors packed for the core, with copies for comparison. Immutable.

    tensors: plain tensors with shapes.parameter_shapes(sizes), all of the same dtype; float32 with a quantization or
    compute_dtype, which exclude each other.
    """

    def __init__(
        self,
        sizes: Sizes,
        tensors: Sequence[Tensor],
        quantization: Quantization | None = None,
        compute_dtype: str | None = None,
    ) -> None:
        self.sizes, self.dtype, self.quantization = sizes, tensors[0].dtype, quantization
        self.compute_dtype = compute_dtype
        # Packed from the copies, so that the next call detects a concurrent write by another thread.
        self.copies = [_aligned_copy(array(tensor.detach())) for tensor in tensors]
        I, H, L, D, _, P = sizes
        arrays = self.by_direction(self.copies)
        options: dict[str, Any] = {"proj_size": P, "compute_dtype": compute_dtype}
        if quantization is not None:
            arrays = _quantized(sizes, arrays, quantization)
            options |= _formats.core_options(*quantization)
        self.core = _core.Weights("lstm", self.copies[0].dtype, I, H, L, D, arrays, **options)
        self.calls = _core.TensorCalls(self.core, reader, self.copies, num_threads, torch.empty_like)

    def by_direction(self, entries: Sequence[Entry]) -> list[tuple[Entry | None, ...]]:
        """Convert entries from PyTorch's order of parameters to the core's: a tuple per layer and direction."""
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


def _quantized(
    sizes: Sizes, arrays: Sequence[tuple[Any, ...]], quantization: Quantization
) -> list[tuple[np.ndarray | None, ...]]:
    """Return float32 arrays converted to another format, with scales if it has any. Rejects unsupported options."""
    _formats.check_options(*quantization)
    if arrays[0][0].dtype != np.float32 or (sizes.proj_size and quantization.format == "int8"):
        raise ValueError(f"parameters in {quantization.format} must be float32, in int8 without a projection")
    ways = ("", "_reverse")[: sizes.num_directions]
    suffixes = [f"_l{layer}{way}" for layer in range(sizes.num_layers) for way in ways]
    parameters = {
        name + suffix: array
        for suffix, of in zip(suffixes, arrays, strict=True)
        for name, array in zip(_core.PARAMETERS, of, strict=True)
        if array is not None
    }
    return _formats.arrays_in_format(parameters, suffixes, *quantization)


def packed(
    old: Packed | None,
    sizes: Sizes,
    tensors: Sequence[Tensor],
    quantization: Quantization | None = None,
    compute_dtype: str | None = None,
    *,
    is_frozen: bool = False,
) -> Packed:
    """Return old if it holds the current values of the tensors (is_frozen: not compared), else a new Packed."""
    if old is not None:
        options = sizes, tensors[0].dtype, quantization, compute_dtype
        is_alike = (old.sizes, old.dtype, old.quantization, old.compute_dtype) == options
        if is_alike and (is_frozen or old.calls.are_current(tensors)):
            return old
    return Packed(sizes, tensors, quantization, compute_dtype)
