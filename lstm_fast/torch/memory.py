"""Reading and allocating tensor memory for the core.

Tensor.numpy() and torch.from_numpy() make a storage permanently non-resizable, which breaks `resize_`, `out=` and FSDP.
Therefore arrays are created from the addresses of tensors, and results are allocated by PyTorch: with x.new_empty,
which takes half the time of torch.empty and ignores the default device.
"""

import numpy as np
import torch
from torch import Tensor, nn

from .. import _core

DTYPES = torch.float32, torch.float64  # supported by the core

reader = _core.TensorReader(
    (Tensor, nn.Parameter), {torch.float32: "f", torch.float64: "d", torch.int64: "l", torch.uint8: "B"}
)

ALIGNMENT = 64  # bytes: a tape starts at a cache line


def array(tensor: Tensor) -> np.ndarray:
    """View the memory of a plain tensor. Must not outlive the caller: the storage may be resized later."""
    return reader.array(tensor)


def empty_tape(like: Tensor, n_bytes: int) -> Tensor:
    """Return an uninitialized tape on the device of `like`, not on the default device."""
    memory = like.new_empty(n_bytes + ALIGNMENT - 1, dtype=torch.uint8)
    skip = -memory.data_ptr() % ALIGNMENT
    return memory[skip : skip + n_bytes]


def random_seed() -> int:
    """Return a seed from the generator of torch.manual_seed."""
    return int(torch.randint(2**62, (), device="cpu"))
