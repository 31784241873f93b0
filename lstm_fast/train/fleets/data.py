"""Data of a fleet: the sequences of each model, and stacked for batches of many models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data import Sequences

if TYPE_CHECKING:
    from ..._types import Array
    from ..losses import Loss
    from .model import FleetModel

FleetBatch: TypeAlias = "tuple[Array, Array, int]"  # models (G,), the rows of their batches (G, B), and T


def each_of(name: str, value: Any, n_models: int) -> list[Any]:
    """Return the K entries of an array or a sequence, one for each model; K times None for None."""
    if value is None:
        return [None] * n_models
    if isinstance(value, Mapping) or hasattr(value, "columns"):
        raise TypeError(
            f"{name} must be an array or a sequence with an entry for each model, got {type(value).__name__}"
        )
    if not hasattr(value, "__len__") or not hasattr(value, "__getitem__") or len(value) != n_models:
        got = getattr(value, "shape", None) or (len(value) if hasattr(value, "__len__") else type(value).__name__)
        raise ValueError(f"{name} must have an entry for each of {n_models} models, got {got}")
    if hasattr(value, "iloc"):  # a pandas Series is indexed by its labels
        value = list(value)
    return [value[k] for k in range(n_models)]


@contextmanager
def named_in_errors(k: int) -> Iterator[None]:
    """Prefix the messages of errors with the number of the model."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError  # (UnicodeError's take other arguments)
        raise kind(f"model {k}: {error}") from None


class FleetData:
    """The `Sequences` of each model; `stack` copies them into arrays of all models, padded to the largest."""

    def __init__(self, model: FleetModel, x: Any, lengths: Any = None) -> None:
        K, lstm = len(model), model.fleet._lstm
        self.model = model
        pairs = zip(each_of("x", x, K), each_of("lengths", lengths, K))
        self.each = []
        for k, (one, of_one) in enumerate(pairs):
            with named_in_errors(k):
                self.each.append(Sequences(lstm, one, of_one))

    def read_targets(self, loss: Loss, y: Any, sample_weight: Any = None, mask: Any = None) -> None:
        """Validate and store the targets and weights of each model."""
        K, pattern = len(self.each), self.model._pattern
        parts = zip(each_of("y", y, K), each_of("sample_weight", sample_weight, K), each_of("mask", mask, K))
        for k, (target, weight, of_steps) in enumerate(parts):
            with named_in_errors(k):
                self.each[k].read_targets(pattern, loss, target, weight, of_steps)

    def stack(self) -> None:
        """Copy x and y of all models into one array each, (K, N, T, ...). Call it once they are final."""
        N, T = (max(getattr(data, name) for data in self.each) for name in ("n", "T"))
        parts = [data.x.read(np.arange(data.n), data.T) for data in self.each]
        self.x = np.zeros((len(self.each), N, T, *parts[0].shape[2:]), self.each[0].x_dtype)
        for to, x in zip(self.x, parts):
            to[: x.shape[0], : x.shape[1]] = x
        self.has_lengths = any(data.lengths is not None for data in self.each)
        self.has_weights = any(data.has_weights for data in self.each)
        self.y: Array | None = None
        first, loss = self.each[0], self.each[0].loss
        if loss is None or self.has_weights:
            return
        read = (data.y.read(np.arange(data.n), data.T) if data.is_by_step else data.y for data in self.each)
        targets = [loss.convert(y) for y in read]
        shape = (T, *targets[0].shape[2:]) if first.is_by_step else targets[0].shape[1:]
        self.y = np.zeros((len(self.each), N, *shape), targets[0].dtype)
        for to, y in zip(self.y, targets):
            to[tuple([slice(n) for n in y.shape])] = y

    def batch(self, models: Array, rows: Array, T: int) -> tuple[Array, Array | None]:
        """Return x (G, T, B, I) and lengths (G, B) or None of rows (G, B) of some models, of at most T steps."""
        x = self.x[models[:, None], rows, :T].swapaxes(1, 2)
        x = x[..., None] if self.model.fleet.index_input else x
        if not self.has_lengths or all(self.each[k].lengths is None for k in models):
            return x, None
        lengths = [
            np.full(len(own), self.each[k].T) if (of_k := self.each[k].lengths) is None else of_k[own]
            for k, own in zip(models, rows)
        ]
        return x, np.stack(lengths)

    def steps(self, k: int, rows: Array) -> int:
        """Return the number of steps of a batch of model k: the longest length."""
        lengths = self.each[k].lengths
        return int(self.each[k].T if lengths is None else lengths[rows].max(initial=0))

    def targets(self, models: Array, rows: Array, T: int) -> Array:
        """Return targets (G, n, ...) without weights, one row for each prediction."""
        assert self.y is not None
        y = self.y[models[:, None], rows]
        if self.each[0].is_by_step:
            y = y[:, :, :T].swapaxes(1, 2)
            y = y.reshape(len(y), -1, *y.shape[3:])
        return y


def joint_batches(data: FleetData, models: Sequence[int], batches: dict[int, Array]) -> list[FleetBatch]:
    """Join the batches of models that have the same numbers of sequences and steps."""
    alike: dict[tuple[int, int], list[int]] = {}
    for k in (k for k in models if k in batches):
        alike.setdefault((len(batches[k]), data.steps(k, batches[k])), []).append(k)
    return [(np.array(ks), np.stack([batches[k] for k in ks]), T) for (_, T), ks in alike.items()]
