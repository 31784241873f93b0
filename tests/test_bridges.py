"""docs/bridges.md: what each bridge accepts. Each cell is tests that ran.

python tests/test_bridges.py     runs the tests of all bridges and writes the page, cells from those that passed
"""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "bridges.md"

COLUMNS = ("load", "save", "Backend")

LOAD, GRAPH, OPERATORS, STACK, SAVE, BACKEND, TORCH, EXTERNAL = (
    f"test_onnx_{name}.py::test_"
    for name in ("load", "graph", "operators", "stack", "save", "backend", "torch", "external")
)
# By feature and column: the beginning of the names of its tests, and "refused" before those that expect an error with the
# name of what is not supported. What a column has not is not a matter of that column.
OF_ONNX = {
    "`direction`: forward, bidirectional": {
        "load": LOAD + "each_option",
        "save": SAVE + "lstm",
        "Backend": BACKEND + "each_option",
    },
    "`direction`: reverse (a `ReverseLSTM`)": {
        "load": LOAD + "layout_1_is_batch_first[reverse",
        "save": SAVE + "reverse",
        "Backend": BACKEND + "each_option[bias-reverse",
    },
    "`layout` 1 (`batch_first`; saved with Transpose, for ONNX Runtime)": {
        "load": LOAD + "layout_1_is_batch_first",
        "save": SAVE + "lstm[batch_first",
        "Backend": BACKEND + "random_nodes",
    },
    "peepholes `P`": {
        "load": LOAD + "each_option[peepholes",
        "save": SAVE + "lstm[peepholes",
        "Backend": BACKEND + "each_option[peepholes",
    },
    "`clip` (`gate_clip`)": {
        "load": LOAD + "each_option[clip",
        "save": SAVE + "lstm[gate_clip",
        "Backend": BACKEND + "each_option[clip",
    },
    "`input_forget` (`coupled_gates`)": {
        "load": LOAD + "each_option[input_forget",
        "save": SAVE + "lstm[coupled_gates",
        "Backend": BACKEND + "each_option[input_forget",
    },
    "`activations`: all eleven, with alpha and beta": {
        "load": LOAD + "activations",
        "save": SAVE + "activations",
        "Backend": BACKEND + "each_option[activations",
    },
    "other `activations` in the second direction": {
        "load": "refused " + LOAD + "other_activations_of_the_second_direction",
        "Backend": BACKEND + "other_activations_of_the_second_direction",
    },
    "`sequence_lens`": {
        "load": LOAD + "each_option[lengths",
        "save": SAVE + "lstm",
        "Backend": BACKEND + "each_option[lengths",
    },
    "initial states as inputs": {
        "load": LOAD + "each_option[initial",
        "save": SAVE + "lstm",
        "Backend": BACKEND + "each_option[initial",
    },
    "constant initial states (`learn_initial_state`)": {
        "load": LOAD + "constant_states_are_learned",
        "save": SAVE + "lstm[learn",
        "Backend": BACKEND + "states_of_each_sequence",
    },
    "constant initial states that differ within the batch": {
        "load": "refused " + LOAD + "constant_states_of_each_sequence",
        "Backend": BACKEND + "states_of_each_sequence",
    },
    "without biases": {
        "load": LOAD + "each_option[clip",
        "save": SAVE + "lstm[no bias",
        "Backend": BACKEND + "each_option[clip",
    },
    "float32": {"load": LOAD + "random_nodes", "save": SAVE + "lstm", "Backend": BACKEND + "random_nodes"},
    "float64": {"load": LOAD + "float64", "save": SAVE + "float64", "Backend": BACKEND + "other_dtypes[float64"},
    "float16 (load: bfloat16 too; as float32)": {
        "load": LOAD + "other_dtypes",
        "save": SAVE + "a_quantized_lstm_is_saved_widened",
        "Backend": BACKEND + "other_dtypes[float16",
    },
    "opsets 1 to 22 (saved: 14)": {
        "load": LOAD + "versions_of_onnx",
        "save": SAVE + "lstm",
        "Backend": BACKEND + "versions_of_onnx",
    },
    "nodes inside If, Loop, Scan": {"load": GRAPH + "nodes_in_bodies", "Backend": GRAPH + "nodes_in_bodies"},
    "nodes inside functions": {"load": GRAPH + "nodes_in_functions", "Backend": GRAPH + "nodes_in_functions"},
    "weights from Identity, Constant, Cast, Reshape, Transpose, Concat ...": {
        "load": OPERATORS + "weights_from_operators",
        "Backend": BACKEND + "the_rest_of_a_model",
    },
    "weights from DequantizeLinear": {"load": OPERATORS + "dequantized_weights"},
    "weights that the graph computes": {
        "load": "refused " + OPERATORS + "weights_that_the_graph_computes_are_refused",
        "Backend": BACKEND + "states_of_each_sequence_and_weights_as_inputs",
    },
    "`com.microsoft.DynamicQuantizeLSTM`": {
        "load": LOAD + "dynamic_quantize_lstm",
        "Backend": BACKEND + "dynamic_quantize_lstm",
    },
    "stacked nodes as `num_layers`": {
        "load": STACK + "stacked_nodes_are_layers",
        "save": SAVE + "lstm[stacked",
        "Backend": SAVE + "float64[stacked",
    },
    "files of both PyTorch exporters": {"load": TORCH + "exported_lstm", "Backend": TORCH + "a_model_around_an_lstm"},
    "`SequenceModel` with its head": {"load": SAVE + "sequence_model", "save": SAVE + "sequence_model"},
    "RNN nodes": {"save": SAVE + "rnn", "Backend": BACKEND + "rnn_nodes"},
    "`proj_size`, `layer_norm`, `cell_clip`": {"save": "refused " + SAVE + "options_that_onnx_lacks_are_refused"},
    "external data, with `external_data=True`": {"load": EXTERNAL + "external_data_are_read_on_request"},
}

