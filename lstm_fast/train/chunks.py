"""Predictions of long sequences chunk by chunk, with the state carried: the memory does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _threads
from .._sums import step_sums
from .._sums import total as total_of
from .head import last_h, mean_of_sums, read_out

if TYPE_CHECKING:
    from .._types import Array
    from .data import Sequences
    from .losses import Loss
    from .predictor import Predictor

CHUNK_NUMBERS = 1 << 24  # numbers in the output of a chunk (64 MiB in float32)
LEAST_STEPS, MEAN_STEPS = 64, 1 << 14  # per chunk: at least, and for a mean, where the bits depend on it
SEQUENCES = 256  # evaluated at a time


def _outputs(
    model: Predictor, data: Sequences, rows: Array, n: int, num_threads: int | None
) -> Iterator[tuple[int, Array, Any]]:
    """Yield the first step of each chunk of n steps, the output of the network (t, B, W), and the state after it."""
    lstm, state = model.lstm, None
    T = data.T if data.lengths is None else int(data.lengths[rows].max(initial=0))
    is_whole = n >= T or lstm.bidirectional  # the reverse direction starts at the end
    for begin in range(0, max(1, T), max(1, T) if is_whole else n):
        part = (None, None) if is_whole else (np.full(len(rows), begin), min(n, T - begin))
        x, lengths = data.batch(rows, *part)
        output, state = lstm(lstm.layout.from_steps(x), state, lengths=lengths, num_threads=num_threads)
        yield begin, lstm.layout.to_steps(output), state


def predicted_steps(
    model: Predictor, data: Sequences, rows: Array, num_threads: int | None
) -> Iterator[tuple[int, Array]]:
    """Yield the first step and the predictions (t, B, O) of each chunk of some sequences, for readout "all"."""
    n_threads = _threads.resolve(num_threads)
    for begin, output, _ in _outputs(model, data, rows, _chunk_size(model, rows), num_threads):
        yield begin, model.head.apply(np.ascontiguousarray(output), n_threads)


def predicted_ends(model: Predictor, data: Sequences, rows: Array, num_threads: int | None) -> Array:
    """Return the predictions (B, O) of some sequences, for readout "last" or "mean"."""
    features: Any = None
    if model.readout == "mean":
        for _, output, _ in _outputs(model, data, rows, MEAN_STEPS, num_threads):
            sums = step_sums(output)  # output is zero in the padding
            features = sums if features is None else features + sums
        features = mean_of_sums(features, data.T, None if data.lengths is None else data.lengths[rows])
    else:
        *_, (_, output, state) = _outputs(model, data, rows, _chunk_size(model, rows), num_threads)
        features = read_out("last", output, last_h(model, state), None)
    return model.head.apply(features, _threads.resolve(num_threads))


def _chunk_size(model: Predictor, rows: Array) -> int:
    width: int = model.lstm.output_size
    return max(LEAST_STEPS, CHUNK_NUMBERS // max(1, len(rows) * width))


def weighted_losses(
    model: Predictor, loss: Loss, data: Sequences, burn_in: int, num_threads: int | None
) -> tuple[float, float]:
    """Return the sum of the weighted losses of all predictions after the burn-in, and the sum of the weights."""
    total = weight = 0.0
    for begin in range(0, data.n, SEQUENCES):
        rows = np.arange(begin, min(begin + SEQUENCES, data.n))
        for p, y, weights in _with_targets(model, data, rows, burn_in, num_threads):
            share = float(len(y)) if weights is None else total_of(weights)
            total += loss(p.reshape(-1, p.shape[-1]), y, weights)[0] * share
            weight += share
    return total, weight


def _with_targets(
    model: Predictor, data: Sequences, rows: Array, burn_in: int, num_threads: int | None
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Yield predictions, targets and weights of some sequences, chunk by chunk."""
    if model.readout != "all":
        yield predicted_ends(model, data, rows, num_threads), *data.targets(rows)
        return
    for begin, p in predicted_steps(model, data, rows, num_threads):
        skipped = min(len(p), max(0, burn_in - begin))
        if skipped < len(p) or not burn_in:
            yield p[skipped:], *data.targets(rows, np.full(len(rows), begin + skipped), len(p) - skipped)
