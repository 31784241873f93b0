"""Batches that are divided among ranks.

**Joined batches.** Batch k of all ranks together is batch k of one process: `batch_size` sequences, the last with the
rest. Each rank goes through its shard in its own order, and sequence i of the n_r of rank r comes at the time
(i + 1/2) / n_r: the sequences of all ranks, sorted by time and then by rank, are cut into batches. So shards of any
sizes end together, and shards x[rank::size] that are not shuffled give exactly the batches of one process on x.

**Random numbers.** The generators are those of one process, in the same state on every rank. Rank 0 draws from them;
another rank draws from generators derived from their state at the beginning of the epoch, its rank and the batch. So a
checkpoint, which rank 0 writes, holds all of them, and is the same file for any number of ranks.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from .batches import SequenceBatch
from .passes import ModelGradients, Step
from .prefetch import prefetched

if TYPE_CHECKING:
    from .._types import Array
    from .config import FitConfig
    from .data import Sequences
    from .model import SequenceModel
    from .ranks import Ranks


class RankBatch(SequenceBatch):
    """This rank's share of a joined batch, which may be empty."""

    def __init__(self, source: RankBatches, k: int) -> None:
        super().__init__(source.data, source.groups[k])
        self.source, self.ranks, self.k = source, source.ranks, k
        self.n = source.sizes_of_batches[k]  # of all ranks

    def loaded(self) -> RankBatch:
        """Read the arrays of the share now."""
        self.load()
        return self

    def loss_and_gradients(
        self, model: SequenceModel, state: Any, rng: np.random.Generator, num_threads: int | None
    ) -> Step:
        """Compute loss and gradients of the joined batch."""

        def of_share() -> tuple[float, float, Array] | None:
            if not len(self.rows):
                return None
            own = rng if self.ranks.rank == 0 else self.source.generator(1, self.k)
            step = super(RankBatch, self).loss_and_gradients(model, None, own, num_threads)
            return step.loss, step.weight, step.gradients.flat

        loss, weight, flat = self.ranks.mean(of_share)
        return Step(loss, weight, ModelGradients(flat, model._table), None)

    def cause(self) -> str:
        """Describe the non-finite values, and on which rank they are. Called by all ranks."""
        causes = self.ranks.gather(super().cause)
        named = [f"rank {rank}: {cause}" for rank, cause in enumerate(causes) if " is not finite" in cause]
        return named[0] if named else causes[0]


class RankBatches:
    """Source of joined batches; its constructor is local."""

    def __init__(self, ranks: Ranks, data: Sequences, config: FitConfig) -> None:
        self.ranks, self.data, self.batch_size, self.shuffle = ranks, data, config.batch_size, config.shuffle
        self.n: float | None = None
        self.n_steps: int | None = data.n_steps()  # of this rank
        self.groups: list[Array] = []
        self.epoch = 0
        self.state: dict[str, Any] = {}  # state of the common generator at the beginning of the epoch

    def join(self) -> None:
        """Exchange the sizes of the shards."""
        shards = self.ranks.gather(lambda: (self.data.n, self.data.lengths is not None))
        self.sizes, self.have_lengths = [n for n, _ in shards], any(has for _, has in shards)
        self.n = sum(self.sizes)
        if not self.n:
            raise ValueError("x must hold at least one sequence to train on, on one of the ranks")
        self.cuts = batch_cuts(self.sizes, self.ranks.rank, self.batch_size)
        self.sizes_of_batches = [self.batch_size] * (len(self.cuts) - 1)

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order of an epoch; return the number of batches."""
        self.state, self.epoch, n_batches = dict(rng.bit_generator.state), epoch, len(self.cuts) - 1
        rows, order = np.arange(self.data.n), np.arange(n_batches)
        if self.shuffle:
            first = rng.permutation(self.sizes[0])  # on every rank, which keeps the generators equal
            rows = first if self.ranks.rank == 0 else self.generator(0).permutation(self.data.n)
        if self.shuffle and self.have_lengths:  # similar lengths in each batch, on all ranks at the same time
            for begin in range(0, n_batches, 32):
                pool = rows[self.cuts[begin] : self.cuts[min(begin + 32, n_batches)]]
                if self.data.lengths is not None:
                    pool[:] = pool[np.argsort(self.data.lengths[pool], kind="stable")]
            order = rng.permutation(n_batches)
        rest = sum(self.sizes) - (n_batches - 1) * self.batch_size
        self.sizes_of_batches = np.where(order == n_batches - 1, rest, self.batch_size).tolist()
        self.groups = [rows[self.cuts[k] : self.cuts[k + 1]] for k in order]
        return n_batches

    def generator(self, *key: int) -> np.random.Generator:
        """Return a generator of this rank, derived from the common one at the beginning of the epoch."""
        numbers = self.state["state"]
        spawn_key = (self.ranks.rank, self.epoch, *key)  # without shuffle, the common generator does not advance
        seeds = np.random.SeedSequence((numbers["state"], numbers["inc"]), spawn_key=spawn_key)
        return np.random.default_rng(seeds)

    def batches(self, first: int) -> Generator[RankBatch, None, None]:
        """Return the shares of the drawn batches from number `first`, once all ranks have drawn theirs."""

        def make() -> Generator[RankBatch, None, None]:
            batches = (RankBatch(self, k) for k in range(first, len(self.groups)))
            return prefetched(batches, RankBatch.loaded) if self.data.is_mapped else batches

        batches = self.ranks.together(make)
        self.ranks.expect(len(self.groups) - first)
        return batches

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None]:
        """Return predictions, targets and weights of the first sequences of this rank."""
        return SequenceBatch(self.data, np.arange(min(self.batch_size, self.data.n))).sample(model, num_threads)

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError if the checkpoint has a network state: only truncated training saves one."""
        if state is not None:
            raise ValueError("comm must be None: a run with truncated series cannot be resumed on several ranks")


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
