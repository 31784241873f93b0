"""The core without Python, under sanitizers: no stray access, and the bits written down in data/bits.txt.

bits.txt holds a hash of every result bit (forward, inference, backward) per shape: one for the portable kernels and one
for all instruction sets with fused multiply-add, which must agree with each other on every machine; and both again for
sequences of different lengths (-ragged). (Packed ones are run too, for stray accesses and threads.) It was written by
    driver > bits.txt
with the columns of the instruction sets reduced to `portable` and `fused`; a change of bits must be meant and told in CHANGELOG.
"""

import os
import platform
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c11", "-O0", "-g", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", f"-I{ROOT / 'csrc'}"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
KERNELS = {
    "x86_64": {
        "portable": [],
        "avx2": ["-mavx2", "-mfma", "-mf16c"],
        "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"],
    },
    "aarch64": {"portable": [], "neon": []},
}.get(platform.machine(), {"portable": []})


def compiler():
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    folder = tmp_path_factory.mktemp("driver")

    def build(*extra):
        jobs = [
            subprocess.Popen(
                [
                    *compiler(),
                    *FLAGS,
                    *flags,
                    *extra,
                    "-c",
                    f"{ROOT}/csrc/kernels/kernels_{isa}.c",
                    "-o",
                    f"{folder}/{isa}.o",
                ],
                stderr=subprocess.PIPE,
                text=True,
            )
            for isa, flags in KERNELS.items()
        ]
        for job in jobs:
            _, errors = job.communicate()
            assert job.returncode == 0, errors
        core = [
            str(ROOT / "csrc" / name)
            for name in (
                "plan.c",
                "dispatch.c",
                "parallel.c",
                "loops/loops.c",
                "loops/loops_f32.c",
                "loops/loops_f64.c",
            )
        ]
        subprocess.run(
            [
                *compiler(),
                *FLAGS,
                *extra,
                "-fopenmp",
                str(ROOT / "tests/c/driver.c"),
                *core,
                *(f"{folder}/{isa}.o" for isa in KERNELS),
                "-lm",
                "-o",
                f"{folder}/driver",
            ],
            check=True,
        )
        return f"{folder}/driver"

    probe = subprocess.run(
        [*compiler(), *SANITIZERS, "-x", "c", "-", "-o", f"{folder}/probe"],
        input="int main(void){return 0;}",
        text=True,
        capture_output=True,
    )
    return build(*SANITIZERS) if probe.returncode == 0 else build()


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


def test_core_gives_the_written_bits_without_stray_accesses(driver):
    run = subprocess.run([driver], capture_output=True, text=True, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    got, want = read_hashes(run.stdout), read_hashes((ROOT / "tests/data/bits.txt").read_text())
    assert got.keys() == want.keys()
    wrong = [shape for shape in got for kind in got[shape] if got[shape][kind] != want[shape][kind]]
    assert not wrong
