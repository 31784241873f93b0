"""PackedSequence: the rows of its data are those of step 0, then of step 1, ..., longest sequences first."""

import numpy as np


class Packed:
    """T and B of a PackedSequence with these batch_sizes (T,), and how the core finds its rows (`order` of _core.Weights)."""

    def __init__(self, batch_sizes):
        self.T, self.B, self.n = len(batch_sizes), int(batch_sizes[0]), int(batch_sizes.sum())
        self.order = None  # without padding the data are steps as they are
        if self.n < self.T * self.B:
            lengths = self.T - np.searchsorted(batch_sizes[::-1], np.arange(self.B), side="right")
            self.order = lengths, None, np.cumsum(batch_sizes) - batch_sizes

    def as_steps(self, data):
        """data (n, I), an array, as the core takes them, a view where data are contiguous."""
        return np.ascontiguousarray(data).reshape((self.T, self.B, -1) if self.order is None else (1, self.n, -1))


def is_valid(batch_sizes, rows):
    """Whether data with so many rows can be cut into such steps: at least one, of sizes that do not rise."""
    if batch_sizes.ndim != 1 or not len(batch_sizes):
        return False
    return batch_sizes[-1] > 0 and batch_sizes.sum() == rows and (batch_sizes[1:] <= batch_sizes[:-1]).all()
