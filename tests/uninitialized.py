"""The C programs under Valgrind's memcheck: no result depends on memory that was never written.

    python tests/uninitialized.py

Valgrind has AVX2 and no later instruction set, so portable and AVX2 kernels run. (Clang's MemorySanitizer does not
know what the intrinsics of the later ones store, and reports their results.) Exits with status 1 after a report.
"""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc"))

from units import compiler, units  # noqa: E402

PROGRAMS = (("driver", "quick"), ("calls",), ("rare",))
FLAGS = ["-O2", "-g", "-pthread"]
VALGRIND = ["valgrind", "-q", "--error-exitcode=9", "--fair-sched=yes", "--track-origins=no"]


def main():
    with tempfile.TemporaryDirectory() as folder:

        def compile_to(name, source, flags):
            path = Path(folder) / f"{name}.o"
            flags = [flag for flag in flags if flag not in ("-O3", "-g0")]
            command = [*compiler(), *flags, *FLAGS, f"-I{ROOT}/csrc", "-c", ROOT / source, "-o", path]
            subprocess.run(command, check=True)
            return path

        with ThreadPoolExecutor(2) as pool:
            core = list(pool.map(lambda unit: compile_to(*unit), units()))
        failed = False
        for name, *words in PROGRAMS:
            program = Path(folder) / name
            own = compile_to(f"main_{name}", f"tests/c/{name}.c", ["-std=c11"])
            subprocess.run([*compiler(), *FLAGS, own, *core, "-lm", "-o", program], check=True)
            done = subprocess.run([*VALGRIND, program, *words], capture_output=True, text=True)
            lines = len(done.stdout.splitlines())
            print(
                f"{name}: passed, {lines} lines" if not done.returncode else f"{name}: FAILED\n{done.stderr[:4000]}",
                flush=True,
            )
            failed |= done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
