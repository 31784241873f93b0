"""Tensors of an ONNX file as NumPy arrays. Nothing is allocated for sizes that a file only claims."""

import math
import os
from pathlib import Path

import numpy as np
from onnx import TensorProto, numpy_helper

from .._errors import FormatError

# Of whatever is made on the way to the weights (Expand, Cast ...), in bytes: so many times the file, and so many more.
LARGEST_GROWTH, LARGEST_START = 32, 64 << 20


def to_array(tensor, folder=None):
    """The array of a TensorProto. folder: where external data may lie; None: it is refused."""
    name = tensor.name or "a constant"
    if any(size < 0 for size in tensor.dims):
        raise FormatError(f"tensor {name} must have sizes of 0 or more, got {list(tensor.dims)}")
    if tensor.data_type in (TensorProto.UNDEFINED, TensorProto.STRING) or tensor.HasField("segment"):
        raise FormatError(f"tensor {name} must hold numbers, got data_type {tensor.data_type}")
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor = with_external_data(tensor, folder)
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # whatever onnx stumbles over in a damaged tensor
        raise FormatError(f"tensor {name} of sizes {list(tensor.dims)} does not fit its data: {error}") from None
    if array.shape != tuple(tensor.dims):
        raise FormatError(f"tensor {name} must have the sizes {list(tensor.dims)}, its data have {list(array.shape)}")
    return array


def with_external_data(tensor, folder):
    """A copy of the tensor with the bytes from its file, a plain one in the folder or below it."""
    if folder is None:
        raise FormatError(f"tensor {tensor.name} has its data in another file: pass external_data=True to read it")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = Path(folder, location)
    is_plain = location and not os.path.isabs(location) and ".." not in Path(location).parts and "\0" not in location
    if not is_plain or not path.resolve().is_relative_to(Path(folder).resolve()) or not path.is_file():
        raise FormatError(
            f"external data of tensor {tensor.name} must be a file in the model's folder, got {location!r}"
        )
    try:
        n = math.prod(tensor.dims) * np.dtype(numpy_dtype(tensor.data_type)).itemsize
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", n))
    except (TypeError, ValueError, KeyError) as error:
        raise FormatError(f"external data of tensor {tensor.name}: {error}") from None
    if offset < 0 or length != n or offset + n > path.stat().st_size:
        raise FormatError(
            f"external data of tensor {tensor.name} must be {n} bytes of {location!r}, got {length} from {offset}"
        )
    full = TensorProto(data_type=tensor.data_type, dims=tensor.dims, name=tensor.name)
    with open(path, "rb") as file:
        file.seek(offset)
        full.raw_data = file.read(n)
    return full


def numpy_dtype(data_type):
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        return tensor_dtype_to_np_dtype(data_type)
    except KeyError:
        raise FormatError(f"data_type {data_type} is none of ONNX's") from None


class Allowance:
    """Bytes that may still be made from a file of so many. A small file can ask for any number (Expand, ConstantOfShape)."""

    def __init__(self, n_bytes):
        self.left = LARGEST_START + LARGEST_GROWTH * n_bytes

    def spend(self, shape, dtype):
        self.left -= math.prod(map(int, shape)) * np.dtype(dtype).itemsize
        if self.left < 0:
            raise FormatError(f"constants of sizes {list(map(int, shape))} are much larger than the file")
