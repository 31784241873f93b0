"""Our reader and writer of the safetensors format, compared with the package of that name and on malformed headers."""

import json
import resource
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

import lstm_fast as lf
from lstm_fast import _safetensors
from lstm_fast._safetensors_format import compose, parse

rng = np.random.default_rng(0)
ARRAYS = {
    "f8": rng.standard_normal((3, 2)),
    "f4": rng.standard_normal((5, 1, 3)).astype(np.float32),
    "f2": rng.standard_normal(7).astype(np.float16),
    "i1": rng.integers(-128, 128, (3, 3)).astype(np.int8),
    "scalar": np.float32(3).reshape(()),
    "empty": np.zeros((2, 0, 3)),
    'name "é层\n\\\x1b': np.ones(2, np.float32),
    "a view": np.arange(12.0).reshape(3, 4)[::2, ::-1],
}


def test_safetensors_reads_our_files():
    got = safetensors.numpy.load(bytes(compose(ARRAYS, {"key": "a value"})))
    assert got.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        assert got[name].tobytes() == array.tobytes(), name


def test_our_reader_reads_safetensors_files():
    data = safetensors.numpy.save({name: np.array(a, order="C") for name, a in ARRAYS.items()}, {"key": "a value"})
    tensors, metadata, _ = parse(data)
    assert metadata == {"key": "a value"} and tensors.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        got = tensors[name].stored(name)
        assert got.shape == array.shape and got.tobytes() == array.tobytes(), name


def test_tensors_are_aligned():
    tensors, _, header = parse(bytes(compose(ARRAYS, {})))
    assert len(header) % 8 == 0
    for name, array in ARRAYS.items():
        assert tensors[name].stored(name).flags.aligned, array.dtype


@pytest.mark.parametrize(
    "dtype", ["BOOL", "U8", "F8_E4M3", "F8_E8M0", "I16", "U32", "I64", "U64", "C64", "F4", "F6_E2M3"]
)
def test_tensors_of_other_dtypes_are_skipped(dtype):
    """Both readers accept them, with the same number of bytes."""
    bits = {"BOOL": 8, "U8": 8, "I16": 16, "U32": 32, "F4": 4, "F6_E2M3": 6}.get(dtype, 8 if "F8" in dtype else 64)
    data = raw({"a": entry(dtype, [8], 0, bits)}, bytes(bits))
    safetensors.deserialize(data)
    assert len(parse(data)[0]["a"].data) == bits


# ---- malformed -----------------------------------------------------------------------------------------------------


def raw(header, body=b"", n=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if n is None else n).to_bytes(8, "little") + text + body


