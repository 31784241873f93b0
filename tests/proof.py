"""Measure every property that takes too long for CI, and print the results as a table.

    python tests/proof.py [lines...] [--seconds S] [--output docs/trust-run.txt]

Lines are the numbers of the table, all by default. Commands that can stop anywhere run for S seconds each (600 by
default; the target counts need about an hour each on two cores); the others run to their end. Each can be run alone as
printed. Exit status 1 if any has failed.
"""

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 3600  # seconds, of commands that run to their end


class Line(NamedTuple):
    number: str
    what: str
    command: str  # {seconds}: stops after them


PYTEST = "-m pytest -q -p no:cacheprovider"
LINES = [
    Line("2", "sigmoid and tanh over all 2^32 numbers", f"{PYTEST} tests/test_kernels.py -k all_of_float32"),
    Line("4", "gradients in float32 against float64", "tests/gradient_accuracy.py"),
    Line(
        "5", "random networks against the reference, PyTorch, ONNX Runtime", "tests/fuzz.py 100000 --seconds {seconds}"
    ),
    Line(
        "5, formats", "formats of fewer bits against the reference", "tests/fuzz_formats.py 100000 --seconds {seconds}"
    ),
    Line(
        "6-10",
        "bits: threads, batch, padding, layout, instruction set, poison",
        "tests/fuzz_bits.py 100000 --seconds {seconds}",
    ),
    Line("6-10, fleets", "models of a fleet and alone", "tests/fuzz_fleets.py 100000 --seconds {seconds}"),
    Line(
        "6-10, trainings",
        "trainings: threads, instruction sets, symbols, padding, resumption, fleets",
        "tests/fuzz_fits.py 100000 --seconds {seconds}",
    ),
    Line("12, 13", "wrong calls and sizes", "tests/hostile.py 200000 --seconds {seconds}"),
    Line("14, 17", "sanitizers, exact arrays and guard pages under the C programs", f"{PYTEST} tests/test_c_driver.py"),
    Line("16", "uninitialized reads of the C programs", "tests/uninitialized.py"),
    Line("17", "guard pages around the arrays of Python's calls", f"{PYTEST} tests/test_edges.py"),
    Line("18", "files of four kinds, coverage-guided", "tests/fuzz_loaders.py --seconds {seconds}"),
    Line("24", "each allocation failing", f"{PYTEST} tests/test_memory_errors.py"),
    Line("26", "memory after many calls", "tests/leaks.py"),
    Line("27", "how soon Ctrl-C is answered", "tests/interrupts.py"),
    Line("29", "fork", f"{PYTEST} tests/test_fork.py"),
    Line("40, coverage", "lines and branches of the C core", "tests/core_coverage.py"),
    Line("40, mutants", "random mutants of the C core", "tests/mutate_random.py 300 --seconds {seconds}"),
    Line("40, Python", "random mutants of the Python sources", "tests/mutate_python.py 300 --seconds {seconds}"),
    Line("41", "random walks over the interface", "tests/soak.py --seconds {seconds}"),
]


def processor():
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def run(line, seconds):
    """Return (status, seconds, the last words of the output)."""
    words = line.command.format(seconds=f"{seconds:.0f}").split()
    environment = os.environ | {"LSTM_FAST_ALL_FLOATS": "1", "OMP_WAIT_POLICY": "passive"}
    begin = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds + LONGEST,
        )
    except subprocess.TimeoutExpired:
        return "time over", time.monotonic() - begin, ""
    said = [text.strip() for text in done.stdout.splitlines() if text.strip()]
    summary = [text for text in said if re.search(r"cases from|runs with|steps in|passed|^lines|^branches|^{", text)]
    if done.returncode:
        summary = [*said[-15:], *done.stderr.splitlines()[-5:]]
    return "holds" if done.returncode == 0 else "FAILED", time.monotonic() - begin, "; ".join(summary)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="*", help="numbers as printed: 5, 6-10, '40, coverage'")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--output", type=Path)
    a = parser.parse_args()
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    text = f"{datetime.date.today()}, {revision.strip()}, {processor()}, Python {platform.python_version()}\n\n"
    text += "| line | property | command | seconds | result | what it says |\n|---|---|---|---|---|---|\n"
    print(text, end="", flush=True)
    failed = False
    for line in LINES:
        if a.lines and line.number not in a.lines:
            continue
        result, took, said = run(line, a.seconds)
        failed |= result != "holds"
        command = "python " + line.command.format(seconds=f"{a.seconds:.0f}")
        row = f"| {line.number} | {line.what} | `{command}` | {took:.0f} | {result} | {said.replace('|', '/')} |\n"
        print(row, end="", flush=True)
        text += row
    if a.output:
        a.output.write_text(text)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
