"""The reference against golden results of PyTorch (forward and backward) and of ONNX Runtime (forward).

The files were written by tests/data/make_golden.py and make_golden_onnx.py.
"""

import json
import pathlib

import numpy as np
import pytest

from numdiff import relative_error
from reference_cases import stack_backward, stack_forward

DATA = pathlib.Path(__file__).parent / "data"
FILES = {path.name: np.load(path) for path in sorted(DATA.glob("golden_*.npz"))}
TORCH = {
    "golden_torch.npz": (
        "lstm",
        "lstm_no_bias",
        "lstm_2_layers_bidirectional",
        "lstm_2_layers_float32",
        "rnn_tanh",
        "rnn_relu_2_layers_bidirectional",
    ),
    "golden_torch_variants.npz": (
        "projection",
        "lengths_bidirectional",
        "projection_lengths_2_layers_bidirectional",
        "rnn_lengths_2_layers_bidirectional",
    ),
}
ACTIVATIONS = (
    "tanh",
    "sigmoid",
    "softsign",
    "hard_sigmoid",
    "hard_sigmoid_0.4_0.45",
    "scaled_tanh_1.3_0.6",
    "relu",
    "softplus",
    "elu",
    "elu_0.8",
    "leaky_relu",
    "leaky_relu_0.3",
    "affine_0.7_0.2",
    "thresholded_relu_0.2",
)
ONNX = {
    "golden_onnx.npz": (
        "plain_bidirectional",
        "peepholes",
        "coupled_gates",
        "coupled_gates_peepholes",
        "gate_clip",
        "gate_clip_peepholes",
        "lengths_bidirectional",
        "everything",
        "three_activations",
        *ACTIVATIONS,
    )
}


def frozen(file, case):
    """The arrays of a case by name, and its configuration."""
    arrays = {name.split("/")[1]: FILES[file][name] for name in FILES[file].files if name.startswith(case + "/")}
    return arrays, json.loads(str(arrays.pop("config")))


def cases(files):
    return [pytest.param(file, case, id=case) for file, names in files.items() for case in names]


def test_golden_files_have_exactly_the_expected_cases():
    assert set(FILES) == {*TORCH, *ONNX}
    for file, names in (TORCH | ONNX).items():
        assert {name.split("/")[0] for name in FILES[file].files} == {"versions", *names}
        assert ("torch 2.13.0" if file in TORCH else "onnxruntime 1.32.0") in str(FILES[file]["versions"])


@pytest.mark.parametrize("file, case", cases(TORCH))
def test_stack_matches_golden_results_of_pytorch(file, case):
    arrays, config = frozen(file, case)
    tolerance = 2e-6 if config.get("dtype") == "float32" else 1e-12
    options = dict(num_layers=config.get("num_layers", 1), bidirectional=config.get("bidirectional", False))
    options |= {name: config[name] for name in ("nonlinearity", "lengths") if name in config}
    names = ["output", "h_n", "c_n"][: 3 if config["mode"] == "LSTM" else 2]
    incoming = {"d_" + name: arrays.pop("d_" + name) for name in names}
    want_results = {name: arrays.pop(name) for name in names}
    want_gradients = {name[2:]: arrays.pop(name) for name in list(arrays) if name.startswith("d_")}
    assert set(want_gradients) == set(arrays)
    *results, tape = stack_forward(arrays, options)
    for name, got in zip(names, results):
        assert got.dtype == want_results[name].dtype
        assert relative_error(got, want_results[name]) < tolerance, name
    gradients = stack_backward(tape, incoming)
    assert set(gradients) == set(want_gradients)
    for name in gradients:
        assert relative_error(gradients[name], want_gradients[name]) < tolerance, name


@pytest.mark.parametrize("file, case", cases(ONNX))
def test_stack_matches_golden_results_of_onnx_runtime(file, case):
    arrays, options = frozen(file, case)
    want = [arrays.pop(name).astype(float) for name in ("output", "h_n", "c_n")]
    arrays = {name: array.astype(float) for name, array in arrays.items()}
    *results, _ = stack_forward(arrays, dict(num_layers=1, bidirectional=False) | options)
    for got, expected in zip(results, want, strict=True):
        assert relative_error(got, expected) < 2e-6
    np.testing.assert_array_equal(results[0] == 0, want[0] == 0)  # padding, and zeros of relu and similar activations
