"""ONNX models with LSTM nodes in bodies, in functions and stacked on each other."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from onnx_cases import OUTPUTS, Case, make_model, value_info


def tensor(array, name=""):
    return numpy_helper.from_array(np.array(array, order="C"), name)


def constant(name, array, **attributes):
    return helper.make_node("Constant", [], [name], **attributes or {"value": tensor(array)})


def graph(nodes, outputs, inputs=(), initializers=(), dtype=TensorProto.FLOAT):
    return helper.make_graph(
        nodes,
        "body",
        list(inputs),
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        list(initializers),
    )


def body_models(case):
    """By name: a model whose LSTM is inside a body, some of its weights outside, and the feeds other than X."""
    W, R, B = (tensor(case.weights[name], name) for name in "WRB")
    x = value_info("X", case.feeds["X"])
    y = helper.make_node("Identity", ["Y"], ["out"])
    empty = helper.make_node("Shape", ["X"], ["s"]), helper.make_node("Cast", ["s"], ["out"], to=TensorProto.FLOAT)
    branch = graph([case.node("inner"), y], ["out"], initializers=[R])
    condition = helper.make_tensor_value_info("cond", TensorProto.BOOL, [])
    yield (
        "If",
        make_model(
            [
                constant("B", B, value=B),
                helper.make_node("If", ["cond"], ["Z"], then_branch=branch, else_branch=graph(empty, ["out"])),
            ],
            [x, condition],
            ["Z"],
            [W],
        ),
        {"cond": np.array(True)},
    )
    deep = helper.make_node("If", ["cond"], ["Q"], then_branch=branch, else_branch=graph(empty, ["out"]))
    yield (
        "If in If",
        make_model(
            [
                helper.make_node(
                    "If",
                    ["cond"],
                    ["Z"],
                    then_branch=graph([deep], ["Q"], initializers=[B]),
                    else_branch=graph(empty, ["out"]),
                )
            ],
            [x, condition],
            ["Z"],
            [W],
        ),
        {"cond": np.array(True)},
    )
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [None] * 4),
    ]
    loop = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["go_on"]), case.node("inner"), y],
        "body",
        inputs,
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * 4),
        ],
        [B],
    )
    start = np.zeros((case.T, case.D, case.B, case.H), np.float32)
    yield (
        "Loop",
        make_model(
            [
                constant("twice", np.array(2)),
                constant("go", np.array(True)),
                constant("start", start),
                helper.make_node("Loop", ["twice", "go", "start"], ["Z"], body=loop),
            ],
            [x],
            ["Z"],
            [W, R],
        ),
        {},
    )
    inputs = [helper.make_tensor_value_info("X1", TensorProto.FLOAT, [None] * 3)]
    node = case.node("inner")
    node.input[0] = "X1"
    scan = helper.make_graph(
        [node, y], "body", inputs, [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * 4)], [R]
    )
    yield (
        "Scan",
        make_model(
            [
                helper.make_node("Unsqueeze", ["X", "first"], ["Xs"]),
                helper.make_node("Scan", ["Xs"], ["Zs"], body=scan, num_scan_inputs=1),
                helper.make_node("Squeeze", ["Zs", "first"], ["Z"]),
            ],
            [x],
            ["Z"],
            [W, B, tensor(np.array([0]), "first")],
        ),
        {},
    )


def function_model(case, **way):
    """Two calls of a function around an LSTM: weights are its inputs or its own, clip is an attribute of the call."""
    inner = case.node("inner", ["X", "W", "R", "own"], hidden_size=case.H)
    clip = helper.make_attribute("clip", 1.0)
    clip.ClearField("f")
    clip.ref_attr_name = "bound"
    inner.attribute.append(clip)
    direction = next(attribute for attribute in inner.attribute if attribute.name == "direction")
    direction.ClearField("s")
    direction.ref_attr_name = "way"
    inner.output[:] = ["Y"]
    nodes = [constant("own", case.weights["B"]), inner]
    function = helper.make_function(
        "mine",
        "Recurrent",
        ["X", "W", "R"],
        ["Y"],
        nodes,
        [helper.make_opsetid("", 17)],
        ["bound"],
        [helper.make_attribute("way", case.direction)],
    )
    calls = [
        helper.make_node("Recurrent", ["X", "W", "R"], ["Z0"], domain="mine", bound=0.3, **way),
        helper.make_node("Recurrent", ["X", "W", "R"], ["Z1"], domain="mine", bound=0.6, **way),
    ]
    return make_model(calls, case.feeds, ["Z0", "Z1"], case.weights, 17, [function], ["mine"])


def stack_model(cases, between=None, lengths=(None, None), state_of_the_first=False, layout=0):
    """Two nodes, the second fed with the first's output by these nodes from "Y0" to "X1"."""
    first, second = cases
    a = first.node("first", ["X", "W0", "R0", "B0", lengths[0] or ""], layout=layout)
    b = second.node(
        "second", ["X1", "W1", "R1", "B1", lengths[1] or "", "Yh0" if state_of_the_first else ""], layout=layout
    )
    a.input[:] = ["X", "W0", "R0", "B0", lengths[0] or ""]
    b.input[:] = ["X1", "W1", "R1", "B1", lengths[1] or "", "Yh0" if state_of_the_first else ""]
    a.output[:], b.output[:] = ["Y0", "Yh0", "Yc0"], ["Y", "Y_h", "Y_c"]
    D, H = first.D, first.H
    if between is None:
        between = (
            [constant("one", np.array([1])), helper.make_node("Squeeze", ["Y0", "one"], ["X1"])]
            if D == 1
            else [
                helper.make_node("Transpose", ["Y0"], ["t"], perm=[0, 2, 1, 3]),
                constant("sizes", np.array([0, 0, D * H])),
                helper.make_node("Reshape", ["t", "sizes"], ["X1"]),
            ]
        )
    weights = {f"{name}{k}": case.weights[name] for k, case in enumerate(cases) for name in "WRB"}
    feeds = {"X": first.feeds["X"]} | {name: np.full(first.B, first.T, np.int32) for name in {*lengths} - {None}}
    return make_model([a, *between, b], feeds, OUTPUTS, weights), feeds


def two_cases(direction, **second):
    first, second = (
        Case(9, {"bias"}, direction),
        Case(10, second.pop("options", {"bias"}), second.pop("direction", direction)),
    )
    second.H = second.attributes["hidden_size"] = first.H
    second.weights = {
        "W": second.draw(second.D, 4 * first.H, first.D * first.H),
        "R": second.draw(second.D, 4 * first.H, first.H),
        "B": second.draw(second.D, 8 * first.H),
    }
    return first, second
