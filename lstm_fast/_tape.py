"""The tape of a training call: what forward keeps for backward, and where its memory comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core
from ._layout import STEPS, Layout

if TYPE_CHECKING:
    from ._types import Array


class TrainingOptions(NamedTuple):
    """What a training call has beside its arrays, in the order in which the core reads it."""

    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0
    seed: int = 0
    recompute_gates: bool = False


class TapeMemory:
    """The Block of a tape.

    A large one is kept when it dies: the next training step needs as much again, and pages fresh from the system cost
    up to a twentieth of it. (Smaller ones are reused by the C library.)
    """

    # No lock: a fork would inherit it held, and a signal handler could wait for it in vain. list.pop and list.append are
    # atomic, and an array that is in no list for a moment is merely not found.
    _spare: list[Array] = []  # noqa: RUF012  (shared by all tapes; the newest last)
    _least_bytes, _most_bytes = 16 << 20, 256 << 20  # of one array, of all

    def __init__(self, n: int) -> None:
        self.has_views = True  # until there is a block: without memory for one, there is none to keep
        self.block = _core.Block(n, self._borrow(n) if n >= self._least_bytes else None)
        self.has_views = False

    def _borrow(self, n: int) -> Array | None:
        for _ in range(len(self._spare)):
            array = self._oldest()
            if array is not None and n + 64 <= len(array) <= 2 * n + 64:
                return array
            if array is not None:
                self._spare.append(array)
        return None

    def _oldest(self) -> Array | None:
        try:
            return self._spare.pop(0)
        except IndexError:
            return None

    def __del__(self) -> None:
        if self.has_views or not self._least_bytes <= len(self.block.memory) <= self._most_bytes:
            return
        self._spare.append(self.block.memory)
        while sum(map(len, self._spare)) > self._most_bytes:
            self._oldest()


class Tape:
    """What a forward call keeps for backward: gates, cell states and outputs of every step, and its weights.

    A tape may be used more than once, and by several threads. It borrows x (do not change it before backward) and
    copies everything else. In each layer and direction it takes 6H numbers for a step of a sequence; 2H with
    ``recompute_gates=True``; 8H more with layer norm.

    Attributes
    ----------
    steps, batch_size : int
        T and B.
    nbytes : int
        Memory of the tape.
    """

    def __init__(
        self,
        weights: _core.Weights,
        memory: TapeMemory,
        x: Array,
        h_0: Array | None,
        has_c_0: bool,
        order: tuple[Array, Array] | None,
        resets: Array | None,
        options: TrainingOptions | None,
        signature: Any = None,
        layout: Layout = STEPS,
    ) -> None:
        self._weights, self._memory, self._x, self._h_0, self._has_c_0 = weights, memory, x, h_0, has_c_0
        self._order, self._resets, self._options = order, resets, options
        self._signature, self._layout = signature, layout
        self.steps, self.batch_size = x.shape[:2]

    @property
    def nbytes(self) -> int:
        """Memory of the tape, in bytes."""
        return self._memory.block.nbytes

    @property
    def options(self) -> TrainingOptions | None:
        """Probabilities and seed of the masks that were drawn; None if there were none."""
        return self._options

    @property
    def lengths(self) -> Array:
        """Number of steps of each sequence, (B,)."""
        lengths = np.full(self.batch_size, self.steps, np.int64)
        if self._order is not None:
            lengths[self._order[1]] = self._order[0]
        return lengths

    def __repr__(self) -> str:
        return f"<Tape of {self.steps} steps of {self.batch_size} sequences, {self.nbytes / 2**20:.1f} MiB>"

    def rows(self) -> Iterator[tuple[int, int]]:
        """Sequences in the order of `look`.

        Returns
        -------
        iterator of (int, int)
            The row of the batch and the number of steps of each.
        """
        if self._order is None:
            return ((row, self.steps) for row in range(self.batch_size))
        return zip(map(int, self._order[1]), map(int, self._order[0]))

    def look(self, layer: int, direction: int) -> tuple[Array, Array, Array]:
        """Views of what the tape holds of one layer and direction, with all gates; csrc/lstm_fast.h describes it.

        Parameters
        ----------
        layer, direction : int
            From 0.

        Returns
        -------
        gates : ndarray of shape (T, B, 4, H)
            i, f, g, o, in the order of computation.
        c : ndarray of shape (T + 1, B, H)
            Cell states in that order; row 0 is the initial one.
        h : ndarray of shape (T, B, D * R)
            Outputs, in the order of time.
        """
        self._memory.has_views = True
        return self._weights.look(self._memory.block, self.steps, self.batch_size, layer, direction, self._options)
