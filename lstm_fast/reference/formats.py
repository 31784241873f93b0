"""Low-precision formats: rounding, and products of numbers in them.

    bfloat16    the upper half of a float32: 8 bits of exponent, 8 of precision. A sum over k is one chain of
                float32 fused multiply-adds. Terms are added in pairs, in order of their index k, the term with odd
                index first, like the instruction VDPBF16PS. In bfloat16_amx, a sum adds blocks of AMX_BLOCK terms, like
                TDPBF16PS: each is the sum of two chains from zero, one over the terms with even index and one over
                those with odd index.
    int8        integers from -127 to 127, with a float32 scale for each row of a matrix and for each vector that is
                multiplied by it. A sum is an exact integer, so its order does not matter. A vector that contains a NaN,
                which integers cannot represent, makes all its sums NaN.

Float32 sums, as in the first layer of an int8 network, add blocks of SUM_BLOCK terms to the start value.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array
from .float32 import add, divide, flush, fma, multiply

AMX_BLOCK = 32  # terms of a block of a sum of the instruction TDPBF16PS
LARGEST = 127  # largest absolute value of an int8
LARGEST_INT16 = 127 * 256  # so that its upper part is LARGEST
SUM_BLOCK = 64  # terms of a block of a float32 sum
SMALLEST_INPUTS = 2.0**-100  # vectors of smaller numbers are zero in int8, since 127 / a could overflow

# ---- bfloat16 --------------------------------------------------------------------------------------------------------


def to_bfloat16(z: ArrayLike) -> Array:
    """Round to bfloat16: to nearest, ties to even.

    Parameters
    ----------
    z : array_like
        Converted to float32 first. Subnormal numbers become zero with the same sign; NaN stays NaN.

    Returns
    -------
    ndarray of uint16
        The upper halves of the rounded float32 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> bits = reference.to_bfloat16([1.0, 1.00390625, 1.01171875])  # 1, 1 + 2^-8, 1 + 3 * 2^-8
    >>> bits
    array([16256, 16256, 16258], dtype=uint16)
    >>> reference.from_bfloat16(bits)
    array([1.      , 1.      , 1.015625], dtype=float32)
    """
    bits = np.ascontiguousarray(flush(np.asarray(z, np.float32))).view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16  # the carry rounds up; ties only if the last bit is 1
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000  # the carry could turn a NaN into infinity or 0
    return np.where(is_nan, bits >> 16 | 0x40, rounded).astype(np.uint16).reshape(np.shape(z))


def from_bfloat16(bits: ArrayLike) -> Array:
    """Widen bfloat16 to float32, which is exact.

    Parameters
    ----------
    bits : array_like of uint16
        From `to_bfloat16`.

    Returns
    -------
    ndarray of float32
        The numbers in float32.

    Examples
    --------
    >>> from lstm_fast import reference
    >>> reference.from_bfloat16([0x3F80, 0xC000])
    array([ 1., -2.], dtype=float32)
    """
    return (np.asarray(bits, np.uint16).astype(np.uint32) << 16).view(np.float32)


def round_bfloat16(z: ArrayLike) -> Array:
    """Round to the nearest bfloat16 number, returned as float32.

    Parameters
    ----------
    z : array_like
        As for `to_bfloat16`.

    Returns
    -------
    ndarray of float32
        The rounded numbers.

    Examples
    --------
    >>> from lstm_fast import reference
    >>> reference.round_bfloat16(0.1).item()
    0.10009765625
    """
    return from_bfloat16(to_bfloat16(z))


def product_bfloat16(weight: Array, start: Array, x: Array) -> Array:
    """Return start + x W^T in bfloat16, x (B,K) and W (N,K): each sum is one chain, terms with odd index first."""
    x, weight = _in_pairs(x), _in_pairs(weight)
    order = np.arange(x.shape[1]).reshape(-1, 2)[:, ::-1].ravel()  # 1, 0, 3, 2, ...
    return chain(start, x, weight, order)


def product_bfloat16_amx(weight: Array, start: Array, x: Array) -> Array:
    """Return start + x W^T as above, but sum blocks of terms: one chain for even, one for odd index per block."""
    x, weight = _in_pairs(x), _in_pairs(weight)
    total, zero = np.broadcast_to(flush(start), (len(x), len(weight))), np.zeros(1, np.float32)
    for begin in range(0, x.shape[1], AMX_BLOCK):
        block = np.arange(begin, min(begin + AMX_BLOCK, x.shape[1]))
        total = add(total, add(chain(zero, x, weight, block[::2]), chain(zero, x, weight, block[1::2])))
    return total


PRODUCTS = {"bfloat16": product_bfloat16, "bfloat16_amx": product_bfloat16_amx}


def _in_pairs(matrix: Array) -> Array:
    """Return a matrix rounded to bfloat16, with a zero after an odd number of columns."""
    return np.pad(round_bfloat16(matrix), ((0, 0), (0, matrix.shape[1] % 2)))


# ---- float32 ---------------------------------------------------------------------------------------------------------


def product_float32(weight: Array, start: Array, x: Array) -> Array:
    """Return start + x W^T, x (B,K) and W (N,K): blocks of terms, each a chain from zero, added in order."""
    total = np.broadcast_to(flush(start), (len(x), len(weight)))
    for begin in range(0, x.shape[1], SUM_BLOCK):
        block = np.arange(begin, min(begin + SUM_BLOCK, x.shape[1]))
        total = add(total, chain(np.zeros(1, np.float32), x, weight, block))
    return total


def chain(start: Array, x: Array, weight: Array, order: Array) -> Array:
    """Return start + x W^T, where each sum is one chain of fused multiply-adds over k in the given order."""
    total = np.broadcast_to(flush(start), (len(x), len(weight)))
    for k in order:
        total = fma(x[:, k, None], weight[None, :, k], total)
    return total


# ---- int8 ------------------------------------------------------------------------------------------------------------


class QuantizedRows(NamedTuple):
    """A matrix in int8, from `quantize_rows`.

    Parameters
    ----------
    q : ndarray of int8, shape (N,K)
        From -127 to 127.
    scale : ndarray of float32, shape (N,)
        Scale of each row: the matrix is q * scale[:, None].

    Examples
    --------
    >>> from lstm_fast import reference
    >>> rows = reference.quantize_rows([[1.0, -0.5]])
    >>> rows.q * rows.scale[:, None]
    array([[ 1.      , -0.503937]], dtype=float32)
    """

    q: Array
    scale: Array


def quantize_rows(weight: ArrayLike) -> QuantizedRows:
    """Round a matrix to int8, with a scale for each row.

    The scale s is `max |w| / 127` over the row, computed in float64 and rounded to float32. If it would be subnormal, s
    and the row are 0. q is w / s, computed in float64 and rounded to nearest, ties to even.

    Parameters
    ----------
    weight : array_like of shape (N,K)
        Finite numbers.

    Returns
    -------
    QuantizedRows
        q and scale.

    Raises
    ------
    ValueError
        If a number is infinite or NaN.

    Examples
    --------
    >>> from lstm_fast import reference
    >>> reference.quantize_rows([[0.5, -1.27], [0.0, 0.0]]).q
    array([[  50, -127],
           [   0,    0]], dtype=int8)
    """
    weight = np.asarray(weight, np.float32).astype(np.float64)
    if not np.isfinite(weight).all():
        raise ValueError("`weight` must be finite to be stored as int8")
    scale = flush((np.abs(weight).max(axis=1, initial=0) / LARGEST).astype(np.float32))
    divisor = np.where(scale == 0, np.inf, scale.astype(np.float64))
    q = np.rint(weight / divisor[:, None]).clip(-LARGEST, LARGEST)
    return QuantizedRows(q.astype(np.int8), scale)


def quantize_hidden(h: ArrayLike) -> Array:
    """Round a hidden state, whose numbers lie within [-1, 1], to int8 with the scale 1/127.

    Parameters
    ----------
    h : array_like
        Numbers from -1 to 1. NaN becomes 0.

    Returns
    -------
    ndarray of int8
        127 h, computed in float32 and rounded to nearest, ties to even.

    Examples
    --------
    >>> from lstm_fast import reference
    >>> reference.quantize_hidden([1.0, -0.5, 0.001])
    array([127, -64,   0], dtype=int8)
    """
    return _integers(multiply(np.asarray(h, np.float32), np.float32(LARGEST)))


def quantize_inputs(x: ArrayLike, bits: int = 8) -> tuple[Array, Array]:
    """Round vectors to int8 or int16, each with its own scale, which does not depend on the other vectors.

    Parameters
    ----------
    x : array_like of shape (B,K)
        Input of one step.
    bits : {8, 16}, default 8
        The largest integer is 127, or 32512 = 127 * 256.

    Returns
    -------
    q : ndarray of int8 or int16, shape (B,K)
        x * r with r = largest / a and `a = max |x|` of the vector, both in float32; 0 if a is below 2^-100 or not
        finite.
    scale : ndarray of float32, shape (B,)
        a / largest; NaN if the vector is not finite.

    Examples
    --------
    >>> from lstm_fast import reference
    >>> q, scale = reference.quantize_inputs([[254.0, -127.0], [0.0, 0.0]])
    >>> q, scale
    (array([[127, -64],
           [  0,   0]], dtype=int8), array([2., 0.], dtype=float32))
    """
    most = np.float32(LARGEST_INT16 if bits == 16 else LARGEST)
    x = flush(np.asarray(x, np.float32))
    a = np.abs(x).max(axis=1, initial=0)
    is_scaled = (a >= SMALLEST_INPUTS) & (a < np.inf)
    r = np.where(is_scaled, divide(most, np.where(is_scaled, a, 1)), np.float32(0))
    scale = np.where(np.isfinite(a), divide(a, most), np.float32(np.nan))
    q = np.nan_to_num(np.rint(multiply(x, r[:, None])), nan=0)
    return q.astype(np.int16 if bits == 16 else np.int8), scale


def product_hidden(rows: QuantizedRows, start: Array, h: Array) -> Array:
    """Return start + h W^T for the hidden state of this layer or of the layer below."""
    scale = flush((rows.scale.astype(np.float64) / LARGEST).astype(np.float32))
    result = fma(_sum(quantize_hidden(h), rows.q), scale, start)
    return np.where(np.isnan(h).any(axis=1, keepdims=True), np.float32(np.nan), result)


def product_inputs(rows: QuantizedRows, start: Array, x: Array, bits: int = 8) -> Array:
    """Return start + x W^T for an 8-bit or 16-bit input of the first layer.

    With 16 bits, q = 256 upper + lower with lower from -128 to 127: each part has an exact sum.
    """
    q, scale = quantize_inputs(x, bits)
    if bits == 8:
        total = _sum(q, rows.q)
    else:
        upper = (q.astype(np.int32) + 128) >> 8
        total = fma(_sum(upper, rows.q), np.float32(256), _sum(q - 256 * upper, rows.q))
    return fma(multiply(total, rows.scale), scale[:, None], start)


def _integers(z: Array) -> Array:
    """Return z rounded to the nearest integers, ties to even, clamped to -127..127; NaN becomes 0."""
    q: Array = np.nan_to_num(np.rint(z), nan=0).clip(-LARGEST, LARGEST).astype(np.int8)
    return q


def _sum(x: Array, weight: Array) -> Array:
    """Return x W^T of integers, exact, then rounded to float32."""
    return (x.astype(np.int64) @ weight.astype(np.int64).T).astype(np.float32)
