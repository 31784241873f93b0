"""Losses: each takes predictions (n, O) and targets, and gives the loss of each row (n,) and its gradient (n, O), in float64.

The loss of a batch is the mean over its rows, weighted if there are weights; of a row, the mean over its outputs.
"""

from numbers import Real

import numpy as np


def _mean(rows):
    """Of each row. (For the few numbers of a batch, ndarray.mean takes longer than all else here.)"""
    return np.add.reduce(rows, axis=1) / rows.shape[1]


def mse(p, y):
    """(p - y)^2"""
    d = p - y
    return _mean(d * d), 2 * d / d.shape[1]


def mae(p, y):
    """|p - y|"""
    d = p - y
    return _mean(np.abs(d)), np.sign(d) / d.shape[1]


def huber(p, y, delta=1.0):
    """d^2 / 2 up to |d| = delta, from there delta (|d| - delta / 2), as in PyTorch"""
    d = p - y
    size = np.abs(d)
    return (
        _mean(np.where(size <= delta, d * d / 2, delta * (size - delta / 2))),
        np.clip(d, -delta, delta) / d.shape[1],
    )


def quantile(p, y, levels=(0.1, 0.5, 0.9)):
    """max(q d, (q - 1) d) with d = y - p for each level q: p has the levels of each target side by side."""
    levels = np.asarray(levels, float)
    d = y[:, :, None] - p.reshape(len(p), -1, len(levels))
    gradient = np.where(d > 0, -levels, np.where(d < 0, 1 - levels, 0)).reshape(p.shape) / p.shape[1]
    return np.maximum(levels * d, (levels - 1) * d).mean(axis=(1, 2)), gradient


def cross_entropy(p, y):
    """-log softmax(p)[y], y the index of the class"""
    z = p - p.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    rows = np.arange(len(p))
    gradient = e / total
    loss = np.log(total[:, 0]) - z[rows, y]
    gradient[rows, y] -= 1
    return loss, gradient


def bce(p, y):
    """-y log sigmoid(p) - (1 - y) log(1 - sigmoid(p)), y from 0 to 1"""
    e = np.exp(-np.abs(p))
    loss = np.maximum(p, 0) - y * p + np.log1p(e)
    return _mean(loss), (np.where(p >= 0, 1, e) / (1 + e) - y) / p.shape[1]


LOSSES = {"mse": mse, "mae": mae, "huber": huber, "quantile": quantile, "cross_entropy": cross_entropy, "bce": bce}


class Loss:
    """A loss by name, or ("huber", delta), or ("quantile", levels); it knows what its targets look like."""

    def __init__(self, spec):
        self.name, *parameters = (
            (spec,) if isinstance(spec, str) else spec if isinstance(spec, (tuple, list)) and spec else (None,)
        )
        if self.name not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {spec!r}")
        if parameters and (self.name not in ("huber", "quantile") or len(parameters) > 1):
            raise ValueError(f"loss: {self.name} takes no such parameters, got {spec!r}")
        if self.name == "huber" and parameters and not (isinstance(parameters[0], Real) and parameters[0] > 0):
            raise ValueError(f"loss: delta of huber must be a positive number, got {parameters[0]!r}")
        self.levels = tuple(parameters[0]) if self.name == "quantile" and parameters else (0.1, 0.5, 0.9)
        if not self.levels or not all(isinstance(q, Real) and 0 < q < 1 for q in self.levels):
            raise ValueError(f"loss: levels of quantile must lie between 0 and 1, got {self.levels}")
        self.parameters = (self.levels,) if self.name == "quantile" else tuple(parameters)

    def n_targets(self, n_outputs):
        """Numbers of a target row; 0: the index of a class."""
        if self.name == "quantile" and n_outputs % len(self.levels):
            raise ValueError(
                f"loss: quantile with {len(self.levels)} levels needs out_features a multiple of that, got {n_outputs}"
            )
        return {"cross_entropy": 0, "quantile": n_outputs // len(self.levels)}.get(self.name, n_outputs)

    def check_targets(self, y, shape, n_outputs):
        """y as (*shape,) indices of classes or (*shape, n_targets) float64; a last axis of one target may be left out."""
        y, n = np.asarray(y), self.n_targets(n_outputs)
        if n == 0:
            if y.shape != shape or y.dtype.kind not in "iu" or ((y < 0) | (y >= n_outputs)).any():
                raise ValueError(
                    f"y must be classes 0 to {n_outputs - 1} of shape {shape} for cross_entropy, got {y.dtype} {y.shape}"
                )
            return y.astype(np.int64)
        if y.dtype.kind not in "biuf" or y.shape not in ((*shape, n), *([shape] if n == 1 else [])):
            raise ValueError(f"y must be numbers of shape {(*shape, n)}, got {y.dtype} {y.shape}")
        return y.astype(np.float64).reshape(*shape, n)

    def __call__(self, p, y, weights=None):
        """(loss, d_p) of rows p (n, O); a row of weight 0 does not count, whatever is in it."""
        p = np.asarray(p, np.float64)
        if weights is None:
            loss, d = LOSSES[self.name](p, y, *self.parameters)
            return float(np.add.reduce(loss)) / max(1, len(p)), d / max(1, len(p))
        total, counts = weights.sum(), weights > 0
        d_p = np.zeros_like(p)
        if not total > 0:
            return 0.0, d_p
        loss, d = LOSSES[self.name](p[counts], y[counts], *self.parameters)
        d_p[counts] = d * (weights[counts] / total)[:, None]
        return float((loss * weights[counts]).sum() / total), d_p
