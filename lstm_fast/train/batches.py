"""Batches of a training run: what yields them, with their loss and gradients.

`Trainer` knows two interfaces. A source yields the batches of each epoch; a batch computes its loss and gradients. This
module has those of whole sequences held in arrays.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .passes import Step, loss_and_gradients, predictions
from .prefetch import prefetched

if TYPE_CHECKING:
    from .._types import Array
    from .data import Sequences
    from .model import SequenceModel


CHANGED = (
    "truncate, burn_in, batch_size and the data must be those of the interrupted call: the state in its checkpoint "
    "does not belong to the next batch"
)


class Changed(ValueError):
    """The data or settings differ from the interrupted call."""


class Batch(Protocol):
    """One step of training.

    n : weight of the batch in the mean loss of its epoch, at least 0.
    n_steps : number of steps without padding, for the progress bar.
    """

    n: float
    n_steps: int

    def loss_and_gradients(
        self, model: SequenceModel, state: Any, rng: np.random.Generator, num_threads: int | None
    ) -> Step:
        """Compute loss and gradients. state: of the previous Step of this epoch; None in the first one."""
        ...

    def cause(self) -> str:
        """Describe what is not finite in the data of the batch."""
        ...


class LocalBatch(Batch, Protocol):
    """Batch whose data are all of this process."""

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None]:
        """Return predictions (n, O), targets and weights, to check the gradient of a loss."""
        ...


class BatchSource(Protocol):
    """Source of the batches of each epoch.

    n, n_steps : sums over the batches of an epoch; None if unknown.
    """

    n: float | None
    n_steps: int | None

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order of an epoch; return the number of its batches, None if unknown."""
        ...

    def batches(self, first: int) -> Generator[Batch, None, None]:
        """Yield the batches of the drawn epoch from number `first`. The Trainer closes the iterator."""
        ...

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None] | None:
        """Return predictions, targets and weights of a first batch, None if there is none."""
        ...

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError unless batch k of the drawn epoch can start from the state of a checkpoint."""
        ...


class SequenceBatch:
    """Some whole sequences."""

    def __init__(self, data: Sequences, rows: Array) -> None:
        self.data, self.rows = data, rows
        self.n: float = len(rows)
        self.n_steps = data.n_steps(rows)
        self._arrays: Any = None

    def load(self) -> SequenceBatch:
        """Read the arrays of the batch now."""
        self._arrays = self.data.batch(self.rows), self.data.targets(self.rows)
        return self

    def loss_and_gradients(
        self, model: SequenceModel, state: Any, rng: np.random.Generator, num_threads: int | None
    ) -> Step:
        """Compute loss and gradients, from the initial state."""
        assert self.data.loss is not None
        (x, lengths), targets = self._arrays or self.load()._arrays
        step = loss_and_gradients(model, self.data.loss, x, *targets, lengths=lengths, rng=rng, num_threads=num_threads)
        return step._replace(state=None)  # the next batch starts from the initial state

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None]:
        """Return predictions, targets and weights."""
        (x, lengths), (y, weights) = self._arrays or self.load()._arrays
        p, _ = predictions(model, x, lengths, num_threads)
        return p.reshape(-1, p.shape[-1]), y, weights

    def cause(self) -> str:
        """Describe what is not finite in the data of the batch."""
        return self.data.cause(self.rows)


class SequenceBatches:
    """Source of batches of whole sequences, of similar length when shuffled."""

    def __init__(self, data: Sequences, batch_size: int, shuffle: bool) -> None:
        self.data, self.batch_size, self.shuffle = data, batch_size, shuffle
        self.n: float | None = data.n
        self.n_steps: int | None = data.n_steps()
        self.batch_rows: list[Array] = []

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order of an epoch; return the number of its batches."""
        self.batch_rows = draw_batches(rng, self.data, self.batch_size, self.shuffle)
        return len(self.batch_rows)

    def batches(self, first: int) -> Generator[SequenceBatch, None, None]:
        """Yield the batches of the drawn epoch from number `first`."""
        batches = (SequenceBatch(self.data, rows) for rows in self.batch_rows[first:])
        return prefetched(batches, SequenceBatch.load) if self.data.is_mapped else batches

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None]:
        """Return predictions, targets and weights of the first sequences."""
        return SequenceBatch(self.data, np.arange(min(self.batch_size, self.data.n))).sample(model, num_threads)

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError if there is a state, which only truncated training carries."""
        if state is not None:
            raise Changed(CHANGED)


def draw_batches(rng: np.random.Generator, data: Sequences, batch_size: int, shuffle: bool) -> list[Array]:
    """Draw the batches of an epoch. Each batch has similar lengths, since the longest determines the cost."""
    rows = rng.permutation(data.n) if shuffle else np.arange(data.n)
    if data.lengths is None or not shuffle:
        return [rows[begin : begin + batch_size] for begin in range(0, data.n, batch_size)]
    pool, batches = 32 * batch_size, []
    for begin in range(0, data.n, pool):
        part = rows[begin : begin + pool]
        part = part[np.argsort(data.lengths[part], kind="stable")]
        batches += [part[k : k + batch_size] for k in range(0, len(part), batch_size)]
    return [batches[k] for k in rng.permutation(len(batches))]
