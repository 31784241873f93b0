"""Joined batches of ranks with separate sources: windows of its series, or the batches of its iterable.

**Rows.** The `batch_size` rows of truncated training are divided among the ranks so that their longest row of series is
as short as possible. Each rank takes its series with its own rows, as one process would; the state stays on the rank.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..iterable import IterableBatches
from ..truncated import NO_STEPS
from .batches import RankBatches

if TYPE_CHECKING:
    from ..._types import Array
    from ..batches import LocalBatch
    from ..config import FitConfig
    from ..model import SequenceModel
    from ..truncated import TruncatedBatches
    from .ranks import Part, Ranks


class RankSteps(RankBatches):
    """Source whose batch k consists of batch k of the source of each rank."""

    def __init__(self, ranks: Ranks, own: TruncatedBatches | IterableBatches, config: FitConfig) -> None:
        super().__init__(ranks)
        self.own, self.config, self.n_steps = own, config, own.n_steps

    def join(self) -> None:
        """Exchange the sizes of the shards, and divide the rows among them."""
        own = self.own
        if isinstance(own, IterableBatches):
            return
        shards = self.ranks.gather(lambda: (own.n_steps, own.n_series, own.data.T))
        n_steps, n_series, longest = (list(of_all) for of_all in zip(*shards))
        self.n = sum(n_steps)
        if not self.n:
            raise ValueError(NO_STEPS.format(max(longest), self.config.burn_in))
        own.n_rows = divided_rows(self.config.batch_size, n_steps, n_series)[self.ranks.rank]

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order of an epoch on all ranks; return the largest number of batches, None if unknown."""
        self.state, self.epoch = dict(rng.bit_generator.state), epoch

        def draw_own() -> tuple[int | None, dict[str, Any]]:
            generator = rng if self.ranks.rank == 0 else self.generator(0)
            return self.own.draw(generator, epoch), dict(generator.bit_generator.state)

        drawn = self.ranks.gather(draw_own)
        rng.bit_generator.state = drawn[0][1]  # rank 0's, which keeps the generators equal
        numbers = [n for n, _ in drawn if n is not None]
        return max(numbers) if len(numbers) == len(drawn) else None

    def own_batches(self, first: int) -> Generator[LocalBatch, None, None]:
        """Return the batches of this rank from number `first`."""
        return self.own.batches(first)

    def size(self, own: LocalBatch) -> float:  # type: ignore[override]
        """Return the sequences of a batch, or the steps of a window, also if they have no weight on this rank."""
        return own.n_steps if self.config.is_truncated else own.n

    def weight(self, mean: Part) -> float:
        """Return the size of a joined batch; none if no step of its windows has a weight."""
        return mean.n if mean.weight or not self.config.is_truncated else 0.0

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None] | None:
        """Return predictions, targets and weights of the first batch of this rank, None if there is none."""
        return self.own.sample(model, num_threads)

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError unless batch k of this rank can start from its state."""
        self.own.check_state(k, state)


def divided_rows(n_rows: int, n_steps: list[int], n_series: list[int]) -> list[int]:
    """Divide the rows of a batch among ranks with these numbers of steps and series: each more to the slowest rank."""
    rows = [min(1, n) for n in n_series]
    if sum(rows) > n_rows:
        raise ValueError(
            f"batch_size must be at least {sum(rows)}, one row for each rank that has series to train on, got {n_rows}"
        )
    for _ in range(min(n_rows, sum(n_series)) - sum(rows)):
        open_ranks = [rank for rank, n in enumerate(n_series) if rows[rank] < n]
        slowest = max(open_ranks, key=lambda rank: n_steps[rank] / rows[rank])
        rows[slowest] += 1
    return rows


def joined_state(states: list[tuple[Array, ...] | None]) -> tuple[tuple[Array, ...] | None, list[int]]:
    """Join the states (layers, rows, size) of all ranks; return the number of rows of each too."""
    rows = [0 if state is None else state[0].shape[1] for state in states]
    arrays = zip(*(state for state in states if state is not None))
    return tuple([np.concatenate(of_all, axis=1) for of_all in arrays]) or None, rows


def own_state(state: tuple[Array, ...] | None, rows: list[int], rank: int) -> tuple[Array, ...] | None:
    """Return the part of a rank in a joined state."""
    if state is None or not rows[rank]:
        return None
    begin = sum(rows[:rank])
    return tuple([array[:, begin : begin + rows[rank]].copy() for array in state])
