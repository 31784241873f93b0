"""The C core as a library: built and installed by CMake, used from C and C++; a step makes no system calls."""

import re
import shutil
import subprocess
import tomllib

import numpy as np
import pytest
from units import ROOT, compiler, target_machine

import lstm_fast as lf
from once import once_per_run
from optional import MUST_HAVE_ALL

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
EXAMPLES = ROOT / "examples/c"
HEADERS = ("lstm_fast.h", "lstm_fleet.h")


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_header_has_the_version_of_the_package():
    assert f'#define LSTM_FAST_VERSION "{VERSION}"' in (ROOT / "csrc/lstm_fast.h").read_text()


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler")
@pytest.mark.parametrize(
    "path", [*(ROOT / "csrc" / name for name in HEADERS), EXAMPLES / "sequence.cpp"], ids=lambda path: path.name
)
def test_header_and_example_compile_as_cpp(path):
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/csrc", "-x", "c++"]
    run("c++", *flags, path)


def test_example_compiles_as_c_without_warnings():
    run(*compiler(), "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/csrc", EXAMPLES / "step.c")


# ---- built by CMake ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Prefix of an installed library, compiled without optimization."""
    if not MUST_HAVE_ALL:
        pytest.skip("takes half a minute: LSTM_FAST_TEST_ALL=1")
    if not shutil.which("cmake"):
        pytest.skip("no cmake")

    def install(to):
        build = tmp_path_factory.mktemp("build")
        run("cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_INSTALL_PREFIX={to}")
        run("cmake", "--build", build, "-j2")
        run("cmake", "--install", build)

    return once_per_run(tmp_path_factory, "installed", install)


def test_examples_find_the_installed_library_and_agree_with_python(installed, tmp_path):
    run("cmake", "-S", EXAMPLES, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", tmp_path)
    step, sequence = run(tmp_path / "step"), run(tmp_path / "sequence")

    lstm = lf.LSTM(1, 16)
    weights = {
        "weight_ih_l0": np.sin(np.arange(64, dtype=np.float32)).reshape(64, 1),
        "weight_hh_l0": np.sin(np.arange(1, 1025, dtype=np.float32)).reshape(64, 16) / 4,
    }
    lstm.load_state_dict(weights | {name: np.zeros(64) for name in ("bias_ih_l0", "bias_hh_l0")})
    output, _ = lstm(np.sin(np.arange(100, dtype=np.float32) / 10)[:, None])
    assert float(re.search(r"h\[0\] = (\S+)", step)[1]) == pytest.approx(output[-1, 0], abs=2e-6)

    lstm = lf.LSTM(3, 32, bias=False)
    lstm.load_state_dict({"weight_ih_l0": np.full((128, 3), 0.1), "weight_hh_l0": np.full((128, 32), 0.01)})
    output, _ = lstm(np.sin(np.arange(2400, dtype=np.float32)).reshape(100, 8, 3))
    assert [float(number) for number in re.findall(r"= (\S+?)[,\n]", sequence)] == pytest.approx(
        [output[-1, -1, -1]] * 2, abs=2e-6
    )


def test_shared_library_exports_only_the_header(installed, tmp_path):
    library = installed / "lib"
    if shutil.which("pkg-config"):
        environment = {"PKG_CONFIG_PATH": str(library / "pkgconfig"), "PATH": "/usr/bin:/bin"}
        assert run("pkg-config", "--modversion", "lstm_fast", env=environment).strip() == VERSION
        flags = run("pkg-config", "--cflags", "--libs", "lstm_fast", env=environment).split()
        run(*compiler(), EXAMPLES / "step.c", *flags, "-lm", "-o", tmp_path / "step")
        assert run(tmp_path / "step", env={"LD_LIBRARY_PATH": str(library)}).startswith(f"lstm_fast {VERSION}, ")
    shared = library / "liblstm_fast.so"
    soname = ".".join(VERSION.split(".")[:2])
    assert f"[liblstm_fast.so.{soname}]" in run("readelf", "-d", shared)
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", shared).splitlines()}
    declared = set(
        re.findall(r"\b(lstm_\w+)(?:\(|\[\];)", "".join((ROOT / "csrc" / name).read_text() for name in HEADERS))
    )
    assert exported == declared - {"lstm_interrupted_function"}  # a type


@pytest.mark.skipif(target_machine() != "X86", reason="strict seccomp forbids the clock where it is a system call")
def test_step_makes_no_allocation_lock_or_system_call(installed, tmp_path):
    forbidden = re.findall(r"FORBID\((\w+)\)\n", (ROOT / "tests/c/quiet.c").read_text())
    wraps = [f"-Wl,--wrap={name}" for name in ("malloc", *forbidden)]
    source, library = ROOT / "tests/c/quiet.c", installed / "lib/liblstm_fast.a"
    run(*compiler(), f"-I{ROOT}/csrc", source, library, "-fopenmp", "-lm", *wraps, "-o", tmp_path / "quiet")
    assert run(tmp_path / "quiet") == "quiet\n"
    unknown = {line.split()[-1] for line in run("nm", "-u", library).splitlines() if line.strip().startswith("U ")}
    assert not unknown & {"malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "printf", "exit"}
