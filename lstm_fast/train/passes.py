"""Forward and backward pass of a model over one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core, _threads
from .._parameter_arrays import NamedArrays
from .._sums import total
from .head import last_h, read_out, read_out_backward

if TYPE_CHECKING:
    from .._types import Array
    from .losses import Loss
    from .model import Frozen, SequenceModel
    from .predictor import Predictor


class ModelGradients(NamedArrays):
    """Gradients of a SequenceModel: a mapping from parameter names to arrays.

    Attributes
    ----------
    flat : ndarray
        Contiguous buffer of all gradients, in the layout of `flat_parameters`.
    """

    def __repr__(self) -> str:
        return f"<ModelGradients of {', '.join(self)}>"


def predictions(
    model: Predictor, x: Array, lengths: Array | None, num_threads: int | None, state: Any = None
) -> tuple[Array, Any]:
    """Return predictions (B, O), for "all" (T, B, O), for x (T, B, I), and the last state. state: the one before."""
    lstm, layout = model.lstm, model.lstm.layout
    output, state = lstm(layout.from_steps(x), state, lengths=lengths, num_threads=num_threads)
    features = read_out(model.readout, layout.to_steps(output), last_h(model, state), lengths)
    return model.head.apply(features, _threads.resolve(num_threads)), state


class Step(NamedTuple):
    """Loss and gradients of one batch.

    loss is the weighted mean over the predictions of the batch, weight the sum of their weights: means over several
    batches, and the gradients of these means, are weighted by it. state is the one to start the next batch from.
    """

    loss: float
    weight: float
    gradients: ModelGradients
    state: Any


def loss_and_gradients(
    model: SequenceModel | Frozen,
    loss: Loss,
    x: Array,
    y: Array,
    weights: Array | None,
    *,
    lengths: Array | None = None,
    state: Any = None,
    resets: Array | None = None,
    training: bool = True,
    rng: np.random.Generator | None = None,
    num_threads: int | None = None,
) -> Step:
    """Compute loss and gradients for x (T, B, I), and targets and weights with one row for each prediction.

    state: before the first step; None: the initial state. resets: bool (T, B). rng draws the masks; None: that of
    the network.
    """
    lstm, layout, head = model.lstm, model.lstm.layout, model.head
    n_threads = _threads.resolve(num_threads)
    output, state, tape = lstm.forward(
        layout.from_steps(x),
        state,
        lengths=lengths,
        resets=None if resets is None else layout.from_steps(resets),
        training=training,
        rng=rng,
        num_threads=num_threads,
    )
    output, h_n = layout.to_steps(output), last_h(model, state)
    features = read_out(model.readout, output, h_n, lengths)
    of_rows = features.reshape(-1, features.shape[-1])
    p = _core.linear(head.weight, head.bias, of_rows, n_threads)
    value, d_p = loss(p, y, weights)
    d_rows, d_weight, d_bias = _core.linear_backward(head.weight, of_rows, d_p.astype(features.dtype), n_threads)
    d_output, d_h = read_out_backward(model.readout, d_rows.reshape(features.shape), output, h_n, lengths)
    d_state: Any = None
    if d_h is not None:
        D = lstm.num_directions
        d_h_n = np.zeros((lstm.num_layers * D, *d_h.shape[1:]), features.dtype)
        d_h_n[-D:] = d_h
        d_state = (d_h_n, None) if lstm.has_cell_state else d_h_n
    d_output = None if d_output is None else layout.from_steps(d_output)
    gradients = lstm.backward(tape, d_output, d_state, compute_d_x=False, num_threads=num_threads)
    flat = np.concatenate([gradients.flat, d_weight.ravel(), d_bias])
    weight = float(len(p)) if weights is None else total(weights)
    return Step(value, weight, ModelGradients(flat, model._table), state)
