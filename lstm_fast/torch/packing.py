"""PackedSequence: the rows of its data are those of step 0, then of step 1, ..., longest sequences first."""
from math import prod

import numpy as np

# Memory for padded steps that no call uses at present: pages fresh from the system would cost a tenth of the call.
_spare: list[np.ndarray] = []  # pop and append are atomic
_MOST_BYTES = 64 << 20  # of one


def _borrow(shape, dtype):
    n = prod(shape) * dtype.itemsize
    try:
        memory = _spare.pop()
    except IndexError:
        memory = None
    if memory is None or len(memory) < n:
        memory = np.empty(n, np.uint8)
    return memory[:n].view(dtype).reshape(shape)


class Ragged:
    """Where the rows of a PackedSequence with these batch_sizes (T,) lie in steps (T, B), and the order for the core.

    The steps that padded() and steps_of() give are the caller's until done().
    """

    def __init__(self, batch_sizes):
        self.T, self.B, self.n = len(batch_sizes), int(batch_sizes[0]), int(batch_sizes.sum())
        self.order, self._rows, self._borrowed = None, None, []
        if self.n < self.T * self.B:
            rows = np.arange(self.B)
            self.order = self.T - np.searchsorted(batch_sizes[::-1], rows, side="right"), rows  # lengths, batch rows
            self._rows = np.flatnonzero(batch_sizes[:, None] > rows)

    def _steps(self, n, dtype):
        steps = _borrow((self.T, self.B, n), dtype)
        self._borrowed.append(steps)
        return steps

    def padded(self, data):
        """data (n, I) as (T, B, I); what lies behind the ends is never looked at."""
        if self._rows is None:
            return np.ascontiguousarray(data).reshape(self.T, self.B, -1)
        steps = self._steps(data.shape[1], data.dtype)
        steps.reshape(self.T * self.B, -1)[self._rows] = data
        return steps

    def steps_of(self, data):
        """Memory for (T, B, n): that of data itself if there is no padding."""
        return data.reshape(self.T, self.B, -1) if self._rows is None else self._steps(data.shape[1], data.dtype)

    def pack(self, steps, data):
        """Writes what steps_of gave into data."""
        if self._rows is not None:  # (mode "clip": NumPy would buffer, to check rows that are right)
            np.take(steps.reshape(self.T * self.B, -1), self._rows, axis=0, out=data, mode="clip")

    def done(self):
        """Gives back what was borrowed."""
        while self._borrowed:
            memory = self._borrowed.pop().base
            if len(_spare) < 4 and len(memory) <= _MOST_BYTES:
                _spare.append(memory)


def is_valid(batch_sizes, rows):
    """Whether data with so many rows can be cut into such steps: at least one, of sizes that do not rise."""
    if batch_sizes.ndim != 1 or not len(batch_sizes):
        return False
    return batch_sizes[-1] > 0 and batch_sizes.sum() == rows and (batch_sizes[1:] <= batch_sizes[:-1]).all()
