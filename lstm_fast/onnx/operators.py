"""The operators that exporters put between a file's constants and its LSTM nodes, in all their versions.

Each takes the inputs (arrays, None for absent ones), the attributes by name and the Allowance of bytes, and returns one
array or a tuple. An operator whose result is larger than its inputs spends its size before allocating.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from .._errors import FormatError
from .tensors import Allowance, numpy_dtype

if TYPE_CHECKING:
    from .._types import Array

Inputs: TypeAlias = Sequence[Any]  # arrays, or None
Attributes: TypeAlias = dict[str, Any]
Operator: TypeAlias = "Callable[[Inputs, Attributes, Allowance], Array | tuple[Array, ...]]"

MAX_AXES = 64  # NumPy's limit; integers in an input are sizes or axes


class NotConstantHere(Exception):
    """The operator's result is not constant."""


def _given(inputs: Inputs, k: int, attributes: Attributes, name: str, default: Any = None) -> Any:
    """Return the integers of input k, which is an attribute in older versions."""
    if len(inputs) > k and inputs[k] is not None:
        return (
            [int(value) for value in inputs[k].ravel()]
            if inputs[k].size <= MAX_AXES
            else _raise_too_many(name, inputs[k].size)
        )
    return attributes.get(name, default)


def _raise_too_many(name: str, n: int) -> NoReturn:
    raise FormatError(f"{name} must have at most {MAX_AXES} numbers, got {n}")


def identity(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    result: Array = inputs[0]
    return result


def unsqueeze(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    return np.expand_dims(inputs[0], tuple(_given(inputs, 1, attributes, "axes", ())))


def squeeze(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    axes = _given(inputs, 1, attributes, "axes")
    result: Array = np.squeeze(inputs[0], None if axes is None else tuple(axes))
    return result


def reshape(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    shape = _given(inputs, 1, attributes, "shape", ())
    if not attributes.get("allowzero", 0):
        shape = [inputs[0].shape[k] if size == 0 else size for k, size in enumerate(shape)]
    return np.reshape(inputs[0], shape)


def flatten(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    axis = attributes.get("axis", 1)
    axis = axis % (inputs[0].ndim + 1) if axis < 0 else axis
    return np.reshape(inputs[0], (int(np.prod(inputs[0].shape[:axis], dtype=np.int64)), -1))


def transpose(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    return np.transpose(inputs[0], attributes.get("perm"))


def concat(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    allowance.spend((sum(array.size for array in inputs),), inputs[0].dtype)
    return np.concatenate(inputs, attributes.get("axis", 1))


def slice_(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    starts, ends = (_given(inputs, k, attributes, name, ()) for k, name in ((1, "starts"), (2, "ends")))
    axes = _given(inputs, 3, attributes, "axes", range(len(starts)))
    steps = _given(inputs, 4, attributes, "steps", [1] * len(starts))
    index = [slice(None)] * inputs[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # In Python, a backward slice up to and including the first element ends at None.
        index[axis] = slice(start, None if step < 0 and end < -inputs[0].shape[axis] else end, step)
    result: Array = inputs[0][tuple(index)]
    return result


def split(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> tuple[Array, ...]:
    axis = attributes.get("axis", 0)
    sizes = _given(inputs, 1, attributes, "split")
    if sizes is None:
        n, n_outputs = inputs[0].shape[axis], attributes["n_outputs"]
        size = -(-n // n_outputs)
        sizes = [min(size, n - k * size) for k in range(n_outputs)]
    if min(sizes) < 0 or sum(sizes) != inputs[0].shape[axis]:
        raise ValueError(f"split must add up to {inputs[0].shape[axis]}, got {sizes}")
    return tuple(np.split(inputs[0], np.cumsum(sizes)[:-1], axis))


def gather(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    data, indices = inputs
    axis = attributes.get("axis", 0) % data.ndim
    allowance.spend((*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]), data.dtype)
    result: Array = np.take(data, indices, axis)
    return result


def shape(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    return np.array(inputs[0].shape[attributes.get("start", 0) : attributes.get("end")], np.int64)


def constant_of_shape(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    value = attributes.get("value", np.zeros(1, np.float32))
    sizes = _given(inputs, 0, attributes, "shape")
    allowance.spend(sizes, value.dtype)
    return np.full(sizes, value.reshape(()))


def expand(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    sizes = np.broadcast_shapes(inputs[0].shape, tuple(_given(inputs, 1, attributes, "shape")))
    allowance.spend(sizes, inputs[0].dtype)
    return np.broadcast_to(inputs[0], sizes)


def cast(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    to = attributes["to"]
    dtype = np.dtype(to.lower()) if isinstance(to, str) else numpy_dtype(to)  # a name in version 1
    if dtype.kind not in "biufV":
        raise ValueError(f"to must be a type of numbers, got {to}")
    allowance.spend(inputs[0].shape, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = inputs[0].astype(dtype)
    return result


def dequantize(quantized: Array, scale: Array, zero_point: Array | None, axis: int) -> Array:
    """Return (quantized - zero_point) * scale; scale and zero_point are one number or one per position on the axis."""
    if scale.ndim > 1 or (scale.ndim == 1 and scale.size not in (1, quantized.shape[axis])):
        raise ValueError(f"x_scale must be one number or one for each position on axis {axis}, got {scale.shape}")
    along = [1] * quantized.ndim
    if scale.size > 1:
        along[axis] = scale.size
    if quantized.dtype.kind not in "iu" or quantized.dtype.itemsize > 4:
        raise ValueError(f"x must be an integer type, got {quantized.dtype}")
    whole: Any = quantized.astype(np.int64)
    if zero_point is not None:
        if zero_point.size != scale.size:
            raise ValueError(f"x_zero_point must have the size of x_scale, {scale.size}, got {zero_point.size}")
        whole = whole - zero_point.astype(np.int64).reshape(along)
    dtype = np.float64 if scale.dtype == np.float64 else np.float32
    result: Array = whole.astype(dtype) * np.asarray(scale, dtype).reshape(along)
    return result


def dequantize_linear(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    if attributes.get("block_size", 0):
        raise FormatError("DequantizeLinear: block_size is not supported")
    allowance.spend(inputs[0].shape, np.float64)
    return dequantize(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None, attributes.get("axis", 1))


def dropout(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
    if len(inputs) > 2 and inputs[2] is not None and inputs[2].any():
        raise NotConstantHere  # training mode
    return identity(inputs, attributes, allowance)


def elementwise(function: Callable[..., Any]) -> Operator:
    """Return the operator of a NumPy function."""

    def run(inputs: Inputs, attributes: Attributes, allowance: Allowance) -> Array:
        allowance.spend(np.broadcast_shapes(*(array.shape for array in inputs)), inputs[0].dtype)
        with np.errstate(all="ignore"):
            result: Array = function(*inputs)
        return result.astype(inputs[0].dtype, copy=False)

    return run


OPERATORS: dict[str, Operator] = {
    "Identity": identity,
    "Unsqueeze": unsqueeze,
    "Squeeze": squeeze,
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Concat": concat,
    "Slice": slice_,
    "Split": split,
    "Gather": gather,
    "Shape": shape,
    "ConstantOfShape": constant_of_shape,
    "Expand": expand,
    "Cast": cast,
    "DequantizeLinear": dequantize_linear,
    "Dropout": dropout,
    "Add": elementwise(np.add),
    "Sub": elementwise(np.subtract),
    "Mul": elementwise(np.multiply),
    "Neg": elementwise(np.negative),
}
