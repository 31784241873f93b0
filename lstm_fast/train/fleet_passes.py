"""Forward and backward pass of a fleet over one batch of each model. As passes.py, with an axis K."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, _threads
from .._fleet_calls import draw_options, weights_of
from .._fleet_layout import contiguous_rows
from .._sums import row_sums, step_sums
from .._tape import TapeMemory
from .blocks import MEAN_STEPS
from .fleet_data import groups_of
from .losses import LOSSES, Loss

if TYPE_CHECKING:
    from .._types import Array
    from .fleet_data import FleetData
    from .fleet_model import FleetModel


class Rows:
    """Some models of a FleetModel: the core's weights of their networks, and their heads."""

    def __init__(self, model: FleetModel, flat: Array) -> None:
        lstm = model.fleet._lstm
        n, O, I = len(lstm.flat_parameters), model.out_features, lstm.output_size
        self.lstm, self.readout, self.n = lstm, model.readout, n
        self.weights = weights_of(lstm, flat[:, :n])
        self.parts = (len(flat), O, I)
        self.head_weight, self.head_bias = self.head_of(flat)

    def head_of(self, flat: Array) -> tuple[Array, Array]:
        """Return the parts of rows that belong to the heads: weight (K, O, I) and bias (K, O)."""
        _, O, I = self.parts
        return flat[:, self.n : self.n + O * I].reshape(self.parts), flat[:, self.n + O * I :]


def order_of(lengths: Array | None, T: int) -> tuple[Array, Array] | None:
    """Return lengths (G, B) in descending order and their rows; None if all are T."""
    if lengths is None or (lengths == T).all():
        return None
    rows = np.argsort(-lengths, axis=1, kind="stable")
    return np.take_along_axis(lengths, rows, axis=1), rows


def run(
    rows: Rows, x: Array, order: Any, n_threads: int, tape: Any = None, options: Any = None, seeds: Any = None
) -> tuple[Array, Array]:
    """Run the networks; return output (G, T, B, W) and h_n of the last layer (G, D, B, R)."""
    lstm, (G, T, B) = rows.lstm, x.shape[:3]
    W = lstm.output_size  # in memory as that of a single model: sums over steps have its bits
    if lstm.batch_first and rows.readout == "mean":
        output = np.empty((G, B, T, W), lstm.dtype).swapaxes(1, 2)
    else:
        output = np.empty((G, T, B, W), lstm.dtype)
    n = lstm.num_layers * lstm.num_directions
    h_n, c_n = (np.empty((G, n, B, size), lstm.dtype) for size in (lstm.h_size, lstm.hidden_size))
    rows.weights.forward(x, None, None, output, h_n, c_n, tape, n_threads, run=options, order=order, seeds=seeds)
    return output, h_n[:, -lstm.num_directions :]


def features_of(readout: str, output: Array, h_n: Array, lengths: Array | None) -> Array:
    """Return features for the heads, (G, B, W) or for "all" (G, T * B, W)."""
    G, T, B, W = output.shape
    if readout == "all":
        return output.reshape(G, T * B, W)
    if readout == "last":
        return np.ascontiguousarray(h_n.swapaxes(1, 2)).reshape(G, B, W)
    return mean_of(step_sums(output, axis=1), output, lengths)


def mean_of(sums: Array, output: Array, lengths: Array | None) -> Array:
    """Return sums over the steps (G, B, W) divided by the lengths."""
    features: Array = sums / counts_of(output, lengths)
    return features


def counts_of(output: Array, lengths: Array | None) -> Array:
    """Return the length of each sequence, at least 1, as (G, B, 1)."""
    G, T, B = output.shape[:3]
    counts: Array = np.maximum(1, np.full((G, B), T) if lengths is None else lengths).astype(output.dtype)[..., None]
    return counts


def losses_of(loss: Loss, data: FleetData, models: Array, rows: Array, T: int, p: Array) -> tuple[Array, Array]:
    """Return the loss of each model (G,) and the gradients (G, n, O), in float64."""
    p = p.astype(np.float64)
    if loss.function is None and not data.has_weights:
        G, n, O = p.shape
        y = data.targets(models, rows, T)
        each, d = LOSSES[loss.name](p.reshape(G * n, O), y.reshape(G * n, *y.shape[2:]), *loss.parameters)
        return row_sums(each.reshape(G, n)) / max(1, n), (d / max(1, n)).reshape(p.shape)
    results = [loss(own, *data.each[k].targets(of_k)) for own, k, of_k in zip(p, models, rows)]
    return np.array([one for one, _ in results]), np.stack([d for _, d in results])


