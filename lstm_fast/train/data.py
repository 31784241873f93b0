"""Training data: padded sequences (N, T, ...), lengths, targets, and batches of similar length."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments, _layout

if TYPE_CHECKING:
    from .._inference import Network
    from .._types import Array, ArrayLike
    from .losses import Loss
    from .model import SequenceModel


class Sequences:
    """Padded input sequences and their targets.

    x is an array with the axes of the network, an array or data frame (T, I) of one sequence, or a list of (T, I)
    arrays. With index_input these have no last axis.
    """

    def __init__(self, network: Network, x: Any, lengths: ArrayLike | None = None) -> None:
        self.is_list = isinstance(x, (list, tuple))
        self.lengths: Array | None
        if self.is_list:
            self.layout = self.result_layout = _layout.BATCH_FIRST
            self.x, self.lengths = self._padded(network, x, lengths)
        elif network.index_input:
            steps, self.layout = _layout.read_symbols(x, network.batch_first, ", or be a list of (T,) arrays")
            self.result_layout = network.layout
            self.x = steps[..., 0].T
            self.lengths = self._read_lengths(lengths)
            self.layout.check_symbols(steps, network.input_size, self.lengths)
        else:
            steps, self.layout = _layout.read_input(
                x, network.dtype, network.input_size, network.batch_first, ", or be a list of (T, I) arrays"
            )
            self.result_layout = network.layout  # results of one sequence have a batch axis
            self.x = steps.swapaxes(0, 1)
            self.lengths = self._read_lengths(lengths)
        self.n, self.T = self.x.shape[:2]
        self.y: Any = None
        self.weights: Array | None = None
        self.loss: Loss | None = None
        self.is_by_step = False

    def _padded(self, network: Network, x: Any, lengths: ArrayLike | None) -> tuple[Array, Array]:
        if lengths is not None:
            raise ValueError("lengths must be None for a list of arrays: each has its own")
        if network.index_input:
            return self._padded_symbols(network, x)
        I, arrays = (
            network.input_size,
            [_arguments.real_array(f"x[{k}]", one, network.dtype) for k, one in enumerate(x)],
        )
        for k, one in enumerate(arrays):
            if one.ndim != 2 or one.shape[1] != I:
                raise ValueError(f"x[{k}] must have shape (T, I) with I = input_size = {I}, got {one.shape}")
        if not arrays:
            return np.zeros((0, 0, I), network.dtype), np.zeros(0, np.int64)
        return _layout.pad(arrays)

    def _padded_symbols(self, network: Network, x: Any) -> tuple[Array, Array]:
        arrays = [_arguments.integer_array(f"x[{k}]", one) for k, one in enumerate(x)]
        for k, one in enumerate(arrays):
            if one.ndim != 1:
                raise ValueError(f"x[{k}] must have shape (T,) with index_input, got {one.shape}")
            _layout.UNBATCHED.check_symbols(one[:, None, None], network.input_size, name=f"x[{k}]")
        return _layout.pad(arrays) if arrays else (np.zeros((0, 0), np.int64), np.zeros(0, np.int64))

    def _read_lengths(self, lengths: ArrayLike | None) -> Array | None:
        if lengths is None:
            return None
        (N, T), lengths = self.x.shape[:2], np.asarray(lengths)
        if lengths.shape != (N,) or lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths must be integers of shape (B,) = ({N},), got {lengths.dtype} {lengths.shape}")
        if N and not 0 <= lengths.min() <= lengths.max() <= T:
            raise ValueError(f"lengths must be from 0 to T = {T}, got {lengths.min()} to {lengths.max()}")
        return lengths

    # ---- targets ----

    def read_targets(
        self,
        model: SequenceModel,
        loss: Loss,
        y: Any,
        sample_weight: ArrayLike | None = None,
        mask: Any = None,
    ) -> None:
        """Validate and store targets and weights."""
        self.loss, self.is_by_step = loss, model.readout == "all"
        if not self.is_by_step and mask is not None:
            raise ValueError('mask must be None unless readout="all"')
        if self.is_by_step:
            y = self._rows_of_targets(y)
        self.y = loss.check_targets(y, (self.n, self.T) if self.is_by_step else (self.n,), model.out_features)
        self.weights = self._weights_of_steps(mask) if self.is_by_step else None
        if sample_weight is not None:
            given = _arguments.real_array("sample_weight", sample_weight, np.dtype(np.float64))
            if given.shape != (self.n,) or not (given >= 0).all():
                raise ValueError(
                    f"sample_weight must be numbers of shape (B,) = ({self.n},), not negative, got {given.shape}"
                )
            given = np.repeat(given[:, None], self.T, axis=1) if self.is_by_step else given
            self.weights = given if self.weights is None else self.weights * given

    def _rows_of_targets(self, y: Any) -> Any:
        """Return targets of every step with axes (N, T, ...)."""
        if self.is_list and isinstance(y, (list, tuple)):
            assert self.lengths is not None
            if len(y) != self.n or any(len(one) != n for one, n in zip(y, self.lengths)):
                raise ValueError("y must be a list with one target for each step of each sequence of x")
            return _layout.pad([np.asarray(one) for one in y], self.T)[0] if y else np.zeros((0, 0))
        y = np.asarray(y)
        has_axes = y.ndim > 1 or self.layout == _layout.UNBATCHED
        return self.layout.to_rows(y) if has_axes and y.ndim else y

    def _weights_of_steps(self, mask: Any) -> Array | None:
        """Return weights (N, T), 1 for steps that contribute to the loss and 0 for others; None if all do."""
        if self.lengths is None and mask is None:
            return None
        weights = np.ones((self.n, self.T))
        if mask is not None:
            weights *= self.layout.read_flags("mask", mask, self.T, self.n).T
        if self.lengths is not None:
            weights *= np.arange(self.T) < self.lengths[:, None]
        return weights

    # ---- batches ----

    def batch(self, rows: Array) -> tuple[Array, Array | None]:
        """Return x (T, B, I), or symbols (T, B), and lengths (B,) or None of some sequences, T that of the longest."""
        if self.lengths is None:
            return np.ascontiguousarray(self.x[rows].swapaxes(0, 1)), None
        lengths = self.lengths[rows]
        return np.ascontiguousarray(self.x[rows, : lengths.max(initial=0)].swapaxes(0, 1)), lengths

    def targets(self, rows: Array) -> tuple[Array, Array | None]:
        """Return targets (n, ...) and weights (n,) or None of some sequences, one row per prediction."""
        y, weights = self.y[rows], None if self.weights is None else self.weights[rows]
        if self.is_by_step:
            T = self.T if self.lengths is None else self.lengths[rows].max(initial=0)
            y = y[:, :T].swapaxes(0, 1)
            y = y.reshape(-1, *y.shape[2:])
            weights = None if weights is None else weights[:, :T].T.ravel()
        return y, weights

    def n_steps(self, rows: Array | None = None) -> int:
        """Return the number of steps of some sequences, or of all, without padding."""
        if self.lengths is None:
            return int(self.T) * (int(self.n) if rows is None else len(rows))
        return int((self.lengths if rows is None else self.lengths[rows]).sum())

    def subset(self, rows: Array) -> Sequences:
        """Return a subset of the sequences."""
        part = copy.copy(self)
        part.x, part.n = self.x[rows], len(rows)
        for name in ("lengths", "y", "weights"):
            value = getattr(self, name)
            setattr(part, name, None if value is None else value[rows])
        return part


def batches(rng: np.random.Generator, data: Sequences, batch_size: int, shuffle: bool) -> list[Array]:
    """Draw the batches of an epoch. If lengths vary, group similar ones, since the longest determines the cost."""
    rows = rng.permutation(data.n) if shuffle else np.arange(data.n)
    if data.lengths is None or not shuffle:
        return [rows[begin : begin + batch_size] for begin in range(0, data.n, batch_size)]
    pool, groups = 32 * batch_size, []
    for begin in range(0, data.n, pool):
        part = rows[begin : begin + pool]
        part = part[np.argsort(data.lengths[part], kind="stable")]
        groups += [part[k : k + batch_size] for k in range(0, len(part), batch_size)]
    return [groups[k] for k in rng.permutation(len(groups))]
