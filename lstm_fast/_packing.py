"""Sequences of different lengths in one array: lists padded with zeros, and rows packed step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._types import Array


def pad(sequences: Sequence[Array], n_steps: int | None = None) -> tuple[Array, Array]:
    """Pad arrays (T_i, ...) with zeros to one array (N, T, ...); return it and the lengths (N,).

    T is n_steps or the largest length. There must be at least one sequence.
    """
    lengths = np.array([len(one) for one in sequences], np.int64)
    T = int(lengths.max()) if n_steps is None else n_steps
    rows = np.zeros((len(sequences), T, *sequences[0].shape[1:]), np.result_type(*sequences))
    for row, one in zip(rows, sequences):
        row[: len(one)] = one
    return rows, lengths


class PackedLayout:
    """Layout of a PackedSequence: all rows of step 0, then of step 1, ..., longest sequence first.

    batch_sizes (T,) are the rows of each step, in descending order. T, B and n are the numbers of steps, sequences and
    rows; order describes them to the core, and is None without padding.
    """

    def __init__(self, batch_sizes: Array) -> None:
        self.T, self.B, self.n = len(batch_sizes), int(batch_sizes[0]), int(batch_sizes.sum())
        self.order: tuple[Array, None, Array] | None = None
        if self.n < self.T * self.B:
            lengths = self.T - np.searchsorted(batch_sizes[::-1], np.arange(self.B), side="right")
            self.order = lengths, None, np.cumsum(batch_sizes) - batch_sizes

    def to_steps(self, data: Array) -> Array:
        """Convert data (n, I) to the form of the core: a view if they are contiguous."""
        shape = (self.T, self.B, -1) if self.order is None else (1, self.n, -1)
        return np.ascontiguousarray(data).reshape(shape)

    @staticmethod
    def is_valid(batch_sizes: Array, n_rows: int) -> bool:
        """Return whether batch_sizes describe data with n_rows rows."""
        if batch_sizes.ndim != 1 or not len(batch_sizes):
            return False
        falls = (batch_sizes[1:] <= batch_sizes[:-1]).all()
        return bool(batch_sizes[-1] > 0 and batch_sizes.sum() == n_rows and falls)
