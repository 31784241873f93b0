"""Line and branch coverage of the C core under the drivers of tests/c, with gcov (GCC only).

    python tests/core_coverage.py [--suite "pytest arguments"] [--full]

Builds every unit that this machine can run with --coverage -O0, runs the C programs (`--full`: all shapes, not a third
of them), then, with --suite, pytest on an extension built likewise, and prints lines and branches per file, the lines
that were not reached and the lines with a branch that was not taken. A line of a header counts as reached if one unit
has reached it. Exit status 1 below the target: every line but those of EXCEPTIONS, 95 % of the branches.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc"))

from units import compiler, units  # noqa: E402

LEAST_BRANCHES = 0.95
PROGRAMS = ("driver", "calls", "rare")
INLINE = "__attribute__((always_inline, unused))"
FLAGS = ["--coverage", "-O0", "-g", "-fopenmp"]

# (file, text in the line): why it is not covered here.
PLAIN_ROW = "where inlining makes the number of rows a constant, which this build does not"
BY_THE_CLOCK = "an interruption at this very point depends on the clock: tests/test_signals.py"
EXCEPTIONS = {
    ("csrc/kernels/step.h", "void update_plain_row("): PLAIN_ROW,
    ("csrc/kernels/step.h", "update_units(NULL, s, row, panel, 1, panels, sums);"): PLAIN_ROW,
    ("csrc/kernels/step.h", "}"): PLAIN_ROW,
    ("csrc/loops/backward_steps.h", "return false;"): BY_THE_CLOCK,
    ("csrc/loops/forward_stages.h", "return false;"): BY_THE_CLOCK,
}


def compile_all(folder):
    """Build the units and programs without inlining, so that each branch is counted once."""
    copy = folder / "csrc"
    shutil.copytree(ROOT / "csrc", copy, dirs_exist_ok=True)
    text = (copy / "compiler.h").read_text()
    assert INLINE in text, "compiler.h no longer forces inlining as it did"
    (copy / "compiler.h").write_text(text.replace(INLINE, "__attribute__((unused))"))

    def compile_to(name, source, flags):
        flags = [flag for flag in flags if flag not in ("-O3", "-g0")]
        command = [*compiler(), *flags, *FLAGS, f"-I{copy}", "-c", str(source), "-o", f"{name}.o"]
        subprocess.run(command, check=True, cwd=folder)
        return f"{name}.o"

    jobs = [(unit.name, folder / unit.source, unit.flags) for unit in units()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda job: compile_to(*job), jobs))
    for name in PROGRAMS:
        own = compile_to(name, ROOT / f"tests/c/{name}.c", ["-std=c11"])
        subprocess.run([*compiler(), *FLAGS, own, *objects, "-lm", "-o", name], check=True, cwd=folder)


def run_programs(folder, is_full):
    for name in PROGRAMS:
        words = [] if is_full or name != "driver" else ["quick"]
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        subprocess.run([f"./{name}", *words], check=True, cwd=folder, stdout=subprocess.DEVNULL, env=environment)


def run_suite(folder, arguments):
    """pytest on a copy of the checkout whose extension is built with --coverage."""
    from checkout import copy_source

    tree = folder / "tree"
    copy_source(tree)
    environment = os.environ | {"CFLAGS": "--coverage -O0 -g", "LDFLAGS": "--coverage", "PYTHONPATH": str(tree)}
    path = tree / "csrc/units.py"
    path.write_text(path.read_text().replace('"-O3", "-g0"', '"-O0"'))
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, check=True, cwd=tree, env=environment)
    subprocess.run([sys.executable, "-m", "pytest", "-q", *arguments.split()], cwd=tree, env=environment)


def counts(folder):
    """{file: {line: count}} and {file: {(line, branches, index): count}}, the sums over all units."""
    lines, branches = defaultdict(lambda: defaultdict(int)), defaultdict(lambda: defaultdict(int))
    for notes in sorted(folder.rglob("*.gcno")):
        report = subprocess.run(
            ["gcov", "--json-format", "--branch-probabilities", "--stdout", str(notes)],
            cwd=notes.parent,
            capture_output=True,
        ).stdout
        if not report:
            continue
        text = gzip.decompress(report) if report[:2] == b"\x1f\x8b" else report
        for file in json.loads(text)["files"]:
            path = Path(file["file"])
            if "csrc" not in path.parts:
                continue
            name = "/".join(path.parts[len(path.parts) - path.parts[::-1].index("csrc") - 1 :])
            for line in file["lines"]:
                number, found = line["line_number"], line["branches"]
                lines[name][number] += line["count"]
                for k, branch in enumerate(found):
                    branches[name][number, len(found), k] += branch["count"]
    return lines, branches


def report(lines, branches):
    """Print the table. Returns the unexplained lines, and the fraction of branches taken."""
    open_lines, reached, taken, n_lines, n_branches = [], 0, 0, 0, 0
    for name in sorted(lines):
        text = (ROOT / name).read_text().splitlines()
        missed = [number for number, count in sorted(lines[name].items()) if not count]
        not_taken = sorted({key[0] for key, count in branches[name].items() if not count} - set(missed))
        took = sum(count > 0 for count in branches[name].values())
        print(
            f"{name:45} lines {len(lines[name]) - len(missed):4} / {len(lines[name]):4}   "
            f"branches {took:4} / {len(branches[name]):4}"
        )
        reached, n_lines = reached + len(lines[name]) - len(missed), n_lines + len(lines[name])
        taken, n_branches = taken + took, n_branches + len(branches[name])
        for number in missed:
            line = text[number - 1].strip()
            why = next((why for (file, part), why in EXCEPTIONS.items() if file == name and part in line), None)
            print(f"    {number:4} not reached: {line}" + (f"   [{why}]" if why else ""))
            if not why:
                open_lines.append((name, number))
        for number in not_taken:
            print(f"    {number:4} a branch not taken: {text[number - 1].strip()}")
    print(f"lines {reached} / {n_lines} = {reached / n_lines:.2%}, unexplained: {len(open_lines)}")
    print(f"branches {taken} / {n_branches} = {taken / n_branches:.2%}")
    return open_lines, taken / n_branches


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", help="arguments of pytest, such as 'tests/test_threads.py tests/test_fork.py'")
    parser.add_argument("--full", action="store_true", help="all shapes of the driver")
    parser.add_argument("--keep", type=Path, help="folder of the objects, reused if it has them")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp())
    try:
        folder.mkdir(exist_ok=True)
        if not (folder / PROGRAMS[-1]).exists():
            compile_all(folder)
        run_programs(folder, arguments.full)
        if arguments.suite:
            run_suite(folder, arguments.suite)
        open_lines, share = report(*counts(folder))
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)
    return 1 if open_lines or share < LEAST_BRANCHES else 0


if __name__ == "__main__":
    sys.exit(main())
