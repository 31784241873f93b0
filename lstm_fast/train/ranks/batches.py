"""Joined batches: batch k of all ranks together, whose loss and gradient are weighted means over the ranks.

A rank may have no part in a batch, and ranks may have different numbers of batches; those that have none left take part
with weight zero until all have finished. Each rank reads its next batch before it exchanges the gradient of the current
one, so that the same message tells all ranks whether the epoch goes on.

**Random numbers.** The generators are those of one process, in the same state on every rank. Rank 0 draws from them;
another rank draws from generators derived from their state at the beginning of the epoch, its rank and the batch. So a
checkpoint, which rank 0 writes, holds all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batches import CHANGED, Changed
from ..data import FINITE
from ..passes import ModelGradients, Step
from .ranks import Part

if TYPE_CHECKING:
    from ..._types import Array
    from ..batches import Batch
    from ..model import SequenceModel
    from .ranks import Ranks

END: Any = object()  # of the batches of a rank


class RankBatch:
    """Batch k of an epoch, with the part of this rank, which may be None, and what follows it."""

    def __init__(self, source: RankBatches, k: int, own: Batch | None, rest: Iterator[Batch | None]) -> None:
        self.source, self.ranks, self.k, self.own, self.rest = source, source.ranks, k, own, rest
        self.n_steps = own.n_steps if own is not None else 0
        self.n = 0.0  # of all ranks, once they have exchanged it
        self.next: Batch | None = END
        self.has_next = False  # any rank

    def loss_and_gradients(
        self, model: SequenceModel, state: Any, rng: np.random.Generator, num_threads: int | None
    ) -> Step:
        """Compute loss and gradients of the joined batch; the state belongs to this rank."""
        own, after = self.own, None

        def of_own() -> Part:
            nonlocal after
            part = Part()
            if own is not None:
                masks = rng if self.ranks.rank == 0 else self.source.generator(1, self.k)
                step = own.loss_and_gradients(model, state, masks, num_threads)
                part, after = Part(step.loss, step.weight, step.gradients.flat, self.source.size(own)), step.state
            self.next = next(self.rest, END)
            return part._replace(has_next=self.next is not END)

        mean = self.ranks.mean(of_own)
        assert mean.gradient is not None
        self.n, self.has_next = self.source.weight(mean), mean.has_next
        return Step(mean.loss, mean.weight, ModelGradients(mean.gradient, model._table), after)

    def cause(self) -> str:
        """Describe the non-finite values, and on which rank they are. Called by all ranks."""
        causes = self.ranks.gather(lambda: FINITE if self.own is None else self.own.cause())
        named = [f"rank {rank}: {cause}" for rank, cause in enumerate(causes) if cause != FINITE]
        return named[0] if named else causes[0]


class RankBatches(ABC):
    """Source of joined batches; its constructor is local, and `join` its first meeting."""

    n: float | None = None
    n_steps: int | None = None  # of this rank

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.epoch = 0
        self.state: dict[str, Any] = {}  # state of the common generator at the beginning of the epoch

    @abstractmethod
    def join(self) -> None:
        """Exchange the sizes of the shards."""

    @abstractmethod
    def own_batches(self, first: int) -> Generator[Batch | None, None, None]:
        """Return the parts of this rank in the joined batches from number `first`."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order of an epoch on all ranks; return the number of batches, None if unknown."""

    @abstractmethod
    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None] | None:
        """Return predictions, targets and weights of a first batch of this rank, None if there is none."""

    @abstractmethod
    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError unless batch k of the drawn epoch can start from the state of this rank."""

    def size(self, own: Batch) -> float:
        """Return the contribution of a part to the weight of its batch in the mean loss of the epoch."""
        return own.n

    def weight(self, mean: Part) -> float:
        """Return the weight of a joined batch in the mean loss of the epoch."""
        return mean.n

    def generator(self, *key: int) -> np.random.Generator:
        """Return a generator of this rank, derived from the common one at the beginning of the epoch."""
        numbers = self.state["state"]
        spawn_key = (self.ranks.rank, self.epoch, *key)  # without shuffle, the common generator does not advance
        seeds = np.random.SeedSequence((numbers["state"], numbers["inc"]), spawn_key=spawn_key)
        return np.random.default_rng(seeds)

    def batches(self, first: int) -> Generator[RankBatch, None, None]:
        """Yield the joined batches from number `first`, once all ranks have read their first one."""
        with closing(self.own_batches(first)) as own:
            following: Batch | None = END
            is_short = False

            def read() -> tuple[bool, bool]:
                nonlocal following, is_short
                try:
                    following = next(own, END)
                except Changed:  # this rank had finished before, if another one goes on
                    is_short = True
                return following is not END, is_short

            found = self.ranks.gather(read)
            if all(is_short for _, is_short in found):
                raise Changed(CHANGED)
            has_next = any(has_first for has_first, _ in found)
            self.ranks.expect(has_next)
            k = first
            while has_next:
                batch = RankBatch(self, k, None if following is END else following, own)
                yield batch
                following, has_next, k = batch.next, batch.has_next, k + 1
