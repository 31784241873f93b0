"""The digest of files: every changed bit and every missing byte raises FormatError."""

import json
import sys

import numpy as np
import pytest

import fuzz_files
import lstm_fast as lf
from lstm_fast import _safetensors, _safetensors_format
from lstm_fast.train import SequenceModel
from optional import MUST_HAVE_ALL

FIT = dict(batch_size=3, epochs=2, seed=0)


def make_run(path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 4, 1)), rng.standard_normal((6, 1))
    model = SequenceModel(lf.LSTM(1, 1, batch_first=True, dropout=0.0, seed=0), 1, seed=0)
    return lambda resume=False: lf.train.fit(model, x, y, checkpoint=path, resume=resume, **FIT)


def write_weights(path):
    lf.weights.save(lf.LSTM(1, 2, cell_clip=3.0, seed=0), path, "net.")
    return lambda: lf.weights.load(path, "net")


def write_model(path):
    SequenceModel(lf.RNN(1, 2, seed=0), 1, seed=0).save(path)
    return lambda: lf.train.load(path)


def write_quantized(path):
    lf.weights.save(lf.LSTM(1, 2, seed=0).quantized("int8"), path)
    return lambda: lf.weights.load(path)


def write_quantized_model(path):
    SequenceModel(lf.LSTM(1, 2, seed=0), 1, seed=0).quantized("bfloat16").save(path)
    return lambda: lf.train.load(path)


def write_run(path):
    fit = make_run(path)
    fit()
    return lambda: fit(resume=True)


KINDS = {
    "weights": write_weights,
    "model": write_model,
    "quantized": write_quantized,
    "quantized model": write_quantized_model,
    "run": write_run,
}


def is_found(data):
    try:
        _safetensors.read(data)
    except lf.FormatError:
        return True
    return False


def found(data):
    """Return (number of detected single-bit flips, number of detected truncations)."""
    flips = 0
    for n in range(len(data)):
        for bit in range(8):
            bad = bytearray(data)
            bad[n] ^= 1 << bit
            flips += is_found(bad)
    return flips, sum(is_found(data[:n]) for n in range(len(data)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_flip_and_truncation_is_detected(tmp_path, kind):
    path = tmp_path / "file"
    load = KINDS[kind](path)
    load()
    data = path.read_bytes()
    assert not is_found(data) and found(data) == (8 * len(data), len(data))
    for n in range(0, len(data), 7):  # the same through the loader of this kind of file
        path.write_bytes(data[:n] + bytes([data[n] ^ 1 << n % 8]) + data[n + 1 :])
        with pytest.raises(
            lf.FormatError, match=r"file is not a safetensors file, or damaged|must hold|must be written"
        ):
            load()
    for more in (b"\0", b" ", data):
        with pytest.raises(lf.FormatError):
            _safetensors.read(data + more)


def test_damage_in_a_large_file_is_detected(tmp_path):
    path = tmp_path / "file"
    lf.weights.save(lf.LSTM(64, 100, seed=0), path)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        bad, n = bytearray(data), rng.integers(1, 64)
        begin = rng.integers(len(data) - n)
        bad[begin : begin + n] = rng.bytes(n)
        if bad != data:
            with pytest.raises(lf.FormatError):
                _safetensors.read(bad)


def test_digest_is_of_the_file_with_the_digest_zeroed(tmp_path):
    import hashlib

    path = tmp_path / "file"
    lf.weights.save(lf.LSTM(1, 2, seed=0), path)
    data, digest = path.read_bytes(), lf.weights.digest(path)
    assert lf.weights.digest(data) == digest and data.count(digest.encode()) == 1
    assert hashlib.sha256(data.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


def test_same_content_gives_the_same_bytes(tmp_path):
    for name in "ab":
        lf.weights.save(lf.LSTM(3, 4, 2, bidirectional=True, seed=0), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_foreign_and_version_1_files_load_without_digest(tmp_path):
    lstm = lf.LSTM(2, 3, cell_clip=2.0, seed=0)
    config = json.dumps({"file": "weights", "prefix": "", "network": {"cell_clip": 2.0}})
    old = {"format": "lstm_fast", "version": "1", "config": config}
    for metadata, clip in (({}, None), ({"format": "pt"}, None), (old, 2.0)):
        data = bytes(_safetensors_format.compose(lstm.state_dict(), metadata))
        assert lf.weights.digest(data) is None
        got = lf.weights.load(data)
        assert got.cell_clip == clip and lf.fingerprint(got) == lf.fingerprint(lstm)


@pytest.mark.parametrize(
    "metadata, words",
    [
        ({"format": "lstm_fast", "version": "2", "config": "{}"}, "must have a digest"),
        ({"format": "lstm_fast", "version": "3", "config": "{}"}, "version must be 1 or 2, got '3'"),
        ({"lstm_fast.sha256": "0" * 64}, "digest must be 0000"),
        ({"lstm_fast.sha256": ""}, "64 hexadecimal digits"),
        ({"lstm_fast.sha256": "\u0660" * 64}, "64 hexadecimal digits"),
        ({"format": "lstm_fast", "lstm_fast.sha256": "0" * 64, "config": "0" * 64}, "that occur once in its header"),
    ],
)
def test_contradictory_metadata(metadata, words):
    data = bytes(_safetensors_format.compose({"a": np.zeros(3, np.float32)}, metadata))
    for read in (lf.weights.digest, lf.weights.load):
        with pytest.raises(lf.FormatError, match=words):
            read(data)
    with pytest.raises(TypeError, match="source must be a path or the bytes of a file, got int"):
        lf.weights.digest(3)


def test_malformed_files_without_a_digest_are_format_errors_or_networks():
    counts, slowest = fuzz_files.fuzz(10_000 if MUST_HAVE_ALL else 1000, seed=1)
    assert counts["FormatError"] > counts["read"] > 0 and slowest < 1


if __name__ == "__main__":  # python tests/test_files_digest.py
    import tempfile
    from pathlib import Path

    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, write in KINDS.items():
            path = Path(folder, "file")
            path.unlink(missing_ok=True)
            write(path)
            n = path.stat().st_size
            flips, truncations = found(path.read_bytes())
            print(f"{kind}, {n} bytes: {flips} of {8 * n} flips and {truncations} of {n} truncations are FormatErrors")
            missed += 9 * n - flips - truncations
    sys.exit(missed > 0)
