"""lf.onnx.Backend: ONNX's own conformance cases, and random nodes against ONNX Runtime."""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.case.node import collect_testcases

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lstm_fast as lf
from onnx_cases import DIRECTIONS, OPTIONS, OUTPUTS, Case, assert_close, make_model, quantized_case, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # from cases of other operators, which onnx also creates
    CONFORMANCE = {case.name: case for case in collect_testcases("LSTM")}
    node_cases._TargetOpType = "RNN"  # cases are collected as their modules are imported
    importlib.reload(node_cases.rnn)
    CONFORMANCE |= {case.name: case for case in node_cases._NodeTestCases}


def test_conformance_cases_are_complete():
    assert {name for name in CONFORMANCE if "lstm" in name} == {
        f"test_lstm_{kind}"
        for kind in ("defaults", "with_initial_bias", "with_peepholes", "batchwise", "reverse", "bidirectional")
    }
    assert sum("rnn" in name for name in CONFORMANCE) >= 4


@pytest.mark.parametrize("name", CONFORMANCE)
def test_conformance(name):
    """Run a node's case as onnx.backend.test.BackendTest, which takes ten seconds to start, with its tolerances."""
    case = CONFORMANCE[name]
    prepared = lf.onnx.Backend.prepare(case.model, "CPU")
    assert case.data_sets
    for inputs, outputs in case.data_sets:
        got = prepared.run(inputs)
        assert len(got) == len(outputs)
        for mine, theirs in zip(got, outputs):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_each_option(option, direction):
    case = Case(11, {option}, direction)
    assert_close(lf.onnx.Backend.run_model(case.model(), case.feeds), run(case.model(), case.feeds))


@pytest.mark.parametrize("opset", (1, 7, 14, 22))
def test_versions_of_onnx(opset):
    case = Case(opset, {"bias", "peepholes", "lengths", "initial_h"}, "bidirectional")
    assert_close(lf.onnx.Backend.run_model(case.model(opset), case.feeds), run(case.model(), case.feeds))


@pytest.mark.parametrize("first", range(1000, 1100, 25))
def test_random_nodes(first):
    for seed in range(first, first + 25):
        case = Case(seed)
        layout = seed % 2
        feeds = dict(case.feeds)
        if layout:
            feeds |= {name: feeds[name].swapaxes(0, 1) for name in ("X", "initial_h", "initial_c") if name in feeds}
        y, y_h, y_c = lf.onnx.Backend.run_model(case.model(layout=layout), feeds)
        if layout:
            y, y_h, y_c = y.transpose(1, 2, 0, 3), y_h.swapaxes(0, 1), y_c.swapaxes(0, 1)
        try:
            assert_close([y, y_h, y_c], run(case.model(), case.feeds))
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


def test_other_activations_of_the_second_direction():
    case = Case(3, {"bias"}, "bidirectional")
    model = case.model(activations=["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Softsign", "Tanh"])
    assert_close(lf.onnx.Backend.run_model(model, case.feeds), run(model, case.feeds))


def test_states_of_each_sequence_and_weights_as_inputs():
    case = Case(4, {"bias", "initial_h", "initial_c", "lengths", "peepholes"}, "reverse")
    feeds = case.feeds | case.weights
    model = make_model([case.node()], feeds, OUTPUTS)
    prepared = lf.onnx.Backend.prepare(model)
    for _ in range(2):
        assert_close(prepared.run(feeds), run(model, feeds))
        feeds["W"] *= -0.5  # in place: the second run must not reuse weights cached by the first


