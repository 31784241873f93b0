"""Finding and naming LSTM nodes: in the graph, in bodies, in functions."""

import numpy as np
import onnx
import pytest
from onnx import helper

import lstm_fast as lf
from onnx_cases import OUTPUTS, Case, assert_close, make_model, run
from onnx_models import body_models, function_model


def test_names_of_nodes():
    case = Case(0, (), "forward")
    nodes = [case.node(name) for name in ("encoder", "", "decoder", "", "encoder", "LSTM_1", "encoder")]
    for k, node in enumerate(nodes):
        node.output[0] = f"y{k}"
        del node.output[1:]
    model = make_model([helper.make_node("Relu", ["X"], ["r"]), *nodes], case.feeds, ["y0"], case.weights)
    assert lf.onnx.names(model) == ["encoder", "LSTM_1:1", "decoder", "LSTM_3", "encoder:1", "LSTM_1", "encoder:2"]
    assert lf.onnx.names(model.SerializeToString()) == lf.onnx.names(model)
    for name in lf.onnx.names(model):
        assert_close(case.call(lf.onnx.load(model, name)), case.expected())
    with pytest.raises(ValueError, match="name must be one of encoder, LSTM_1:1, decoder.*got 'gru'") as raised:
        lf.onnx.load(model, "gru")
    assert not isinstance(raised.value, lf.FormatError)


def test_model_without_an_lstm():
    model = make_model([helper.make_node("Relu", ["X"], ["y"])], {"X": np.zeros(3, np.float32)}, ["y"])
    assert lf.onnx.names(model) == []
    with pytest.raises(lf.FormatError, match="no LSTM node"):
        lf.onnx.load(model)


def test_first_of_several_and_each_by_name(tmp_path):
    a, b = Case(1, {"bias"}, "forward"), Case(2, {"bias", "peepholes"}, "bidirectional")
    nodes = [
        a.node("a", [f"{name}_a" for name in ("X", "W", "R", "B", "", "", "", "P")]),
        b.node("b", [f"{name}_b" for name in ("X", "W", "R", "B", "", "", "", "P")]),
    ]
    for node in nodes:
        node.output[:] = [f"{name}_{node.name}" for name in OUTPUTS]
    model = make_model(
        nodes,
        {"X_a": a.feeds["X"], "X_b": b.feeds["X"]},
        ["Y_a", "Y_b"],
        {f"{name}_{k}": array for k, case in (("a", a), ("b", b)) for name, array in case.weights.items()},
    )
    onnx.save(model, tmp_path / "two.onnx")
    assert lf.onnx.names(tmp_path / "two.onnx") == ["a", "b"]
    assert_close(a.call(lf.onnx.load(str(tmp_path / "two.onnx"))), a.expected())
    assert_close(b.call(lf.onnx.load(tmp_path / "two.onnx", "b")), b.expected())


@pytest.mark.parametrize("kind", ("If", "If in If", "Loop", "Scan"))
def test_nodes_in_bodies(kind):
    case = Case(3, {"bias"}, "bidirectional")
    ((model, feeds),) = ((model, feeds) for name, model, feeds in body_models(case) if name == kind)
    y = run(model, {"X": case.feeds["X"], **feeds})[0]
    assert lf.onnx.names(model) == ["inner"]
    lstm = lf.onnx.load(model)
    assert_close(case.call(lstm)[:1], [y.swapaxes(1, 2).reshape(case.T, case.B, -1)])
    got = lf.onnx.Backend.prepare(model).run({"X": case.feeds["X"], **feeds})
    assert_close(got, [y])


def test_nodes_in_functions():
    case = Case(4, {"bias"}, "bidirectional")
    model = function_model(case)
    want = run(model, case.feeds)
    assert lf.onnx.names(model) == ["inner", "inner:1"]
    for name, y, clip in zip(lf.onnx.names(model), want, (0.3, 0.6)):
        lstm = lf.onnx.load(model, name)
        assert lstm.gate_clip == clip
        assert_close(case.call(lstm)[:1], [y.swapaxes(1, 2).reshape(case.T, case.B, -1)])
    model = function_model(case, way=case.direction)  # onnx.reference does not know an attribute's default
    assert_close(lf.onnx.Backend.run_model(model, [case.feeds["X"]]), want)
