"""Validation of arguments and conversion to arrays. Errors name the argument, the expected value and the given one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import _core

if TYPE_CHECKING:
    from ._types import Array, DType

T = TypeVar("T")
LARGEST_SIZE = _core.LARGEST_SIZE  # memory ends long before
FLOAT32: DType = np.dtype(np.float32)


def unchecked(name: str, value: Any) -> Any:
    """Accept any value: it is validated where it is used."""
    return value


def positive_integer(name: str, value: Any, most: float = LARGEST_SIZE) -> int:
    """Validate an integer from 1 to most."""
    is_integer = type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))
    if not is_integer or int(value) < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    if int(value) > most:
        raise ValueError(f"{name} must be at most {most}, got {value!r}")
    return int(value)


def number_of_layers(name: str, value: Any) -> int:
    """Validate an integer from 1 to 10,000."""
    return positive_integer(name, value, most=10_000)


def probability(name: str, value: Any) -> float:
    """Validate a number from 0 to 1."""
    is_real = type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))
    if not is_real or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Validate a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def seeded(make: Callable[[Any], T], seed: Any) -> T:
    """Return make(seed), a generator or a sequence of seeds of NumPy."""
    try:
        return make(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed must be a non-negative integer or None, got {seed!r} ({error})") from None


def floating_dtype(name: str, value: Any) -> DType:
    """Validate float32 or float64; return the native dtype."""
    if value is np.float32:
        return FLOAT32  # fast path: the default of every constructor
    try:
        dtype: DType | None = None if value is None else np.dtype(value).newbyteorder("=")
    except TypeError:
        dtype = None
    if dtype is None or dtype not in (np.float32, np.float64):  # (None == float64 to NumPy)
        raise ValueError(f"{name} must be float32 or float64, got {value!r}")
    return np.dtype(dtype.name)  # the singleton, which real_array compares by identity


def reject_masked(name: str, value: Any) -> None:
    """Raise for a masked array, or a list of them: NumPy would silently drop the mask."""
    # Not imported, or still being imported by another thread: no masked array exists.
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    kinds = {type(value), *map(type, value)} if isinstance(value, (list, tuple)) else {type(value)}
    if masked is not None and any(issubclass(kind, masked) for kind in kinds):
        raise TypeError(f"{name} must be a plain array, got a masked array: fill it first")


def array_of(name: str, value: Any, what: str = "numbers") -> Array:
    """Convert a value to an array of any dtype, without a copy if it is one."""
    reject_masked(name, value)
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:  # RuntimeError: a PyTorch tensor that requires grad
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} must be an array of {what}, got {type(value).__name__} ({error})") from None


def real_array(name: str, value: Any, dtype: DType) -> Array:
    """Convert a value to a native, aligned array of this dtype, with any strides; a copy only if necessary."""
    if type(value) is np.ndarray and value.dtype is dtype and value.flags.aligned:
        return value  # fast path: ten times cheaper than the checks below
    array = array_of(name, value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype} ({type(value).__name__})")
    if array.dtype != dtype or not array.dtype.isnative or not array.flags.aligned:
        # A value that overflows the dtype becomes infinite, as in every conversion of NumPy's.
        with np.errstate(over="ignore"):
            array = array.astype(dtype)
    return array


def integer_array(name: str, value: Any) -> Array:
    """Convert a value to a new array of int64; values beyond its range become its limit."""
    array = array_of(name, value, "integers")
    if array.dtype.kind not in "iu" and (array.size or array.dtype.kind != "f"):  # NumPy's dtype of [] is float64
        raise TypeError(f"{name} must hold integers with index_input, got dtype {array.dtype} ({type(value).__name__})")
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
    return np.array(array, np.int64, order="C")


def reject_bits(name: str, value: Any) -> None:
    """Raise for an array of uint16: a QuantizedLSTM stores the bits of bfloat16 in it."""
    if getattr(value, "dtype", None) == np.uint16:
        raise TypeError(
            f"{name} must hold numbers, got uint16, the bits of bfloat16: use the parameters of network.dequantized(), "
            "or lf.reference.from_bfloat16"
        )


def shaped(name: str, array: Array, shape: tuple[int, ...], words: str) -> Array:
    """Validate the shape of an array; `words` names the axes, as in "(T, B, I)"."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {words} = {shape}, got {array.shape}")
    return array


def sequence(array: Array) -> Array:
    """Return an array (T, B, n) that the kernels can read (last axis contiguous, strides aligned), or a copy."""
    if array.flags.c_contiguous:
        return array
    size, (T, B, n) = array.dtype.itemsize, array.shape
    step, row, element = array.strides
    # The stride of an axis of length 1 is never used.
    if (n > 1 and element != size) or (T > 1 and step % size) or (B > 1 and row % size):
        return np.ascontiguousarray(array)
    return array


def order_of_lengths(value: Any, T: int, B: int) -> tuple[Array, Array] | None:
    """Convert lengths to (lengths, rows) for the core: in descending order, with their rows; None if all are T."""
    if value is None:
        return None
    lengths = array_of("lengths", value, "integers")
    if (lengths.shape != (B,) or lengths.dtype.kind not in "iu") and (lengths.size or B):
        raise ValueError(f"lengths must be integers of shape (B,) = ({B},), got {lengths.dtype} {lengths.shape}")
    if B == 0:
        return None
    try:
        longest_first, rows = _core.sort_lengths(lengths.astype(np.int64), T)
    except ValueError:
        wrong = lengths[(lengths < 0) | (lengths > T)][0]
        raise ValueError(f"lengths must be from 0 to T = {T}, got {wrong}") from None
    return None if longest_first[-1] == T else (longest_first, rows)
