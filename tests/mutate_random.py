"""Mutants of the C core drawn at random: the suite's cheapest tests must notice each that changes anything.

    python tests/mutate_random.py [count [seed]] [--seconds S] [--isa NAME]

A mutant is one operator, comparison, constant, condition or statement of csrc/ changed. Only the units that include the
file are compiled, for the instruction set `--isa` alone (default avx2) and with -O1; then run, cheapest first, the
drivers of tests/c, whose bits are known (the unmutated core's on the same shapes, and memory between guard pages). A
mutant whose objects are the same as before is equivalent and does not count. Survivors are printed with their line and
change, to be judged by a person: equivalent (EQUIVALENT lists those that were, with the reason), or worth a test.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc"))

from units import compiler, units  # noqa: E402

PROGRAMS = ("driver", "calls", "rare")
FLAGS = ["-O1", "-g0", "-fopenmp"]
# Not run by the drivers, or only relevant to speed.
NOT_MUTATED = ("compiler.h", "isas.h", "oversubscription.h", "oversubscription.c", "lstm_fast.h", "dispatch.c")
SWAPS = [
    (r" \+ ", [" - "]),
    (r" - ", [" + "]),
    (r" \* ", [" + "]),
    (r" / ", [" * "]),
    (r" % ", [" / "]),
    (r" < ", [" <= ", " > "]),
    (r" <= ", [" < "]),
    (r" > ", [" >= ", " < "]),
    (r" >= ", [" > "]),
    (r" == ", [" != "]),
    (r" != ", [" == "]),
    (r" && ", [" || "]),
    (r" \|\| ", [" && "]),
    (r" \+= ", [" -= ", " = "]),
    (r"(?<![\w.])0(?![\w.])", ["1"]),
    (r"(?<![\w.])1(?![\w.])", ["0", "2"]),
    (r"(?<![\w.])([2-9]|\d\d+)(?![\w.])", ["(\\1 + 1)", "(\\1 - 1)"]),
    (r"\btrue\b", ["false"]),
    (r"\bfalse\b", ["true"]),
    (r"\bif \(", ["if (!", "if (1 || ", "if (0 && "]),
    (r"\bvfma\(", ["vfms(", "vfnma("]),
    (r"\bvfnma\(", ["vfma("]),
    (r"\bat_most\(", ["at_least("]),
    (r"\bat_least\(", ["at_most("]),
    (r"!(?=[\w(])", [""]),
]
DROPPED = re.compile(
    r"^(\s+)(?!return|const|static|int|real|vec|struct|enum|bool|case|else|for|if|while|#|/\*|\*|})(\S.*;)$"
)

SPEED = "a choice between two ways to the same bits"
LARGER = "a workspace or an operand with room to spare, rewritten before it is read"
# (file, line after the change): why it cannot be detected.
EQUIVALENT = {
    ("csrc/kernels/formats/operand.h", "for (int64_t unit = 0; unit <= H; unit += VL)"): LARGER,
    (
        "csrc/loops/pack.h",
        "for (int64_t c = 0; c <= d->gates_width; c++) {",
    ): "one number too many, packed over later; its correction is 0 but with an offset, which AVX2 does not have",
    (
        "csrc/loops/forward_steps.h",
        "product.y = rows_at(to, step - gates_from, row, row - product.n_rows);",
    ): "the end counts for packed sequences alone, and gates never are",
    (
        "csrc/loops/forward_steps.h",
        "return run->plan.chunk_steps > 1 && p->step_end - p->step_begin > 1 && p->input_size > (2 - 1)",
    ): SPEED,
    (
        "csrc/loops/backward_steps.h",
        "const bool is_one = has_all && (call->lengths && p->d_x.step_stride == call->B * p->d_x.row_stride);",
    ): SPEED,
    (
        "csrc/loops/backward_steps.h",
        "return (struct lstm_rows){p->d_x.data, 1, p->chunk_offsets};",
    ): "rows with offsets have no stride",
    (
        "csrc/loops/variant.h",
        ".peephole = m->peepholes ? vectors - d->vectors.peephole : NULL,",
    ): "the offset is 0: peepholes are the first vectors",
    (
        "csrc/loops/loops.c",
        "lstm_parallel(&call, 2, activate_worker, &run);",
    ): "both threads write the same numbers",
    ("csrc/plan_workspaces.c", "const int64_t D = m->num_directions, T = at_least(2, call->T);"): LARGER,
    (
        "csrc/loops/backward.h",
        "begin = end + step_begin > run->plan.chunk_steps ? end - run->plan.chunk_steps : step_begin;",
    ): "segments begin at 0 or a whole chunk before their end",
    (
        "csrc/loops/forward.h",
        "if (waits ? !lstm_barrier(worker) : lstm_cancelled(worker, 1)) return;",
    ): "one operation more towards the next look at the clock",
}


def code_lines(text):
    """(number, line) of the lines of code: no comments, no preprocessor."""
    in_comment = False
    for number, line in enumerate(text.splitlines()):
        stripped = line.strip()
        was_in = in_comment
        if "/*" in line:
            in_comment = "*/" not in line.partition("/*")[2]
        elif "*/" in line:
            in_comment = False
            continue
        if was_in or stripped.startswith(("#", "/*", "*")) or not stripped:
            continue
        yield number, line


def mutations(line):
    """All lines that this one can become."""
    code = line.partition("/*")[0]
    for pattern, replacements in SWAPS:
        for match in re.finditer(pattern, code):
            for replacement in replacements:
                changed = code[: match.start()] + match.expand(replacement) + code[match.end() :]
                if "if (" in replacement:  # `if (!(condition)`: the whole condition, which ends this line's head
                    changed = negated(code, match, replacement)
                if changed:
                    yield changed
    if DROPPED.match(code.rstrip()) and code.count("(") == code.count(")"):
        yield DROPPED.sub(r"\1;", code.rstrip())


def negated(code, match, replacement):
    """The condition of an `if` as a whole negated or made constant; None if it goes on in the next line."""
    depth = 0
    for k in range(match.end() - 1, len(code)):
        depth += {"(": 1, ")": -1}.get(code[k], 0)
        if depth == 0:
            return f"{code[: match.start()]}{replacement}({code[match.end() : k]}){code[k:]}"
    return None


def draw(count, seed, files):
    """Lines are drawn at random from all of them, then one of the changes of each."""
    rng = random.Random(seed)
    lines = [(path, number, line) for path in files for number, line in code_lines((ROOT / path).read_text())]
    drawn = []
    while len(drawn) < count:
        path, number, line = rng.choice(lines)
        changes = list(mutations(line))
        if changes:
            drawn.append((path, number, line, rng.choice(changes)))
    return drawn


class Tree:
    """A copy of csrc with one instruction set, its objects and programs."""

    def __init__(self, folder, isa):
        self.folder, self.isa = folder, isa
        shutil.copytree(ROOT / "csrc", folder / "csrc", dirs_exist_ok=True)
        table = folder / "csrc/isas.h"
        text = table.read_text()
        row = re.search(rf'(ANY|X86|ARM)\({isa}, (\w+), (\d+),[\s\\]*("[^"]*")', text)
        kept = f"    {row[1]}({isa}, {row[2]}, {row[3]}, {row[4]}, 0)\n"  # needs nothing, replaces all rows
        begin, end = text.index("    ANY(portable"), text.index("\n\n", text.index("ANY(portable"))
        table.write_text(text[:begin] + kept.rstrip() + text[end:])
        self.units = [unit for unit in units() if self.is_kept(unit)]
        self.objects = {}
        for unit in self.units:
            assert self.compile(unit) == 0, unit.name
        for name in PROGRAMS:
            source = [*compiler(), "-std=c11", *FLAGS, f"-I{folder}/csrc", "-c", ROOT / f"tests/c/{name}.c"]
            subprocess.run([*source, "-o", folder / f"main_{name}.o"], check=True)
        assert self.link() == 0
        self.known = {tuple(words): self.run(*words) for words in self.commands()}
        begin = time.monotonic()
        assert all(self.run(*words) == known for words, known in self.known.items()), "results are not repeatable"
        self.patience = 4 * (time.monotonic() - begin) + 20

    def is_kept(self, unit):
        return not unit.name.startswith(("kernels", "formats")) or unit.name in {
            f"kernels_{self.isa}_f32",
            f"kernels_{self.isa}_f64",
            f"formats_{self.isa}",
        }

    def commands(self):
        return [("driver", "quick"), ("calls", "end"), ("rare", "end"), ("driver", "quick", "end")]

    def path(self, unit):
        return self.folder / f"{unit.name}.o"

    def compile(self, unit):
        flags = [flag for flag in unit.flags if flag not in ("-O3", "-g0")]
        listing = ["-MMD", "-MF", self.path(unit).with_suffix(".d")]
        command = [*compiler(), *flags, *FLAGS, *listing, "-w", "-c", self.folder / unit.source, "-o", self.path(unit)]
        return subprocess.run(command, capture_output=True).returncode

    def link(self):
        for name in PROGRAMS:
            objects = [self.folder / f"main_{name}.o", *map(self.path, self.units)]
            command = [*compiler(), *FLAGS, *objects, "-lm", "-o", self.folder / name]
            if status := subprocess.run(command, capture_output=True).returncode:
                return status
        return 0

    def run(self, name, *words, timeout=600):
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        try:
            done = subprocess.run(
                [self.folder / name, *words], capture_output=True, timeout=timeout, env=environment, text=True
            )
        except subprocess.TimeoutExpired:
            return "hung"
        return done.returncode, done.stdout

    def sources(self, unit):
        """Sources of the unit, as listed by the compiler."""
        words = self.path(unit).with_suffix(".d").read_text().replace("\\\n", " ").split()[1:]
        return {Path(word).resolve() for word in words}

    def judge(self, path, number, changed):
        """'killed ...', 'no change', 'does not compile' or 'SURVIVED'."""
        target = self.folder / path
        before = target.read_text()
        lines = before.splitlines(keepends=True)
        lines[number] = changed.rstrip() + "\n"
        touched = [unit for unit in self.units if target.resolve() in self.sources(unit)]
        objects = {unit.name: self.path(unit).read_bytes() for unit in touched}
        try:
            target.write_text("".join(lines))
            for unit in touched:
                if self.compile(unit):
                    return "does not compile"
            if all(self.path(unit).read_bytes() == objects[unit.name] for unit in touched):
                return "no change"
            if self.link():
                return "does not compile"
            for words, known in self.known.items():
                if (got := self.run(*words, timeout=self.patience)) != known:
                    how = got if got == "hung" else f"status {got[0]}" if got[0] != known[0] else "other bits"
                    return f"killed: {' '.join(words)}: {how}"
            return "SURVIVED"
        finally:
            target.write_text(before)
            for unit in touched:
                self.path(unit).write_bytes(objects[unit.name])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=300)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--isa", default="avx2")
    parser.add_argument("--only", default="", help="mutants of lines whose file:number begins so")
    a = parser.parse_args()
    verdicts, begin = Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder), a.isa)
        used = set().union(*map(tree.sources, tree.units))
        files = sorted(
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "csrc").rglob("*.[ch]")
            if path.name not in NOT_MUTATED and (tree.folder / path.relative_to(ROOT)).resolve() in used
        )
        for path, number, line, changed in draw(a.count, a.seed, files):
            if time.monotonic() - begin > a.seconds:
                break
            if not f"{path}:{number + 1}".startswith(a.only):
                continue
            verdict = tree.judge(path, number, changed)
            if verdict == "SURVIVED" and (path, changed.strip()) in EQUIVALENT:
                verdict = "equivalent"
            verdicts[verdict.partition(":")[0]] += 1
            print(f"{path}:{number + 1}: {verdict}\n    - {line.strip()}\n    + {changed.strip()}", flush=True)
    print(dict(verdicts), f"seed {a.seed}, {time.monotonic() - begin:.0f} s")
    return 1 if verdicts["SURVIVED"] else 0


if __name__ == "__main__":
    sys.exit(main())
