"""8-bit weights of a DynamicQuantizeLSTM node: dequantized, or as the integers of our int8 format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._errors import FormatError
from .layout import FROM_ONNX, rows
from .operators import dequantize

if TYPE_CHECKING:
    from .._types import Array


def dequantized(
    W: Array | None,
    R: Array | None,
    W_scale: Array | None,
    W_zero_point: Array | None,
    R_scale: Array | None,
    R_zero_point: Array | None,
) -> tuple[Array, Array]:
    """Convert 8-bit W and R of a DynamicQuantizeLSTM, (D, I, 4H), to the layout of an LSTM, (D, 4H, I).

    Scales and zero points have the shape (D,) or (D, 4H).
    """
    return _dequantized("W", W, W_scale, W_zero_point), _dequantized("R", R, R_scale, R_zero_point)


def _dequantized(name: str, array: Array | None, scale: Array | None, zero_point: Array | None) -> Array:
    if array is None or scale is None:
        raise FormatError(f"inputs {name} and {name}_scale are needed")
    shapes = () if array.ndim != 3 else ((array.shape[0],), (array.shape[0], array.shape[2]))
    if scale.shape not in shapes or (zero_point is not None and zero_point.shape != scale.shape):
        raise FormatError(
            f"{name} must have 3 axes, {name}_scale shape (D,) or (D, 4H), {name}_zero_point the same, got "
            f"{array.shape}, {scale.shape} and {None if zero_point is None else zero_point.shape}"
        )
    zeros = [None] * len(array) if zero_point is None else zero_point
    try:
        return np.stack([dequantize(array[d].T, scale[d], zeros[d], 0) for d in range(len(array))])
    except ValueError as error:
        raise FormatError(f"{name}: {error}") from None


def exact_rows(integers: Array, scale: Array, zero_point: Array | None) -> list[tuple[Array, Array, Array]]:
    """For each direction of W or R: which of our rows int8 represents exactly, these rows, and their scales.

    A row with a zero point may have integers from -255 to 255, which int8 can only approximate.
    """
    result = []
    for d, of_direction in enumerate(integers):
        zero = 0 if zero_point is None else zero_point[d].astype(np.int64)
        whole = rows((of_direction.astype(np.int64) - zero).T, 4, FROM_ONNX[4])
        scales = rows(np.broadcast_to(scale[d].astype(np.float32), len(whole)), 4, FROM_ONNX[4])
        is_exact = np.asarray((np.abs(whole) <= 127).all(axis=1))
        result.append((is_exact, whole[is_exact].astype(np.int8), scales[is_exact]))
    return result
