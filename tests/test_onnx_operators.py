"""Constants that reach an LSTM node through other operators."""

import numpy as np
import onnx
import pytest
from onnx import helper

import lstm_fast as lf
from onnx_cases import OUTPUTS, Case, assert_close, make_model, run
from onnx_chains import chains, dequantized_chain
from onnx_models import constant, tensor


@pytest.mark.parametrize("name", [name for name, *_ in chains(np.zeros((1, 4, 1), np.float32))])
def test_weights_from_operators(name):
    case = Case(6, {"bias", "lengths"}, "forward")
    if name in ("Expand", "ConstantOfShape"):
        case.weights["W"][:] = 0.1 if name == "ConstantOfShape" else case.weights["W"][:, :1]
    ((_, nodes, initializers, opset),) = (chain for chain in chains(case.weights["W"]) if chain[0] == name)
    model = case.model(
        opset, nodes=nodes, initializers=initializers | {k: v for k, v in case.weights.items() if k != "W"}
    )
    lstm = lf.onnx.load(model)
    want = lf.onnx.load(case.model())
    assert all((lstm.parameters()[key] == value).all() for key, value in want.parameters().items())
    if opset >= 7 and name != "Expand":
        y, y_h, y_c = run(model, case.feeds)
        assert_close(case.call(lstm), (y[:, 0], y_h, y_c))


@pytest.mark.parametrize("per_channel", (False, True))
@pytest.mark.parametrize("dtype", (np.int8, np.uint8))
def test_dequantized_weights(dtype, per_channel):
    case = Case(7, {"bias"}, "forward")
    nodes, arrays = dequantized_chain(case.weights["W"], per_channel, dtype)
    model = case.model(nodes=nodes, initializers=arrays | {"R": case.weights["R"], "B": case.weights["B"]})
    y, y_h, y_c = run(model, case.feeds)
    assert_close(case.call(lf.onnx.load(model)), (y[:, 0], y_h, y_c))


def test_computed_weights_raise_with_the_operator_name():
    case = Case(8, (), "forward")
    model = case.model(
        nodes=[helper.make_node("Erf", ["w"], ["W"], name="odd")],
        initializers={"w": case.weights["W"], "R": case.weights["R"]},
    )
    with pytest.raises(
        lf.FormatError, match="node LSTM_0: input W must be a constant, got W, which is computed by Erf 'odd'"
    ):
        lf.onnx.load(model)
    model = make_model([case.node()], case.feeds | {"W": case.weights["W"]}, OUTPUTS, {"R": case.weights["R"]})
    with pytest.raises(lf.FormatError, match="input W must be a constant, got the input W"):
        lf.onnx.load(model)
    model = case.model(nodes=[helper.make_node("Identity", ["W"], ["W"])], initializers={"R": case.weights["R"]})
    with pytest.raises(lf.FormatError, match="depends on itself"):
        lf.onnx.load(model)


def test_missing_weights():
    case = Case(8, (), "forward")
    for name in "WR":
        model = case.model(initializers={key: value for key, value in case.weights.items() if key != name})
        with pytest.raises(lf.FormatError, match=f"{name!r} is not defined anywhere"):
            lf.onnx.load(model)
    model = case.model()
    del model.graph.node[0].input[1:]
    with pytest.raises(lf.FormatError, match="input W is missing"):
        lf.onnx.load(model)


def test_sparse_weights_raise():
    case = Case(8, (), "forward")
    model = case.model(initializers={"R": case.weights["R"]})
    sparse = onnx.SparseTensorProto(
        values=tensor(np.float32([1]), "W"), indices=tensor(np.array([0])), dims=case.weights["W"].shape
    )
    model.graph.sparse_initializer.append(sparse)
    with pytest.raises(lf.FormatError, match="sparse_initializer"):
        lf.onnx.load(model)


def test_unsupported_constant():
    case = Case(8, (), "forward")
    model = case.model(nodes=[constant("W", None, value_string="much")], initializers={"R": case.weights["R"]})
    with pytest.raises(lf.FormatError, match="value_string is not supported"):
        lf.onnx.load(model)
