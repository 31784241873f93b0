"""Batches from an iterable of the caller: data that need not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from .batches import CHANGED, Changed, SequenceBatch
from .chunks import weighted_losses
from .data import Sequences
from .prefetch import prefetched
from .truncated import TruncatedBatches

if TYPE_CHECKING:
    from .._types import Array
    from .batches import LocalBatch
    from .config import FitConfig
    from .losses import Loss
    from .model import SequenceModel

WORDS = "batches (x, y), (x, y, lengths) or (x, y, lengths, mask)"


class Batches:
    """Iterable of batches, read ahead by one thread; or a function without arguments that returns one."""

    def __init__(self, name: str, batches: Any, model: SequenceModel, loss: Loss, is_lazy: bool = False) -> None:
        is_data = hasattr(batches, "__array__") or isinstance(batches, (str, bytes, dict))
        if is_data or not (callable(batches) or isinstance(batches, Iterable)):
            raise TypeError(
                f"{name} must be an iterable of {WORDS} where y is None, or a function that returns one, "
                f"got {type(batches).__name__}"
            )
        self.name, self.source, self.model, self.loss, self.is_lazy = name, batches, model, loss, is_lazy

    @property
    def is_one_pass(self) -> bool:
        """Whether the batches can be read only once."""
        return isinstance(self.source, Iterator)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, first: int = 0) -> Generator[Sequences, None, None]:
        """Yield the batches from number `first` on."""

        def items() -> Iterator[tuple[int, Any]]:  # called by the thread
            return enumerate(self.source() if callable(self.source) else self.source)

        def convert(item: tuple[int, Any]) -> Any:
            return self._sequences(*item) if item[0] >= first else None

        with closing(prefetched(_Deferred(items), convert)) as batches:
            if sum(1 for _ in islice(batches, first)) < first:
                raise Changed(CHANGED)
            yield from batches

    def _sequences(self, k: int, item: Any) -> Sequences:
        if not isinstance(item, (tuple, list)) or len(item) not in (2, 3, 4):
            what = f"{len(item)} values" if isinstance(item, (tuple, list)) else type(item).__name__
            raise TypeError(f"{self.name} must yield {WORDS}, got {what} as batch {k}")
        x, y, lengths, mask = (*item, None, None)[:4]
        try:
            data = Sequences(self.model.lstm, x, lengths, self.is_lazy)
            data.read_targets(self.model, self.loss, y, mask=mask)
            if not data.n:
                raise ValueError("x must hold at least one sequence")
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"batch {k} of {self.name}: {error}") from error
        if type(self.source) not in (list, tuple):
            data.own()  # the next batch is read before this one is used: a generator may fill the same arrays again
        return data

    def weighted_losses(self, burn_in: int, num_threads: int | None) -> tuple[float, float]:
        """Return the sum of the weighted losses over all batches, and of the weights."""
        total = weight = 0.0
        with closing(self.read()) as batches:
            for data in batches:
                part, share = weighted_losses(self.model, self.loss, data, burn_in, num_threads)
                total, weight = total + part, weight + share
        return total, weight


class _Deferred:
    """Iterable that creates its iterator lazily, in the thread that reads it."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Any]:
        return self.make()


class IterableBatches:
    """Source of the batches of an iterable: whole sequences, or with truncation windows of the series of each batch."""

    def __init__(self, model: SequenceModel, data: Batches, config: FitConfig) -> None:
        self.model, self.data, self.config = model, data, config
        self.n: float | None = None
        self.n_steps: int | None = None
        if data.is_one_pass and (config.epochs > 1 or config.check_loss):
            raise ValueError(
                "x must be an iterable that can be read again, such as a list, a data loader or a function that "
                f"returns an iterator, for epochs={config.epochs}, check_loss={config.check_loss}, "
                f"got {type(data.source).__name__}"
            )

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Tell the iterable the epoch if it has set_epoch; return the number of batches if it is known."""
        set_epoch = getattr(self.data.source, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(epoch)
        try:
            return None if self.config.is_truncated else len(self.data)
        except TypeError:
            return None

    def batches(self, first: int) -> Generator[LocalBatch, None, None]:
        """Yield the batches from number `first`; those before it are read and skipped."""
        if not self.config.is_truncated:
            with closing(self.data.read(first)) as batches:
                for data in batches:
                    yield SequenceBatch(data, np.arange(data.n))
            return
        with closing(self.data.read()) as batches:
            for data in batches:
                longest = data.T if data.lengths is None else data.lengths.max(initial=0)
                if longest <= self.config.burn_in:
                    continue
                windows = TruncatedBatches(self.model, data, self.config, data.n)
                n = len(windows.plan)
                if first < n:
                    yield from windows.batches(first)
                first = max(0, first - n)
        if first:
            raise Changed(CHANGED)

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None] | None:
        """Return predictions, targets and weights of the first batch, None if there is none."""
        with closing(self.batches(0)) as batches:
            for batch in batches:
                return batch.sample(model, num_threads)
        return None

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError if there is a state without truncation. Otherwise batch k checks it, when it is read."""
        if state is not None and not self.config.is_truncated:
            raise Changed(CHANGED)
