"""Proves that the tests detect faults: builds the extension with one fault at a time; the tests must fail.

    LSTM_FAST_TEST_ALL=1 python tests/mutate.py [words of names...]

Needs a C compiler; a build takes ten seconds if cython is installed, else pip fetches it each time. test_mutants.py
runs one of these with every run of the suite; run all before a release.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from checkout import copy_source
from mutants import MUTANTS


def replace(path, right, wrong):
    text = path.read_text()
    assert right in text, f"{path} has changed: it no longer contains {right!r}"
    path.write_text(text.replace(right, wrong))


def without_optimization(tree):
    """Makes builds of the tree quicker; this changes no bit."""
    units = tree / "csrc/units.py"
    units.write_text(units.read_text().replace('"-O3"', '"-O0"'))


def build(tree):
    """Builds the extension into the tree."""
    without_optimization(tree)
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("Cython") else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *isolation, "-w", folder, str(tree)]
        subprocess.run(command, check=True, capture_output=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (extension,) = (name for name in archive.namelist() if name.endswith(".so"))
            archive.extract(extension, tree)


def run_tests(tree, tests):
    """pytest on the tree's own package; stops at the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


def run_mutant(tree, mutant):
    """Apply the mutant, build, test and revert it. Returns the finished pytest, whose exit status should be 1."""
    path = tree / mutant.file
    before = path.read_text()
    try:
        replace(path, mutant.right, mutant.wrong)
        build(tree)
        return run_tests(tree, mutant.tests)
    finally:
        path.write_text(before)


def main(words):
    chosen = {name: mutant for name, mutant in MUTANTS.items() if not words or any(word in name for word in words)}
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_source(tree)
        build(tree)
        for tests in dict.fromkeys(mutant.tests for mutant in chosen.values()):
            done = run_tests(tree, tests)
            if done.returncode != 0:
                sys.exit(f"{tests} is red without any mutant:\n{done.stdout[-2000:]}")
        for name, mutant in chosen.items():
            begin = time.monotonic()
            done = run_mutant(tree, mutant)
            failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
            verdict = {0: "SURVIVED", 1: "red"}.get(
                done.returncode, "crashed" if done.returncode < 0 else f"pytest: {done.returncode}"
            )
            survivors += done.returncode == 0 or done.returncode > 1
            print(f"{name:52} {verdict:9} {time.monotonic() - begin:4.0f} s  {failed.split(' - ')[0][7:]}", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
