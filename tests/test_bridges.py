"""docs/bridges.md: what each bridge accepts. Each cell of its tables is backed by tests.

python tests/test_bridges.py     runs the tests of all bridges and writes the tables, from those that passed
"""

import sys
from pathlib import Path

import pytest

from optional import needs, require

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "bridges.md"
MARKER = "<!-- Written by python tests/test_bridges.py -->\n"

COLUMNS = ("load", "save", "Backend")

LOAD, GRAPH, OPERATORS, STACK, SAVE, BACKEND, TORCH, EXTERNAL, QUANTIZED = (
    f"test_onnx_{name}.py::test_"
    for name in ("load", "graph", "operators", "stack", "save", "backend", "torch", "external", "quantized")
)
# By feature and column: a prefix of the names of its tests, after "refused" if they expect an error that
# names the unsupported option. A missing column means that the feature does not apply to it.
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
        "load": "refused " + LOAD + "different_activations_per_direction",
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
        "load": LOAD + "constant_states_become_learned",
        "save": SAVE + "lstm[learn",
        "Backend": BACKEND + "states_of_each_sequence",
    },
    "constant initial states that differ within the batch": {
        "load": "refused " + LOAD + "constant_states_per_sequence",
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
        "save": SAVE + "quantized_lstm_is_saved_with_dequantized",
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
        "Backend": BACKEND + "rest_of_a_model",
    },
    "weights from DequantizeLinear": {"load": OPERATORS + "dequantized_weights"},
    "weights that the graph computes": {
        "load": "refused " + OPERATORS + "computed_weights_raise",
        "Backend": BACKEND + "states_of_each_sequence_and_weights_as_inputs",
    },
    "`com.microsoft.DynamicQuantizeLSTM` (load: as int8)": {
        "load": QUANTIZED + "quantize_dynamic_files",
        "Backend": BACKEND + "dynamic_quantize_lstm",
    },
    "stacked nodes as `num_layers`": {
        "load": STACK + "stacked_nodes_become_layers",
        "save": SAVE + "lstm[stacked",
        "Backend": SAVE + "float64[stacked",
    },
    "files of both PyTorch exporters": {"load": TORCH + "exported_lstm", "Backend": TORCH + "model_around_an_lstm"},
    "`SequenceModel` with its head": {"load": SAVE + "sequence_model", "save": SAVE + "sequence_model"},
    "RNN nodes": {"save": SAVE + "rnn", "Backend": BACKEND + "rnn_nodes"},
    "`proj_size`, `layer_norm`, `cell_clip`": {"save": "refused " + SAVE + "options_that_onnx_lacks_raise"},
    "external data, with `external_data=True`": {"load": EXTERNAL + "external_data_are_read_only_on_request"},
}

