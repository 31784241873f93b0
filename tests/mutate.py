"""Proves that the tests bite: builds the extension with one deliberate fault at a time and wants the tests red.

    python tests/mutate.py [words of names...]

Needs a C compiler; ten seconds a build where cython is installed, else pip fetches it each time. test_mutants.py does
one of these in every run of the suite; run all before a release.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

from checkout import copy_source


class Mutant(NamedTuple):
    file: str
    right: str
    wrong: str
    tests: str  # pytest's arguments: what must go red


CELL, STEP, NORM = (f"csrc/kernels/{name}_body.h" for name in ("cell", "step", "norm"))
PACK, FORWARD, BACKWARD, BACKWARD_STEPS, WEIGHT_GRADIENTS, MASKS, STAGED, STAGED_BACKWARD, LEAN, STATES = (
    f"csrc/loops/{name}_body.h"
    for name in (
        "pack",
        "forward_steps",
        "backward",
        "backward_steps",
        "weight_gradients",
        "masks",
        "staged",
        "staged_backward",
        "lean",
        "states",
    )
)

SHAPES, BLOCKS = "tests/test_forward.py -k every_shape", "tests/test_forward.py -k beyond_one_block"
THREADS, PARALLEL = "tests/test_bits.py -k threads", "csrc/parallel.c"
VARIANTS = "tests/test_variants.py -k "
STEPS, BACKWARD_BLOCKS = "tests/test_backward.py -k complex_step", "tests/test_backward.py -k beyond_one_block"

MUTANTS = {
    "gates i and f swapped": Mutant(CELL, "V(fma)(f, c_prev, i * g)", "V(fma)(i, c_prev, f * g)", SHAPES),
    "sign in the derivative of tanh": Mutant(
        CELL, "VEC slope = V(broadcast)((REAL)1) - y * y;", "VEC slope = V(broadcast)((REAL)1) + y * y;", STEPS
    ),
    "d_c assigned, not added to": Mutant(
        STEP,
        "V(fma)(d_h * o, NAME(squash_slope)(v, squashed), V(load)(s->d_c + at))",
        "d_h * o * NAME(squash_slope)(v, squashed)",
        STEPS,
    ),
    "c for c_prev in the forget gate's gradient": Mutant(
        CELL, "d_c * c_prev * NAME(gate_slope)(v, f)", "d_c * c * NAME(gate_slope)(v, f)", STEPS
    ),
    "relu with slope 1 at 0": Mutant(
        CELL, "(BITS)(h > V(broadcast)((REAL)0))", "(BITS)(h >= V(broadcast)((REAL)0))", STEPS
    ),
    "bias_hh left out": Mutant(PACK, "+ (b_hh ? b_hh[row] : 0)", "", SHAPES),
    "gates packed unit by unit": Mutant(PACK, "gate * H + unit : -1", "unit * d->n_gates + gate : -1", SHAPES),
    "stale state at the start of each chunk": Mutant(
        FORWARD, "is_first = step == p->step_begin;", "is_first = step == begin;", BLOCKS
    ),
    "weight_hh gradient one step off": Mutant(
        WEIGHT_GRADIENTS, "NAME(row)(x, step - 1, r)", "NAME(row)(x, step, r)", STEPS
    ),
    "backward stops before the first step": Mutant(
        BACKWARD_STEPS, "step >= begin; step--", "step > begin; step--", STEPS
    ),
    "weight gradients of later chunks alone": Mutant(
        WEIGHT_GRADIENTS, "last, depth, !p->is_first_product)", "last, depth, false)", BACKWARD_BLOCKS
    ),
    "d_x of the second direction alone": Mutant(BACKWARD_STEPS, ".add = p->adds_to_d_x", ".add = false", STEPS),
    "no barrier between packing and product": Mutant(
        WEIGHT_GRADIENTS, "packed_m);\n        if (!lstm_barrier(p->m)) return false;", "packed_m);", THREADS
    ),
    "no barrier before the next chunk": Mutant(WEIGHT_GRADIENTS, "return lstm_barrier(p->m);", "return true;", THREADS),
    "dropout without its scale": Mutant(
        MASKS, "(REAL)(1 / (1 - call->dropout))", "(REAL)1", "tests/test_forward.py -k dropout"
    ),
    "every piece of a mask is the first": Mutant(
        MASKS, "(uint32_t)(k / 4), count", "0, count", "tests/test_variants.py -k wide"
    ),
    "dropout backward with another layer's mask": Mutant(
        BACKWARD, "NAME(drop)(call, layer - 1, t", "NAME(drop)(call, layer, t", STEPS
    ),
    "padding computed": Mutant(
        "csrc/loops/lengths_body.h",
        "call->lengths[end - 1] <= step",
        "call->lengths[end - 1] < step",
        "tests/test_lengths.py",
    ),
    "reverse direction from the end of the batch": Mutant(
        "csrc/loops/lengths_body.h",
        "direction ? (call->lengths[r] - 1) * x->step_stride",
        "direction ? (call->T - 1) * x->step_stride",
        "tests/test_lengths.py",
    ),
    "both directions' rows in one place": Mutant(
        "csrc/loops/forward_body.h",
        "f->plan.places) + direction * 4 * B",
        "f->plan.places)",
        "tests/test_lengths.py -k threads",
    ),
    "places of two packed steps in one room": Mutant(
        "csrc/loops/lengths_body.h", "x->room[step & 1]", "x->room[0]", "tests/test_packed.py"
    ),
    "gradients of a chunk's inputs in those of its first step": Mutant(
        BACKWARD_STEPS,
        "NAME(row)(&p->d_x, step, r) - p->d_x.data",
        "NAME(row)(&p->d_x, begin, r) - p->d_x.data",
        "tests/test_lengths.py",
    ),
    "members do not meet after a step": Mutant(
        FORWARD, "p->meets && !lstm_barrier(p->m)", "p->meets && false", THREADS
    ),
    "output gate sees the old state": Mutant(
        STEP,
        "sums[LSTM_GATE_O], c, normal_c)",
        "sums[LSTM_GATE_O], V(load)(s->c_prev + (row + r) * s->c_stride + unit), normal_c)",
        VARIANTS + "alone",
    ),
    "gradient through a clipped state": Mutant(
        CELL, "if (v && v->cell_clip > 0) d_c = ", "if (false) d_c = ", VARIANTS + "alone"
    ),
    "coupled input gate without the forget gate's share": Mutant(
        CELL, "(d_c * g - d_c * c_prev)", "(d_c * g)", VARIANTS + "alone"
    ),
    "norm without epsilon": Mutant(NORM, "#define NORM_EPSILON 1e-5", "#define NORM_EPSILON 0", VARIANTS + "alone"),
    "padding counted by a norm": Mutant(
        NORM, "if (__builtin_expect(n >= VL, 1)) return v;", "return v;", VARIANTS + "alone"
    ),
    "gradient of h kept by zoneout lost": Mutant(
        STAGED_BACKWARD, "kept && k < n", "false && k < n", VARIANTS + "alone"
    ),
    "zoneout after the reset keeps the state before": Mutant(
        STAGED, "anew ? p->restart.h : before->h_prev", "before->h_prev", VARIANTS + "random"
    ),
    "recurrent dropout not undone in backward": Mutant(
        STAGED_BACKWARD, "d[k] *= mask[k];", "(void)mask;", VARIANTS + "alone"
    ),
    "resets of the reverse direction one step off": Mutant(STATES, "+ (direction ? 1 : 0);", ";", VARIANTS + "alone"),
    "lean gates from the chunk before": Mutant(
        LEAN, "n_steps = is_even ? begin + last - step : 1;", "n_steps = begin + last - step;", VARIANTS + "random"
    ),
    "NaN laundered by tanh": Mutant(
        "csrc/kernels/activations_body.h",
        "V(broadcast)(EXP_LOWEST), (VEC)((BITS)(x + x) | SIGN_BIT)",
        "(VEC)((BITS)(x + x) | SIGN_BIT), V(broadcast)(EXP_LOWEST)",
        "tests/test_kernels.py -k nan",
    ),
    "last vector of h stored whole": Mutant(STEP, "is.h, s->hidden_size - unit)", "is.h, VL)", "tests/test_edges.py"),
    "floating-point mode not restored": Mutant(
        PARALLEL,
        "(&member, arguments);\n    set_mode(mode);",
        "(&member, arguments);\n    (void)mode;",
        "tests/test_process.py -k mode_of_the_caller",
    ),
    "threads in a forked child": Mutant(
        PARALLEL, "is_forked_child = true", "is_forked_child = false", "tests/test_process.py -k fork_after"
    ),
    "interruption not heard": Mutant(
        PARALLEL, "if (m->interrupted(m->context))", "if (!m->interrupted)", "tests/test_process.py -k interrupt"
    ),
}


def replace(path, right, wrong):
    text = path.read_text()
    assert right in text, f"{path} has changed: it no longer contains {right!r}"
    path.write_text(text.replace(right, wrong))


def build(tree):
    """Builds the extension into the tree, without optimisation: that is quicker and changes no bit."""
    setup = tree / "setup.py"
    setup.write_text(setup.read_text().replace('"-O3"', '"-O0"'))
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
    """Applies, builds, tests and takes back. The finished pytest; exit status 1 is what we want."""
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
