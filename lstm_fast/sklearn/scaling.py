"""Standardisation of columns."""

from typing import Self

import numpy as np


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
            share = np.full(len(rows), 1 / len(rows)) if weights is None else weights / np.sum(weights)
            mean = share @ rows
            return cls(mean, np.sqrt(share @ (rows - mean) ** 2))
        shares = known * (1.0 if weights is None else weights[:, None])
        shares = shares / np.maximum(shares.sum(axis=0), np.finfo(np.float64).tiny)
        mean = (shares * np.where(known, rows, 0)).sum(axis=0)
        return cls(mean, np.sqrt((shares * np.where(known, rows - mean, 0) ** 2).sum(axis=0)))

    @classmethod
    def of_windows(cls, windows: np.ndarray) -> Self:
        """Fit to each window (n, steps, F) separately; mean and deviation (n, 1, F). NaN is ignored."""
        known = ~np.isnan(windows)
        if known.all():
            return cls(windows.mean(axis=1, keepdims=True), windows.std(axis=1, keepdims=True))
        counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
        mean = np.where(known, windows, 0).sum(axis=1, keepdims=True) / counts
        return cls(mean, np.sqrt((np.where(known, windows - mean, 0) ** 2).sum(axis=1, keepdims=True) / counts))

    @classmethod
    def none(cls, n: int) -> Self:
        """Identity for n columns."""
        return cls(np.zeros(n), np.ones(n))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values with mean 0 and deviation 1."""
        scaled: np.ndarray = (values - self.mean) / self.deviation
        return scaled

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Values in their own units."""
        in_own_units: np.ndarray = values * self.deviation + self.mean
        return in_own_units
