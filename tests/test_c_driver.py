"""The core without Python, under sanitizers: no invalid access, and the bits recorded in data/bits.txt.

bits.txt holds a hash of every result bit (forward, inference, backward) per shape: one for the portable kernels and one
for all instruction sets with fused multiply-add, which must agree with each other on every machine; and both again for
sequences of different lengths (-ragged). (Packed ones run too, to check memory accesses and threads.) It was written by
    driver > bits.txt
with the columns of the instruction sets reduced to `portable` and `fused`. A change of bits must be deliberate and
listed in CHANGELOG.md.
"""

import os
import subprocess

import pytest
from units import ROOT, compiler, units

from once import once_per_run
from optional import heavy

ADDRESS = ["-fsanitize=address", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
UNDEFINED = ["-fsanitize=undefined", "-fno-sanitize=null,object-size"]  # AddressSanitizer reports these


def accepts(*flags):
    """Whether the compiler and the linker take these flags."""
    command = [*compiler(), *flags, "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(command, input="int main(void){return 0;}", text=True, capture_output=True).returncode == 0


def build(folder):
    """The three programs."""
    sanitizers = [*ADDRESS, *UNDEFINED] if accepts(*ADDRESS, *UNDEFINED) else []
    extra = ["-O0", "-g", "-fopenmp", f"-I{ROOT}/csrc"]

    def compile_to(name, source, flags):
        flags = [flag for flag in flags if flag not in ("-O3", "-g0")]
        command = [*compiler(), *flags, *extra, *sanitizers, "-c", ROOT / source, "-o", folder / f"{name}.o"]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    jobs = [compile_to(*unit) for unit in units()]
    jobs += [compile_to(f"main_{name}", f"tests/c/{name}.c", ["-std=c11"]) for name in ("driver", "calls", "rare")]
    for job in jobs:
        _, errors = job.communicate()
        assert job.returncode == 0, errors
    core = [path for path in folder.glob("*.o") if not path.name.startswith("main_")]
    for name in ("driver", "calls", "rare"):
        objects = [folder / f"main_{name}.o", *core]
        subprocess.run([*compiler(), *extra, *sanitizers, *objects, "-lm", "-o", folder / name], check=True)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return once_per_run(tmp_path_factory, "driver", build) / "driver"


def run_program(path, *words):
    """Return the output; the program must succeed without a sanitizer report."""
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "OMP_WAIT_POLICY": "passive"}
    run = subprocess.run([path, *words], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    return run.stdout


def read_hashes(text):
    """{shape: {portable, fused, portable-ragged or fused-ragged: set of hashes}}"""
    hashes = {}
    for line in text.splitlines():
        words = line.split()
        shape, columns = " ".join(words[:8]), words[8:]
        hashes[shape] = {}
        for isa, value in zip(columns[::2], columns[1::2], strict=True):
            name, *ragged = isa.split("-")
            kind = "-".join(["portable" if name == "portable" else "fused", *ragged])
            hashes[shape].setdefault(kind, set()).add(value)
    return hashes


@heavy
def test_core_reproduces_stored_bits_without_invalid_accesses(driver):
    got, want = read_hashes(run_program(driver)), read_hashes((ROOT / "tests/data/bits.txt").read_text())
    assert got.keys() == want.keys()
    wrong = [shape for shape in got for kind in got[shape] if got[shape][kind] != want[shape][kind]]
    assert not wrong


@heavy
def test_other_calls_give_finite_results_without_invalid_accesses(driver):
    """The readout, optimizers, activations, 16-bit weights, interruption, oversized requests, single options."""
    assert "0 wrong" in run_program(driver.parent / "calls")
    assert "0 wrong" in run_program(driver.parent / "rare")


@heavy
@pytest.mark.parametrize("side", ["end", "begin"])
def test_no_access_outside_arrays_and_workspaces(driver, side):
    """Guard pages: sanitizers do not see masked loads and stores."""
    assert "0 wrong" in run_program(driver.parent / "calls", side)
    assert "0 wrong" in run_program(driver.parent / "rare", side)
    run_program(driver, "quick", side)