MODULES, AUTOGRAD, GRADIENTS, COMPILE, FALLBACK, PROCESSES, WEIGHTS, WRITES, STORAGE, ACCELERATE, COMPUTE_DTYPE = (
    f"test_torch_{name}.py::test_"
    for name in (
        "modules",
        "autograd",
        "gradients",
        "compile",
        "fallback",
        "processes",
        "weights",
        "writes",
        "storage",
        "accelerate",
        "compute_dtype",
    )
)
OF_TORCH = {
    "every input of PyTorch's own module tests, LSTM and LSTMCell": MODULES + "pytorch_module_inputs",
    "every error of PyTorch's own module tests": MODULES + "pytorch_module_error_inputs",
    "layers, directions, projection, bias, `batch_first`, unbatched, float64, strides: 1,000 random cases": MODULES
    + "thousand_random",
    "`PackedSequence`, sorted or not": MODULES + "thousand_random",
    "dropout, seeded by `torch.manual_seed` (other masks than PyTorch's)": MODULES + "dropout",
    "first derivatives of every input": MODULES + "gradcheck",
    "second derivatives (PyTorch's kernel, with a warning)": AUTOGRAD + "second_derivatives",
    "batched gradients, `jacobian(vectorize=True)` (PyTorch's kernel, with a warning)": GRADIENTS + "batched_gradients",
    "`z += lstm(z)[0]` wherever PyTorch accepts it": GRADIENTS + "x_may_be_written",
    "checkpointing, hooks of saved tensors": AUTOGRAD + "checkpoints",
    "`deepcopy`, pickle, `torch.save`": "test_torch_accelerate_copies.py::test_copies_and_files",
    "`state_dict`, `repr`": "test_torch_accelerate_copies.py::test_state_dict_and_repr",
    "`accelerate` and `restore`: optimizers, hooks and sharing are kept": ACCELERATE,
    "parameters written in any way: eleven ways, `.data`, NumPy and another process among them": WRITES
    + "writes_between_calls_are_detected",
    "`accelerate(frozen=True)`": ACCELERATE + "frozen",
    "`accelerate(format=...)`: inference in float16, bfloat16 or int8": "test_torch_formats.py::test_",
    "tensors stay resizable: `resize_`, `out=`, storages": STORAGE + "inputs_and_results_are_not_kept_alive",
    "another default device: `torch.device(...)`, `set_default_device`": STORAGE + "another_default_device",
    "`torch.compile`: one operator": COMPILE,
    "autocast to bfloat16: forward and backward, results of PyTorch's dtypes": COMPUTE_DTYPE + "autocast",
    "`compute_dtype` of lf.torch.LSTM and LSTMCell": COMPUTE_DTYPE + "module_matches_numpy_layer",
    "autocast to float16, other devices and dtypes, `torch.func`, export (PyTorch's kernel, with a warning)": FALLBACK,
    "`torch.jit`": FALLBACK + "torch_jit",
    "DDP with gloo": PROCESSES + "ddp",
    "FSDP2, `fully_shard`": PROCESSES + "fully_sharded",
    "DataLoader workers, fork": PROCESSES + "data_loader_workers",
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


def markdown(has_passed):
    """The tables; has_passed(start): whether tests whose names start so passed, and none failed."""
    lines = []
    for title, (columns, features) in tables().items():
        lines += ["", f"### {title}", "", f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for feature, cells in features.items():
            words = []
            for column in columns:
                tests = cells.get(column, "")
                word, start = "refused" if tests.startswith("refused ") else "yes", tests.removeprefix("refused ")
                words.append("" if not start else word if has_passed(start) else "**no**")
            lines.append(f"| {feature} | {' | '.join(words)} |")
    return "\n".join([*lines, ""])


def prose():
    return PAGE.read_text(encoding="utf-8").partition(MARKER)[0]


@needs("h5py", "keras")  # which the tests of Keras import
def test_tables_name_existing_tests():
    """Whether they pass is not checked here."""
    starts = []
    assert PAGE.read_text(encoding="utf-8") == prose() + MARKER + markdown(lambda start: not starts.append(start))
    for start in starts:
        file, name = start.partition("[")[0].split("::")
        assert f"\ndef {name}" in (TESTS / file).read_text(), start


class Results:
    """A pytest plugin that records which tests passed and which failed."""

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
    PAGE.write_text(prose() + MARKER + markdown(results.has_passed), encoding="utf-8")
    sys.exit(bool(results.failed))


@pytest.mark.parametrize("bridge", ["onnx", "keras", "explain"])
def test_unsupported_new_option_raises(bridge, monkeypatch, tmp_path):
    """An option added to LSTM raises unless it is on the bridge's list of supported ones or has its default value."""
    if bridge != "explain":
        require(bridge)
    import lstm_fast as lf
    from lstm_fast._options import Fixed

    option = Fixed("A new option.", lambda name, value: value, default=False)
    monkeypatch.setattr(lf.LSTM, "new_option", option, raising=False)
    monkeypatch.setattr(lf.LSTM, "_new_option", False, raising=False)
    option.name, option.slot = "new_option", "_new_option"
    path = tmp_path / "lstm.onnx"
    write = {
        "onnx": lambda lstm: lf.onnx.save(lstm, path),
        "keras": lambda lstm: lf.keras.to_layer(lstm),
        "explain": lambda lstm: lf.explain.html(lstm, [[1.0, 2.0]], tmp_path / "page.html"),
    }[bridge]
    lstm = lf.LSTM(2, 3, seed=0)
    write(lstm)
    lstm._new_option = True
    with pytest.raises(ValueError, match="new_option"):
        write(lstm)
