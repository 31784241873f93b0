"""Only regular files are read."""

import os
import time

import pytest

import lstm_fast as lf
from lstm_fast._files import open_regular


def readers():
    yield "open_regular", open_regular
    yield "weights.load", lf.weights.load
    yield "weights.names", lf.weights.names
    yield "train.load", lf.train.load
    for package in ("onnx", "h5py"):
        try:
            __import__(package)
        except ImportError:
            continue
        module = lf.onnx if package == "onnx" else lf.keras
        yield f"{package} load", module.load
        yield f"{package} names", module.names


@pytest.mark.parametrize("name, read", list(readers()), ids=lambda value: value if isinstance(value, str) else "")
def test_pipes_and_devices_raise_format_error_immediately(tmp_path, name, read):
    os.mkfifo(tmp_path / "pipe")
    begin = time.monotonic()
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(lf.FormatError, match="must be a regular file"):
            read(path)
    assert time.monotonic() - begin < 1
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
