"""Distributions: the sdist, the wheel built from it, the compiled extension."""

import re
import struct
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from checkout import ROOT, copy_source
from lstm_fast import _core
from mutate import without_optimization
from once import once_per_run
from optional import require

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Folder of the sdist and of the wheel that was built from the sdist."""
    require("build")

    def build(dist):
        clone = tmp_path_factory.mktemp("clone")
        copy_source(clone)
        without_optimization(clone)
        isolation = ["--no-isolation"] if find_spec("Cython") else []
        command = [sys.executable, "-m", "build", *isolation, "--outdir", dist, clone]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    return once_per_run(tmp_path_factory, "dist", build)


def only(paths):
    (path,) = paths
    return path


# ---- sdist and wheel -----------------------------------------------------------------------------------------------


def test_sdist_has_all_sources_and_no_generated_files(dist):
    with tarfile.open(only(dist.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for name in (
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "lstm_fast/py.typed",
        "lstm_fast/data/sunspots.csv",
        "lstm_fast/explain/page/template.html",
        "tests/data/golden_torch.npz",
        "tests/data/golden_onnx.npz",
    ):
        assert name in names, name
    made = [
        name for name in names if name.endswith((".so", ".o", ".pyc", ".pyd")) or name == "lstm_fast/_binding/_core.c"
    ]
    assert not made
    paths = (path for folder in ("csrc", "tests", "lstm_fast") for path in (ROOT / folder).rglob("*"))
    sources = {
        str(path.relative_to(ROOT))
        for path in paths
        if path.suffix in (".c", ".h", ".py", ".pyx", ".pxd", ".pxi", ".pyi") and path.name != "_core.c"
    }
    assert sources <= names, f"MANIFEST.in leaves out {sources - names}"


def test_sdist_is_reproducible(dist):
    path = only(dist.glob("*.tar.gz"))
    assert path.read_bytes()[4:8] == bytes(4), "the time in the header of gzip"
    with tarfile.open(path) as sdist:
        members = sdist.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(315532800, 0, 0, "")}
    assert {member.mode for member in members} <= {0o644, 0o755}


def test_description_has_no_relative_links(dist):
    wheel = only(dist.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(only(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")))
    headers, _, description = metadata.decode().partition("\n\n")
    assert "Description-Content-Type: text/markdown" in headers and description.startswith("# lstm_fast")
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", description)
    minor = sys.version_info.minor
    assert f"Classifier: Programming Language :: Python :: 3.{minor}\n" in headers or minor > 15


def test_wheel_is_abi3_and_has_no_sources(dist):
    wheel = only(dist.glob("*.whl"))
    python, abi, _ = wheel.stem.split("-")[-3:]
    assert IS_FREE_THREADED or (python, abi) == ("cp311", "abi3")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        extension = zlib.compress(
            Path(_core.__file__).read_bytes()
        )  # the size as shipped: the test wheel is built without optimization
        size = len(extension) + sum(one.compress_size for one in archive.infolist() if not one.filename.endswith(".so"))
        metadata = archive.read(only(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    assert size < 1_500_000
    assert not [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxd", ".o"))]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lstm_fast"}, "only the package itself"
    assert {
        "lstm_fast/py.typed",
        "lstm_fast/data/sunspots.csv",
        "lstm_fast/explain/page/core.js",
        "lstm_fast/_core.pyi",
        "lstm_fast/reference/__init__.py",
        "lstm_fast/tour/__init__.py",
    } <= set(names)
    assert only(name for name in names if name.endswith(".so")).startswith("lstm_fast/_core.")
    assert "License-Expression: MIT" in metadata and "Requires-Python: >=3.11" in metadata
    required = re.findall(r"^Requires-Dist: ([^;\n]*)$", metadata, re.MULTILINE)
    assert [requirement.split(">")[0] for requirement in required] == ["numpy"], "the only dependency at run time"


def test_installed_wheel_works(dist, tmp_path):
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*install, "--target", tmp_path / "site", only(dist.glob("*.whl"))], check=True)
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(tmp_path / "site")!r})
        import numpy as np, lstm_fast as lf
        assert lf.__file__.startswith({str(tmp_path)!r}), lf.__file__
        lstm = lf.LSTM(1, 4)
        years, values = lf.datasets.sunspots()
        output, _, tape = lstm.forward(values[:, None])
        assert output.shape == (309, 4) and lstm.backward(tape, output).flat.any()
        assert lf.info()["isa_compiled"] == {_core.compiled_isas()}
    """
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=tmp_path)


def test_import_of_an_unbuilt_tree_explains_the_build(tmp_path):
    copy_source(tmp_path)
    # -S: without site-packages, where an editable install would find the missing part for it.
    command = [sys.executable, "-S", "-c", "import lstm_fast"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ") and f"pip install -e {tmp_path}" in last, done.stderr


# ---- the compiled extension ----------------------------------------------------------------------------------------


class Elf:
    """A minimal parser of 64-bit little-endian ELF files."""

    def __init__(self, data):
        assert data[:6] == b"\x7fELF\x02\x01"
        program, section = struct.unpack_from("<QQ", data, 32)
        program_size, n_programs, section_size, n_sections = struct.unpack_from("<HHHH", data, 54)
        self.flags = dict(struct.unpack_from("<II", data, program + k * program_size) for k in range(n_programs))
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, section + k * section_size) for k in range(n_sections)]
        SHT_DYNSYM = 11
        _, _, _, _, begin, size, strings, _, _, entry = only(header for header in headers if header[1] == SHT_DYNSYM)
        names = headers[strings][4]
        self.exported = set()
        for at in range(begin, begin + size, entry):
            name, info, _, index = struct.unpack_from("<IBBH", data, at)
            if index and info >> 4:  # defined here, not local
                self.exported.add(data[names + name : data.index(b"\0", names + name)].decode())


def test_extension_exports_only_its_init_and_keeps_process_state():
    with open(_core.__file__, "rb") as file:
        data = file.read()
    assert IS_FREE_THREADED or ".abi3." in _core.__file__
    assert b"set_fast_math" not in data
    if data.startswith(b"\x7fELF"):
        elf = Elf(data)
        assert elf.exported - {"_init", "_fini"} == {"PyInit__core"}
        assert elf.flags[0x6474E551] & 1 == 0, "PT_GNU_STACK: an executable stack"
