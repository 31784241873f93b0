"""Linear head and readout of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._sums import step_sums

if TYPE_CHECKING:
    from .._types import Array
    from .predictor import Predictor

READOUTS = ("last", "all", "mean")


class Head:
    """Linear layer, ``y = h W^T + b``.

    Attributes
    ----------
    weight : ndarray of shape (out_features, D * R)
        Read-only.
    bias : ndarray of shape (out_features,)
        Read-only.
    flat : ndarray
        Contiguous read-only buffer of both.
    """

    def __init__(self, flat: Array, n_inputs: int, n_outputs: int) -> None:
        flat.flags.writeable = False
        self.flat = flat
        self.weight = flat[: n_inputs * n_outputs].reshape(n_outputs, n_inputs)
        self.bias = flat[n_inputs * n_outputs :]

    def apply(self, features: Array, num_threads: int) -> Array:
        """Return predictions (..., out_features) for features (..., D * R)."""
        rows = _core.linear(self.weight, self.bias, features.reshape(-1, features.shape[-1]), num_threads)
        return rows.reshape(*features.shape[:-1], len(self.bias))

    def __repr__(self) -> str:
        return f"Head({self.weight.shape[1]}, {self.weight.shape[0]})"


def last_h(model: Predictor, state: Any) -> Array:
    """Return h of the last layer, (D, B, R), of a state."""
    h: Array = state[0] if model.lstm.has_cell_state else state
    return h[-model.lstm.num_directions :]


def read_out(readout: str, output: Array, h_n: Array, lengths: Array | None) -> Array:
    """Return features (..., B, W) for the head from output (..., T, B, W) and h_n (..., D, B, R); for "all", output.

    The leading axis, if any, indexes the models of a fleet.
    """
    if readout == "all":
        return np.ascontiguousarray(output)
    if readout == "last":
        *models, D, B, R = h_n.shape
        return np.ascontiguousarray(h_n.swapaxes(-3, -2)).reshape(*models, B, D * R)
    return mean_of_sums(step_sums(output, axis=-3), output.shape[-3], lengths)  # output is zero in the padding


def read_out_backward(
    readout: str, d_features: Array, output: Array, h_n: Array, lengths: Array | None
) -> tuple[Array | None, Any]:
    """Return gradients with respect to output and h_n; None for zero."""
    if readout == "all":
        return d_features, None
    if readout == "last":
        *models, D, B, R = h_n.shape
        return None, d_features.reshape(*models, B, D, R).swapaxes(-3, -2)
    means = mean_of_sums(d_features, output.shape[-3], lengths)
    return np.broadcast_to(means[..., None, :, :], output.shape), None


def mean_of_sums(sums: Array, n_steps: int, lengths: Array | None) -> Array:
    """Divide sums (..., B, W) by the number of steps of each sequence, at least 1."""
    counts = np.maximum(1, np.full(sums.shape[:-1], n_steps) if lengths is None else lengths)
    means: Array = sums / counts.astype(sums.dtype)[..., None]
    return means