def entry(dtype="F32", shape=(1,), begin=0, end=4, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


ONE = json.dumps(entry()).encode()
MALFORMED = {
    "nothing": b"",
    "seven bytes": bytes(7),
    "no header": bytes(8),
    "a header beyond the end": raw({}, n=3),
    "a header of 2^64 - 1 bytes": raw({}, n=2**64 - 1),
    "a list": raw([]),
    "a blank first": raw(b" {}"),
    "not UTF-8": raw(b'{"\xff": {}}'),
    "NaN": raw(b'{"a": NaN}'),
    "deep": raw(b'{"a":' + b"[" * 100_000),
    "long number": raw(b'{"a":' + b"9" * 100_000 + b"}"),
    "trailing comma": raw(b'{"a": %b,}' % ONE, bytes(4)),
    "text after it": raw(b"{}x"),
    "a name twice": raw(b'{"a": %b, "a": %b}' % (ONE, ONE), bytes(4)),
    "a name twice, escaped": raw(b'{"a": %b, "\\u0061": %b}' % (ONE, ONE), bytes(4)),
    "a key twice": raw(b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(4)),
    "metadata of numbers": raw({"__metadata__": {"a": 3}}),
    "metadata in a list": raw({"__metadata__": ["a"]}),
    "no dtype": raw({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "more keys": raw({"a": entry(more=3)}, bytes(4)),
    "unknown dtype": raw({"a": entry("F99")}, bytes(4)),
    "dtype of another type": raw({"a": entry(["F32"])}, bytes(4)),
    "no tensor": raw({"a": 3}),
    "negative axis": raw({"a": entry(shape=[-1, -1])}, bytes(4)),
    "axis of another type": raw({"a": entry(shape=[1.0])}, bytes(4)),
    "axis true": raw({"a": entry(shape=[True])}, bytes(4)),
    "overflow": raw({"a": entry(shape=[2**62, 4, 2**62])}, bytes(4)),
    "overflow to the right size": raw({"a": entry(shape=[2**32 + 1, 2**32])}, bytes(4)),
    "axis of 2^63": raw({"a": entry(shape=[2**63, 0], end=0)}),
    "too many axes": raw({"a": entry(shape=[1] * 65)}, bytes(4)),
    "offsets in the wrong order": raw({"a": entry(begin=4, end=0)}, bytes(4)),
    "negative offset": raw({"a": entry(begin=-4, end=0)}, bytes(4)),
    "three offsets": raw({"a": entry() | {"data_offsets": [0, 2, 4]}}, bytes(4)),
    "bytes of another size": raw({"a": entry(end=5)}, bytes(5)),
    "less than a byte": raw({"a": entry("F4", [3], 0, 1)}, bytes(1)),
    "tensor beyond the end": raw({"a": entry()}, bytes(3)),
    "overlap": raw({"a": entry(), "b": entry()}, bytes(4)),
    "partial overlap": raw({"a": entry(), "b": entry(begin=2, end=6)}, bytes(6)),
    "gap": raw({"a": entry(), "b": entry(begin=5, end=9)}, bytes(9)),
    "bytes before": raw({"a": entry(begin=1, end=5)}, bytes(5)),
    "bytes after": raw({"a": entry()}, bytes(5)),
    "bytes of no tensor": raw({}, bytes(1)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bytes_raise_format_error(name):
    with pytest.raises(lf.FormatError, match="source is not a safetensors file, or damaged: "):
        _safetensors.read(MALFORMED[name])


def test_reader_is_never_more_lenient_than_safetensors():
    """Random changes of a header: we are never more lenient, and tensors that both read are the same."""
    good = safetensors.numpy.save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}, {"k": "v"})
    random, both = np.random.default_rng(1), 0
    for _ in range(20_000):
        bad = bytearray(good)
        for place in random.integers(len(bad) - 40, size=random.integers(1, 4)):
            bad[place] = random.choice(list(b'0123456789{}[],:"abFIU _\\'))
        try:
            theirs = dict(safetensors.deserialize(bytes(bad)))
        except safetensors.SafetensorError:
            theirs = None
        try:
            ours = parse(bytes(bad))[0]
        except ValueError:
            continue
        assert theirs is not None, bytes(bad)
        both += 1
        for name, tensor in ours.items():
            assert bytes(tensor.data) == theirs[name]["data"] and list(tensor.shape) == theirs[name]["shape"]
    assert both > 100


def test_file_is_read_without_a_copy():
    data = bytes(compose({"a": np.zeros(2_500_000, np.float32)}, {}))
    tracemalloc.start()
    tensors = _safetensors.read(data).tensors
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000 and len(tensors["a"].data) == 10_000_000


def test_file_larger_than_memory_raises_memory_error(tmp_path):
    """The safetensors package aborts or hangs in this case."""
    path = tmp_path / "large"
    path.write_bytes(compose({"a": np.zeros(25_000_000, np.float32)}, {}))
    script = """
import resource, sys
import numpy as np
import lstm_fast as lf
from lstm_fast._safetensors_format import compose
array = np.zeros(25_000_000, np.float32)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 50_000_000,) * 2)
for call in (lambda: lf.weights.digest(sys.argv[1]), lambda: compose({"a": array}, {})):
    try:
        call()
    except MemoryError:
        print("MemoryError")
"""
    assert resource.getpagesize() >= 4096
    got = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=60)
    assert got.stdout.split() == ["MemoryError"] * 2, got.stderr
