"""Mutants of the Python sources drawn at random: the tests of a file must notice each that changes anything.

    python tests/mutate_python.py [count [seed]] [--seconds S] [--files PATTERN]

A mutant is one comparison, operator, number, condition, pair of arguments or statement of lstm_fast/ or
lstm_fast/train/ changed, never of an error message or an annotation. Of the tests of its file (TESTS), those that run
its line are started, cheapest first, and stop at the first failure; a hang counts as one. Survivors are printed with
their line and change, to be judged by a person: equivalent (EQUIVALENT lists those that were, with the reason), or
worth a test.
"""

import argparse
import ast
import copy
import fnmatch
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from checkout import ROOT, copy_source
from mutate_suite import FAILED, Suite

# Files and the tests that are about them, cheapest first.
TESTS = {
    "_arguments": "arguments arguments_constructors modules",
    "_fingerprint": "fingerprint",
    "_files": "files files_reading",
    "_formats": "quantized quantized_errors quantized_files",
    "_functional": "functional",
    "_inference": "modules lengths forward",
    "_packing": "packed lengths torch_modules train_model sklearn",
    "_layout": "fleet fleet_errors lengths modules resets torch_modules index_input_models",
    "_lstm": "variants_options compute_dtype_option modules parameters",
    "_network": "modules binding lengths resets threads variants",
    "_options": "options modules",
    "_parameter_arrays": "parameters modules",
    "_parameters": "parameters modules",
    "_recurrent": "modules edges backward variants_options",
    "_safetensors": "weights_files files_digest weights_malformed",
    "_safetensors_format": "safetensors_format weights_malformed",
    "_steps": "streaming streaming_safety",
    "_structure": "modules options parameters variants_options",
    "_sums": "training_bits",
    "_tape": "modules backward bits_memory lengths",
    "_threads": "fork threads process",
    "_trace": "modules features",
    "_variants": "variants_options options variants",
    "_weight_sources": "weights_sources",
    "comparison": "comparison",
    "functional": "functional",
    "quantized": "quantized quantized_files quantized_errors",
    "streaming": "streaming streaming_safety resets",
    "weights": "weights_files weights_sources files_digest torch_compute_dtype",
    "train/batches": "train_fit train_model train_iterables train_checkpoint train_custom_loss",
    "train/chunks": "train_model train_fit train_truncated training_bits",
    "train/model_files": "train_files train_model train_fleet train_quantized",
    "train/checkpoint": "train_checkpoint train_files train_fit train_fleet train_quantized",
    "train/config": "train_arguments train_fit training_bits",
    "train/custom_loss": "train_custom_loss",
    "train/data": "train_fit train_model train_arguments train_iterables train_truncated",
    "train/head": "train_model train_fit training_bits",
    "train/history": "train_fit train_checkpoint",
    "train/iterable": "train_iterables",
    "train/losses": "train_losses training_bits train_arguments",
    "train/installed": "train_changed",
    "train/model": "train_model train_files train_arguments train_fleet options train_replaced",
    "train/optimizers": "train_optimizers train_arguments",
    "train/passes": "train_model train_fit train_truncated",
    "train/predictor": "train_model train_quantized train_replaced",
    "train/prefetch": "train_iterables",
    "train/sources": "train_fit train_iterables train_arguments train_truncated",
    "train/trainer": "train_fit train_changed train_iterables train_truncated train_checkpoint train_custom_loss "
    "copies_and_settings",
    "train/truncated": "train_truncated train_truncated_resume",
    "train/windows": "train_truncated train_truncated_resume",
}
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
# (file, original, replacement): why it cannot be detected.
EQUIVALENT = {
    (
        "train/trainer",
        "time.monotonic() - self._saved > SAVE_SECONDS",
        "time.monotonic() - self._saved >= SAVE_SECONDS",
    ): ("a clock that shows the exact second"),
    (
        "train/trainer",
        "n is None or n_steps is None",
        "n is None and n_steps is None",
    ): "a source knows both or neither",
    ("_parameters", "raise NotImplementedError", "pass"): "abstract",
    ("_structure", "raise NotImplementedError", "pass"): "abstract",
    ("comparison", "call()", "pass"): "a call to warm up before a measurement",
    ("_layout", "steps.swapaxes(0, 1)", "steps.swapaxes(1, 0)"): "the same",
    ("train/predictor", "part.swapaxes(0, 1)", "part.swapaxes(1, 0)"): "the same",
    ("train/chunks", "n >= T", "n > T"): "one chunk of all steps, read as a whole or from its first step",
    ("train/passes", "-1", "-2"): "reshape takes any negative number for -1",
    ("train/prefetch", "ready.get_nowait()", "pass"): "the thread finds out a moment later",
    (
        "_tape",
        "sum(map(len, self._spare)) > self._most_bytes",
        "sum(map(len, self._spare)) >= self._most_bytes",
    ): "speed",
}


