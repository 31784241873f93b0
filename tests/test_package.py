"""What is shipped: the sdist, the wheel made from it, the compiled extension, and the rules of the house."""

import io
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tokenize
import zipfile

import pytest

from checkout import ROOT, copy_source
from lstm_fast import _core

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Folder of the sdist and of the wheel that was built from the sdist."""
    clone, dist = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    copy_source(clone)
    done = subprocess.run([sys.executable, "-m", "build", "--outdir", dist, clone], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return dist


def only(paths):
    (path,) = paths
    return path


# ---- sdist and wheel -----------------------------------------------------------------------------------------------


def test_sdist_holds_all_sources_and_nothing_that_is_made_from_them(dist):
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
        "tests/data/golden_torch.npz",
        "tests/data/golden_onnx.npz",
    ):
        assert name in names, name
    made = [name for name in names if name.endswith((".so", ".o", ".pyc", ".pyd")) or name == "lstm_fast/_core.c"]
    assert not made
    paths = (path for folder in ("csrc", "tests", "lstm_fast") for path in (ROOT / folder).rglob("*"))
    sources = {
        str(path.relative_to(ROOT))
        for path in paths
        if path.suffix in (".c", ".h", ".py", ".pyx", ".pxd", ".pxi", ".pyi") and path.name != "_core.c"
    }
    assert sources <= names, f"MANIFEST.in leaves out {sources - names}"


def test_wheel_serves_every_python_from_3_11_and_holds_no_source(dist):
    wheel = only(dist.glob("*.whl"))
    assert wheel.stat().st_size < 1_500_000
    python, abi, _ = wheel.stem.split("-")[-3:]
    assert IS_FREE_THREADED or (python, abi) == ("cp311", "abi3")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(only(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    assert not [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxd", ".o"))]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lstm_fast"}, "only the package itself"
    assert {
        "lstm_fast/py.typed",
        "lstm_fast/data/sunspots.csv",
        "lstm_fast/__init__.pyi",
        "lstm_fast/reference/__init__.py",
        "lstm_fast/tour/__init__.py",
    } <= set(names)
    assert only(name for name in names if name.endswith(".so")).startswith("lstm_fast/_core.")
    assert "License-Expression: MIT" in metadata and "Requires-Python: >=3.11" in metadata
    required = re.findall(r"^Requires-Dist: ([^;\n]*)$", metadata, re.MULTILINE)
    assert [requirement.split(">")[0] for requirement in required] == ["numpy"], "the only dependency at run time"


def test_wheel_works_where_it_is_installed(dist, tmp_path):
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


def test_import_of_an_unbuilt_source_tree_says_what_to_do(tmp_path):
    copy_source(tmp_path)
    # -S: without site-packages, where an editable install would find the missing part for it.
    command = [sys.executable, "-S", "-c", "import lstm_fast"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ") and f"pip install -e {tmp_path}" in last, done.stderr


# ---- the compiled extension ----------------------------------------------------------------------------------------


class Elf:
    """The little of a 64-bit little-endian ELF file that the tests ask for."""

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


def test_extension_exports_its_entry_alone_and_cannot_change_the_process():
    with open(_core.__file__, "rb") as file:
        data = file.read()
    assert IS_FREE_THREADED or ".abi3." in _core.__file__
    assert b"set_fast_math" not in data
    if data.startswith(b"\x7fELF"):
        elf = Elf(data)
        assert elf.exported - {"_init", "_fini"} == {"PyInit__core"}
        assert elf.flags[0x6474E551] & 1 == 0, "PT_GNU_STACK: an executable stack"


# ---- rules of the house --------------------------------------------------------------------------------------------


def c_sources():
    """Each file of csrc without comments and strings: rules are for code."""
    for path in sorted((ROOT / "csrc").rglob("*.[ch]")):
        code = re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"', " ", path.read_text(), flags=re.DOTALL)
        yield path.relative_to(ROOT / "csrc"), code, path.read_text()


def test_c_core_allocates_nothing_prints_nothing_and_never_ends_the_process():
    for path, code, _ in c_sources():
        found = re.findall(r"\b(malloc|calloc|realloc|alloca|free|\w*printf|puts|exit|_exit|abort|assert)\s*\(", code)
        assert not found, f"{path}: {found}"


def test_c_core_knows_neither_python_nor_numpy():
    for path, _, text in c_sources():
        assert not re.search(r"#\s*include\s*[<\"](Python|numpy)", text), path


def test_openmp_fork_and_instructions_are_each_in_one_place():
    places = {
        r"#\s*pragma\s+omp|\bomp_|<omp\.h>": "parallel.c",
        r"pthread|\bfork\b": "parallel.c",
        r"immintrin|arm_neon|_mm\d*_|\bv\w+q_f(32|64)\b": "kernels/vector.h",
    }
    for pattern, place in places.items():
        found = {str(path) for path, code, _ in c_sources() if re.search(pattern, code)}
        assert found == {place}, f"{pattern}: {found}"


def test_build_has_no_flag_that_binds_it_to_this_machine_or_bends_arithmetic():
    tokens = tokenize.tokenize(io.BytesIO((ROOT / "setup.py").read_bytes()).readline)
    strings = " ".join(token.string for token in tokens if token.type == tokenize.STRING)
    for flag in ("-march", "-mtune", "-ffast-math", "-Ofast", "-funsafe-math", "-fassociative", "-ffinite-math"):
        assert flag not in strings, flag
    assert "-ffp-contract=off" in strings


def test_sources_hold_no_leftovers():
    for path, _, text in c_sources():
        assert not re.search(r"#\s*if\s+0\b|TODO|FIXME|XXX", text), path
    for path in (*ROOT.glob("lstm_fast/**/*.py*"), *ROOT.glob("tests/*.py"), ROOT / "setup.py"):
        if path.suffix in (".py", ".pyi", ".pyx") and path.name != "test_package.py":
            assert not re.search("TODO|FIXME|XXX", path.read_text()), path


def test_package_runs_no_text_as_code():
    for path in ROOT.glob("lstm_fast/**/*.py*"):
        if path.suffix in (".py", ".pyx"):
            found = re.findall(r"\b(?:pickle\.|marshal\.|eval\(|exec\(|__import__|allow_pickle=True)", path.read_text())
            assert not found, f"{path.relative_to(ROOT)}: {found}"


COMPILERS = [(sysconfig.get_config_var("CC") or "cc").split(), *([["clang"]] if shutil.which("clang") else [])]


def run_compiler(compiler, *words):
    done = subprocess.run([*compiler, "-std=c11", *words], cwd=ROOT / "csrc", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_c_core_compiles_without_a_warning(compiler, tmp_path):
    for name in (
        "plan.c",
        "dispatch.c",
        "parallel.c",
        "loops/loops.c",
        "loops/loops_f32.c",
        "loops/loops_f64.c",
        "kernels/kernels_portable.c",
    ):
        run_compiler(
            compiler,
            "-O0",
            "-Wall",
            "-Wextra",
            "-Wno-unknown-pragmas",
            "-Werror",
            "-I.",
            "-c",
            name,
            "-o",
            tmp_path / "object.o",
        )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads the assembly of AVX2 kernels")
@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_sums_of_a_tile_stay_in_registers(compiler):
    """Both compilers must unroll what is of constant length: where Clang did not, it was five times slower."""
    text = run_compiler(
        compiler,
        "-O3",
        "-ffp-contract=off",
        "-mavx2",
        "-mfma",
        "-mf16c",
        "-I.",
        "-S",
        "kernels/kernels_avx2.c",
        "-o",
        "-",
    )
    body = re.search(r"^lstm_tile_f32_3_0:(.*?)^\s*\.size\s+lstm_tile_f32_3_0", text, re.M | re.S)[1]
    runs = [re.findall(r"\bv\w+", run) for run in re.split(r"^\.\w+:", body, flags=re.M)]
    loops = [run for run in runs if sum(word.startswith("vfmadd") for word in run) >= 12]
    assert len(loops) >= 2, "the product of x and that of h"
    for run in loops:
        fused = sum(word.startswith("vfmadd") for word in run)
        assert len(run) <= fused * 19 / 12, "four loads and three broadcasts for twelve multiplications, and no stores"
