"""Test vectors pass on every instruction set; a changed bit is detected."""

import json
import re
import shutil

import numpy as np
import pytest

import command_line
import lstm_fast as lf
from lstm_fast import _core, _vectors

FILES = sorted(_vectors.folder().glob("*.json"))


def test_this_build_passes():
    before = _core.isa()
    *rows, last = _vectors.table()
    assert last.startswith("All bits as expected: "), "\n".join([*rows, last])
    assert len(rows) == 1 + len(FILES) == 7 and _core.isa() == before
    assert rows[0].split() == _core.available_isas()
    assert sum(path.stat().st_size for path in FILES) < 70_000, "they are part of the wheel"


def test_generator_reproduces_the_files(monkeypatch, tmp_path):
    """The generator covers every case in the files."""
    import importlib.util

    path = _vectors.folder().parent / "vectors.py"
    if not path.exists():
        pytest.skip("not in a source tree")
    spec = importlib.util.spec_from_file_location("vectors_generator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for group in module.GROUPS:
        of_file = _vectors.read(_vectors.folder() / f"{group.__name__}.json")
        assert [{**one, "expected": 0} for one in of_file] == [
            {**json.loads(json.dumps(one)), "expected": 0} for one in group()
        ]


def small(tmp_path, change=lambda text: text):
    """A file with one case, changed."""
    (case, *_) = _vectors.read(_vectors.folder() / "dropout.json")
    text = change(json.dumps({"cases": [case]}))
    (tmp_path / "small.json").write_text(text, encoding="utf-8")
    return tmp_path / "small.json"


def test_changed_bit_is_detected(tmp_path):
    assert all(not outcome.differences for outcome in _vectors.check(small(tmp_path)))
    text = small(tmp_path).read_text()
    kind, isa = ("fused", _core.isa()) if _vectors.kind_of(_core.isa()) == "fused" else ("portable", "portable")
    begin = text.index(f'"{kind}"')
    places = [match.start() for match in re.finditer(r"[0-9a-f](?=[0-9a-f]{7})", text[begin:])]
    for place in places[:: len(places) // 12]:
        for bit in range(4):
            changed = f"{int(text[begin + place], 16) ^ 1 << bit:x}"
            path = small(tmp_path, lambda _: text[: begin + place] + changed + text[begin + place + 1 :])  # noqa: B023
            case = _vectors.read(path)[0]
            _core.use_isa(isa)
            assert list(_vectors._differences(case)), (place, bit)


def test_the_command(tmp_path):
    done = command_line.run("check-vectors", str(small(tmp_path)))
    assert done.returncode == 0 and "All bits as expected" in done.stdout and not done.stderr
    wrong = small(tmp_path, lambda text: text.replace("float32 2x3x19", "float32 2x3x18"))
    done = command_line.run("check-vectors", str(wrong))
    assert done.returncode == 1 and "differs" in done.stdout and "h_n must be float32 2x3x18" in done.stdout
    shutil.rmtree(tmp_path)
    for text in ("{", "[]", '{"cases": []}', '{"cases": [3]}', "[" * 100_000, '{"cases": [{"expected": 3}]}'):
        tmp_path.mkdir(exist_ok=True)
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(lf.FormatError, match="bad.json is not a file of vectors, or damaged"):
            list(_vectors.table(tmp_path / "bad.json"))
    done = command_line.run("check-vectors", str(tmp_path / "none.json"))
    assert done.returncode == 1 and "none.json" in done.stderr
    done = command_line.run("check-vectors", str(tmp_path / "bad.json"))
    assert (
        done.returncode == 1 and "bad.json is not a file of vectors" in done.stderr and "Traceback" not in done.stderr
    )


def test_inputs_are_derived_from_integers():
    def number(a, k):
        z = (k + 1 + a * 2**20) * 0x9E3779B9 % 2**32
        z = (z ^ z >> 16) * 0x21F0AAAD % 2**32
        z ^= z >> 15
        return (z % 2**16 - 2**15) / 2**16

    got = _vectors.numbers(5, (3, 4), np.float32)
    assert got.ravel().tolist() == [number(5, k) for k in range(12)] and len(set(got.ravel().tolist())) == 12
