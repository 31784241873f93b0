"""What is shipped: the sdist, the wheel built from it, the compiled extension; and rules for the source."""

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tokenize
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from units import DTYPES, compiler, isas, read_isas, target_machine, units

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
        "lstm_fast/_core.pyi",
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


# ---- rules for the source ------------------------------------------------------------------------------------------


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
        r"#\s*pragma\s+omp|\bomp_|<omp\.h>": "threads.c",
        r"pthread|\bfork\b": "threads.c",
        r"immintrin|arm_neon|_mm\d*_|\b_tile_|\bv\w+q_f(32|64)\b": ("kernels/vector/", "formats/vector/"),
    }
    for pattern, place in places.items():
        found = {path.as_posix() for path, code, _ in c_sources() if re.search(pattern, code)}
        assert found and all(path.startswith(place) for path in found), f"{pattern}: {found}"


def test_c_core_is_written_in_plain_names():
    """Tools can follow it: only what is linked once per dtype has a name made by a macro."""
    codes = "".join(code for _, code, _ in c_sources())
    assert len(re.findall(r"\bEXPORT\(", codes)) <= 12
    assert not re.search(r"#\s*undef|\b(NAME|V)\(", codes)
    assert len(re.findall(r"[!=]= LSTM_CELL_LSTM\b", codes)) <= 3, "n_gates, has_c and keeps_gates tell the cells apart"


DEFINITION = r"^(?:struct|enum|union|typedef|extern|static|const|void|bool|int\w*|ALWAYS_INLINE|NEVER_INLINE)\b"


def test_files_of_the_c_core_are_short_and_include_first():
    for path, code, text in c_sources():
        assert text.count("\n") < 300, path
        after_first_definition = re.split(DEFINITION, code, maxsplit=1, flags=re.MULTILINE)[1:]
        assert not re.search(r"#\s*include", "".join(after_first_definition)), f"{path}: an include below a definition"
        guards_one_macro = re.search(r"#\s*ifndef (\w+)\s*\n#\s*define \1\b[^\n]*\n#\s*endif", code)
        assert not guards_one_macro, path
        if path.suffix == ".h":
            name = re.match(r"\s*#ifndef (\w+)\n#define \1\n", code)
            assert name and code.rstrip().endswith("#endif"), f"{path}: no include guard"


def test_functions_of_the_c_core_have_few_parameters():
    function = re.compile(r"^[A-Za-z][\w *]*?(\w+)(?:\(\w+\))?\(([^(){};]*)\)\s*\{", re.MULTILINE)
    found = {}
    for path, code, _ in c_sources():
        for name, parameters in function.findall(code):
            found[f"{path}:{name}"] = parameters.count(",") + 1
    assert len(found) > 200
    assert not {name: n for name, n in found.items() if n >= 12}


def test_build_has_no_flag_that_binds_it_to_this_machine_or_bends_arithmetic():
    strings = " ".join(flag for unit in units() for flag in unit.flags)
    strings += " ".join(flag for isa in read_isas() for flag in isa.flags)
    for path in ("setup.py", "csrc/units.py"):
        tokens = tokenize.tokenize(io.BytesIO((ROOT / path).read_bytes()).readline)
        found = [token.string for token in tokens if token.type == tokenize.STRING]
        strings += " ".join(string for string in found if not string.startswith('"""'))
    for flag in ("-march", "-mtune", "-ffast-math", "-Ofast", "-funsafe-math", "-fassociative", "-ffinite-math"):
        assert flag not in strings, flag
    assert all("-ffp-contract=off" in unit.flags for unit in units())


def test_sources_hold_no_leftovers():
    for path, _, text in c_sources():
        assert not re.search(r"#\s*if\s+0\b|TODO|FIXME|XXX", text), path
    for path in (*ROOT.glob("lstm_fast/**/*.py*"), *ROOT.glob("tests/*.py"), ROOT / "setup.py"):
        if path.suffix in (".py", ".pyi", ".pyx") and path.name != "test_package.py":
            assert not re.search("TODO|FIXME|XXX", path.read_text()), path


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git")
def test_repository_holds_nothing_that_it_ignores():
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert not subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_package_runs_no_text_as_code():
    for path in ROOT.glob("lstm_fast/**/*.py*"):
        if path.suffix in (".py", ".pyx"):
            found = re.findall(
                r"(?<!`)\b(?:pickle\.|marshal\.|eval\(|exec\(|__import__|allow_pickle=True)", path.read_text()
            )
            assert not found, f"{path.relative_to(ROOT)}: {found}"


