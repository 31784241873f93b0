"""Sequences and targets as the loop takes them: padded arrays (N, T, ...), lengths, batches of similar length."""

import numpy as np

from .. import _arguments


class Sequences:
    """N sequences of inputs: an array in the layout of the module, a data frame (one sequence), or a list of (T, I) arrays."""

    def __init__(self, module, x, lengths=None):
        self.is_list = isinstance(x, (list, tuple))
        self.is_one = False  # a sequence without an axis of the batch
        self.batch_first = module.batch_first
        if self.is_list:
            self.x, self.lengths = self._padded(x, lengths, module)
        else:
            x = _arguments.real_array("x", x, module.dtype)
            words = "(B, T, I)" if self.batch_first else "(T, B, I)"
            self.is_one = x.ndim == 2
            if self.is_one:
                x = x[None] if self.batch_first else x[:, None]
            if x.ndim != 3 or x.shape[2] != module.input_size:
                raise ValueError(
                    f"x must have shape {words}, with I = input_size = {module.input_size}, or be a list of (T, I) arrays, "
                    f"got {x.shape}"
                )
            self.x, self.lengths = x if self.batch_first else x.swapaxes(0, 1), None
            if lengths is not None:
                self.lengths = np.asarray(lengths)
                if self.lengths.shape != self.x.shape[:1] or self.lengths.dtype.kind not in "iu":
                    raise ValueError(
                        f"lengths must be integers of shape (B,) = ({len(self.x)},), got {self.lengths.dtype} "
                        f"{self.lengths.shape}"
                    )
                if len(self.lengths) and not 0 <= self.lengths.min() <= self.lengths.max() <= self.x.shape[1]:
                    raise ValueError(
                        f"lengths must be from 0 to T = {self.x.shape[1]}, got {self.lengths.min()} to {self.lengths.max()}"
                    )
        self.n, self.T = self.x.shape[:2]
        self.y = self.weights = self.loss = None
        self.is_by_step = False

    def _padded(self, x, lengths, module):
        if lengths is not None:
            raise ValueError("lengths must be None for a list of arrays: each has its own")
        arrays = [_arguments.real_array(f"x[{k}]", one, module.dtype) for k, one in enumerate(x)]
        for k, one in enumerate(arrays):
            if one.ndim != 2 or one.shape[1] != module.input_size:
                raise ValueError(
                    f"x[{k}] must have shape (T, I) with I = input_size = {module.input_size}, got {one.shape}"
                )
        lengths = np.array([len(one) for one in arrays], np.int64)
        padded = np.zeros((len(arrays), max(lengths, default=0), module.input_size), module.dtype)
        for row, one in zip(padded, arrays):
            row[: len(one)] = one
        return padded, lengths

    def read_targets(self, model, loss, y, sample_weight=None, mask=None):
        """Targets of model under loss, checked; weights of rows where there are any."""
        self.loss, self.is_by_step = loss, model.readout == "all"
        is_all = self.is_by_step
        if is_all and self.is_one:  # its targets and mask are those of steps
            y, mask = np.asarray(y)[None], None if mask is None else np.asarray(mask)[None]
        is_by_row = self.batch_first or self.is_list or self.is_one
        if is_all and self.is_list and isinstance(y, (list, tuple)):
            y = self._padded_targets(y)
        elif is_all and not is_by_row:
            y = np.asarray(y).swapaxes(0, 1) if np.ndim(y) > 1 else y
        self.y = loss.read_targets(y, (self.n, self.T) if is_all else (self.n,), model.out_features)
        weights = None
        if is_all and (self.lengths is not None or mask is not None):
            weights = np.ones((self.n, self.T))
            if mask is not None:
                mask = np.asarray(mask)
                mask = mask if is_by_row else mask.T
                if mask.shape != weights.shape or mask.dtype != bool:
                    raise ValueError(
                        f"mask must be boolean, one entry for each step of x, got {mask.dtype} {mask.shape}"
                    )
                weights *= mask
            if self.lengths is not None:
                weights *= np.arange(self.T) < self.lengths[:, None]
        elif mask is not None:
            raise ValueError('mask must be None unless readout="all"')
        if sample_weight is not None:
            given = _arguments.real_array("sample_weight", sample_weight, np.dtype(np.float64))
            if given.shape != (self.n,) or not (given >= 0).all():
                raise ValueError(
                    f"sample_weight must be numbers of shape (B,) = ({self.n},), not negative, got {given.shape}"
                )
            weights = (1 if weights is None else weights) * (
                np.repeat(given[:, None], self.T, axis=1) if is_all else given
            )
        self.weights = weights

    def _padded_targets(self, y):
        if len(y) != self.n or any(len(one) != n for one, n in zip(y, self.lengths)):
            raise ValueError("y must be a list with one target for each step of each sequence of x")
        y = [np.asarray(one) for one in y]
        whole = np.zeros((self.n, self.T, *(y[0].shape[1:] if y else ())), np.result_type(*y) if y else float)
        for row, one in zip(whole, y):
            row[: len(one)] = one
        return whole

    def batch(self, rows):
        """x (T, B, I) and lengths (B,) or None of these sequences, cut to the longest of them."""
        if self.lengths is None:
            return np.ascontiguousarray(self.x[rows].swapaxes(0, 1)), None
        lengths = self.lengths[rows]
        return np.ascontiguousarray(self.x[rows, : lengths.max(initial=0)].swapaxes(0, 1)), lengths

    def targets(self, rows):
        """Targets (n, ...) and weights (n,) or None of these sequences, a row for each that the head sees."""
        y, weights = self.y[rows], None if self.weights is None else self.weights[rows]
        if self.is_by_step:
            T = self.T if self.lengths is None else self.lengths[rows].max(initial=0)
            y = y[:, :T].swapaxes(0, 1)
            y = y.reshape(-1, *y.shape[2:])
            weights = None if weights is None else weights[:, :T].T.ravel()
        return y, weights

    def n_steps(self, rows=None):
        """Steps of these sequences, or of all, padding left out."""
        if self.lengths is None:
            return self.T * (self.n if rows is None else len(rows))
        return int((self.lengths if rows is None else self.lengths[rows]).sum())

    def subset(self, rows):
        """These sequences alone."""
        part = object.__new__(Sequences)
        part.__dict__.update(self.__dict__)
        part.x, part.n = self.x[rows], len(rows)
        for name in ("lengths", "y", "weights"):
            value = getattr(self, name)
            setattr(part, name, None if value is None else value[rows])
        return part


def batches(rng, data, batch_size, shuffle):
    """Rows of each batch of an epoch. With lengths, sequences of similar length go together: they cost what the longest does."""
    rows = rng.permutation(data.n) if shuffle else np.arange(data.n)
    if data.lengths is None or not shuffle:
        return [rows[begin : begin + batch_size] for begin in range(0, data.n, batch_size)]
    pool, groups = 32 * batch_size, []
    for begin in range(0, data.n, pool):
        part = rows[begin : begin + pool]
        part = part[np.argsort(data.lengths[part], kind="stable")]
        groups += [part[k : k + batch_size] for k in range(0, len(part), batch_size)]
    return [groups[k] for k in rng.permutation(len(groups))]
