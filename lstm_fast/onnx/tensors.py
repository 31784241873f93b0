"""Tensors of an ONNX file as NumPy arrays. Sizes are checked against the data before anything is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .._errors import FormatError

if TYPE_CHECKING:
    from .._types import Array, DType, DTypeLike

# Bytes that may be allocated while evaluating constants (Expand, Cast, ...): a multiple of the file size, plus a
# constant.
MAX_GROWTH, FREE_BYTES = 32, 64 << 20


def to_array(tensor: TensorProto, folder: Path | None = None) -> Array:
    """Return the array of a tensor. folder: directory of external data; None: not allowed."""
    name = tensor.name or "a constant"
    if any(size < 0 for size in tensor.dims):
        raise FormatError(f"tensor {name} must have nonnegative sizes, got {list(tensor.dims)}")
    if tensor.data_type in (TensorProto.UNDEFINED, TensorProto.STRING) or tensor.HasField("segment"):
        raise FormatError(f"tensor {name} must hold numbers, got data_type {tensor.data_type}")
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor = with_external_data(tensor, folder)
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # onnx may raise any exception for a damaged tensor
        raise FormatError(f"tensor {name} of sizes {list(tensor.dims)} does not fit its data: {error}") from None
    if array.shape != tuple(tensor.dims):
        raise FormatError(f"tensor {name} must have sizes {list(tensor.dims)}, got data of sizes {list(array.shape)}")
    return array


def with_external_data(tensor: TensorProto, folder: Path | None) -> TensorProto:
    """Return a copy of the tensor with the bytes of its file, which must be a regular file in or below the folder."""
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
        n = math.prod(tensor.dims) * numpy_dtype(tensor.data_type).itemsize
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


def numpy_dtype(data_type: int) -> DType:
    """Return the NumPy dtype for an ONNX type code."""
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(cast(Any, data_type)))
    except KeyError:
        raise FormatError(f"data_type {data_type} is not defined by ONNX") from None


class Allowance:
    """Bytes that may still be allocated for a file of n_bytes; without a limit, a small file could exhaust memory."""

    def __init__(self, n_bytes: int) -> None:
        self.left = FREE_BYTES + MAX_GROWTH * n_bytes

    def spend(self, shape: Iterable[int], dtype: DTypeLike) -> None:
        """Raises FormatError if an array of this shape would exceed the allowance."""
        sizes = [int(size) for size in shape]
        self.left -= math.prod(sizes) * np.dtype(dtype).itemsize
        if self.left < 0:
            raise FormatError(f"constants of sizes {sizes} are much larger than the file")
