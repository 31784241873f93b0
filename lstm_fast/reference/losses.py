"""Sums, exp, log and the losses built on them: the bits of training outside the network, in float64.

Only operations of IEEE arithmetic occur here, which NumPy rounds in the same way everywhere, no functions like np.exp,
whose last bit depends on the version of NumPy and on the processor. The core computes the same bits.
"""

import numpy as np

from ._types import Array

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
LOG2_E = float.fromhex("0x1.71547652b82fep+0")
EXP_LEAST = -600.0  # exp is 0 below: no number here is subnormal
# P in exp(r) = 1 + r + r^2 P(r), highest power first
EXP_COEFFICIENTS = [
    float.fromhex("0x1.1f730349868cep-29"),
    float.fromhex("0x1.af4de97ca4194p-26"),
    float.fromhex("0x1.27e4db646b17ep-22"),
    float.fromhex("0x1.71de0231960ebp-19"),
    float.fromhex("0x1.a01a01a6d889cp-16"),
    float.fromhex("0x1.a01a01abe7fe1p-13"),
    float.fromhex("0x1.6c16c16c162d4p-10"),
    float.fromhex("0x1.11111111100dcp-7"),
    float.fromhex("0x1.5555555555556p-5"),
    float.fromhex("0x1.5555555555557p-3"),
    0.5,
]
BITS_OF_ROOT_HALF = 0x3FE6A09E << 32  # the upper half of the bits of sqrt(1/2)


def fixed_sum(values: Array) -> float:
    """Sum of values (n,): halves down to at most 128 numbers, in which every eighth number belongs to one of 8 sums."""
    n = len(values)
    if n > 128:
        half = n // 2 - n // 2 % 8
        return fixed_sum(values[:half]) + fixed_sum(values[half:])
    total, begin = 0.0, n - n % 8 if n >= 8 else 0
    if begin:
        s = [0.0] * 8
        for j in range(8):
            s[j] = float(values[j])
            for value in values[j + 8 : begin : 8]:
                s[j] += float(value)
        total = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
    for value in values[begin:]:
        total += float(value)
    return total


def row_sums(values: Array) -> Array:
    """Sums of the rows of values (n, m)."""
    return np.array([fixed_sum(row) for row in values], np.float64)


def exp_of_negative(x: Array) -> Array:
    """Return exp(x) for x <= 0: with x = n ln 2 + r, 2^n (1 + r + r^2 P(r))."""
    with np.errstate(invalid="ignore"):
        inside = np.where(x < EXP_LEAST, EXP_LEAST, x)  # the others are 0
    shift = 1.5 * 2.0**52  # adding it rounds to an integer
    n = (inside * LOG2_E + shift) - shift
    r = (inside - n * LN2_HIGH) - n * LN2_LOW
    p = np.full_like(r, EXP_COEFFICIENTS[0])
    for coefficient in EXP_COEFFICIENTS[1:]:
        p = p * r + coefficient
    scale = np.ldexp(1.0, np.where(np.isnan(n), 0, n).astype(np.int64))
    return np.where(x < EXP_LEAST, 0.0, scale + scale * (r + r * r * p))


def log_from_one(x: Array) -> Array:
    """Compute log(x), x >= 1: x = 2^k (1 + f), 1 + f from sqrt(1/2) to sqrt(2), k ln 2 + 2 atanh(f / (2 + f))."""
    is_nan = np.isnan(x)
    bits = np.where(is_nan, 1.0, x).view(np.int64)
    k = (bits - BITS_OF_ROOT_HALF) >> 52
    f = (bits - (k << 52)).view(np.float64) - 1
    s, half, series = f / (2 + f), f * f / 2, np.zeros_like(f)
    for j in range(23, 1, -2):
        series = (series + 2.0 / j) * (s * s)
    with np.errstate(invalid="ignore"):
        infinite: Array = k * LN2_HIGH - ((half - (s * (half + series) + k * LN2_LOW)) - f) + (x - x)
    return infinite


def log1p_to_one(x: Array) -> Array:
    """Return log(1 + x) for x between 0 and 1."""
    y = 1 + x
    logarithm: Array = log_from_one(y) + (x - (y - 1)) / y
    return logarithm


def cross_entropy(p: Array, y: Array) -> tuple[Array, Array]:
    """Return -log softmax(p)[y] of rows p (n, C) and classes y (n,), and its gradient (n, C)."""
    most = p.max(axis=1, keepdims=True)
    e = exp_of_negative(p - most)
    total, rows = row_sums(e), np.arange(len(p))
    gradient = e / total[:, None]
    gradient[rows, y] -= 1
    return log_from_one(total) - (p - most)[rows, y], gradient


def binary_cross_entropy(p: Array, y: Array) -> tuple[Array, Array]:
    """Return -y log sigmoid(p) - (1 - y) log(1 - sigmoid(p)) of each number of p, and its derivative."""
    e = exp_of_negative(-np.abs(p))
    loss = np.maximum(p, 0) - y * p + log1p_to_one(e)
    return loss, np.where(p >= 0, 1, e) / (1 + e) - y
