"""Packed copies of parameters, and when they are out of date.

The core computes from copies in an order of its own. PyTorch does not tell of every write into a parameter: one through
`.data`, and those of a fused optimizer, leave its `_version` as it was. So the parameters are compared with the copies,
whole and byte by byte, which takes a few percent of the call, but for calls of so few steps that it would take longer than
they do. Those look at the address, the version and a sample of each parameter, for a microsecond or two.
"""
import ctypes

import numpy as np

from .. import _core

SAMPLES = 64     # numbers of each parameter that a short call compares
FEW_STEPS = 256  # T * B below which a call is short: to compare all would take a tenth of T = 100, B = 1, H = 64

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes, _memcmp.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int


class Packed:
    """Tensors packed for the core, with copies of what was packed. Immutable, but for what quickly() looks at.

    tensors: plain ones on the CPU, of one dtype, with forms.parameter_shapes(sizes).
    """

    def __init__(self, sizes, tensors):
        self.sizes, self.dtype = sizes, tensors[0].dtype
        arrays = [tensor.detach().numpy() for tensor in tensors]
        self.copies = [np.array(values, order="C") for values in arrays]
        self._places = [(values.ctypes.data, values.nbytes) for values in self.copies]
        I, H, L, D, _, P = sizes
        self.core = _core.Weights("lstm", arrays[0].dtype, I, H, L, D, self.by_direction(self.copies), proj_size=P)
        self.numpy_dtype = self.core.dtype
        self.numbers = L * D, D * (P or H), P or H, H  # of states, of the output, of h, of c
        self._seen, self.steppers = (), []  # steppers that no thread uses at present

    def by_direction(self, arrays):
        """Arrays in PyTorch's order as the core wants them: a tuple of layer and direction, None for what there is not."""
        n = len(arrays) // (self.sizes.num_layers * self.sizes.num_directions)
        names = ("weight_ih", "weight_hh", *("bias_ih", "bias_hh") * self.sizes.bias,
                 *("weight_hr",) * bool(self.sizes.proj_size))
        return [tuple(arrays[k + names.index(name)] if name in names else None for name in _core.PARAMETERS)
                for k in range(0, len(arrays), n)]

    def equals(self, tensors):
        """Whether these are the numbers that were packed, to the bit. Tensors as in the constructor."""
        return tensors[0].dtype is self.dtype and all(
            tensor.is_contiguous() and not _memcmp(tensor.data_ptr(), address, n)
            for tensor, (address, n) in zip(tensors, self._places, strict=True))

    def watch(self, tensors):
        """From now on quickly() compares with these. Holds their memory, so that no other tensor can come to lie there."""
        seen = []
        for tensor in tensors:
            sample = tensor.detach().numpy().reshape(-1)
            sample = sample[::max(1, len(sample) // SAMPLES) | 1]  # odd: not one column alone
            version = None if tensor.is_inference() else tensor._version
            seen.append((version, tensor.data_ptr(), sample, sample.tobytes()))
        self._seen = seen if all(version is not None and tensor.is_contiguous()
                                 for tensor, (version, *_) in zip(tensors, seen, strict=True)) else ()

    def quickly(self, tensors):
        """Whether nothing says that these have changed since watch(). tensors: any collection."""
        if len(tensors) != len(self._seen):
            return False
        for tensor, (version, address, sample, numbers) in zip(tensors, self._seen, strict=True):
            if tensor._version != version or tensor.data_ptr() != address or sample.tobytes() != numbers:
                return False
        return True

    def is_current(self, tensors, steps):
        """For a call of so many steps: whether these are the numbers that were packed, as far as it can look."""
        return self.quickly(tensors) and (steps < FEW_STEPS or self.equals(list(tensors)))


def packed(old, sizes, tensors):
    """old if it holds the numbers of these tensors, else a new Packed."""
    return old if old is not None and old.sizes == sizes and old.equals(tensors) else Packed(sizes, tensors)
