"""Measure every property that takes too long for CI, and print the results as a table, one row per run.

    python tests/proof.py [lines...] [--seconds S] [--cases N] [--seed N] [--jobs N] [--output docs/trust-run.txt]

Lines are the numbers of the table, all by default. Commands that can stop anywhere run for S seconds each (600 by
default; the target counts need about an hour each on two cores); the others run to their end. Each can be run alone as
printed. A row names the date, the revision of the sources (-dirty: with changes that are not committed) and the
processor; --output appends it to a file as soon as its run has ended. Exit status 1 if any has failed.
"""

import argparse
import datetime
import os
import platform
import re
import resource
import shlex
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
    command: str  # may contain the fields of main(); {seconds}: its time limit


PYTEST = "-m pytest -q -p no:cacheprovider"
LINES = [
    Line("1", "errors in float32 relative to PyTorch's", "tests/accuracy.py 150 1"),
    Line("2", "sigmoid and tanh over all 2^32 numbers", f"{PYTEST} tests/test_kernels.py -k all_of_float32"),
    Line("4", "gradients in float32 against float64", "tests/gradient_accuracy.py"),
    Line(
        "5",
        "random networks against the reference, PyTorch, ONNX Runtime",
        "tests/fuzz.py {cases} {seed} --seconds {seconds} --jobs {jobs}",
    ),
    Line(
        "5, formats",
        "formats of fewer bits against the reference",
        "tests/fuzz_formats.py {cases} {seed} --seconds {seconds} --jobs {jobs}",
    ),
    Line(
        "6-10",
        "bits: threads, batch, padding, layout, instruction set, poison",
        "tests/fuzz_bits.py {cases} {seed} --seconds {seconds} --jobs {jobs}",
    ),
    Line(
        "6-10, fleets",
        "models of a fleet and alone",
        "tests/fuzz_fleets.py {cases} {seed} --seconds {seconds} --jobs {jobs}",
    ),
    Line(
        "6-10, trainings",
        "trainings: threads, instruction sets, symbols, padding, resumption, fleets",
        "tests/fuzz_fits.py {cases} {seed} --seconds {seconds} --jobs {jobs}",
    ),
    Line("12, 13", "wrong calls and sizes", "tests/hostile.py 220000 {seed} --seconds {seconds} --jobs {jobs}"),
    Line("14, 17", "sanitizers, exact arrays and guard pages under the C programs", f"{PYTEST} tests/test_c_driver.py"),
    Line("16", "uninitialized reads of the C programs", "tests/uninitialized.py"),
    Line("17", "guard pages around the arrays of Python's calls", f"{PYTEST} tests/test_edges.py"),
    Line("18", "files of four kinds, coverage-guided", "tests/fuzz_loaders.py --seconds {seconds}"),
    Line("19", "malformed files", "tests/fuzz_files.py {cases} {seed}"),
    Line("20", "flips and truncations of files with a digest", "tests/test_files_digest.py"),
    Line("21", "kill -9 during saves", "tests/test_files_crash.py 10000 0"),
    Line("24", "each allocation failing", f"{PYTEST} tests/test_memory_errors.py"),
    Line("25", "resumed runs", "tests/test_resume_points.py"),
    Line("26", "memory after many calls", "tests/leaks.py"),
    Line("27", "how soon Ctrl-C is answered", "tests/interrupts.py"),
    Line("29", "fork", f"{PYTEST} tests/test_fork.py"),
    Line("32", "orders of import", "tests/test_import_orders.py"),
    Line("40, coverage", "lines and branches of the C core", "tests/core_coverage.py"),
    Line("40, mutants", "random mutants of the C core", "tests/mutate_random.py 300 --seconds {seconds}"),
    Line("40, Python", "random mutants of the Python sources", "tests/mutate_python.py 300 --seconds {seconds}"),
    Line("41", "random walks over the interface", "tests/soak.py --seconds {seconds} --seed {seed}"),
]


HEAD = "| line | property | command | date | revision | processor | seconds, of CPU time | result | summary |"
SUMMARY = (
    "cases from|runs with|steps in|passed|^lines|^branches|^{|files, seed|kills, seed|orders of|save points|truncations"
)


def processor():
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def revision():
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "no checkout"


def processor_time():
    """Seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command, seconds):
    """Return (status, seconds, the last words of the output)."""
    environment = os.environ | {"LSTM_FAST_ALL_FLOATS": "1", "OMP_WAIT_POLICY": "passive"}
    begin = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *shlex.split(command)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds + LONGEST,
        )
    except subprocess.TimeoutExpired:
        return "time over", time.monotonic() - begin, ""
    said = [text.strip() for text in done.stdout.splitlines() if text.strip()]
    summary = [text for text in said if re.search(SUMMARY, text)] or said[-1:]
    if done.returncode:
        summary = [*said[-15:], *done.stderr.splitlines()[-5:]]
    return "holds" if done.returncode == 0 else "FAILED", time.monotonic() - begin, "; ".join(summary)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="*", help="numbers as printed: 5, 6-10, '40, coverage'")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path)
    a = parser.parse_args()
    if unknown := set(a.lines) - {line.number for line in LINES}:
        parser.error(f"lines must be among {[line.number for line in LINES]}, not {sorted(unknown)}")
    print(f"{HEAD}\n{re.sub('[^|]+', '---', HEAD)}", flush=True)
    failed = False
    for line in LINES:
        if a.lines and line.number not in a.lines:
            continue
        when, before = f"{datetime.datetime.now():%Y-%m-%d %H:%M} | {revision()}", processor_time()
        command = line.command.format(seconds=f"{a.seconds:.0f}", cases=a.cases, seed=a.seed, jobs=a.jobs)
        result, took, said = run(command, a.seconds)
        failed |= result != "holds"
        row = (
            f"| {line.number} | {line.what} | `python {command}` | {when} | {processor()} "
            f"| {took:.0f}, {processor_time() - before:.0f} | {result} | {said.replace('|', '/')} |"
        )
        print(row, flush=True)
        if a.output:
            with a.output.open("a") as file:
                print(row, file=file)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
