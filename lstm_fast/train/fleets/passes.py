"""Forward and backward pass of a fleet over one batch of each model. Like passes.py, with an axis K."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core, _threads
from ..._layout import STEPS
from ..._sums import row_sums, step_sums, total
from ..._tape import BackwardArrays, TapeMemory
from ...fleet.calls import chunks, draw_options, weights_of
from ...fleet.layout import FleetLayout, contiguous_rows, longest_first
from ..chunks import MEAN_STEPS, SEQUENCES
from ..head import mean_of_sums, read_out, read_out_backward
from ..losses import LOSSES, Loss
from .data import joint_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._types import Array
    from .data import FleetBatch, FleetData
    from .model import FleetModel


VALIDATION_BATCH = SEQUENCES
OUTPUT_BYTES = 64 << 20  # of x and the output in a call outside of training


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


def run(
    rows: Rows, x: Array, order: Any, n_threads: int, tape: Any = None, masks: dict[str, Any] | None = None
) -> tuple[Array, Array]:
    """Run the networks; return output (G, T, B, W) and h_n of the last layer (G, D, B, R)."""
    lstm, (G, T, B) = rows.lstm, x.shape[:3]
    # The memory layout of a single model, for the same bits of sums over steps.
    layout = FleetLayout(lstm.layout if rows.readout == "mean" else STEPS, G)
    output = layout.empty_steps(T, B, lstm.output_size, lstm.dtype)
    n = lstm.num_layers * lstm.num_directions
    h_n, c_n = (np.empty((G, n, B, size), lstm.dtype) for size in (lstm.h_size, lstm.hidden_size))
    rows.weights.forward(x, None, None, output, h_n, c_n, tape, n_threads, order=order, **(masks or {}))
    return output, h_n[:, -lstm.num_directions :]


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
    fleet_batch: FleetBatch,
    rngs: list[np.random.Generator],
    num_threads: int | None = None,
) -> tuple[Array, Array]:
    """Compute the losses (G,) and gradients (G, P) of models with parameters flat (G, P), chunk by chunk.

    rngs draw the masks of each model.
    """
    (models, batch, T), lstm, n_threads = fleet_batch, model.fleet._lstm, _threads.resolve(num_threads)
    options, seeds = draw_options(lstm, True, False, rngs)
    losses, gradients = np.empty(len(flat)), np.empty_like(flat)
    weights, memory = Rows(model, flat).weights, None
    for part in chunks(weights, len(flat), T, batch.shape[1], options, n_threads, data.has_lengths):
        rows = Rows(model, flat[part])
        memory = memory or TapeMemory(rows.weights.tape_bytes(T, batch.shape[1], options))  # the first is the largest
        masks = {"run": options, "seeds": None if seeds is None else seeds[part]}
        of_part = models[part], batch[part], T
        losses[part] = _gradients_of_chunk(rows, loss, data, of_part, memory, masks, gradients[part], n_threads)
    return losses, gradients


def _gradients_of_chunk(
    rows: Rows,
    loss: Loss,
    data: FleetData,
    fleet_batch: FleetBatch,
    memory: TapeMemory,
    masks: dict[str, Any],
    gradients: Array,
    n_threads: int,
) -> Array:
    """Return the losses of a chunk of models, and fill their gradients."""
    (models, batch, T), lstm, readout = fleet_batch, rows.lstm, rows.readout
    x, lengths = data.batch(models, batch, T)
    x, order, B = contiguous_rows(x), longest_first(lengths, T), batch.shape[1]
    output, h_n = run(rows, x, order, n_threads, memory.block, masks)
    features = read_out(readout, output, h_n, lengths)
    inputs = features.reshape(len(models), -1, features.shape[-1])
    p = _core.fleet_linear(rows.head_weight, rows.head_bias, inputs, n_threads)
    losses, d_p = losses_of(loss, data, models, batch, T, p)
    d_weight, d_bias = rows.head_of(gradients)
    d_p = np.ascontiguousarray(d_p, gradients.dtype)
    d_inputs = _core.fleet_linear_backward(rows.head_weight, inputs, d_p, d_weight, d_bias, n_threads)
    d_output, d_last = read_out_backward(readout, d_inputs.reshape(features.shape), output, h_n, lengths)
    n, G, d_h_n = lstm.num_layers * lstm.num_directions, len(models), None
    if d_last is not None:
        d_h_n = np.zeros((G, n, B, lstm.h_size), gradients.dtype)
        d_h_n[:, -lstm.num_directions :] = d_last
    d_h_0, d_c_0 = (np.empty((G, n, B, size), gradients.dtype) for size in (lstm.h_size, lstm.hidden_size))
    arrays = BackwardArrays(x, None, None, d_output, d_h_n, None, None, d_h_0, d_c_0, gradients[:, : rows.n])
    rows.weights.backward(memory.block, arrays, n_threads, order=order, **masks)
    return losses


def predictions(
    model: FleetModel, flat: Array, data: FleetData, fleet_batch: FleetBatch, num_threads: int | None
) -> Array:
    """Return predictions (G, n, O) of models with parameters flat (G, P)."""
    models, batch, T = fleet_batch
    rows, n_threads = Rows(model, flat), _threads.resolve(num_threads)
    x, lengths = data.batch(models, batch, T)
    output, h_n = run(rows, contiguous_rows(x), longest_first(lengths, T), n_threads)
    if model.readout == "mean" and T > MEAN_STEPS and not rows.lstm.bidirectional:  # in chunks, as a single model
        sums = step_sums(output[:, :MEAN_STEPS], axis=1)
        for begin in range(MEAN_STEPS, T, MEAN_STEPS):
            sums = sums + step_sums(output[:, begin : begin + MEAN_STEPS], axis=1)
        features = mean_of_sums(sums, T, lengths)
    else:
        features = read_out(model.readout, output, h_n, lengths)
        features = features.reshape(len(models), -1, features.shape[-1])
    if not features.size:
        return np.zeros((*features.shape[:2], model.out_features), flat.dtype)
    return _core.fleet_linear(rows.head_weight, rows.head_bias, features, n_threads)


def batches_in_order(data: FleetData, models: list[int], size: int) -> list[FleetBatch]:
    """Batches of `size` sequences of each model, in their order."""
    batches = []
    for begin in range(0, max(data.each[k].n for k in models), size):
        left = {k: np.arange(begin, min(begin + size, data.each[k].n)) for k in models if begin < data.each[k].n}
        batches += joint_batches(data, list(left), left)
    return [part for batch in batches for part in parts_of(data, batch)]


def parts_of(data: FleetData, batch: FleetBatch) -> Iterator[FleetBatch]:
    """Split a batch into some models each, whose outputs take OUTPUT_BYTES: memory must not grow with the fleet."""
    models, rows, T = batch
    lstm = data.model.fleet._lstm
    one = rows.shape[1] * T * (lstm.input_size + lstm.output_size) * lstm.dtype.itemsize
    n = max(1, OUTPUT_BYTES // max(1, one))
    for begin in range(0, len(models), n):
        yield models[begin : begin + n], rows[begin : begin + n], T


def mean_losses(
    model: FleetModel, flat: Array, loss: Loss, data: FleetData, models: list[int], num_threads: int | None
) -> Array:
    """Return the mean loss of some models over all of their data, VALIDATION_BATCH sequences at a time."""
    sums, weight = np.zeros((2, len(model)))
    for some, batch, T in batches_in_order(data, models, VALIDATION_BATCH):
        p = predictions(model, flat[some], data, (some, batch, T), num_threads)
        losses, _ = losses_of(loss, data, some, batch, T, p)
        share = np.full(len(some), float(p.shape[1]))
        if data.has_weights:
            targets = [data.each[k].targets(rows) for k, rows in zip(some.tolist(), batch)]
            share[:] = [len(y) if weights is None else total(weights) for y, weights in targets]
        sums[some] += losses * share
        weight[some] += share
    for k in models:
        if not weight[k]:
            raise ValueError(f"validation must have predictions that count, got none for model {k}")
    means: Array = sums[models] / weight[models]
    return means


def predict_all(model: FleetModel, data: FleetData, batch_size: int, num_threads: int | None) -> list[Array]:
    """Return the predictions of each model for its sequences."""
    is_all, O = model.readout == "all", model.out_features
    results = [np.zeros((one.n, one.T, O) if is_all else (one.n, O), model.dtype) for one in data.each]
    data.stack()
    flat = model.flat_parameters
    for models, batch, T in batches_in_order(data, list(range(len(model))), batch_size):
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
