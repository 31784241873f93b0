"""Windows of a series over time, and the order in which a network takes series and columns."""

from dataclasses import dataclass

import numpy as np

from .scaling import Scaling
from .series import Series


@dataclass(frozen=True)
class Order:
    """The order of series and columns inside a network, by their numbers: what they are called, and in which order they came,
    does not change a forecast."""

    series: list[int]
    y: list[int]
    X: list[int]

    @classmethod
    def of(cls, series: list[Series]) -> "Order":
        """By content; equal exogenous variables by their place."""

        def content(values: np.ndarray) -> bytes:
            return (np.where(np.isnan(values), np.nan, values) + 0.0).tobytes()  # one NaN, one zero

        y = [[content(column) for column in one.y.T] for one in series]
        X = [[content(column) for column in one.X.T] for one in series]
        keys = [(sorted(y[k]), sorted(X[k])) for k in range(len(series))]
        by_series = sorted(range(len(series)), key=keys.__getitem__)
        return cls(
            by_series,
            sorted(range(len(y[0])), key=lambda c: [y[k][c] for k in by_series]),
            sorted(range(len(X[0])), key=lambda c: [X[k][c] for k in by_series]),
        )

    def apply(self, one: Series) -> Series:
        """A series with its columns in this order."""
        return Series(one.y[:, self.y], one.X[:, self.X], one.times, one.id, one.columns, one.label)

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Values (steps, S, ...) with the columns of y as they came."""
        return values[:, np.argsort(self.y)]


def carry_forward(y: np.ndarray) -> np.ndarray:
    """y (T, S) with the last known value for each missing one; NaN remains before the first."""
    known = ~np.isnan(y)
    if known.all():
        return y
    last = np.maximum.accumulate(np.where(known, np.arange(len(y))[:, None], 0), axis=0)
    return np.take_along_axis(y, last, axis=0)


def cut(table: np.ndarray, length: int, step: int) -> np.ndarray:
    """Windows (n, length, columns) of a table (T, columns), `step` apart."""
    return np.lib.stride_tricks.sliding_window_view(table, length, axis=0)[::step].swapaxes(1, 2)


def targets_of(
    y: np.ndarray, input_size: int, horizon: int, step: int, *, is_scaled: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of y (T, S): the past (n, input_size, S), the targets (n, input_size + horizon, S) and which of them count.

    Missing numbers of the past are the last ones known, zero before the first; a step with a missing number is no target, nor
    is any step after a past without numbers. `is_scaled`: each window is standardised by its own past.
    """
    length = input_size + horizon
    past, targets = cut(carry_forward(y), length, step)[:, :input_size], cut(y, length, step)
    has_past = (~np.isnan(past)).any(axis=1).all(axis=1)
    if is_scaled:
        by = Scaling.of_windows(past)
        past, targets = by.apply(past), by.apply(targets)
    known = ~np.isnan(targets)
    counts = known.all(axis=2) & has_past[:, None] & (np.arange(length) >= input_size)
    return np.nan_to_num(past), np.where(known, targets, 0), counts