def losses_and_gradients(
    model: FleetModel,
    flat: Array,
    loss: Loss,
    data: FleetData,
    group: tuple[Array, Array, int],
    rngs: list[np.random.Generator],
    num_threads: int | None = None,
) -> tuple[Array, Array]:
    """Compute the losses (G,) and gradients (G, P) of models with parameters flat (G, P). rngs draw their masks."""
    models, batch, T = group
    rows, lstm, n_threads = Rows(model, flat), model.fleet._lstm, _threads.resolve(num_threads)
    x, lengths = data.batch(models, batch, T)
    x, order, B = contiguous_rows(x), order_of(lengths, T), batch.shape[1]
    options, seeds = draw_options(lstm, True, False, rngs)
    memory = TapeMemory(rows.weights.tape_bytes(T, B, options))
    output, h_n = run(rows, x, order, n_threads, memory.block, options, seeds)
    features = features_of(model.readout, output, h_n, lengths)
    p = _core.fleet_linear(rows.head_weight, rows.head_bias, features, n_threads)
    losses, d_p = losses_of(loss, data, models, batch, T, p)
    gradients = np.empty_like(flat)
    d_weight, d_bias = rows.head_of(gradients)
    d_features = _core.fleet_linear_backward(
        rows.head_weight, features, np.ascontiguousarray(d_p, flat.dtype), d_weight, d_bias, n_threads
    )
    d_output, d_h_n = None, None
    n, D, G = lstm.num_layers * lstm.num_directions, lstm.num_directions, len(flat)
    if model.readout == "last":
        d_h_n = np.zeros((G, n, B, lstm.h_size), flat.dtype)
        d_h_n[:, -D:] = d_features.reshape(G, B, D, -1).swapaxes(1, 2)
    elif model.readout == "all":
        d_output = d_features.reshape(output.shape)
    else:
        d_output = np.broadcast_to((d_features / counts_of(output, lengths))[:, None], output.shape)
    d_h_0, d_c_0 = (np.empty((G, n, B, size), flat.dtype) for size in (lstm.h_size, lstm.hidden_size))
    rows.weights.backward(
        memory.block, x, None, None, d_output, d_h_n, None, None, d_h_0, d_c_0, gradients[:, : rows.n], n_threads,
        run=options, order=order, seeds=seeds,
    )  # fmt: skip
    return losses, gradients


def predictions(
    model: FleetModel, flat: Array, data: FleetData, group: tuple[Array, Array, int], num_threads: int | None
) -> Array:
    """Return predictions (G, n, O) of models with parameters flat (G, P)."""
    models, batch, T = group
    rows, n_threads = Rows(model, flat), _threads.resolve(num_threads)
    x, lengths = data.batch(models, batch, T)
    output, h_n = run(rows, contiguous_rows(x), order_of(lengths, T), n_threads)
    if model.readout == "mean" and T > MEAN_STEPS and not rows.lstm.bidirectional:  # in blocks, as a single model
        sums = step_sums(output[:, :MEAN_STEPS], axis=1)
        for begin in range(MEAN_STEPS, T, MEAN_STEPS):
            sums = sums + step_sums(output[:, begin : begin + MEAN_STEPS], axis=1)
        features = mean_of(sums, output, lengths)
    else:
        features = features_of(model.readout, output, h_n, lengths)
    if not features.size:
        return np.zeros((*features.shape[:2], model.out_features), flat.dtype)
    return _core.fleet_linear(rows.head_weight, rows.head_bias, features, n_threads)


def blocks(data: FleetData, models: list[int], size: int) -> list[tuple[Array, Array, int]]:
    """Group the sequences of models, `size` at a time, in their order."""
    groups = []
    for begin in range(0, max(data.each[k].n for k in models), size):
        left = {k: np.arange(begin, min(begin + size, data.each[k].n)) for k in models if begin < data.each[k].n}
        groups += groups_of(data, list(left), left)
    return groups


def predict_all(model: FleetModel, data: FleetData, batch_size: int, num_threads: int | None) -> list[Array]:
    """Return the predictions of each model for its sequences."""
    is_all, O = model.readout == "all", model.out_features
    results = [np.zeros((one.n, one.T, O) if is_all else (one.n, O), model.dtype) for one in data.each]
    data.stack()
    flat = model.flat_parameters
    for models, batch, T in blocks(data, list(range(len(model))), batch_size):
        p = predictions(model, flat[models], data, (models, batch, T), num_threads)
        for k, rows, own in zip(models, batch, p):
            if is_all:
                results[k][rows[0] : rows[-1] + 1, :T] = own.reshape(T, len(rows), O).swapaxes(0, 1)
            else:
                results[k][rows] = own
    if not is_all:
        return results
    for one, rows in zip(data.each, results):
        one.clear_padding(rows)
    return [one.result_layout.from_rows(rows) for one, rows in zip(data.each, results)]
