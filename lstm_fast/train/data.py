"""Training data: sequences (N, T, ...), lengths, targets and weights, read in parts."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments, _layout
from .._packing import pad
from . import symbols
from .storage import Storage, is_mapped, owned, stand_in

NOTHING_COUNTS = "all are masked, of sample_weight 0 or in sequences of length 0"

if TYPE_CHECKING:
    from .._inference import Network
    from .._types import Array, ArrayLike
    from .losses import Loss
    from .model import SequenceModel

FINITE = "The data of the batch are finite: try a lower learning rate or clip_norm"


class Sequences:
    """Input sequences and their targets.

    x is an array with the axes of the network, an array or data frame (T, I) of one sequence, or a list of (T, I)
    arrays. It is converted to the dtype of the network, and a list padded, once; memory-mapped arrays, and all arrays
    if is_lazy, only part by part. Targets always are. With index_input, x are integers without the last axis.
    """

    def __init__(self, network: Network, x: Any, lengths: ArrayLike | None = None, is_lazy: bool = False) -> None:
        self.x_dtype = np.dtype(np.int64) if network.index_input else network.dtype
        self.is_list = isinstance(x, (list, tuple))
        self.lengths: Array | None
        if self.is_list:
            self.layout = self.result_layout = _layout.BATCH_FIRST
            self.is_mapped = any(map(is_mapped, x))
            self.x, self.lengths = self._read_list(network, x, lengths, is_lazy or self.is_mapped)
            self.n, self.T = self.x.n, int(self.lengths.max(initial=0))
        else:
            self.is_mapped = is_mapped(x)
            self.x, self.layout = self._read_array(network, x, is_lazy or self.is_mapped)
            self.result_layout = network.layout  # results of one sequence have a batch axis
            assert isinstance(self.x.arrays, np.ndarray)
            self.n, self.T = self.x.arrays.shape[:2]
            self.lengths = self._read_lengths(lengths)
            if network.index_input and not (is_lazy or self.is_mapped):
                symbols.check(network, self.x, self.layout, self.lengths)
        self.y: Any = None
        self.mask: Storage | None = None
        self.sample_weight: Array | None = None
        self.loss: Loss | None = None
        self.is_by_step = False

    @staticmethod
    def _read_array(network: Network, x: Any, is_lazy: bool) -> tuple[Storage, _layout.Layout]:
        if network.index_input:
            return symbols.read_array(network, x, is_lazy)
        pattern, steps = x, None
        if is_lazy:
            steps = _arguments.array_of("x", x)
            _arguments.real_array("x", steps[:0], network.dtype)
            pattern = stand_in(steps, network.dtype)
        converted, layout = _layout.read_input(
            pattern, network.dtype, network.input_size, network.batch_first, ", or be a list of (T, I) arrays"
        )
        return Storage((converted if steps is None else layout.to_steps(steps)).swapaxes(0, 1)), layout

    @staticmethod
    def _read_list(network: Network, x: Any, lengths: ArrayLike | None, is_lazy: bool) -> tuple[Storage, Array]:
        if lengths is not None:
            raise ValueError("lengths must be None for a list of arrays: each has its own")
        arrays = (symbols.read_list if network.index_input else _read_vectors)(network, x, is_lazy)
        if not arrays:
            empty = symbols.EMPTY if network.index_input else np.zeros((0, 0, network.input_size), network.dtype)
            return Storage(empty), np.zeros(0, np.int64)
        if is_lazy:
            return Storage(arrays), np.array([len(one) for one in arrays], np.int64)
        padded, n_steps = pad(arrays)
        return Storage(padded), n_steps

    def _read_lengths(self, lengths: ArrayLike | None) -> Array | None:
        if lengths is None:
            return None
        N, T, lengths = self.n, self.T, _arguments.array_of("lengths", lengths, "integers")
        if lengths.shape != (N,) or lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths must be integers of shape (B,) = ({N},), got {lengths.dtype} {lengths.shape}")
        if N and not 0 <= lengths.min() <= lengths.max() <= T:
            raise ValueError(f"lengths must be from 0 to T = {T}, got {lengths.min()} to {lengths.max()}")
        return lengths.astype(np.int64)  # narrow or unsigned ones overflow in differences

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
            self.y = self._read_targets_of_steps(loss, y, model.out_features)
            if mask is not None:
                self.mask = Storage(self.layout.read_flags("mask", mask, self.T, self.n).T)
        else:
            self.y = loss.check_targets(y, (self.n,), model.out_features)
        if sample_weight is not None:
            given = _arguments.real_array("sample_weight", sample_weight, np.dtype(np.float64))
            if given.shape != (self.n,) or not ((given >= 0) & (given < np.inf)).all():
                raise ValueError(
                    f"sample_weight must be finite numbers of shape (B,) = ({self.n},), not negative, got {given.shape}"
                )
            self.sample_weight = given

    def _read_targets_of_steps(self, loss: Loss, y: Any, n_outputs: int) -> Storage:
        if self.is_list and isinstance(y, (list, tuple)):
            assert self.lengths is not None
            arrays = [_arguments.array_of(f"y[{k}]", one) for k, one in enumerate(y)]
            if len(arrays) != self.n or any(len(one) != n for one, n in zip(arrays, self.lengths)):
                raise ValueError("y must be a list with one target for each step of each sequence of x")
            if not isinstance(self.x.arrays, np.ndarray):
                return Storage([loss.check_targets(one, (len(one),), n_outputs) for one in arrays])
            y = pad(arrays, self.T)[0] if arrays else np.zeros((0, 0))
        else:
            y = _arguments.array_of("y", y)
            has_axes = y.ndim > 1 or self.layout == _layout.UNBATCHED
            y = self.layout.to_rows(y) if has_axes and y.ndim else y
        return Storage(loss.check_targets(y, (self.n, self.T), n_outputs))

    def own(self) -> None:
        """Copy views of the caller's arrays, which it may modify before they are used."""
        if not self.is_list or isinstance(self.x.arrays, list):  # a padded list is a copy
            self.x.own()
        if isinstance(self.y, Storage):
            self.y.own()
        else:
            self.y = owned(self.y)
        if self.mask is not None:
            self.mask.own()

    @property
    def has_weights(self) -> bool:
        """Whether the loss weights sequences or steps."""
        has_padding = self.is_by_step and self.lengths is not None
        return has_padding or self.mask is not None or self.sample_weight is not None

    def counts(self) -> bool:
        """Return whether any prediction counts: has a step and a weight."""
        if not self.has_weights:
            return self.n > 0
        if not self.is_by_step:
            return self.sample_weight is None or bool(self.sample_weight.any())
        each = (self.weights(np.array([row]), None, self.T) for row in range(self.n))
        return any(weights is None or weights.any() for weights in each)

    # ---- parts ----

    def batch(self, rows: Array, begins: Array | None = None, n: int | None = None) -> tuple[Array, Array | None]:
        """Return x (T, B, I) and lengths (B,) of some sequences, with T the longest of them; lengths may be None.

        begins and n: at most n steps from step begins[k] of each sequence on, T = n.
        """
        lengths = None if self.lengths is None else self.lengths[rows]
        if n is None:
            n = self.T if lengths is None else int(lengths.max(initial=0))
        if begins is not None and (lengths is not None or not self._has_all(begins, n)):
            lengths = np.clip((self.T if lengths is None else lengths) - begins, 0, n)
            lengths = None if (lengths == n).all() else lengths
        x = self.x.read(rows, n, begins).swapaxes(0, 1)
        if x.dtype == self.x_dtype:
            return np.ascontiguousarray(x), lengths
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(x, self.x_dtype), lengths

    def _has_all(self, begins: Array, n: int) -> bool:
        """Return whether n steps from begins are within sequences of T steps."""
        return int(begins.max(initial=0)) + n <= self.T

    def targets(self, rows: Array, begins: Array | None = None, n: int | None = None) -> tuple[Array, Array | None]:
        """Return targets (n, ...) and weights (n,) or None of the predictions for a batch, one row for each."""
        assert self.loss is not None
        if not self.is_by_step:
            return self.loss.convert(self.y[rows]), None if self.sample_weight is None else self.sample_weight[rows]
        if n is None:
            n = self.T if self.lengths is None else int(self.lengths[rows].max(initial=0))
        y = self.y.read(rows, n, begins).swapaxes(0, 1)
        weights = self.weights(rows, begins, n)
        return self.loss.convert(y.reshape(-1, *y.shape[2:])), None if weights is None else weights.T.ravel()

    def weights(self, rows: Array, begins: Array | None, n: int) -> Array | None:
        """Return the weights (B, n), 0 for steps that do not contribute to the loss; None if all are 1."""
        ends: Any = self.lengths
        if ends is None and begins is not None and not self._has_all(begins, n):
            ends = np.full(self.n, self.T)
        if ends is None and self.mask is None and self.sample_weight is None:
            return None
        weights = np.ones((len(rows), n))
        if self.mask is not None:
            weights *= self.mask.read(rows, n, begins)
        if ends is not None:
            weights *= np.arange(n) < (ends[rows] if begins is None else ends[rows] - begins)[:, None]
        if self.sample_weight is not None:
            weights *= self.sample_weight[rows][:, None]
        return weights

    def clear_padding(self, rows: Array) -> None:
        """Zero the steps (N, T, ...) after the end of each sequence."""
        if self.lengths is not None:
            rows[np.arange(self.T) >= self.lengths[:, None]] = 0

    def n_steps(self, rows: Array | None = None) -> int:
        """Return the number of steps of some sequences, or of all, without padding."""
        if self.lengths is None:
            return int(self.T) * (int(self.n) if rows is None else len(rows))
        return int((self.lengths if rows is None else self.lengths[rows]).sum())

    def subset(self, rows: Array) -> Sequences:
        """Return a subset of the sequences."""
        part = copy.copy(self)
        part.n, part.x = len(rows), self.x.subset(rows)
        for name in ("y", "mask", "lengths", "sample_weight"):
            value = getattr(self, name)
            if value is not None:
                value = value.subset(rows) if isinstance(value, Storage) else value[rows]
            setattr(part, name, value)
        return part

    def cause(self, rows: Array, begins: Array | None = None, n: int | None = None) -> str:
        """Describe what is not finite in the data of a batch."""
        for k, row in enumerate(rows):
            begin = 0 if begins is None else int(begins[k])
            end = int(self.T if self.lengths is None else self.lengths[row])
            steps = slice(begin, end if n is None else min(end, begin + n))
            x = self.x.one(row)[steps]
            is_finite = np.isfinite(x if x.ndim > 1 else x[:, None]).all(axis=1)
            if not is_finite.all():
                return f"x of sequence {row} is not finite at step {begin + int(np.argmin(is_finite))}"
            if not np.isfinite(self.y.one(row)[steps] if self.is_by_step else self.y[row]).all():
                return f"y of sequence {row} is not finite"
        return FINITE


def _read_vectors(network: Network, x: Any, is_lazy: bool) -> list[Array]:
    I, arrays = network.input_size, []
    for k, one in enumerate(x):
        one = _arguments.array_of(f"x[{k}]", one) if is_lazy else _arguments.real_array(f"x[{k}]", one, network.dtype)
        if one.ndim != 2 or one.shape[1] != I:
            raise ValueError(f"x[{k}] must have shape (T, I) with I = input_size = {I}, got {one.shape}")
        if is_lazy:
            _arguments.real_array(f"x[{k}]", one[:0], network.dtype)
        arrays.append(one)
    return arrays
