"""The tape of a training call, its options and its memory."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core
from ._layout import STEPS, Layout

if TYPE_CHECKING:
    from ._types import Array


TrainingOptions = namedtuple(
    "TrainingOptions",
    "dropout recurrent_dropout zoneout_h zoneout_c seed recompute_gates",
    defaults=(0.0, 0.0, 0.0, 0.0, 0, False),
)
TrainingOptions.__doc__ = """Options of a training call, in the order in which the core reads them."""


class BackwardArrays(NamedTuple):
    """Arguments and results of _core.Weights.backward, which reads them by name: struct lstm_backward of the C core."""

    x: Array  # (T, B, I)
    h_0: Array | None
    c_0: Array | None  # only its presence matters
    d_output: Array | None
    d_h_n: Array | None
    d_c_n: Array | None
    d_x: Array | None  # results from here on
    d_h_0: Array
    d_c_0: Array | None
    gradients: Any  # gradients of the parameters
    d_h_norms: Array | None = None
    d_c_norms: Array | None = None


class TapeMemory:
    """Memory of a tape.

    Large arrays are pooled: the next training step needs one of the same size, and page faults on fresh memory cost up
    to 5 % of a step. (The C library pools small ones.)
    """

    # No lock: a fork would inherit it held, and a signal handler could wait for it forever. list.pop and list.append
    # are atomic, and an array that is temporarily in no list is merely not found.
    _spare: list[Array] = []  # noqa: RUF012  (shared by all tapes, newest last)
    # The limit is deliberate: the pool keeps its memory until the process ends, and the larger a tape, the less its
    # page faults weigh (of a step of 2 s with a tape of 375 MiB, less than the noise of 5 %).
    _least_bytes, _most_bytes = 16 << 20, 256 << 20  # minimum size of a pooled array, maximum size of the pool

    def __init__(self, n: int) -> None:
        self.has_views = True  # nothing to pool if the allocation fails
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
    """Activations kept by forward for backward: gates, cell states and outputs of every step, and the weights.

    A tape can be used more than once, and by several threads. It references x (do not modify it before backward) and
    copies everything else. It stores 6H numbers per step, sequence, layer and direction; 2H with
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
        """Size of the tape in bytes."""
        return self._memory.block.nbytes

    @property
    def options(self) -> TrainingOptions | None:
        """Probabilities and seed of the masks; None without masks."""
        return self._options

    @property
    def lengths(self) -> Array:
        """Length of each sequence, (B,)."""
        lengths = np.full(self.batch_size, self.steps, np.int64)
        if self._order is not None:
            lengths[self._order[1]] = self._order[0]
        return lengths

    def __repr__(self) -> str:
        return f"<Tape of {self.steps} steps of {self.batch_size} sequences, {self.nbytes / 2**20:.1f} MiB>"

    def rows(self) -> Iterator[tuple[int, int]]:
        """Iterate over the sequences in the order of `look`.

        Returns
        -------
        iterator of (int, int)
            Row in the batch and length of each sequence.
        """
        if self._order is None:
            return ((row, self.steps) for row in range(self.batch_size))
        return zip(map(int, self._order[1]), map(int, self._order[0]))

    def look(self, layer: int, direction: int) -> tuple[Array, Array, Array]:
        """Return views of the activations of one layer and direction, as csrc/lstm_fast.h describes them.

        Parameters
        ----------
        layer, direction : int
            From 0.

        Returns
        -------
        gates : ndarray of shape (T, B, 4, H)
            Gates i, f, g, o, in the order of computation.
        c : ndarray of shape (T + 1, B, H)
            Cell states in that order; row 0 is the initial one.
        h : ndarray of shape (T, B, D * R)
            Outputs, in the order of time.
        """
        self._memory.has_views = True
        return self._weights.look(self._memory.block, self.steps, self.batch_size, layer, direction, self._options)
