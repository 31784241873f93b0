"""Windows of long series: which steps of which series each batch of truncated training reads.

The rows of a batch are streams. Each takes a series, goes through it window by window, and takes the next one at the
window after its last; so windows begin at multiples of `truncate` from the first step that counts, whatever the other
rows do, and the last window of a series is as long as the rest of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .._types import Array


class Window(NamedTuple):
    """One window of each active row.

    series, begins : ndarray of shape (B,)
        Series of each row, and the step at which its window begins.
    carried : ndarray of shape (B,) or None
        Position of the row in the window before, whose state it continues; -1 where the series begins. None: all rows
        continue the rows of the previous window, in their order.
    n : int
        Number of steps of the longest row.
    n_before : int
        Number of rows of the window before.
    """

    series: Array
    begins: Array
    carried: Array | None
    n: int
    n_before: int


class WindowPlan:
    """Windows of an epoch, in order.

    Parameters
    ----------
    lengths : ndarray of shape (N,)
        Length of each series, in the order in which the rows take them.
    n_rows : int
        Largest number of rows.
    truncate, burn_in : int
        Steps of a window; steps before the first window of a series.
    series : ndarray of shape (N,)
        Number of each series.
    """

    def __init__(self, lengths: Array, n_rows: int, truncate: int, burn_in: int, series: Array) -> None:
        counts = lengths > burn_in  # others have no step that counts
        self.truncate, self.burn_in = truncate, burn_in
        self.series, self.lengths = series[counts], lengths[counts]
        self.n_windows = -((burn_in - self.lengths) // truncate)
        self.first = np.empty_like(self.n_windows)  # number of the window in which the series begins, not descending
        self.row = np.empty_like(self.n_windows)
        free = [(0, row) for row in range(min(n_rows, max(1, len(self.lengths))))]
        for k, n in enumerate(self.n_windows.tolist()):
            begin, row = free[0]
            self.first[k], self.row[k] = begin, row
            heapq.heapreplace(free, (begin + n, row))
        self._ends = self.first + self.n_windows

    def __len__(self) -> int:
        return int(self._ends.max(initial=0))

    def active(self, number: int) -> Array:
        """Return the positions in the plan of the series in a window, by row."""
        places = np.flatnonzero((self.first <= number) & (number < self._ends))
        return places[np.argsort(self.row[places])]

    def windows(self, first: int = 0) -> Iterator[Window]:
        """Yield the windows from number `first` on."""
        changes = set(self.first.tolist()) | set(self._ends.tolist())  # windows at which rows take or leave a series
        before = active = self.active(first - 1)
        series = origins = np.empty(0, np.int64)
        longest = 0  # steps of the longest row from origins on
        for number in range(first, len(self)):
            if number in changes:
                active = self.active(number)
            if number == first or active is not before:
                series, origins = self.series[active], self.burn_in - self.first[active] * self.truncate
                longest = int((self.lengths[active] - origins).max())
            carried = None
            if active is not before:
                place_of = {place: k for k, place in enumerate(before.tolist())}
                carried = np.array([place_of.get(place, -1) for place in active.tolist()], np.int64)
            done = number * self.truncate
            yield Window(series, origins + done, carried, min(self.truncate, longest - done), len(before))
            before = active
