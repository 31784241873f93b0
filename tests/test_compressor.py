"""examples/compressor.py: packed here, unpacked with another instruction set and two threads; the bytes are equal."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

from lstm_fast import _core

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture
def compressor(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("compressor")


@pytest.mark.parametrize("text", [b"", b"a", b"ab" * 9, bytes(range(256)), b"\0" * 100], ids=range(5))
def test_round_trip_of_any_bytes(compressor, text):
    packed = compressor.pack(text)
    assert compressor.unpack(packed) == text


def test_demonstration(compressor, capsys):
    n, packed, xz, is_same = compressor.demonstrate(2000)
    assert is_same and n == 2000 and 0 < packed < n and 0 < xz < n
    assert "equal to the byte" in capsys.readouterr().out


def test_damaged_data_and_different_kernels_are_detected(compressor):
    text = compressor.documentation(600)
    packed = compressor.pack(text)
    n = len(compressor.MAGIC)
    for place in (n + 41, n + 60, len(packed) // 2):
        bad = bytearray(packed)
        bad[place] ^= 4
        with pytest.raises(ValueError, match="damaged, or were packed"):
            compressor.unpack(bytes(bad))
    with pytest.raises(ValueError, match="written by pack"):
        compressor.unpack(packed[1:])
    before = _core.isa()
    try:
        _core.use_isa("portable")
        if before != "portable":
            with pytest.raises(ValueError, match="gives other bits"):
                compressor.unpack(packed)
    finally:
        _core.use_isa(before)


def test_exponentials_are_exact_values_rounded_down(compressor):
    values = compressor.EXPONENTIALS
    assert values[0] == 2**32 and np.all(np.diff(values) <= 0)
    errors = [2**32 * math.exp(-n / compressor.FRACTION) - int(values[n]) for n in range(len(values))]
    assert min(errors) > -1e-5 and max(errors) < 1.00001
