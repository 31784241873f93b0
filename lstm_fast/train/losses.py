"""Loss functions: loss (n,) and gradient (n, O) of each row of predictions (n, O), in float64.

The loss of a row is the mean over its outputs; the loss of a batch is the weighted mean over its rows. Sums, exp
and log are the core's, because NumPy's differ in their last bits between processors and may differ between versions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .. import _arguments, _core
from .._sums import row_sums, total
from .custom_loss import CustomLoss, mean_loss

if TYPE_CHECKING:
    from .._types import Array

LossSpec: TypeAlias = "str | Sequence[Any] | CustomLoss"
LossFunction: TypeAlias = "Callable[..., tuple[Array, Array]]"


def _mean(values: Array) -> Array:
    """Return the mean of each row."""
    return values[:, 0] if values.shape[1] == 1 else row_sums(values) / values.shape[1]


def mse(p: Array, y: Array) -> tuple[Array, Array]:
    """(p - y)^2"""
    d = p - y
    return _mean(d * d), 2 * d / d.shape[1]


def mae(p: Array, y: Array) -> tuple[Array, Array]:
    """|p - y|"""
    d = p - y
    return _mean(np.abs(d)), np.sign(d) / d.shape[1]


def huber(p: Array, y: Array, delta: float = 1.0) -> tuple[Array, Array]:
    """d^2 / 2 up to |d| = delta, beyond it delta (|d| - delta / 2), as in PyTorch"""
    d = p - y
    size = np.abs(d)
    return (
        _mean(np.where(size <= delta, d * d / 2, delta * (size - delta / 2))),
        np.clip(d, -delta, delta) / d.shape[1],
    )


def quantile(p: Array, y: Array, levels: Sequence[float] = (0.1, 0.5, 0.9)) -> tuple[Array, Array]:
    """max(q d, (q - 1) d) with d = y - p for each level q: p has the levels of each target side by side."""
    q = np.asarray(levels, float)
    d = y[:, :, None] - p.reshape(len(p), -1, len(q))
    gradient = np.where(d > 0, -q, np.where(d < 0, 1 - q, 0)).reshape(p.shape) / p.shape[1]
    return _mean(np.maximum(q * d, (q - 1) * d).reshape(len(p), -1)), gradient


def cross_entropy(p: Array, y: Array) -> tuple[Array, Array]:
    """Return -log softmax(p)[y], y the index of the class"""
    loss, gradient = _core.cross_entropy(np.ascontiguousarray(p), np.ascontiguousarray(y))
    return loss, gradient


def bce(p: Array, y: Array) -> tuple[Array, Array]:
    """Return -y log sigmoid(p) - (1 - y) log(1 - sigmoid(p)), y from 0 to 1"""
    if (outside := (y < 0) | (y > 1)).any():  # the loss would have no lower bound
        raise ValueError(f"y must be from 0 to 1 for bce, got {y[outside][0]:g}")
    loss, d = _core.binary_cross_entropy(np.ascontiguousarray(p), np.ascontiguousarray(y))
    return _mean(loss), d / p.shape[1]


LOSSES: dict[str, LossFunction] = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "quantile": quantile,
    "cross_entropy": cross_entropy,
    "bce": bce,
}


class Loss:
    """Loss function by name, ("huber", delta) or ("quantile", levels), or one of the caller; validates its targets."""

    def __init__(self, spec: LossSpec) -> None:
        self.function: CustomLoss | None = None
        self.levels: tuple[float, ...] = ()
        self.parameters: tuple[Any, ...] = ()
        if callable(spec):
            self.name, self.function = getattr(spec, "__name__", type(spec).__name__), spec
            return
        parts = (spec,) if isinstance(spec, str) else spec if isinstance(spec, (tuple, list)) and spec else (None,)
        self.name, *parameters = parts
        if self.name not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function, got {spec!r}")
        if parameters and (self.name not in ("huber", "quantile") or len(parameters) > 1):
            raise ValueError(f"loss: {self.name} takes no such parameters, got {spec!r}")
        if self.name == "huber" and parameters and not (isinstance(parameters[0], Real) and float(parameters[0]) > 0):
            raise ValueError(f"loss: delta of huber must be a positive number, got {parameters[0]!r}")
        levels = tuple(parameters[0]) if self.name == "quantile" and parameters else (0.1, 0.5, 0.9)
        if not levels or not all(isinstance(q, Real) and 0 < float(q) < 1 for q in levels):
            raise ValueError(f"loss: levels of quantile must lie between 0 and 1, got {levels}")
        self.levels = levels
        self.parameters = (levels,) if self.name == "quantile" else tuple(parameters)

    def n_targets(self, n_outputs: int) -> int:
        """Return the number of targets per row; 0: a class index."""
        if self.name == "quantile" and n_outputs % len(self.levels):
            raise ValueError(
                f"out_features must be a multiple of {len(self.levels)}, the number of levels of loss quantile, got "
                f"{n_outputs}"
            )
        return {"cross_entropy": 0, "quantile": n_outputs // len(self.levels)}.get(self.name, n_outputs)

    def check_targets(self, targets: Any, shape: tuple[int, ...], n_outputs: int) -> Array:
        """Validate targets: class indices of this shape, or (*shape, n_targets), where a last axis of 1 is optional.

        Returns them with these axes, in their dtype, for `convert`. A function of the caller gets any number of targets
        per row.
        """
        y: Array = _arguments.array_of("y", targets)
        if self.function is not None:
            if y.dtype.kind not in "biuf" or y.shape[: len(shape)] != shape or y.ndim > len(shape) + 1:
                raise ValueError(f"y must be numbers of shape {shape} or {(*shape, 'K')}, got {y.dtype} {y.shape}")
            return y if y.ndim > len(shape) else y[..., None]
        n = self.n_targets(n_outputs)
        if n == 0:
            is_class = y.shape == shape and y.dtype.kind in "iu"
            if not is_class or (y.size and not 0 <= y.min() <= y.max() < n_outputs):
                found = f" from {y.min()} to {y.max()}" if is_class else ""
                raise ValueError(
                    f"y must be classes 0 to {n_outputs - 1} of shape {shape} for cross_entropy, "
                    f"got {y.dtype} {y.shape}{found}"
                )
            return y
        if y.dtype.kind not in "biuf" or y.shape not in ((*shape, n), *([shape] if n == 1 else [])):
            raise ValueError(f"y must be numbers of shape {(*shape, n)}, got {y.dtype} {y.shape}")
        return y if y.ndim > len(shape) else y[..., None]

    def convert(self, y: Array) -> Array:
        """Convert targets to the dtype in which losses are computed."""
        is_class = self.function is None and self.name == "cross_entropy"
        return np.asarray(y, np.int64 if is_class else np.float64)

    def __call__(self, p: Array, y: Array, weights: Array | None = None) -> tuple[float, Array]:
        """Return the loss of rows p (n, O) and its gradient. Rows of weight 0 are ignored, even if they contain NaN."""
        p = np.asarray(p, np.float64)
        if weights is None:
            if self.function is not None:
                return mean_loss(self.function, p, y, None)
            loss, d = LOSSES[self.name](p, y, *self.parameters)
            return total(loss) / max(1, len(p)), d / max(1, len(p))
        weight, counts = total(weights), weights > 0
        d_p = np.zeros_like(p)
        if not weight > 0:
            return 0.0, d_p
        if self.function is not None:
            mean, d_p[counts] = mean_loss(self.function, p[counts], y[counts], weights[counts])
            return mean, d_p
        loss, d = LOSSES[self.name](p[counts], y[counts], *self.parameters)
        d_p[counts] = d * (weights[counts] / weight)[:, None]
        return total(loss * weights[counts]) / weight, d_p
