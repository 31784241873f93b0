"""The operators that exporters put between a file's constants and its LSTM nodes, in every version that ONNX has of them.

Each takes the inputs (arrays, None for what is left out), the attributes by name and the Allowance of bytes, and returns one
array, or a tuple. What makes more than its inputs hold spends before it allocates; constant values are spent by the caller.
"""

import numpy as np

from .._errors import FormatError
from .tensors import numpy_dtype


class Unfit(Exception):
    """The operator does not give a constant here."""


def _given(inputs, k, attributes, name, default=None):
    """Input k, which older versions have as an attribute; integers as a list."""
    if len(inputs) > k and inputs[k] is not None:
        return [int(value) for value in inputs[k].ravel()] if inputs[k].size <= 64 else _too_many(name)
    return attributes.get(name, default)


def _too_many(name):
    raise FormatError(f"{name} must have at most 64 numbers")


def unsqueeze(inputs, attributes, allowance):
    return np.expand_dims(inputs[0], tuple(_given(inputs, 1, attributes, "axes", ())))


def squeeze(inputs, attributes, allowance):
    axes = _given(inputs, 1, attributes, "axes")
    return np.squeeze(inputs[0], None if axes is None else tuple(axes))


def reshape(inputs, attributes, allowance):
    shape = _given(inputs, 1, attributes, "shape", ())
    if not attributes.get("allowzero", 0):
        shape = [inputs[0].shape[k] if size == 0 else size for k, size in enumerate(shape)]
    return inputs[0].reshape(shape)


def flatten(inputs, attributes, allowance):
    axis = (
        attributes.get("axis", 1) % (inputs[0].ndim + 1) if attributes.get("axis", 1) < 0 else attributes.get("axis", 1)
    )
    return inputs[0].reshape(int(np.prod(inputs[0].shape[:axis], dtype=np.int64)), -1)


def transpose(inputs, attributes, allowance):
    return inputs[0].transpose(attributes.get("perm"))


def concat(inputs, attributes, allowance):
    allowance.spend((sum(array.size for array in inputs),), inputs[0].dtype)
    return np.concatenate(inputs, attributes.get("axis", 1))


def slice_(inputs, attributes, allowance):
    starts, ends = (_given(inputs, k, attributes, name, ()) for k, name in ((1, "starts"), (2, "ends")))
    axes = _given(inputs, 3, attributes, "axes", range(len(starts)))
    steps = _given(inputs, 4, attributes, "steps", [1] * len(starts))
    index = [slice(None)] * inputs[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # An end before the first element, as in a slice that runs backwards, is None to Python.
        index[axis] = slice(start, None if step < 0 and end < -inputs[0].shape[axis] else end, step)
    return inputs[0][tuple(index)]


def split(inputs, attributes, allowance):
    axis = attributes.get("axis", 0)
    sizes = _given(inputs, 1, attributes, "split")
    if sizes is None:
        n, n_outputs = inputs[0].shape[axis], attributes["n_outputs"]
        size = -(-n // n_outputs)
        sizes = [min(size, n - k * size) for k in range(n_outputs)]
    if min(sizes) < 0 or sum(sizes) != inputs[0].shape[axis]:
        raise ValueError(f"split must add up to {inputs[0].shape[axis]}, got {sizes}")
    return tuple(np.split(inputs[0], np.cumsum(sizes)[:-1], axis))


def gather(inputs, attributes, allowance):
    data, indices = inputs
    axis = attributes.get("axis", 0) % data.ndim
    allowance.spend((*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]), data.dtype)
    return np.take(data, indices, axis)


def shape(inputs, attributes, allowance):
    return np.array(inputs[0].shape[attributes.get("start", 0) : attributes.get("end")], np.int64)


def constant_of_shape(inputs, attributes, allowance):
    value = attributes.get("value", np.zeros(1, np.float32))
    sizes = _given(inputs, 0, attributes, "shape")
    allowance.spend(sizes, value.dtype)
    return np.full(sizes, value.reshape(()))


def expand(inputs, attributes, allowance):
    sizes = np.broadcast_shapes(inputs[0].shape, tuple(_given(inputs, 1, attributes, "shape")))
    allowance.spend(sizes, inputs[0].dtype)
    return np.broadcast_to(inputs[0], sizes)


def cast(inputs, attributes, allowance):
    to = attributes["to"]
    dtype = np.dtype(to.lower() if isinstance(to, str) else numpy_dtype(to))  # a name in version 1
    if dtype.kind not in "biufV":
        raise ValueError(f"to must be a type of numbers, got {to}")
    allowance.spend(inputs[0].shape, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return inputs[0].astype(dtype)


def dequantize(quantized, scale, zero_point, axis):
    """(quantized - zero_point) * scale; scale and zero_point are one number or one for each place on the axis."""
    if scale.ndim > 1 or (scale.ndim == 1 and scale.size not in (1, quantized.shape[axis])):
        raise ValueError(f"x_scale must be one number or one for each place on axis {axis}, got {scale.shape}")
    along = [1] * quantized.ndim
    if scale.size > 1:
        along[axis] = scale.size
    if quantized.dtype.kind not in "iu" or quantized.dtype.itemsize > 4:
        raise ValueError(f"x must be an integer type, got {quantized.dtype}")
    whole = quantized.astype(np.int64)
    if zero_point is not None:
        if zero_point.size != scale.size:
            raise ValueError(f"x_zero_point must have the size of x_scale, {scale.size}, got {zero_point.size}")
        whole = whole - zero_point.astype(np.int64).reshape(along)
    dtype = np.float64 if scale.dtype == np.float64 else np.float32
    return whole.astype(dtype) * scale.astype(dtype).reshape(along)


def dequantize_linear(inputs, attributes, allowance):
    if attributes.get("block_size", 0):
        raise FormatError("DequantizeLinear: block_size is not supported")
    allowance.spend(inputs[0].shape, np.float64)
    return dequantize(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None, attributes.get("axis", 1))


def dropout(inputs, attributes, allowance):
    if len(inputs) > 2 and inputs[2] is not None and inputs[2].any():
        raise Unfit
    return inputs[0]


def elementwise(function):
    def run(inputs, attributes, allowance):
        allowance.spend(np.broadcast_shapes(*(array.shape for array in inputs)), inputs[0].dtype)
        with np.errstate(all="ignore"):
            result = function(*inputs)
        return result.astype(inputs[0].dtype, copy=False)

    return run


OPERATORS = {
    "Identity": lambda inputs, attributes, allowance: inputs[0],
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
