"""Packed copies of parameters, and when they are out of date.

The core computes from copies in an order of its own. PyTorch does not tell of every write into a parameter: one through
`.data`, and those of a fused optimizer, leave its `_version` as it was. So the parameters are compared with the copies,
whole and byte by byte, which takes a few percent of the call, but for calls of so few steps that it would take longer than
they do. Those look at the address, the version and a sample of each parameter, for a microsecond or two.
"""

import ctypes

import numpy as np
from torch import Tensor, from_numpy

from .. import _core
from .call import num_threads

SAMPLES = 64  # numbers of each parameter that a short call compares
FEW_STEPS = 256  # T * B below which a call is short: to compare all would take a tenth of T = 100, B = 1, H = 64

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes, _memcmp.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int


class Packed:
    """Tensors packed for the core, with copies of what was packed. Immutable, but for `short`.

    tensors: plain ones on the CPU, of one dtype, with forms.parameter_shapes(sizes).
    """

    def __init__(self, sizes, tensors):
        self.sizes, self.dtype = sizes, tensors[0].dtype
        arrays = [tensor.detach().numpy() for tensor in tensors]
        self.copies = [np.array(values, order="C") for values in arrays]
        self._places = [(values.ctypes.data, values.nbytes) for values in self.copies]
        I, H, L, D, _, P = sizes
        self.core = _core.Weights("lstm", arrays[0].dtype, I, H, L, D, self.by_direction(self.copies), proj_size=P)
        self.short = None  # _core.TensorCalls, for calls without gradients

    def by_direction(self, arrays):
        """Arrays in PyTorch's order as the core wants them: a tuple of layer and direction, None for what there is not."""
        n = len(arrays) // (self.sizes.num_layers * self.sizes.num_directions)
        names = (
            "weight_ih",
            "weight_hh",
            *("bias_ih", "bias_hh") * self.sizes.bias,
            *("weight_hr",) * bool(self.sizes.proj_size),
        )
        return [
            tuple(arrays[k + names.index(name)] if name in names else None for name in _core.PARAMETERS)
            for k in range(0, len(arrays), n)
        ]

    def equals(self, tensors):
        """Whether these are the numbers that were packed, to the bit. Tensors as in the constructor."""
        return tensors[0].dtype is self.dtype and all(
            tensor.is_contiguous() and not _memcmp(tensor.data_ptr(), address, n)
            for tensor, (address, n) in zip(tensors, self._places, strict=True)
        )

    def watch(self, tensors):
        """Makes `short`, which looks whether these tensors, from which this was packed, have changed."""
        if all(tensor.is_contiguous() and not tensor.is_inference() for tensor in tensors):
            self.short = _core.TensorCalls(
                self.core, tensors, self.copies, Tensor, from_numpy, num_threads, SAMPLES, FEW_STEPS
            )


def packed(old, sizes, tensors):
    """old if it holds the numbers of these tensors, else a new Packed."""
    return old if old is not None and old.sizes == sizes and old.equals(tensors) else Packed(sizes, tensors)
