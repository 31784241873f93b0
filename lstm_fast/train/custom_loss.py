"""Losses of the caller: functions (prediction, target) -> (loss, d_prediction), their results validated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._sums import total

if TYPE_CHECKING:
    from .._types import Array

CustomLoss: TypeAlias = "Callable[[Array, Array], tuple[Any, Array]]"


def _read_only(array: Array) -> Array:
    view: Array = array.view()
    view.flags.writeable = False
    return view


def evaluate(function: CustomLoss, p: Array, y: Array) -> tuple[Array, Array]:
    """Return the loss, () or (n,), and its gradient (n, O), in float64."""
    results = function(_read_only(p), _read_only(y))
    if not isinstance(results, tuple) or len(results) != 2:
        raise TypeError(f"loss must return the tuple (loss, d_prediction), got {type(results).__name__}")
    loss, d = (np.asarray(result) for result in results)
    for what, array, shapes in (("loss", loss, ((), (len(p),))), ("d_prediction", d, (p.shape,))):
        if array.shape not in shapes or array.dtype.kind not in "biuf":
            words = " or ".join(map(str, shapes))
            raise ValueError(f"loss must return {what} as numbers of shape {words}, got {array.dtype} {array.shape}")
    return loss.astype(np.float64), d.astype(np.float64)


def mean_loss(function: CustomLoss, p: Array, y: Array, weights: Array | None) -> tuple[float, Array]:
    """Return the loss of some rows, of weights above 0 (None: equal), and its gradient.

    A loss per row is averaged here. A single number is the loss of these rows as it is, which weights cannot change.
    """
    loss, d = evaluate(function, p, y)
    if loss.ndim:
        share = np.full(len(p), 1 / max(1, len(p))) if weights is None else weights / total(weights)
        return total(loss * share), d * share[:, None]
    if weights is not None and (weights != weights[0]).any():
        raise ValueError(
            f"loss must return one loss per row, shape ({len(p)},), where rows have different weights, got one number"
        )
    return float(loss), d


def check_gradient(loss: Callable[[Array], tuple[float, Array]], p: Array, *, most: int = 32) -> None:
    """Compare the gradient of loss at p (n, O) with central differences along single entries and a random direction.

    Raises ValueError where they differ.
    """
    value, d = loss(p)
    shift = 1e-6 * max(1.0, float(np.abs(p).max(initial=0)))
    rng = np.random.default_rng(0)
    picked = np.flatnonzero(d.any(axis=1))  # rows that count
    rows = picked if picked.size else np.arange(len(p))
    entries = [(row, column) for row in rows for column in range(p.shape[1])]
    ways: list[tuple[str, Array]] = []
    for k in np.unique(np.linspace(0, len(entries) - 1, most).astype(int)) if entries else ():
        way = np.zeros_like(p)
        way[entries[k]] = 1
        ways.append((f"at row {entries[k][0]}, output {entries[k][1]}", way))
    ways.append(("along a random direction", np.asarray(rng.standard_normal(p.shape))))
    largest = float(np.abs(d).max(initial=0))
    for where, way in ways:
        numeric = (loss(p + shift * way)[0] - loss(p - shift * way)[0]) / (2 * shift)
        given = float((d * way).sum())
        noise = 1e-15 * abs(value) / shift + 1e-5 * largest * float(np.abs(way).sum())
        if not abs(numeric - given) <= noise + 1e-4 * abs(numeric):
            raise ValueError(
                f"loss returns a d_prediction that is not the gradient of its loss: {where} it is {given:.6g}, finite "
                f"differences give {numeric:.6g}"
            )


def check_on_batch(loss: Callable[..., Any], sample: tuple[Array, Array, Array | None] | None) -> None:
    """Check the gradient of a loss for the predictions, targets and weights of a batch, if there is one."""
    if sample is not None:
        p, y, weights = sample
        check_gradient(lambda p: loss(p, y, weights), p.astype(np.float64))