@pytest.mark.parametrize("dtype", (np.float16, np.float64))
def test_other_dtypes(dtype):
    case = Case(5, {"bias", "initial_h", "lengths"}, "bidirectional")
    want = run(case.model(), case.feeds)
    cast = {
        name: array.astype(dtype) if array.dtype == np.float32 else array
        for name, array in (case.weights | case.feeds).items()
    }
    model = make_model(
        [case.node()], {name: cast[name] for name in case.feeds}, (), {name: cast[name] for name in case.weights}
    )
    model.graph.output.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [None] * n)
        for name, n in zip(OUTPUTS, (4, 3, 3))
    )
    got = lf.onnx.Backend.run_model(model, {name: cast[name] for name in case.feeds})
    assert all(array.dtype == dtype for array in got)
    assert_close([array.astype(np.float32) for array in got], want, 5e-3 if dtype == np.float16 else 1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("activation", ("Tanh", "Relu", "Affine"))
def test_rnn_nodes(direction, activation):
    case = Case(6, {"lengths", "initial_h"}, direction)
    D, H, I = case.D, case.H, case.I
    weights = {"W": case.draw(D, H, I), "R": case.draw(D, H, H), "B": case.draw(D, 2 * H)}
    alphas = {"activation_alpha": [1.0] * D, "activation_beta": [0.0] * D} if activation == "Affine" else {}
    node = helper.make_node(
        "RNN",
        ["X", "W", "R", "B", "sequence_lens", "initial_h"],
        ["Y", "Y_h"],
        hidden_size=H,
        direction=direction,
        activations=[activation] * D,
        **alphas,
    )
    model = make_model([node], case.feeds, ("Y", "Y_h"), weights)
    assert_close(lf.onnx.Backend.run_model(model, case.feeds), run(model, case.feeds))


def test_interface():
    assert issubclass(lf.onnx.Backend, Backend)
    assert lf.onnx.Backend.supports_device("CPU") and not lf.onnx.Backend.supports_device("CUDA")
    case = Case(7, {"bias"}, "forward")
    model = case.model()
    assert isinstance(lf.onnx.Backend.prepare(model), BackendRep)
    with pytest.raises(ValueError, match="device must be CPU"):
        lf.onnx.Backend.prepare(model, "CUDA")
    with pytest.raises(ValueError, match="inputs must be 1 arrays, for X, got 2"):
        lf.onnx.Backend.run_model(model, [case.feeds["X"]] * 2)
    with pytest.raises(onnx.checker.ValidationError):
        lf.onnx.Backend.prepare(onnx.ModelProto())
    want = run(model, case.feeds)
    assert_close(lf.onnx.Backend.run_model(model, case.feeds["X"]), want)
    assert_close(lf.onnx.Backend.run_node(case.node(), [case.feeds["X"], *case.weights.values()]), want)


def test_dynamic_quantize_lstm():
    """Compared with ONNX Runtime on dequantized weights and, loosely, its own operator, which rounds x and h too."""
    case, model = quantized_case(np.int8, True, "bidirectional")
    got = lf.onnx.Backend.run_model(model, case.feeds)
    assert_close(got, run(case.model(), case.feeds))
    assert_close(got, run(model, case.feeds), 0.05)


def test_omitted_outputs():
    case = Case(8, {"bias"}, "forward")
    for names in (["Y"], ["", "Y_h"], ["", "", "Y_c"]):
        node = case.node()
        node.output[:] = names
        model = make_model([node], case.feeds, names[-1:], case.weights)
        assert_close(lf.onnx.Backend.run_model(model, case.feeds), run(model, case.feeds))


def test_unsupported_nodes_raise():
    case = Case(9, (), "forward")
    with pytest.raises(ValueError, match="activations"):
        lf.onnx.Backend.run_model(case.model(activations=["Sigmoid", "Cosine", "Tanh"]), case.feeds)
    node = helper.make_node("RNN", ["X", "W", "R"], ["Y"], hidden_size=2, clip=1.0)
    feeds = {
        "X": np.zeros((1, 1, 3), np.float32),
        "W": np.zeros((1, 2, 3), np.float32),
        "R": np.zeros((1, 2, 2), np.float32),
    }
    with pytest.raises(ValueError, match="clip of RNN is not supported"):
        lf.onnx.Backend.run_model(make_model([node], feeds, ["Y"]), feeds)


def test_rest_of_a_model_runs():
    """An LSTM between other operators, as exporters write them."""
    case = Case(10, {"bias"}, "bidirectional")
    nodes = [
        helper.make_node("Relu", ["raw"], ["X"]),
        case.node(),
        helper.make_node("ReduceMean", ["Y"], ["mean"], keepdims=0),
    ]
    model = make_model(nodes, {"raw": case.feeds["X"]}, ["mean"], case.weights)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("mean", TensorProto.FLOAT, []))
    assert_close(lf.onnx.Backend.run_model(model, [case.feeds["X"]]), run(model, {"raw": case.feeds["X"]}))
