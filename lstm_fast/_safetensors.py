"""Safetensors files: tensors by name, and a JSON configuration in the metadata of those that lstm_fast wrote."""

import io
import json
import zipfile
from collections.abc import Mapping
from os import PathLike, fspath
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ._errors import FormatError
from ._files import open_regular, write_atomically

FORMAT, VERSION = "lstm_fast", "1"
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}  # BF16 is the upper half of a float32
STORED = DTYPES | {"BF16": "<u2", "I8": "i1"}  # what files of quantized networks hold

Source = str | PathLike[str] | bytes | bytearray | memoryview


class Tensor(NamedTuple):
    """A tensor as it is stored. data has exactly the bytes of dtype and shape: safetensors has checked that."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

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


class File(NamedTuple):
    """What a file holds. config is None in a file that lstm_fast did not write."""

    name: str
    tensors: dict[str, Tensor]
    config: dict[str, Any] | None


def read(source: Source) -> File:
    """Read a file, or its bytes, whole. FormatError if it is damaged or not of this format."""
    library = _library()
    is_path = isinstance(source, (str, PathLike))
    name = fspath(source) if isinstance(source, (str, PathLike)) else "source"
    if isinstance(source, (str, PathLike)):
        with open_regular(source) as file:
            data = file.read()
    else:
        data = bytes(source)
    try:
        tensors = {
            name: Tensor(raw["dtype"], tuple(raw["shape"]), raw["data"])
            for name, raw in sorted(library.deserialize(data))
        }
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except MemoryError:
        raise
    except Exception as error:  # SafetensorError, and whatever its bindings and json raise
        hint = f" ({hint})" if (hint := _what_it_is(data, "path" if is_path else "io.BytesIO(source)")) else ""
        raise damaged(name, f"{error}{hint}") from None
    return File(name, tensors, _config(name, metadata))


def write(path: str | PathLike[str], tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> None:
    """Write tensors and a configuration, atomically. An array of uint16 is a tensor of bfloat16."""
    from safetensors.numpy import save

    metadata = {"format": FORMAT, "version": VERSION, "config": json.dumps(config)}
    data = save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata)
    if any(value.dtype == np.uint16 for value in tensors.values()):
        data = _as_bfloat16(data)
    write_atomically(path, data)


def _as_bfloat16(data: bytes) -> bytes:
    """The bytes of a file in which each tensor of uint16 is one of bfloat16: the library writes none from NumPy."""
    n = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:n])
    for entry in header.values():
        if entry.get("dtype") == "U16":
            entry["dtype"] = "BF16"
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data are aligned
    return len(text).to_bytes(8, "little") + text + data[n:]


def values(json_value: Any) -> Any:
    """A value of a configuration as a constructor takes it: tuples, which JSON does not have, for lists."""
    return tuple(json_value) if isinstance(json_value, list) else json_value


def damaged(name: str, why: str) -> FormatError:
    """The error to raise for a file that cannot be used."""
    return FormatError(f"{name} is not a safetensors file, or damaged: {why}")


def _library() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError('files need the package safetensors: pip install "lstm_fast[train]"') from None
    return safetensors


def _config(name: str, metadata: Mapping[str, str]) -> dict[str, Any] | None:
    if metadata.get("format") != FORMAT:
        return None
    if metadata.get("version") != VERSION:
        raise damaged(name, f"its version must be {VERSION!r}, got {metadata.get('version')!r}")
    try:
        config = json.loads(metadata["config"])
    except (KeyError, ValueError, RecursionError) as error:
        raise damaged(name, f"no readable configuration, {error!r}") from None
    if not isinstance(config, dict):
        raise damaged(name, f"its configuration must be a dict, got {type(config).__name__}")
    return config


def _what_it_is(data: bytes, path: str) -> str:
    """Advice for bytes of another well-known format; "" if none is recognized."""
    if data.startswith(b"PK\3\4"):
        try:
            members = zipfile.ZipFile(io.BytesIO(data)).namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            return ""
        if any(member.endswith("data.pkl") for member in members):
            return f"torch.save wrote it: pass torch.load({path})"
        if any(member.endswith(".npy") for member in members):
            return f"numpy.savez wrote it: pass numpy.load({path})"
        return f"for a file of Keras use lstm_fast.keras.load({path})" if "config.json" in members else ""
    if data.startswith(b"\x89HDF"):
        return f"for a file of Keras use lstm_fast.keras.load({path})"
    if data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5":
        return f"it is a pickle: if torch.save wrote it, pass torch.load({path})"
    if data.lstrip()[:1] in (b"{", b"["):
        return f"it looks like JSON: pass json.load(open({path}))" if path == "path" else "pass json.loads(source)"
    return f"for an ONNX model use lstm_fast.onnx.load({path})" if data[:1] == b"\x08" and b"LSTM" in data else ""
