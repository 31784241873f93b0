"""Truncated backpropagation through time: windows of long series, with the state carried between them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from .batches import CHANGED, Changed
from .passes import Step, loss_and_gradients, predictions
from .prefetch import prefetched
from .windows import Window, WindowPlan

if TYPE_CHECKING:
    from .._types import Array
    from .config import FitConfig
    from .data import Sequences
    from .model import SequenceModel

NO_STEPS = "burn_in must be below the length of the longest series, {}, to leave steps to train on, got {}"
CHUNK = 1024  # steps of burn-in per call, which bounds its memory


def check_model(model: SequenceModel) -> None:
    """Raise ValueError unless series can be cut for a model: each window depends only on the past, and has a loss."""
    if model.readout != "all":
        raise ValueError(
            'truncate and burn_in need a model with readout="all", whose every window has a loss, got readout='
            f"{model.readout!r}, which has one at the end of a series"
        )
    if model.lstm.bidirectional:
        raise ValueError(
            "truncate and burn_in need a unidirectional network, got bidirectional=True: the reverse direction "
            "starts at the end of a series"
        )


def state_sizes(model: SequenceModel) -> tuple[int, ...]:
    """Return the sizes of h and, for an LSTM, of c."""
    lstm = model.lstm
    return (lstm.h_size, lstm.hidden_size) if lstm.has_cell_state else (lstm.h_size,)


def check_state(model: SequenceModel, n: int, state: Any) -> None:
    """Raise ValueError unless this is the state of n series, or None."""
    shapes = None if state is None else [array.shape for array in state]
    if shapes != ([(model.lstm.num_layers, n, size) for size in state_sizes(model)] if n else None):
        raise Changed(CHANGED)


def warm_up(model: SequenceModel, data: Sequences, series: Array, n: int, num_threads: int | None) -> tuple[Array, ...]:
    """Return the state of some series after n steps of inference from the initial state."""
    lstm, state = model.lstm, None
    for begin in range(0, n, CHUNK):
        x, _ = data.batch(series, np.full(len(series), begin), min(CHUNK, n - begin))
        _, state = lstm(lstm.layout.from_steps(x), state, num_threads=num_threads)
    return state if lstm.has_cell_state else (state,)  # type: ignore[return-value]


class WindowBatch:
    """A batch of windows at the same position of several series."""

    def __init__(self, data: Sequences, window: Window, burn_in: int) -> None:
        self.data, self.window, self.burn_in = data, window, burn_in
        lengths: Any = data.T if data.lengths is None else data.lengths[window.series]
        self.n_steps = int(np.minimum(window.n, lengths - window.begins).sum())
        self.n: float = self.n_steps if self._counts() else 0
        self._arrays: Any = None

    def _counts(self) -> bool:
        """Return whether a step of the window has a weight; otherwise it contributes neither loss nor weight."""
        if self.data.mask is None and self.data.sample_weight is None:
            return True
        weights = self.data.weights(self.window.series, self.window.begins, self.window.n)
        return weights is None or bool(weights.any())

    def load(self) -> WindowBatch:
        """Read the arrays of the batch now."""
        part = self.window.series, self.window.begins, self.window.n
        self._arrays = self.data.batch(*part), self.data.targets(*part)
        return self

    def loss_and_gradients(
        self, model: SequenceModel, state: Any, rng: np.random.Generator, num_threads: int | None
    ) -> Step:
        """Compute loss and gradients from the state after the window before, and the state after this one."""
        assert self.data.loss is not None
        (x, lengths), targets = self._arrays or self.load()._arrays
        state, resets = self._start(model, state, num_threads)
        step = loss_and_gradients(
            model,
            self.data.loss,
            x,
            *targets,
            lengths=lengths,
            state=state,
            resets=resets,
            rng=rng,
            num_threads=num_threads,
        )
        return step if model.lstm.has_cell_state else step._replace(state=(step.state,))

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None]:
        """Return predictions, targets and weights, with all series at their beginning."""
        (x, lengths), (y, weights) = self._arrays or self.load()._arrays
        state, _ = self._start(model, None, num_threads)
        p, _ = predictions(model, x, lengths, num_threads, state)
        return p.reshape(-1, p.shape[-1]), y, weights

    def _start(self, model: SequenceModel, before: Any, num_threads: int | None) -> tuple[Any, Array | None]:
        """Return the state before the window, and its resets: a learned initial state needs them for its gradient."""
        lstm, carried = model.lstm, self.window.carried
        if carried is None or (carried >= 0).any():
            check_state(model, self.window.n_before, before)
        if carried is None:
            return before if lstm.has_cell_state else before[0], None
        is_new, resets = carried < 0, None
        if is_new.all() and not self.burn_in:
            return None, None
        state = [np.zeros((lstm.num_layers, len(carried), size), lstm.dtype) for size in state_sizes(model)]
        if not is_new.all():
            for own, old in zip(state, before):
                own[:, ~is_new] = old[:, carried[~is_new]]
        if is_new.any() and self.burn_in:
            warm = warm_up(model, self.data, self.window.series[is_new], self.burn_in, num_threads)
            for own, new in zip(state, warm):
                own[:, is_new] = new
        elif is_new.any():
            resets = np.zeros((self.window.n, len(carried)), bool)
            resets[0] = is_new
        return tuple(state) if lstm.has_cell_state else state[0], resets

    def cause(self) -> str:
        """Describe what is not finite in the data of the batch."""
        series, begins, n = self.window.series, self.window.begins, self.window.n
        if self.burn_in and self.window.carried is not None:
            new = series[self.window.carried < 0]
            of_burn_in = self.data.cause(new, np.zeros(len(new), np.int64), self.burn_in)
            if " is not finite" in of_burn_in:
                return of_burn_in
        return self.data.cause(series, begins, n)


class TruncatedBatches:
    """Source of windows of the series of one data set, which may be none."""

    def __init__(self, model: SequenceModel, data: Sequences, config: FitConfig, n_rows: int) -> None:
        self.model, self.data, self.config, self.n_rows = model, data, config, n_rows
        self.lengths = np.full(data.n, data.T) if data.lengths is None else data.lengths
        self.n_steps: int | None = int(np.maximum(0, self.lengths - config.burn_in).sum())
        self.n: float | None = self.n_steps
        self.n_series = int((self.lengths > config.burn_in).sum())  # others have no step that counts
        self.plan = self._plan(np.arange(data.n))

    def _plan(self, order: Array) -> WindowPlan:
        truncate, burn_in = self.config.truncate or max(1, self.data.T), self.config.burn_in
        return WindowPlan(self.lengths[order], self.n_rows, truncate, burn_in, order)

    def draw(self, rng: np.random.Generator, epoch: int) -> int | None:
        """Draw the order in which the rows take the series; return the number of windows."""
        self.plan = self._plan(rng.permutation(self.data.n) if self.config.shuffle else np.arange(self.data.n))
        return len(self.plan)

    def batches(self, first: int) -> Generator[WindowBatch, None, None]:
        """Yield the windows of the drawn epoch from number `first`."""
        batches = (WindowBatch(self.data, window, self.config.burn_in) for window in self.plan.windows(first))
        return prefetched(batches, WindowBatch.load) if self.data.is_mapped else batches

    def sample(self, model: SequenceModel, num_threads: int | None) -> tuple[Array, Array, Array | None] | None:
        """Return predictions, targets and weights of the first window, None if there is none."""
        window = next(self._plan(np.arange(self.data.n)).windows(), None)
        return (
            None if window is None else WindowBatch(self.data, window, self.config.burn_in).sample(model, num_threads)
        )

    def check_state(self, k: int, state: Any) -> None:
        """Raise ValueError unless window k of the drawn epoch can start from the state of a checkpoint."""
        check_state(self.model, len(self.plan.active(k - 1)) if k else 0, state)
