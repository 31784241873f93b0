"""Safetensors files: tensors by name; files of lstm_fast also have a configuration and a digest in their metadata."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, NamedTuple

import numpy as np

from ._errors import FormatError
from ._files import open_regular, write_atomically
from ._safetensors_format import Tensor, compose, parse

# Metadata of a file of lstm_fast. Version 1 has no digest. A file is recognized by its format or by its digest: damage
# to one of them must not turn it into a foreign file, which is read without configuration and checks.
FORMAT, VERSION, DIGEST = "lstm_fast", "2", "lstm_fast.sha256"
UNDIGESTED = "0" * 64  # placeholder of the digest while it is computed

Source = str | PathLike[str] | bytes | bytearray | memoryview


class File(NamedTuple):
    """Contents of a file. config is None if lstm_fast did not write it; digest also for version 1."""

    name: str
    tensors: dict[str, Tensor]
    config: dict[str, Any] | None
    digest: str | None


def read(source: Source) -> File:
    """Read a file, or its bytes, whole. FormatError if it is damaged or not of this format."""
    is_path = isinstance(source, (str, PathLike))
    name = fspath(source) if isinstance(source, (str, PathLike)) else "source"
    if isinstance(source, (str, PathLike)):
        with open_regular(source) as file:
            data = file.read()
    else:
        data = bytes(source)
    try:
        tensors, metadata, header = parse(data)
    except (ValueError, RecursionError) as error:
        hint = f" ({hint})" if (hint := _what_it_is(data, "path" if is_path else "io.BytesIO(source)")) else ""
        raise damaged(name, f"{error}{hint}") from None
    digest = _checked_digest(name, data, metadata, header)
    return File(name, tensors, _config(name, metadata), digest)


def write(path: str | PathLike[str], tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> None:
    """Write tensors and a configuration, atomically. An array of uint16 is a tensor of bfloat16."""
    metadata = {"format": FORMAT, "version": VERSION, "config": json.dumps(config), DIGEST: UNDIGESTED}
    data = compose(tensors, metadata)
    place = data.index(f'"{DIGEST}":"{UNDIGESTED}"'.encode()) + len(DIGEST) + 4
    data[place : place + 64] = hashlib.sha256(data).hexdigest().encode()
    write_atomically(path, data)


def _checked_digest(name: str, data: bytes, metadata: Mapping[str, str], header: memoryview) -> str | None:
    """The verified SHA-256 of a file, computed with zeros in place of the digest; None if it has none."""
    claimed = metadata.get(DIGEST)
    if claimed is None:
        return None
    if not re.fullmatch("[0-9a-f]{64}", claimed) or bytes(header).count(claimed.encode()) != 1:
        raise damaged(name, f"{DIGEST} must be 64 hexadecimal digits that occur once in its header")
    place = 8 + bytes(header).index(claimed.encode())
    actual = hashlib.sha256(data[:place])
    actual.update(UNDIGESTED.encode())
    actual.update(memoryview(data)[place + 64 :])
    if actual.hexdigest() != claimed:
        raise damaged(
            name,
            f"its SHA-256 digest must be {claimed}, got {actual.hexdigest()} (a program that rewrites a file of "
            f"lstm_fast must drop its metadata)",
        )
    return claimed


def values(json_value: Any) -> Any:
    """A value of a configuration as a constructor takes it: tuples, which JSON does not have, for lists."""
    return tuple(json_value) if isinstance(json_value, list) else json_value


def damaged(name: str, why: str) -> FormatError:
    """The error to raise for a file that cannot be used."""
    return FormatError(f"{name} is not a safetensors file, or damaged: {why}")


def _config(name: str, metadata: Mapping[str, str]) -> dict[str, Any] | None:
    version = metadata.get("version")
    if metadata.get("format") != FORMAT and DIGEST not in metadata:
        return None
    if metadata.get("format") != FORMAT or version not in ("1", VERSION):
        raise damaged(name, f"its version must be 1 or {VERSION}, got {version!r}")
    if version == VERSION and DIGEST not in metadata:
        raise damaged(name, f"it must have a digest, {DIGEST}, in its metadata")
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
