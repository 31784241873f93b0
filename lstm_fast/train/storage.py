"""Storage of sequences, in memory or memory-mapped: parts are copied and converted when they are read."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .._types import Array, DType


class Storage:
    """Sequences (T_i, ...) of one array (N, T, ...), or of a list of arrays."""

    def __init__(self, arrays: Array | list[Array], index: Array | None = None, dtype: DType | None = None) -> None:
        self.arrays, self._index = arrays, index
        if dtype is None:
            each = [arrays] if isinstance(arrays, np.ndarray) else arrays
            dtype = np.result_type(*({one.dtype for one in each} or [np.float64]))
        self.dtype = dtype
        self.n = len(arrays if index is None else index)

    def subset(self, rows: Array) -> Storage:
        """Return some of the sequences, without copying them."""
        return Storage(self.arrays, rows if self._index is None else self._index[rows], self.dtype)

    def own(self) -> None:
        """Copy arrays in memory that others may change."""
        if isinstance(self.arrays, np.ndarray):
            self.arrays = owned(self.arrays)
        else:
            self.arrays = [owned(one) for one in self.arrays]

    def one(self, row: int) -> Array:
        """Return a view of one sequence."""
        return self.arrays[row if self._index is None else self._index[row]]

    def read(self, rows: Array, n: int, begins: Array | None = None) -> Array:
        """Copy n steps of some sequences, (len(rows), n, ...), from step 0 or begins; zeros follow their ends."""
        rows = rows if self._index is None else self._index[rows]
        arrays = self.arrays
        if isinstance(arrays, np.ndarray):
            T = arrays.shape[1]
            if begins is None and n <= T:
                return arrays[rows] if n == T else arrays[rows, :n]
            begin = 0 if begins is None or not len(begins) else int(begins[0])
            if begin + n <= T and (begins is None or (begins == begin).all()):
                return arrays[rows, begin : begin + n]
        part = np.zeros((len(rows), n, *arrays[0].shape[1:]), self.dtype)
        for k, row in enumerate(rows):
            begin = 0 if begins is None else begins[k]
            steps = arrays[row][begin : begin + n]
            part[k, : len(steps)] = steps
        return part


def is_mapped(value: Any) -> bool:
    """Return whether an array lies in a memory-mapped file."""
    while value is not None:
        if isinstance(value, (np.memmap, mmap.mmap)):
            return True
        value = value.obj if isinstance(value, memoryview) else getattr(value, "base", None)
    return False


def owned(array: Array) -> Array:
    """Return a copy of an array, or the array itself if it lies in a memory-mapped file."""
    return array if is_mapped(array) else array.copy(order="K")


def stand_in(value: Any, dtype: DType) -> Array:
    """Return an array of the same shape and this dtype that occupies no memory, to validate shapes."""
    shape = np.shape(value)
    return np.broadcast_to(np.zeros((), dtype), shape)
