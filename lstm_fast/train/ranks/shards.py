"""Batches of whole sequences that are divided among ranks.

Batch k of all ranks together is batch k of one process: `batch_size` sequences, the last with the rest. Each rank goes
through its shard in an order of its own, and sequence i of the n_r of rank r comes at the time (i + 1/2) / n_r: the
sequences of all ranks, sorted by time and then by rank, are cut into batches. So shards of any sizes end together, and
shards x[rank::size] that are not shuffled give exactly the batches of one process on x.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batches import CHANGED, Changed, SequenceBatch
from ..prefetch import prefetched
from .batches import RankBatches

if TYPE_CHECKING:
    from ..._types import Array
    from ..config import FitConfig
    from ..data import Sequences
    from ..model import SequenceModel
    from .ranks import Ranks


class RankSequences(RankBatches):
    """Source of batches of whole sequences."""

    def __init__(self, ranks: Ranks, data: Sequences, config: FitConfig) -> None:
        super().__init__(ranks)
        self.data, self.batch_size, self.shuffle = data, config.batch_size, config.shuffle
        self.n_steps = data.n_steps()
        self.batch_rows: list[Array] = []

    def join(self) -> None:
        """Exchange the sizes of the shards."""
        shards = self.ranks.gather(lambda: (self.data.n, self.data.lengths is not None))
        self.sizes, self.have_lengths = [n for n, _ in shards], any(has for _, has in shards)
        self.n = sum(self.sizes)
        if not self.n:
            raise ValueError("x must hold at least one sequence to train on, on at least one rank")
        self.cuts = batch_cuts(self.sizes, self.ranks.rank, self.batch_size)

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order of an epoch; return the number of batches."""
        self.state, self.epoch, n_batches = dict(rng.bit_generator.state), epoch, len(self.cuts) - 1
        rows, order = np.arange(self.data.n), np.arange(n_batches)
        if self.shuffle:
            first = rng.permutation(self.sizes[0])  # drawn on every rank to keep the generators equal
            rows = first if self.ranks.rank == 0 else self.generator(0).permutation(self.data.n)
        if self.shuffle and self.have_lengths:  # similar lengths in each batch, on all ranks at the same time
            for begin in range(0, n_batches, 32):
                pool = rows[self.cuts[begin] : self.cuts[min(begin + 32, n_batches)]]
                if self.data.lengths is not None:
                    pool[:] = pool[np.argsort(self.data.lengths[pool], kind="stable")]
            order = rng.permutation(n_batches)
        self.batch_rows = [rows[self.cuts[k] : self.cuts[k + 1]] for k in order]
        return n_batches

    def own_batches(self, first: int) -> Generator[SequenceBatch | None, None, None]:
        """Return the parts of this rank in the batches from number `first`."""
        batches = (SequenceBatch(self.data, rows) if len(rows) else None for rows in self.batch_rows[first:])
        return prefetched(batches, lambda batch: batch and batch.load()) if self.data.is_mapped else batches

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None]:
        """Return predictions, targets and weights of the first sequences of this rank."""
        return SequenceBatch(self.data, np.arange(min(self.batch_size, self.data.n))).sample(model, num_threads)

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError if the checkpoint has a network state, which only truncated training carries."""
        if state is not None:
            raise Changed(CHANGED)


def batch_cuts(sizes: list[int], rank: int, batch_size: int) -> Array:
    """Return where the batches of a rank begin, and its end: the joined batches, cut from the sequences of all."""
    n = sizes[rank]
    twice = 2 * np.arange(n) + 1  # sequence i is at time (2 i + 1) / 2 n
    places = np.zeros(n, np.int64)
    for other, size in enumerate(sizes):  # how many of that rank come before: (2 j + 1) n < (2 i + 1) size, or =
        most = (twice * size - (other >= rank)) // max(1, n)
        places += (most + 1) // 2
    n_batches = -(-sum(sizes) // batch_size)
    return np.searchsorted(places, np.arange(n_batches + 1) * batch_size)
