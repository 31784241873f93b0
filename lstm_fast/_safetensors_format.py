"""Reader and writer of the safetensors format: a length, a JSON header, the bytes of the tensors.

The library of that name does not return from a failed allocation: its reader raises a PanicException, which is no
Exception, its writer aborts or hangs (version 0.8 under RLIMIT_AS). Here it is a MemoryError. Everything is checked
against the number of bytes that there are before anything is allocated from it, and the reader is as strict as the
format's specification: tensors without gaps, overlaps or bytes after them, no name twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ._errors import FormatError

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}  # BF16 is the upper half of a float32
STORED = DTYPES | {"BF16": "<u2", "I8": "i1"}  # dtypes in files of quantized networks
CODES = {np.dtype(dtype): code for code, dtype in STORED.items()}
BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
HEADER_LIMIT = 100_000_000  # bytes, from the specification
AXES_LIMIT = 64  # as in a NumPy array


class Tensor(NamedTuple):
    """A tensor as it is stored. data has exactly the bytes of dtype and shape."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview

    def array(self, name: str) -> np.ndarray:
        """The numbers; float16 and bfloat16 widened to float32, which is exact."""
        if self.dtype == "BF16":
            return (np.frombuffer(self.data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        if self.dtype not in DTYPES:
            raise FormatError(f"{name} must be of type {', '.join(DTYPES)} or BF16, got {self.dtype}")
        array = np.frombuffer(self.data, DTYPES[self.dtype]).reshape(self.shape)
        return array.astype(np.float32) if array.dtype.itemsize < 4 else array

    def stored(self, name: str) -> np.ndarray:
        """The numbers in the type of the file; bfloat16 as uint16, which NumPy has."""
        if self.dtype not in STORED:
            raise FormatError(f"{name} must be of type {', '.join(STORED)}, got {self.dtype}")
        return np.frombuffer(self.data, STORED[self.dtype]).reshape(self.shape)


def parse(data: bytes) -> tuple[dict[str, Tensor], dict[str, str], memoryview]:
    """Tensors, metadata and header of the bytes of a file. ValueError if they are not of this format."""
    view = memoryview(data)
    n = int.from_bytes(view[:8], "little")
    if len(view) < 8 or n > len(view) - 8:
        raise ValueError(f"its header must lie within its {len(view)} bytes")
    if n > HEADER_LIMIT:
        raise ValueError(f"its header must have at most {HEADER_LIMIT} bytes, got {n}")
    header, body = view[8 : 8 + n], view[8 + n :]
    entries = _json_object(header)
    metadata = entries.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata must map names to strings")
    located = sorted((_located(name, entry) for name, entry in entries.items()), key=lambda one: one[3:])
    tensors, end = {}, 0
    for name, dtype, shape, begin, next_end in located:
        if begin != end or next_end > len(body):
            raise ValueError(f"{_short(name)} must start at byte {end} and end within {len(body)}, got {begin}")
        tensors[name], end = Tensor(dtype, shape, body[begin:next_end]), next_end
    if end != len(body):
        raise ValueError(f"its tensors must take all of its {len(body)} bytes, got {end}")
    return dict(sorted(tensors.items())), metadata, header


def compose(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytearray:
    """The bytes of a file, always the same for the same content. An array of uint16 is a tensor of bfloat16."""
    # Wide types first, so that each tensor is aligned to the size of its numbers.
    arrays = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    n_bytes = 0
    for name, array in arrays:
        span = [n_bytes, n_bytes := n_bytes + array.nbytes]
        code = CODES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": span}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT:
        raise ValueError(f"the names of the tensors must fit into {HEADER_LIMIT} bytes, got {len(text)}")
    data = bytearray(8 + len(text) + n_bytes)
    data[:8] = len(text).to_bytes(8, "little")
    data[8 : 8 + len(text)] = text
    offset = 8 + len(text)
    for _, array in arrays:
        dtype = array.dtype.newbyteorder("<")
        if array.size:
            np.frombuffer(data, dtype, array.size, offset).reshape(array.shape)[...] = array
        offset += array.nbytes
    return data


def _json_object(header: memoryview) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            raise ValueError("names in an object of its header must be unique")
        return result

    def reject(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    if bytes(header[:1]) != b"{":
        raise ValueError("its header must start with {")
    result = json.loads(str(header, "utf-8"), object_pairs_hook=unique, parse_constant=reject)
    assert isinstance(result, dict)
    return result


def _located(name: str, entry: Any) -> tuple[str, str, tuple[int, ...], int, int]:
    """Name, dtype, shape, begin and end of a tensor; the number of bytes agrees with dtype and shape."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{_short(name)} must have dtype, shape and data_offsets, and nothing else")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"the dtype of {_short(name)} must be one of {', '.join(BITS)}, got {_short(dtype)}")
    if not _are_counts(shape) or len(shape) > AXES_LIMIT or not _are_counts(span) or len(span) != 2:
        raise ValueError(f"shape and data_offsets of {_short(name)} must be lists of counts, got {_short(entry)}")
    if prod(shape) * BITS[dtype] != 8 * (span[1] - span[0]):
        raise ValueError(f"{_short(name)} must have the bytes of {dtype} and shape {_short(shape)}, got {span}")
    return name, dtype, tuple(shape), span[0], span[1]


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < 2**63 for one in value)


def _short(value: Any) -> str:
    return f"{value!r:.100}"
