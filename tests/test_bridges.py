"""What the ONNX bridge accepts: each cell of the table is tests that ran.

    python tests/test_onnx_accepted.py     prints the table, cells from the tests that passed
"""
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
COLUMNS = ("load", "save", "Backend")

LOAD, GRAPH, SAVE, BACKEND, TORCH, MALFORMED = (f"test_onnx_{name}.py::test_" for name in (
    "load", "graph", "save", "backend", "torch", "malformed"))
# By feature and column: the beginning of the names of its tests, and "refused" before those that expect an error with the
# name of what is not supported. What a column has not is not a matter of that column.
ACCEPTED = {
    "`direction`: forward, bidirectional": {"load": LOAD + "each_option", "save": SAVE + "lstm",
                                            "Backend": BACKEND + "each_option"},
    "`direction`: reverse (a `ReverseLSTM`)": {"load": LOAD + "layout_1_is_batch_first[reverse", "save": SAVE + "reverse",
                                               "Backend": BACKEND + "each_option[bias-reverse"},
    "`layout` 1 (`batch_first`; saved with Transpose, for ONNX Runtime)": {
        "load": LOAD + "layout_1_is_batch_first", "save": SAVE + "lstm[batch_first", "Backend": BACKEND + "random_nodes"},
    "peepholes `P`": {"load": LOAD + "each_option[peepholes", "save": SAVE + "lstm[peepholes",
                      "Backend": BACKEND + "each_option[peepholes"},
    "`clip` (`gate_clip`)": {"load": LOAD + "each_option[clip", "save": SAVE + "lstm[gate_clip",
                             "Backend": BACKEND + "each_option[clip"},
    "`input_forget` (`coupled_gates`)": {"load": LOAD + "each_option[input_forget", "save": SAVE + "lstm[coupled_gates",
                                         "Backend": BACKEND + "each_option[input_forget"},
    "`activations`: all eleven, with alpha and beta": {"load": LOAD + "activations", "save": SAVE + "activations",
                                                       "Backend": BACKEND + "each_option[activations"},
    "other `activations` in the second direction": {"load": "refused " + LOAD + "other_activations_of_the_second_direction",
                                                    "Backend": BACKEND + "other_activations_of_the_second_direction"},
    "`sequence_lens`": {"load": LOAD + "each_option[lengths", "save": SAVE + "lstm",
                        "Backend": BACKEND + "each_option[lengths"},
    "initial states as inputs": {"load": LOAD + "each_option[initial", "save": SAVE + "lstm",
                                 "Backend": BACKEND + "each_option[initial"},
    "constant initial states (`learn_initial_state`)": {"load": LOAD + "constant_states_are_learned",
                                                        "save": SAVE + "lstm[learn",
                                                        "Backend": BACKEND + "states_of_each_sequence"},
    "constant initial states that differ within the batch": {"load": "refused " + LOAD + "constant_states_of_each_sequence",
                                                             "Backend": BACKEND + "states_of_each_sequence"},
    "without biases": {"load": LOAD + "each_option[clip", "save": SAVE + "lstm[no bias",
                       "Backend": BACKEND + "each_option[clip"},
    "float32": {"load": LOAD + "random_nodes", "save": SAVE + "lstm", "Backend": BACKEND + "random_nodes"},
    "float64": {"load": LOAD + "float64", "save": SAVE + "float64", "Backend": BACKEND + "other_dtypes[float64"},
    "float16 (load: bfloat16 too; as float32)": {"load": LOAD + "other_dtypes",
                                                 "save": SAVE + "a_quantized_lstm_is_saved_widened",
                                                 "Backend": BACKEND + "other_dtypes[float16"},
    "opsets 1 to 22 (saved: 14)": {"load": LOAD + "versions_of_onnx", "save": SAVE + "lstm",
                                   "Backend": BACKEND + "versions_of_onnx"},
    "nodes inside If, Loop, Scan": {"load": GRAPH + "nodes_in_bodies", "Backend": GRAPH + "nodes_in_bodies"},
    "nodes inside functions": {"load": GRAPH + "nodes_in_functions", "Backend": GRAPH + "nodes_in_functions"},
    "weights behind Identity, Constant, Cast, Reshape, Transpose, Concat ...": {"load": GRAPH + "weights_behind_operators",
                                                                               "Backend": BACKEND + "the_rest_of_a_model"},
    "weights behind DequantizeLinear": {"load": GRAPH + "dequantized_weights"},
    "weights that the graph computes": {"load": "refused " + GRAPH + "weights_that_the_graph_computes_are_refused",
                                        "Backend": BACKEND + "states_of_each_sequence_and_weights_as_inputs"},
    "`com.microsoft.DynamicQuantizeLSTM`": {"load": LOAD + "dynamic_quantize_lstm",
                                            "Backend": BACKEND + "dynamic_quantize_lstm"},
    "stacked nodes as `num_layers`": {"load": GRAPH + "stacked_nodes_are_layers", "save": SAVE + "lstm[stacked",
                                      "Backend": SAVE + "float64[stacked"},
    "files of both PyTorch exporters": {"load": TORCH + "exported_lstm", "Backend": TORCH + "a_model_around_an_lstm"},
    "`SequenceModel` with its head": {"load": SAVE + "sequence_model", "save": SAVE + "sequence_model"},
    "RNN nodes": {"save": SAVE + "rnn", "Backend": BACKEND + "rnn_nodes"},
    "`proj_size`, `layer_norm`, `cell_clip`": {"save": "refused " + SAVE + "what_onnx_has_not_is_refused"},
    "external data, with `external_data=True`": {"load": MALFORMED + "external_data_only"},
}


def table(passed, failed=()):
    """Markdown. A cell says yes or refused if tests of its names passed and none failed."""
    lines = ["| ONNX | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for feature, of in ACCEPTED.items():
        cells = []
        for column in COLUMNS:
            cell = of.get(column, "")
            word, start = ("refused" if cell.startswith("refused ") else "yes"), cell.removeprefix("refused ")
            ran = start and any(name.startswith(start) for name in passed) and not any(name.startswith(start)
                                                                                       for name in failed)
            cells.append(word if ran else "**no**" if start else "")
        lines.append(f"| {feature} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_every_cell_has_its_tests():
    """Functions of the names are there; that they pass they say themselves."""
    for of in ACCEPTED.values():
        for cell in of.values():
            file, name = cell.removeprefix("refused ").partition("[")[0].split("::")
            assert f"\ndef {name}" in (TESTS / file).read_text(), cell


class Results:
    """A pytest plugin that notes what passed and failed."""

    def __init__(self):
        self.passed, self.failed = set(), set()

    def pytest_runtest_makereport(self, item, call):
        if call.when == "call" or call.excinfo:
            (self.failed if call.excinfo else self.passed).add(item.nodeid.rpartition("/")[2])


if __name__ == "__main__":
    results = Results()
    pytest.main(["-q", "--no-header", *(str(path) for path in sorted(TESTS.glob("test_onnx_*.py")))], plugins=[results])
    print(table(results.passed, results.failed))
    sys.exit(bool(results.failed))
