"""Float32 arithmetic with the rounding of the kernels: operations rounded once, to nearest even, without subnormals.

NumPy has no fused multiply-add, and it keeps subnormals. The functions here return exactly the results of the
instructions with flush-to-zero (results) and denormals-are-zero (operands). They work in float64, which represents the
product of two float32 numbers exactly, and are slow.
"""

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array

SMALLEST = 2.0**-126  # the smallest normal float32
# Numbers from here on round to SMALLEST or more, with 24 bits and an unbounded exponent.
SMALLEST_ROUNDED_UP = SMALLEST * (1 - 2.0**-25)


def flush(z: ArrayLike) -> Array:
    """Return z as float32, with a signed zero in place of each subnormal number."""
    narrow = np.asarray(z, np.float32)
    return np.where(np.abs(narrow) < np.float32(SMALLEST), np.copysign(np.float32(0), narrow), narrow)


def fma(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
    """Return a * b + c, rounded once."""
    return _narrow(_add_to_odd(_product(a, b), _wide(c)))


def multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a * b."""
    return _narrow(_product(a, b))


def add(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a + b."""
    return _narrow(_add_to_odd(_wide(a), _wide(b)))


def subtract(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a - b."""
    return _narrow(_add_to_odd(_wide(a), -_wide(b)))


def divide(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a / b."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Rounding the quotient first to 53 bits is harmless: that is more than 2 * 24 + 1 of them (Figueroa 1995).
        return _narrow(_wide(a) / _wide(b))


def square_root(a: ArrayLike) -> Array:
    """Return the square root of a."""
    return flush(np.sqrt(flush(a)))


def _wide(z: ArrayLike) -> Array:
    return flush(z).astype(np.float64)


def _product(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a * b in float64, exact: 24 + 24 bits."""
    with np.errstate(invalid="ignore"):
        product: Array = _wide(a) * _wide(b)
    return product


def _narrow(z: Array) -> Array:
    """Round float64 to float32; to zero if it is subnormal after rounding with an unbounded exponent."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = z.astype(np.float32)
    return np.where(np.abs(z) < SMALLEST_ROUNDED_UP, np.copysign(np.float32(0), narrow), narrow)


def _add_to_odd(p: Array, c: Array) -> Array:
    """Return p + c in float64, rounded to odd: of the two neighbors of an inexact sum, the one whose last bit is 1.

    Rounding a sum to nearest in float64 and then to nearest in float32 gives a wrong result if the first rounding
    produces a tie for the second. The odd last bit records that the sum was inexact, and in which direction; with two
    spare bits (53 >= 24 + 2), rounding it again is equivalent to rounding once (Boldo & Melquiond 2008).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = p + c
        from_c = total - p
        error = (p - (total - from_c)) + (c - from_c)  # exact (Knuth's TwoSum); NaN where the sum is not finite
    is_even = np.ascontiguousarray(total).view(np.int64) & 1 == 0
    neighbor = np.nextafter(total, np.copysign(np.inf, error))
    return np.where((np.abs(error) > 0) & is_even, neighbor, total)
