"""Where LSTM nodes and their constants stand in a model: names, bodies, functions, operators before the weights, stacks."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lstm_fast as lf
from onnx_cases import OUTPUTS, Case, assert_close, make_model, run, value_info


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


# ---- names ----


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


def test_a_model_without_an_lstm():
    model = make_model([helper.make_node("Relu", ["X"], ["y"])], {"X": np.zeros(3, np.float32)}, ["y"])
    assert lf.onnx.names(model) == []
    with pytest.raises(lf.FormatError, match="no LSTM node"):
        lf.onnx.load(model)


def test_the_first_of_several_and_each_by_name(tmp_path):
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


# ---- bodies and functions ----


def body_models(case):
    """By name: a model whose LSTM stands in a body, its weights partly outside, and what to feed beside X."""
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


def function_model(case, **way):
    """Two calls of a function around an LSTM, whose weights are its inputs or its own, and clip an attribute of the call."""
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


# ---- operators before the weights ----


def chains(w):
    """By name: nodes that make "W" of initializers, and these, for the array w (D, 4H, I)."""
    D, G, I = w.shape
    node = helper.make_node
    yield "Identity", [node("Identity", ["w"], ["a"]), node("Identity", ["a"], ["W"])], {"w": w}, 22
    yield "Constant", [constant("W", w)], {}, 22
    yield "Unsqueeze", [node("Unsqueeze", ["flat", "axes"], ["W"])], {"flat": w[0], "axes": np.array([0])}, 22
    yield "Unsqueeze 11", [node("Unsqueeze", ["flat"], ["W"], axes=[0])], {"flat": w[0]}, 11
    yield "Squeeze", [node("Squeeze", ["w", "axes"], ["W"])], {"w": w[:, :, None], "axes": np.array([2])}, 22
    yield "Squeeze 11", [node("Squeeze", ["w"], ["W"], axes=[-1])], {"w": w[..., None]}, 11
    yield (
        "Reshape",
        [node("Reshape", ["w", "sizes"], ["W"])],
        {"w": w.reshape(-1, I), "sizes": np.array([D, -1, I])},
        22,
    )
    yield (
        "Reshape 0",
        [node("Reshape", ["w", "sizes"], ["W"])],
        {"w": w.reshape(D, -1), "sizes": np.array([0, -1, I])},
        22,
    )
    yield (
        "Reshape by Shape",
        [node("Shape", ["like"], ["sizes"]), node("Reshape", ["w", "sizes"], ["W"])],
        {"w": w.ravel(), "like": w},
        22,
    )
    yield "Transpose", [node("Transpose", ["w"], ["W"], perm=[2, 1, 0])], {"w": w.transpose(2, 1, 0)}, 22
    yield (
        "Concat",
        [node("Concat", ["i", "o", "fc"], ["W"], axis=-2)],
        {"i": w[:, : G // 4], "o": w[:, G // 4 : G // 2], "fc": w[:, G // 2 :]},
        22,
    )
    yield (
        "Slice",
        [node("Slice", ["w", "s", "e", "a"], ["W"])],
        {"w": np.concatenate([w, w], 1), "s": np.array([-G]), "e": np.array([2**62]), "a": np.array([1])},
        22,
    )
    yield (
        "Slice backwards",
        [node("Slice", ["w", "s", "e", "a", "d"], ["W"])],
        {"w": w[:, ::-1], "s": np.array([-1]), "e": np.array([-(2**62)]), "a": np.array([1]), "d": np.array([-1])},
        22,
    )
    yield (
        "Slice 9",
        [node("Slice", ["w"], ["W"], starts=[1], ends=[99999], axes=[2])],
        {"w": np.concatenate([w[..., :1], w], 2)},
        9,
    )
    yield (
        "Split",
        [node("Split", ["w", "n"], ["a", "W"], axis=1)],
        {"w": np.concatenate([w[:, :3], w], 1), "n": np.array([3, G])},
        22,
    )
    yield (
        "Split 11",
        [node("Split", ["w"], ["a", "W"], axis=1, split=[3, G])],
        {"w": np.concatenate([w[:, :3], w], 1)},
        11,
    )
    yield "Split 18", [node("Split", ["w"], ["a", "W"], axis=0, num_outputs=2)], {"w": np.concatenate([w, w])}, 18
    yield "Gather", [node("Gather", ["w", "k"], ["W"], axis=1)], {"w": w[:, ::-1], "k": np.arange(G)[::-1]}, 22
    yield (
        "Flatten",
        [node("Flatten", ["w"], ["a"], axis=1), node("Unsqueeze", ["a", "axes"], ["W"])],
        {"w": w[0].reshape(G, I, 1), "axes": np.array([0])},
        22,
    )
    yield "Cast", [node("Cast", ["w"], ["W"], to=TensorProto.FLOAT)], {"w": w.astype(np.float64)}, 22
    yield "Cast 1", [node("Cast", ["w"], ["W"], to="FLOAT")], {"w": w.astype(np.float64)}, 1
    yield "Expand", [node("Expand", ["w", "sizes"], ["W"])], {"w": w[:, :1], "sizes": np.array([1, G, 1])}, 22
    yield (
        "ConstantOfShape",
        [node("ConstantOfShape", ["sizes"], ["W"], value=tensor(np.float32([0.1])))],
        {"sizes": np.array(w.shape)},
        22,
    )
    yield (
        "Add, Sub, Mul, Neg",
        [
            node("Neg", ["w"], ["a"]),
            node("Mul", ["a", "two"], ["b"]),
            node("Sub", ["b", "a"], ["c"]),
            node("Add", ["c", "zero"], ["d"]),
            node("Neg", ["d"], ["W"]),
        ],
        {"w": w, "two": np.float32(2), "zero": np.zeros((1, 1, I), np.float32)},
        22,
    )


def dequantized_chain(w, per_channel, dtype):
    rng = np.random.default_rng(1)
    q = rng.integers(*(-100, 100) if dtype == np.int8 else (0, 200), w.shape).astype(dtype)
    shape = (w.shape[1],) if per_channel else ()
    arrays = {
        "q": q,
        "scale": rng.uniform(0.001, 0.003, shape).astype(np.float32),
        "zero": rng.integers(0, 60, shape).astype(dtype),
    }
    return [helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["W"], axis=1)], arrays


CHAINS = [name for name, *_ in chains(np.zeros((1, 4, 1), np.float32))]


@pytest.mark.parametrize("name", CHAINS)
def test_weights_behind_operators(name):
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


def test_weights_that_the_graph_computes_are_refused_by_the_operator():
    case = Case(8, (), "forward")
    model = case.model(
        nodes=[helper.make_node("Erf", ["w"], ["W"], name="odd")],
        initializers={"w": case.weights["W"], "R": case.weights["R"]},
    )
    with pytest.raises(
        lf.FormatError, match="node LSTM_0: input W must be a constant, got W, which is made by Erf 'odd'"
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
        with pytest.raises(lf.FormatError, match=f"{name!r} is neither made nor given"):
            lf.onnx.load(model)
    model = case.model()
    del model.graph.node[0].input[1:]
    with pytest.raises(lf.FormatError, match="input W is missing"):
        lf.onnx.load(model)


def test_sparse_weights_are_refused_by_name():
    case = Case(8, (), "forward")
    model = case.model(initializers={"R": case.weights["R"]})
    sparse = onnx.SparseTensorProto(
        values=tensor(np.float32([1]), "W"), indices=tensor(np.array([0])), dims=case.weights["W"].shape
    )
    model.graph.sparse_initializer.append(sparse)
    with pytest.raises(lf.FormatError, match="sparse_initializer"):
        lf.onnx.load(model)


# ---- stacks ----


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


@pytest.mark.parametrize("direction", ("forward", "reverse", "bidirectional"))
def test_stacked_nodes_are_layers(direction):
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


def test_nodes_that_are_not_a_stack():
    """Something between, another kind of node, other lengths, a state that is handed on: the first node alone."""
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


def test_stack_of_static_sizes():
    """T and B baked into the reshape, as exporters do without dynamic axes."""
    cases = two_cases("bidirectional")
    T, B, H = cases[0].T, cases[0].B, cases[0].H
    between = [
        helper.make_node("Transpose", ["Y0"], ["t"], perm=[0, 2, 1, 3]),
        constant("sizes", np.array([T, B, 2 * H])),
        helper.make_node("Reshape", ["t", "sizes"], ["X1"]),
    ]
    model, _ = stack_model(cases, between)
    assert lf.onnx.load(model).num_layers == 1  # the sizes of X are open: who knows
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (T, B, cases[0].I)):
        dim.dim_value = size
    assert lf.onnx.load(model).num_layers == 2


def test_stack_of_layout_1():
    """The output of a node with layout 1 is (B, T, D, H): one Reshape makes the next one's input of it."""
    cases = two_cases("bidirectional")
    D, H, case = cases[0].D, cases[0].H, cases[0]
    between = [constant("sizes", np.array([0, 0, D * H])), helper.make_node("Reshape", ["Y0", "sizes"], ["X1"])]
    model, _ = stack_model(cases, between, layout=1)
    lstm = lf.onnx.load(model)
    assert lstm.num_layers == 2 and lstm.batch_first
    got = lstm(case.feeds["X"].swapaxes(0, 1))[0]
    y = run(stack_model(cases)[0], {"X": case.feeds["X"]})[0]
    assert_close([got], [y.transpose(2, 0, 1, 3).reshape(got.shape)])
