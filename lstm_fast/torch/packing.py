"""PackedSequence: its data hold the rows of step 0, then those of step 1, and so on, longest sequences first."""

import numpy as np


class Packed:
    """T and B of a PackedSequence with these batch_sizes (T,), and its rows as `order` of _core.Weights.forward."""

    def __init__(self, batch_sizes: np.ndarray) -> None:
        self.T, self.B, self.n = len(batch_sizes), int(batch_sizes[0]), int(batch_sizes.sum())
        self.order: tuple[np.ndarray, None, np.ndarray] | None = None  # without padding the data are steps already
        if self.n < self.T * self.B:
            lengths = self.T - np.searchsorted(batch_sizes[::-1], np.arange(self.B), side="right")
            self.order = lengths, None, np.cumsum(batch_sizes) - batch_sizes

    def as_steps(self, data: np.ndarray) -> np.ndarray:
        """data (n, I) in the shape that the core takes; a view if they are contiguous."""
        return np.ascontiguousarray(data).reshape((self.T, self.B, -1) if self.order is None else (1, self.n, -1))


def is_valid(batch_sizes: np.ndarray, rows: int) -> bool:
    """Whether data of this many rows have these batch_sizes: one or more, positive, never increasing."""
    if batch_sizes.ndim != 1 or not len(batch_sizes):
        return False
    return bool(batch_sizes[-1] > 0 and batch_sizes.sum() == rows and (batch_sizes[1:] <= batch_sizes[:-1]).all())