MODULES, AUTOGRAD, COMPILE, FALLBACK, PROCESSES, WEIGHTS, ACCELERATE = (
    f"test_torch_{name}.py::test_"
    for name in ("modules", "autograd", "compile", "fallback", "processes", "weights", "accelerate")
)
OF_TORCH = {
    "every input of PyTorch's own module tests, LSTM and LSTMCell": MODULES + "every_module_input",
    "every error of PyTorch's own module tests": MODULES + "every_error_input",
    "layers, directions, projection, bias, `batch_first`, unbatched, float64, any strides: 1,000 random configurations": MODULES
    + "a_thousand_random",
    "`PackedSequence`, sorted or not": MODULES + "a_thousand_random",
    "dropout, from `torch.manual_seed`": MODULES + "dropout",
    "first derivatives of every input": MODULES + "gradcheck",
    "second derivatives (by PyTorch's kernel, with a warning)": AUTOGRAD + "second_derivatives",
    "checkpointing, hooks of saved tensors": AUTOGRAD + "checkpoints",
    "`deepcopy`, pickle, `torch.save`": ACCELERATE + "copies_and_files",
    "`state_dict`, `repr`": ACCELERATE + "state_dict_and_repr",
    "`accelerate` and `restore`: optimizers, hooks, sharing stay": ACCELERATE,
    "parameters written in place, `.data`, `load_state_dict`": WEIGHTS + "every_write",
    "`torch.compile`: one operator": COMPILE,
    "autocast, other devices and dtypes, `torch.func`, export: PyTorch's kernel, one warning": FALLBACK,
    "`torch.jit`": FALLBACK + "torch_jit",
    "DDP with gloo": PROCESSES + "ddp",
    "DataLoader workers, fork": PROCESSES + "workers",
    "threads that share a module": WEIGHTS + "threads",
}


def grid(module):
    """Features and columns of a test file with test_feature(feature, column)."""
    return {
        feature: {column: f"{module.__name__}.py::test_feature[{feature}-{column}]" for column in module.COLUMNS}
        for feature in module.FEATURES
    }


def tables():
    """By title: columns, and by feature the tests of each cell."""
    import test_keras
    import test_weights_files

    return {
        "PyTorch modules": (("lf.torch",), {feature: {"lf.torch": tests} for feature, tests in OF_TORCH.items()}),
        "ONNX": (COLUMNS, OF_ONNX),
        "Keras": (test_keras.COLUMNS, grid(test_keras)),
        "Weights under PyTorch's names": (test_weights_files.COLUMNS, grid(test_weights_files)),
    }


def page(has_passed):
    """Markdown; has_passed(start): whether tests whose names start so passed, and none failed."""
    lines = [
        "# Bridges",
        "",
        "What comes in and goes out, written by `python tests/test_bridges.py` from the tests that passed.",
        'An empty cell is not a matter of its column; "refused" is an error that names what is not supported.',
    ]
    for title, (columns, features) in tables().items():
        lines += ["", f"## {title}", "", f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for feature, cells in features.items():
            words = []
            for column in columns:
                tests = cells.get(column, "")
                word, start = "refused" if tests.startswith("refused ") else "yes", tests.removeprefix("refused ")
                words.append("" if not start else word if has_passed(start) else "**no**")
            lines.append(f"| {feature} | {' | '.join(words)} |")
    return "\n".join([*lines, ""])


def test_the_page_is_that_of_tests_which_are_there():
    """That they pass they say themselves."""
    seen = []
    assert PAGE.read_text(encoding="utf-8") == page(lambda start: not seen.append(start))
    for start in seen:
        file, name = start.partition("[")[0].split("::")
        assert f"\ndef {name}" in (TESTS / file).read_text(), start


class Results:
    """A pytest plugin that notes what passed and failed."""

    def __init__(self):
        self.passed, self.failed = set(), set()

    def pytest_runtest_makereport(self, item, call):
        if call.when == "call" or call.excinfo:
            (self.failed if call.excinfo else self.passed).add(item.nodeid.rpartition("/")[2])

    def has_passed(self, start):
        return any(name.startswith(start) for name in self.passed) and not any(
            name.startswith(start) for name in self.failed
        )


if __name__ == "__main__":
    results = Results()
    files = [path for kind in ("torch", "onnx", "keras", "weights") for path in sorted(TESTS.glob(f"test_{kind}*.py"))]
    pytest.main(["-q", "--no-header", *map(str, files)], plugins=[results])
    PAGE.write_text(page(results.has_passed), encoding="utf-8")
    sys.exit(bool(results.failed))
