"""Stacked LSTM nodes as the layers of one LSTM."""

import numpy as np
import pytest
from onnx import helper

import lstm_fast as lf
from onnx_cases import Case, assert_close, run
from onnx_models import constant, stack_model, two_cases


@pytest.mark.parametrize("direction", ("forward", "reverse", "bidirectional"))
def test_stacked_nodes_become_layers(direction):
    cases = two_cases(direction)
    model, feeds = stack_model(cases)
    y, y_h, y_c = run(model, feeds)
    lstm = lf.onnx.load(model)
    assert lstm.num_layers == 2
    output, (h_n, c_n) = lstm(feeds["X"])
    D = cases[0].D
    assert_close([output, h_n[D:], c_n[D:]], [y.swapaxes(1, 2).reshape(*output.shape), y_h, y_c])
    assert lf.onnx.load(model, "first").num_layers == lf.onnx.load(model, "second").num_layers == 1
    assert lf.onnx.load(stack_model(cases, lengths=("lens", "lens"))[0]).num_layers == 2


def test_nodes_that_do_not_form_a_stack():
    """Something in between, another kind of node, other lengths, a state passed on: only the first node is loaded."""
    cases = two_cases("bidirectional")
    D, H = cases[0].D, cases[0].H
    one = Case(9, {"bias"}, "forward")
    wrong_order = [
        helper.make_node("Transpose", ["Y0"], ["t"], perm=[0, 2, 3, 1]),
        constant("sizes", np.array([0, 0, D * H])),
        helper.make_node("Reshape", ["t", "sizes"], ["X1"]),
    ]
    between = {
        "relu": [
            constant("axes", np.array([1])),
            helper.make_node("Relu", ["Y0"], ["r"]),
            helper.make_node("Squeeze", ["r", "axes"], ["X1"]),
        ],
        "scaled": [
            constant("axes", np.array([1])),
            constant("half", np.float32(0.5)),
            helper.make_node("Mul", ["Y0", "half"], ["r"]),
            helper.make_node("Squeeze", ["r", "axes"], ["X1"]),
        ],
    }
    models = [
        stack_model(cases, wrong_order)[0],
        stack_model(cases, lengths=("lens", None))[0],
        stack_model(cases, state_of_the_first=True)[0],
        *(stack_model(two_cases("forward"), nodes)[0] for nodes in between.values()),
    ]
    other = two_cases("forward")
    other[1].attributes["clip"] = 1.0
    models.append(stack_model(other)[0])
    assert all(lf.onnx.load(model).num_layers == 1 for model in models)
    assert one.H == H


def test_stack_with_static_sizes():
    """T and B baked into the reshape, as exporters do without dynamic axes."""
    cases = two_cases("bidirectional")
    T, B, H = cases[0].T, cases[0].B, cases[0].H
    between = [
        helper.make_node("Transpose", ["Y0"], ["t"], perm=[0, 2, 1, 3]),
        constant("sizes", np.array([T, B, 2 * H])),
        helper.make_node("Reshape", ["t", "sizes"], ["X1"]),
    ]
    model, _ = stack_model(cases, between)
    assert lf.onnx.load(model).num_layers == 1  # the sizes of X are unknown
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (T, B, cases[0].I)):
        dim.dim_value = size
    assert lf.onnx.load(model).num_layers == 2


def test_stack_in_layout_1():
    """The output of a node with layout 1 is (B, T, D, H): one Reshape gives the input of the next node."""
    cases = two_cases("bidirectional")
    D, H, case = cases[0].D, cases[0].H, cases[0]
    between = [constant("sizes", np.array([0, 0, D * H])), helper.make_node("Reshape", ["Y0", "sizes"], ["X1"])]
    model, _ = stack_model(cases, between, layout=1)
    lstm = lf.onnx.load(model)
    assert lstm.num_layers == 2 and lstm.batch_first
    got = lstm(case.feeds["X"].swapaxes(0, 1))[0]
    y = run(stack_model(cases)[0], {"X": case.feeds["X"]})[0]
    assert_close([got], [y.transpose(2, 0, 1, 3).reshape(got.shape)])
