"""The C core under each compiler: without warnings, file by file, with the flags of units.py, tiles in registers."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from units import DTYPES, compiler, isas, read_isas, target_machine, units

from checkout import ROOT, copy_source
from lstm_fast import _core
from optional import heavy

CLANG = [pytest.param(["clang"], marks=heavy)] if shutil.which("clang") else []
COMPILERS = [compiler(), *CLANG]
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
    sources = [[*unit.flags, unit.source] for unit in units()]
    if compiler == COMPILERS[0] and _core.has_openmp():  # one file has it
        sources += [[*unit.flags, "-fopenmp", unit.source] for unit in units() if unit.name == "threads"]
    check_syntax(compiler, sources)


@heavy
@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_each_file_of_the_c_core_compiles_alone(compiler):
    """As in an editor: nothing is included before, and only units of an instruction set get its flags."""
    folders = ("kernels", "kernels/formats")
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


def test_compile_commands_lists_every_unit(tmp_path):
    copy_source(tmp_path)
    subprocess.run([sys.executable, "csrc/units.py"], cwd=tmp_path, check=True)
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    assert {command["file"] for command in commands} == {unit.source for unit in units()}
    assert all(command["directory"] == str(tmp_path) and "-std=c11" in command["arguments"] for command in commands)


@pytest.mark.parametrize(
    "platform, machine",
    [
        ("linux-x86_64", "X86"),
        ("win-amd64", "X86"),
        ("linux-aarch64", "ARM"),
        ("macosx-11.0-arm64", "ARM"),
        ("linux-ppc64le", "ANY"),
    ],
)
def test_kernels_match_the_target_platform(platform, machine):
    """_PYTHON_HOST_PLATFORM names the target of a cross build."""
    code = "from units import isas; print(*[isa.name for isa in isas()])"
    environment = {**os.environ, "_PYTHON_HOST_PLATFORM": platform}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "csrc", env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [isa.name for isa in isas(machine)]


@heavy
@pytest.mark.skipif(target_machine() != "X86", reason="reads the assembly of AVX2 kernels")
@pytest.mark.parametrize("compiler", COMPILERS, ids=str)
def test_tile_sums_stay_in_registers(compiler):
    """Both compilers must unroll loops of constant length: where Clang did not, it was five times slower."""
    (unit,) = (unit for unit in units() if unit.name == "kernels_avx2_f32")
    text = run_compiler(compiler, *unit.flags, "-S", unit.source, "-o", "-")
    body = re.search(r"^lstm_tile_3_0:(.*?)^\s*\.size\s+lstm_tile_3_0", text, re.M | re.S)[1]
    runs = re.findall(r"^(\.\w+):(.*?)(?=^\.\w+:|\Z)", body, re.M | re.S)
    loops = [re.findall(r"\bv\w+", run) for label, run in runs if re.search(rf"\bj\w+\s+{re.escape(label)}\b", run)]
    loops = [run for run in loops if sum(word.startswith("vfmadd") for word in run) >= 12]
    assert len(loops) >= 2, "the product of x and that of h"
    for run in loops:
        fused = sum(word.startswith("vfmadd") for word in run)
        assert len(run) <= fused * 19 / 12, "four loads and three broadcasts for twelve multiplications, and no stores"
