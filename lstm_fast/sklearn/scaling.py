"""Standardisation of columns."""

from collections.abc import Callable
from typing import Self

import numpy as np

from .._sums import column_sums, row_sums, total


class Scaling:
    """Mean and deviation of columns; a column that does not vary is only shifted."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        self.mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
        self.deviation = np.where(deviation > 1e-12 * np.abs(self.mean), deviation, 1.0)

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Fit to weighted rows (n, F). NaN is ignored; an all-NaN column has mean 0."""
        known = ~np.isnan(rows)
        if known.all():
            share = np.full(len(rows), 1 / len(rows)) if weights is None else weights / total(weights)
            mean = column_sums(share[:, None] * rows)
            return cls(mean, _root_mean_square(rows - mean, lambda squares: column_sums(share[:, None] * squares)))
        shares = known * (1.0 if weights is None else weights[:, None])
        shares = shares / np.maximum(column_sums(shares), np.finfo(np.float64).tiny)
        mean = column_sums(shares * np.where(known, rows, 0))
        differences = np.where(known, rows - mean, 0)
        return cls(mean, _root_mean_square(differences, lambda squares: column_sums(shares * squares)))

    @classmethod
    def of_windows(cls, windows: np.ndarray) -> Self:
        """Fit to each window (n, steps, F) separately; mean and deviation (n, 1, F). NaN is ignored."""
        known = ~np.isnan(windows)
        counts = np.maximum(known.sum(axis=1, keepdims=True), 1)

        def mean_of(values: np.ndarray) -> np.ndarray:
            n, steps, F = values.shape
            means: np.ndarray = row_sums(values.swapaxes(1, 2).reshape(n * F, steps)).reshape(n, 1, F) / counts
            return means

        mean = mean_of(np.where(known, windows, 0))
        return cls(mean, _root_mean_square(np.where(known, windows - mean, 0), mean_of, axis=1))

    @classmethod
    def none(cls, n: int) -> Self:
        """Return the identity for n columns."""
        return cls(np.zeros(n), np.ones(n))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return values with mean 0 and deviation 1."""
        scaled: np.ndarray = (values - self.mean) / self.deviation
        return scaled

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Return values in their own units."""
        in_own_units: np.ndarray = values * self.deviation + self.mean
        return in_own_units


def _root_mean_square(
    values: np.ndarray, mean_of: Callable[[np.ndarray], np.ndarray], axis: int | None = None
) -> np.ndarray:
    """Return the root of mean_of(squares), the mean over axis, kept if given, or over rows.

    Values whose squares would overflow or underflow are divided by a power of two first, which rounds nothing.
    """
    largest = np.abs(values).max(axis=axis or 0, keepdims=axis is not None, initial=0)
    is_extreme = (largest > 0) & ((largest < 1e-140) | (largest > 1e140))
    if not is_extreme.any():
        root: np.ndarray = np.sqrt(mean_of(values**2))
        return root
    exponents = np.where(is_extreme, np.frexp(largest)[1], 0)
    scaled_back: np.ndarray = np.ldexp(np.sqrt(mean_of(np.ldexp(values, -exponents) ** 2)), exponents)
    return scaled_back