def changes(node):
    """Names of the possible mutations of a node."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "comparison"
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        yield "operator"
    if isinstance(node, ast.Constant) and type(node.value) in (int, bool):
        yield "constant"
    if isinstance(node, ast.BoolOp):
        yield "and or"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield "sign"
    if isinstance(node, (ast.If, ast.IfExp)):
        yield "condition"
    if isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args):
        symmetric = ast.unparse(node.func) in ("min", "max", "np.minimum", "np.maximum")
        yield from () if symmetric else ("arguments",)
    if isinstance(node, (ast.AugAssign, ast.Raise)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "statement"


def change(node, how, rng):
    """The node after the change."""
    new = copy.deepcopy(node)
    if how == "comparison":
        new.ops[0] = COMPARISONS[type(node.ops[0])]()
    elif how == "operator":
        new.op = OPERATORS[type(node.op)]()
    elif how == "constant":
        new.value = not node.value if isinstance(node.value, bool) else node.value + rng.choice((-1, 1))
    elif how == "and or":
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif how == "sign":
        return new.operand
    elif how == "condition":
        new.test = ast.UnaryOp(ast.Not(), new.test)
    elif how == "arguments":
        new.args[:2] = new.args[1::-1]
    else:
        return ast.Pass()
    return new


def is_skipped(node):
    """Messages, annotations, and what runs only for type checkers or a person who reads."""
    return (
        isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom))
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        or (isinstance(node, ast.FunctionDef) and node.name == "__repr__")
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in ("warnings.warn", "overload", "TypeVar", "cast"))
    )


def places(tree):
    """(parent, field, index or None, node, change) of every mutant of a module."""
    stack = [tree]
    while stack:
        parent = stack.pop()
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            many = value if isinstance(value, list) else [value]
            for index, node in enumerate(many):
                if not isinstance(node, ast.AST) or is_skipped(node):
                    continue
                for how in changes(node):
                    yield parent, field, index if isinstance(value, list) else None, node, how
                if not isinstance(node, ast.Raise):
                    stack.append(node)


def lines_of(tree, node):
    """Lines of the innermost statement that holds the node; None if it is run by the import."""
    inside = [one for one in ast.walk(tree) if node in ast.walk(one)]
    if not any(node in ast.walk(part) for one in inside for part in bodies(one)):
        return None
    statement = [one for one in inside if isinstance(one, ast.stmt)][-1]
    last = statement.body[0].lineno - 1 if isinstance(getattr(statement, "body", None), list) else statement.end_lineno
    return range(statement.lineno, max(last, statement.lineno) + 1)


def bodies(node):
    """What a call of the function runs."""
    if isinstance(node, ast.Lambda):
        return [node.body]
    return node.body if isinstance(node, ast.FunctionDef) else []


def mutate(source, rng):
    """(line number, lines of its statement, before, after, source of the mutant)"""
    tree = ast.parse(source)
    parent, field, index, node, how = rng.choice(list(places(tree)))
    lines = lines_of(tree, node)
    new = ast.copy_location(change(node, how, rng), node)
    if index is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[index] = new
    first = [ast.unparse(one).splitlines()[0] for one in (node, new)]
    return node.lineno, lines, *first, ast.unparse(ast.fix_missing_locations(tree))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=60)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--files", default="*", help="only these: a pattern of names in TESTS, such as train/*")
    a = parser.parse_args()
    rng, verdicts, begin = random.Random(a.seed), Counter(), time.monotonic()
    files = fnmatch.filter(TESTS, a.files)
    sizes = [(ROOT / f"lstm_fast/{name}.py").stat().st_size for name in files]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_source(tree)
        for extension in (ROOT / "lstm_fast").glob("_core.*"):
            shutil.copy(extension, tree / "lstm_fast")
        suite = Suite(tree, [tree / f"lstm_fast/{name}.py" for name in TESTS])
        for _ in range(a.count):
            name = rng.choices(files, sizes)[0]
            path = tree / f"lstm_fast/{name}.py"
            before = path.read_text()
            line, lines, old, new, source = mutate(before, rng)
            if time.monotonic() - begin > a.seconds:
                break
            tests = TESTS[name].split()
            suite.record(tests)
            try:
                suite.write(path, source)
                result, what = suite.judge(suite.running(tests, path, lines))
            finally:
                suite.write(path, before)
            verdict = "killed" if result == FAILED else "SURVIVED"
            if verdict == "SURVIVED" and (name, old, new) in EQUIVALENT:
                verdict = "equivalent"
            verdicts[verdict] += 1
            print(f"{name}.py:{line}: {verdict} {what}\n    - {old}\n    + {new}", flush=True)
    print(dict(verdicts), f"{sum(verdicts.values())} drawn, seed {a.seed}, {time.monotonic() - begin:.0f} s")
    return int(verdicts["SURVIVED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
