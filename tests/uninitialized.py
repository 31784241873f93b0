"""The C programs under Valgrind's memcheck: no result depends on memory that was never written.

    python tests/uninitialized.py [--every N]

Valgrind has AVX2 and no later instruction set, so portable and AVX2 kernels are built and run. (Clang's MemorySanitizer
does not model what newer intrinsics store, and reports their results.) The driver runs every Nth of its
lines (17 by default: each shape and each kind; 1: all, for hours). Exits with status 1 after a report.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc"))

from units import compiler, units  # noqa: E402

ISAS = ("portable", "avx2")
FLAGS = ["-O1", "-g", "-pthread"]
VALGRIND = ["valgrind", "-q", "--error-exitcode=9", "--fair-sched=yes", "--track-origins=no"]


def build(folder, names):
    """The programs with the kernels of ISAS alone."""
    shutil.copytree(ROOT / "csrc", folder / "csrc")
    table = folder / "csrc/isas.h"
    text = table.read_text()
    for isa in {unit.flags[-1] for unit in units() if unit.name.startswith("formats")}:
        name = isa.rpartition("=")[2]
        if name not in ISAS:
            text = re.sub(rf"    \w+\({name},(?:[^\n]*\\\n)+?(?=    \w+\(\w+, \w+, \d+)", "", text)
    table.write_text(text)

    def is_kept(unit):
        return (
            not unit.name.startswith(("kernels_", "formats_"))
            or unit.name.split("_", 1)[1].removesuffix("_f32").removesuffix("_f64") in ISAS
        )

    def compile_to(name, source, flags):
        flags = [flag for flag in flags if flag not in ("-O3", "-g0")]
        path = folder / f"{name}.o"
        command = [*compiler(), *flags, *FLAGS, "-w", f"-I{folder}/csrc", "-c", source, "-o", path]
        subprocess.run(command, check=True)
        return path

    with ThreadPoolExecutor(2) as pool:
        core = list(
            pool.map(lambda unit: compile_to(unit.name, folder / unit.source, unit.flags), filter(is_kept, units()))
        )
    for name in names:
        own = compile_to(f"main_{name}", ROOT / f"tests/c/{name}.c", ["-std=c11"])
        subprocess.run([*compiler(), *FLAGS, own, *core, "-lm", "-o", folder / name], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=17)
    a = parser.parse_args()
    programs = (("calls",), ("driver", f"every={a.every}"), ("rare",))
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), [name for name, *_ in programs])
        for name, *words in programs:
            begin = time.monotonic()
            done = subprocess.run(
                [*VALGRIND, Path(folder) / name, *words],
                capture_output=True,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "2"},
            )
            lines, seconds = len(done.stdout.splitlines()), time.monotonic() - begin
            says = f"FAILED\n{done.stdout[-2000:]}{done.stderr[:4000]}" if done.returncode else f"passed, {lines} lines"
            print(f"{name}: {says}, {seconds:.0f} s", flush=True)
            failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
