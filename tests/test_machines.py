"""Other machines: the driver of the C core (tests/c), cross-compiled and emulated, gives the recorded bits.

s390x stores the upper half of a word first. Each needs a compiler and an emulator, which Debian and PyPI have:
    apt-get install gcc-aarch64-linux-gnu gcc-s390x-linux-gnu gcc-mingw-w64-x86-64 qemu-user-static wine64 nodejs
    pip install ziglang
"""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from units import ROOT

from optional import is_installed
from test_c_driver import read_hashes

ZIG = [sys.executable, "-m", "ziglang", "cc", "-target"]
# platform as sysconfig names it there: compiler, emulator
MACHINES = {
    "linux-aarch64": (["aarch64-linux-gnu-gcc"], ["qemu-aarch64-static"]),
    "linux-s390x": (["s390x-linux-gnu-gcc"], ["qemu-s390x-static"]),
    "win-amd64": (["x86_64-w64-mingw32-gcc"], ["wine"]),
    "linux_musl-x86_64": ([*ZIG, "x86_64-linux-musl"], []),
    "wasi-wasm32": ([*ZIG, "wasm32-wasi"], ["node", "--no-warnings", ROOT / "tests/c/run_wasi.mjs"]),
}


def units_of(platform):
    """(name, source, flags) of each unit, as csrc/units.py lists them for this platform."""
    code = "import json; from units import units; print(json.dumps(units()))"
    environment = {**os.environ, "_PYTHON_HOST_PLATFORM": platform, "PYTHONPATH": str(ROOT / "csrc")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(not os.environ.get("LSTM_FAST_TEST_MACHINES"), reason="a minute each: LSTM_FAST_TEST_MACHINES=1")
@pytest.mark.parametrize("platform", MACHINES)
def test_core_reproduces_stored_bits_on_emulated_machines(platform, tmp_path):
    compiler, emulator = MACHINES[platform]
    if missing := [words[0] for words in (compiler, emulator) if words and not shutil.which(words[0])]:
        pytest.skip(f"no {', '.join(missing)}")
    if compiler[:-1] == ZIG and not is_installed("ziglang"):
        pytest.skip("no ziglang")

    def compile_to(name, source, flags):
        flags = [flag for flag in flags if flag != "-O3"]  # the bits do not depend on it
        command = [*compiler, *flags, "-O1", f"-I{ROOT}/csrc", "-c", ROOT / source, "-o", tmp_path / f"{name}.o"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    with ThreadPoolExecutor(2) as pool:
        units = [*units_of(platform), ("driver", "tests/c/driver.c", ["-std=c11"])]
        list(pool.map(lambda unit: compile_to(*unit), units))
    driver = tmp_path / "driver.exe"
    subprocess.run([*compiler, "-static", *tmp_path.glob("*.o"), "-lm", "-lpthread", "-o", driver], check=True)
    run = subprocess.run(
        [*emulator, driver, "quick"], capture_output=True, text=True, env={**os.environ, "WINEDEBUG": "-all"}
    )
    if emulator == ["wine"] and not run.stdout.startswith("T1 "):
        pytest.skip(f"wine does not start here: {run.stderr[-200:]}")
    assert run.returncode == 0, run.stderr[-2000:]
    got, want = read_hashes(run.stdout), read_hashes((ROOT / "tests/data/bits.txt").read_text())
    assert len(got) > len(want) / 4
    assert not [shape for shape in got for kind in got[shape] if got[shape][kind] != want[shape][kind]]