# ---- compilers -----------------------------------------------------------------------------------------------------

COMPILERS = [compiler(), *([["clang"]] if shutil.which("clang") else [])]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wno-unknown-pragmas", "-Werror"]


def run_compiler(compiler, *words):
    done = subprocess.run([*compiler, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def check_syntax(compiler, sources):
    """Each of sources: flags and a path."""
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(run_compiler, compiler, "-fsyntax-only", *WARNINGS, *words) for words in sources]
        for job in jobs:
            job.result()


@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_c_core_compiles_without_a_warning(compiler):
    openmp = ["-fopenmp"] if compiler == COMPILERS[0] and _core.has_openmp() else []
    check_syntax(compiler, [[*unit.flags, *extra, unit.source] for unit in units() for extra in ([], openmp)])


@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_each_file_of_the_c_core_compiles_alone(compiler):
    """As an editor opens it: nothing included before, no flags but those of isas.h for what names its instructions."""
    folders = ("kernels", "formats")
    vectors = {ROOT / f"csrc/{folder}/vector/{isa.name}.h": isa for isa in read_isas() for folder in folders}
    sources = []
    for path in (ROOT / "csrc").rglob("*.[ch]"):
        isa = vectors.get(path)
        if isa is not None and isa not in isas():
            continue  # of another machine
        own = [*isa.flags, f"-DLSTM_ISA={isa.base}", f"-DLSTM_EXTENSION={isa.name}"] if isa else []
        for flags in [[]] if "formats" in path.parts else DTYPES.values():
            sources.append(["-std=c11", "-Wno-unused-function", *own, *flags, "-x", "c", path])
    check_syntax(compiler, sources)


def test_editors_learn_the_flags_of_every_unit(tmp_path):
    copy_source(tmp_path)
    subprocess.run([sys.executable, "csrc/units.py"], cwd=tmp_path, check=True)
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    assert {command["file"] for command in commands} == {unit.source for unit in units()}
    assert all(command["directory"] == str(tmp_path) and "-std=c11" in command["arguments"] for command in commands)


X86_ISAS = {"portable", "avx2", "avx_vnni", "avx512", "avx512_vnni", "avx512_bf16", "amx"}


@pytest.mark.parametrize(
    "platform, expected",
    [
        ("linux-x86_64", X86_ISAS),
        ("win-amd64", X86_ISAS),
        ("linux-aarch64", {"portable", "neon"}),
        ("macosx-11.0-arm64", {"portable", "neon"}),
        ("linux-ppc64le", {"portable"}),
    ],
)
def test_kernels_are_those_of_the_platform_that_is_built_for(platform, expected):
    """_PYTHON_HOST_PLATFORM is how a cross build names it; the machine that builds may be another one."""
    code = "from units import isas; print(*[isa.name for isa in isas()])"
    environment = {**os.environ, "_PYTHON_HOST_PLATFORM": platform}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "csrc", env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected


@pytest.mark.skipif(target_machine() != "X86", reason="reads the assembly of AVX2 kernels")
@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_sums_of_a_tile_stay_in_registers(compiler):
    """Both compilers must unroll loops of constant length: where Clang did not, it was five times slower."""
    unit = only(unit for unit in units() if unit.name == "kernels_avx2_f32")
    text = run_compiler(compiler, *unit.flags, "-S", unit.source, "-o", "-")
    body = re.search(r"^lstm_tile_3_0:(.*?)^\s*\.size\s+lstm_tile_3_0", text, re.M | re.S)[1]
    runs = re.findall(r"^(\.\w+):(.*?)(?=^\.\w+:|\Z)", body, re.M | re.S)
    loops = [re.findall(r"\bv\w+", run) for label, run in runs if re.search(rf"\bj\w+\s+{re.escape(label)}\b", run)]
    loops = [run for run in loops if sum(word.startswith("vfmadd") for word in run) >= 12]
    assert len(loops) >= 2, "the product of x and that of h"
    for run in loops:
        fused = sum(word.startswith("vfmadd") for word in run)
        assert len(run) <= fused * 19 / 12, "four loads and three broadcasts for twelve multiplications, and no stores"
