"""Sums in a fixed order: their bits do not depend on a BLAS, or on the instructions that NumPy selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _core

if TYPE_CHECKING:
    from ._types import Array


def row_sums(values: Array) -> Array:
    """Sum each row of values (n, m), in float64."""
    return _core.row_sums(np.ascontiguousarray(values, np.float64))


def total(values: Array) -> float:
    """Sum values (n,), in float64."""
    return float(row_sums(values[None])[0])


def column_sums(values: Array) -> Array:
    """Sum each column of values (n, m), in float64."""
    return row_sums(values.T)


def step_sums(values: Array, axis: int = 0) -> Array:
    """Add the steps along an axis in their order, in the dtype of values.

    NumPy's add.reduce does so if a step is more than one number in memory; it adds single numbers in pairs. (NumPy does
    not document that; test_training_bits.py checks it.)
    """
    if not values.shape[axis]:  # accumulate would have no last step to return
        return np.zeros_like(values, shape=np.delete(values.shape, axis))
    in_order = values.shape[-1] > 1
    sums: Array = (
        np.add.reduce(values, axis=axis) if in_order else np.add.accumulate(values, axis=axis).take(-1, axis=axis)
    )
    return sums
