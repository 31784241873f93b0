"""benchmarks/compare.py: the processes of the frameworks, and a run from the command line. No timings are asserted."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from optional import heavy

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

Case, Children = import_module("comparison.case").Case, import_module("comparison.processes").Children
instructions = import_module("comparison.host").instructions
measure, table = import_module("comparison.measure"), import_module("comparison.table")
NEEDS = {"keras": ["keras", "tensorflow"], "onnxruntime": ["onnxruntime", "onnx"]}
NEEDS |= {name: [name] for name in ("torch", "openvino", "ncnn", "jax", "thinc")}
INSTALLED = [name for name, packages in NEEDS.items() if all(map(find_spec, packages))]
pytestmark = pytest.mark.skipif(not hasattr(np, "vecdot"), reason="the limits are measured with NumPy 2 or later")


@pytest.fixture(scope="module")
def children():
    children = Children({})
    yield children
    children.close()


@pytest.fixture
def prepare(children, tmp_path):
    """prepare(framework, format, case): the answer of the framework's process, which has checked its results."""

    def ask(framework, format, case):
        data, answers = str(tmp_path / "data.npz"), str(tmp_path / "answers")
        case = case._replace(entrant=case.entrant._replace(format=format))
        measure._write_data(case, data)
        assert children.of("limits", 1).ask("answers", data=data, answers=answers, kind=case.kind) == {}
        where = {"slot": "one", "data": data, "answers": answers, "T": None, "B": None}
        return children.of(framework, 1).ask("prepare", **where, kind=case.kind, format=format)

    return ask


SEQUENCE = Case("sequence", "forward", 20, 3, 8, 32, "")
STACK = Case("stack", "step", 1, 1, 8, 16, "", layers=3)
TRAINING = Case("training", "training", 6, 16, 8, 16, "")
ERRORS = {"float32": (0, 1e-5), "bfloat16": (1e-5, 1e-2), "int8": (1e-4, 5e-2)}
ERRORS |= dict.fromkeys(("int8-inputs16", "int8-inputs"), ERRORS["int8"])


@pytest.mark.parametrize("format", ERRORS)
@pytest.mark.parametrize("case", [SEQUENCE, STACK], ids=["sequence", "stack"])
@pytest.mark.parametrize("framework", ["lstm_fast", *INSTALLED])
def test_inference_in_each_format(framework, case, format, prepare):
    answer = prepare(framework, format, case)
    if "problem" in answer:
        assert answer["problem"].startswith("not available: ")
        assert (format != "float32" or framework in ("ncnn", "thinc")) and (framework, format) not in (
            ("torch", "bfloat16"),
            ("onnxruntime", "int8"),
        )
        return
    if format != "bfloat16" or "avx512_bf16" in instructions():
        assert not answer["problems"], "every way to run it should work"
    low, high = ERRORS[format]
    assert low <= answer["error"] <= high
    assert ("has_amx" in answer) == (format != "float32")


TRAINED = ["lstm_fast", *(name for name in INSTALLED if name != "thinc")]  # the gradients of thinc are wrong


@pytest.mark.parametrize("format", ERRORS)
@pytest.mark.parametrize("framework", TRAINED)
def test_training_in_each_format(framework, format, prepare):
    answer = prepare(framework, format, TRAINING)
    if "problem" in answer:
        assert answer["problem"].startswith("not available: ")
        assert framework != "torch" or format.startswith("int8")
        return
    if format != "bfloat16" or "avx512_bf16" in instructions():
        assert not answer["problems"]
    assert answer["gradients"] <= {"float32": 1e-5, "bfloat16": 5e-2}[format]


def test_float16_weights(prepare):
    assert 1e-6 < prepare("lstm_fast", "float16", SEQUENCE)["error"] < 2e-3


def test_single_calls_are_timed_for_the_percentiles(children, prepare):
    assert "problem" not in prepare("lstm_fast", "float32", STACK)
    answer = children.of("lstm_fast", 1).ask("time", slot="one", seconds=0.01, each=True)
    assert 0 < answer["seconds"] <= answer["p99"] <= answer["p999"]
    assert "p99" not in children.of("lstm_fast", 1).ask("time", slot="one", seconds=0.01)


def test_unknown_format_is_not_available(prepare):
    for framework in ["lstm_fast", *INSTALLED]:
        assert "problem" in prepare(framework, "int3", SEQUENCE)


def test_fresh_processes_do_not_use_amx():
    script = "from comparison.amx import may_use_amx; print(may_use_amx())"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT / "benchmarks", capture_output=True, text=True)
    assert run.stdout == "False\n"


def compare(*arguments):
    command = [sys.executable, ROOT / "benchmarks" / "compare.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout.splitlines()


@heavy
def test_show_prints_what_a_run_wrote(tmp_path):
    lines = compare("--only", "odd,stack", "--shape", "50,3,7,20", "--shape", "1,1,64,64", "--rounds", 2, "--peers", "",
                    "--out", tmp_path)  # fmt: skip
    (path,) = tmp_path.glob("*.json")
    results = json.loads(path.read_text())
    assert [(row["regime"], row["format"], row["layers"]) for row in results["rows"]] == [
        ("stack", "float32", 2),
        ("stack", "bfloat16", 2),
        ("stack", "bfloat16-amx", 2),
        ("stack", "int8", 2),
        ("stack", "int8-inputs16", 2),
        ("stack", "int8-inputs", 2),
        ("odd", "float32", 1),
    ]
    assert results["rows"][0]["times"]["lstm_fast"]["p99"] >= results["rows"][0]["times"]["lstm_fast"]["seconds"]
    assert {"instructions", "onednn_max_cpu_isa", "cpu", "isa"} <= set(results["host"])
    shown = compare("--show", path)
    assert "\n".join(shown).startswith("\n".join(table.all_lines(results)))
    measured = [text.split("   [")[0] for text in lines if text.endswith("/7]")]
    assert len(measured) == 7 and set(measured) <= set(shown)


def test_a_shape_is_four_integers():
    command = [sys.executable, ROOT / "benchmarks" / "compare.py", "--shape", "1,2,3"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and "expected T,B,I,H, four integers; got '1,2,3'" in run.stderr
