"""Damaged and malicious files give an LSTM or a FormatError, in little time and memory."""

import resource
import time
import warnings
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import lstm_fast as lf
from onnx_cases import OUTPUTS, Case, make_model
from onnx_chains import chains
from onnx_models import body_models, function_model, stack_model, two_cases

MIB = 1 << 20


def samples(folder):
    """Models of every kind that load reads."""
    case = Case(4, {"bias", "peepholes", "clip", "activations"}, "bidirectional")
    constant_states = Case(7, {"initial_h", "initial_c"}, "forward")
    constant_states.feeds["initial_h"][:] = 0.5
    constant_states.feeds["initial_c"][:] = 0.25
    lf.onnx.save(lf.LSTM(2, 3, 2, bidirectional=True, seed=0), folder / "saved.onnx")
    plain = Case(6, {"bias"}, "forward")
    chain = [
        case.model(opset, nodes=nodes, initializers=arrays | {"R": plain.weights["R"], "B": plain.weights["B"]})
        for name, nodes, arrays, opset in chains(plain.weights["W"])
        if name != "Constant"
    ]
    models = [
        case.model(),
        constant_states.model(constants=("initial_h", "initial_c")),
        function_model(Case(4, {"bias"}, "bidirectional")),
        stack_model(two_cases("bidirectional"))[0],
        *(model for _, model, _ in body_models(Case(3, {"bias"}, "bidirectional"))),
        onnx.load(folder / "saved.onnx"),
        *chain,
    ]
    return [model.SerializeToString() for model in models]


def attempt(data):
    """Read every LSTM of a file; return whether that succeeded."""
    try:
        for name in [None, *lf.onnx.names(data)[:4]]:
            lf.onnx.load(data, name)
        return True
    except lf.FormatError:
        return False


def mutated(data, rng):
    """Flip, delete, copy or insert a few bytes, or truncate."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        if not data:
            break
        k, n = int(rng.integers(len(data))), int(rng.integers(1, 9))
        kind = rng.integers(12)
        if kind > 5:
            data[k] ^= 1 << int(rng.integers(8))
        elif kind <= 2:
            data[k] = int(rng.choice([0, 1, 127, 128, 255]))
        elif kind == 3:
            del data[k : k + n if rng.random() < 0.8 else None]
        elif kind == 4:
            data[k:k] = rng.bytes(n)
        else:
            data[k:k] = data[int(rng.integers(len(data))) :][:n]
    return bytes(data)


def test_flipped_bytes(tmp_path):
    rng, models = np.random.default_rng(20261123), samples(tmp_path)
    assert all(attempt(data) or k >= 8 for k, data in enumerate(models))
    before, begin, n_good = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about overflow: weights have arbitrary bytes
        for k in range(3000):
            data = mutated(models[k % len(models)], rng)
            n_good += attempt(data)
    assert 300 < n_good < 2700  # there were both kinds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # KiB
    assert time.perf_counter() - begin < 60


SIZES = (-1, 0, 1, 2, 3, 7, 2**31, 2**40, 2**62, -(2**63))


def mutate_message(message, rng):
    """Set one random field of a message to an invalid value."""
    fields = [(field, value) for field, value in message.ListFields()]
    if not fields:
        return
    field, value = fields[rng.integers(len(fields))]
    is_repeated = hasattr(value, "append") or hasattr(value, "add")
    if field.message_type is not None:
        if is_repeated and rng.random() < 0.2:
            del value[int(rng.integers(len(value)))]
        elif is_repeated and rng.random() < 0.2:
            value.add().CopyFrom(value[int(rng.integers(len(value)))])
        else:
            mutate_message(value[int(rng.integers(len(value)))] if is_repeated else value, rng)
        return
    old = value[0] if is_repeated and len(value) else value
    if isinstance(old, int):
        new = (
            int(rng.choice(SIZES))
            if field.name in ("dims", "dim_value", "ints", "i", "int64_data")
            else int(rng.integers(0, 30))
        )
    elif isinstance(old, float):
        new = float(rng.choice([0.0, -1.0, np.inf, np.nan, 1e30]))
    else:
        new = str(rng.choice(["", "W", "X", "LSTM", "B", "x" * 1000, "axis", "If", "direction"]))
        new = new.encode() if isinstance(old, bytes) else new
    try:
        if is_repeated:
            value[int(rng.integers(len(value)))] = new
        elif rng.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, new)
    except ValueError:  # not a value of an enumeration
        message.ClearField(field.name)


def test_invalid_field_values(tmp_path):
    rng, models = np.random.default_rng(7), samples(tmp_path)
    before, n_good = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(3000):
            model = onnx.ModelProto.FromString(models[k % len(models)])
            for _ in range(rng.integers(1, 4)):
                mutate_message(model.graph, rng)
            n_good += attempt(model.SerializeToString())
    assert 300 < n_good < 2700
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


def test_truncated_files():
    data = Case(4, {"bias"}, "forward").model().SerializeToString()
    assert attempt(data)
    for n in range(0, len(data), 7):
        attempt(data[:n])


@pytest.mark.parametrize(
    "data", (b"", b"ONNX", b"\x08\x07", b"\0" * 100, b"PK\x03\x04" + b"a" * 100, b"\xff" * 1000, bytearray(b"{}"))
)
def test_files_that_are_not_onnx(data, tmp_path):
    (tmp_path / "file").write_bytes(data)
    for source in (data, tmp_path / "file", str(tmp_path / "file")):
        with pytest.raises(lf.FormatError, match="not an ONNX model"):
            lf.onnx.load(source)


def test_paths(tmp_path):
    with pytest.raises(FileNotFoundError):
        lf.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(OSError):
        lf.onnx.load(tmp_path)
    with pytest.raises(TypeError, match="path_or_bytes must be a path or bytes, got int"):
        lf.onnx.names(3)


def claims(**fields):
    """The model of a case whose W declares this shape and data."""
    case = Case(8, (), "forward")
    W = numpy_helper.from_array(case.weights["W"], "W")
    for name, value in fields.items():
        if name == "dims":
            W.dims[:] = value
        else:
            setattr(W, name, value)
    return make_model([case.node()], case.feeds, OUTPUTS, [W, numpy_helper.from_array(case.weights["R"], "R")])


@pytest.mark.parametrize(
    "fields",
    (
        {"dims": [2**40, 2**20]},
        {"dims": [1, 2**62, 4]},
        {"dims": [1, -1, 4]},
        {"dims": []},
        {"dims": [0, 2**62]},
        {"raw_data": b""},
        {"raw_data": b"123"},
        {"data_type": 0},
        {"data_type": TensorProto.STRING},
        {"data_type": TensorProto.DOUBLE},
        {"data_type": 99},
        {"dims": [1] * 70},
    ),
)
def test_tensors_larger_than_their_data(fields):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(lf.FormatError):
        lf.onnx.load(claims(**fields))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def bombs():
    """Nodes that expand little data to a huge W."""
    node, big, one = helper.make_node, np.array([1, 2**22, 2**20]), np.ones((1, 1, 1), np.float32)
    yield [node("ConstantOfShape", ["sizes"], ["W"])], {"sizes": big}
    yield [node("Expand", ["one", "sizes"], ["W"])], {"one": one, "sizes": big}
    yield (
        [node("Add", ["a", "b"], ["W"])],
        {"a": np.ones((50_000, 1), np.float32), "b": np.ones((1, 50_000), np.float32)},
    )
    yield [node("Gather", ["a", "k"], ["W"])], {"a": np.ones((1, 50_000), np.float32), "k": np.zeros(50_000, np.int64)}
    yield (
        [node("Concat", ["W0", "W0"], ["W1"], axis=0)]
        + [node("Concat", [f"W{k}"] * 20, [f"W{k + 1}"], axis=0) for k in range(1, 9)]
        + [node("Identity", ["W9"], ["W"])],
        {"W0": one},
    )


@pytest.mark.parametrize("k", range(5))
def test_decompression_bombs_raise(k):
    nodes, arrays = list(bombs())[k]
    case = Case(8, (), "forward")
    model = case.model(nodes=nodes, initializers=arrays | {"R": case.weights["R"]})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(lf.FormatError, match="much larger than the file"):
        lf.onnx.load(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_long_chains():
    case = Case(8, (), "forward")
    names = ["w", *(f"a{k}" for k in range(5000)), "W"]
    model = case.model(
        nodes=[helper.make_node("Identity", [a], [b]) for a, b in pairwise(names)],
        initializers={"w": case.weights["W"], "R": case.weights["R"]},
    )
    with pytest.raises(lf.FormatError, match="chain of more than 100 operators"):
        lf.onnx.load(model)


def test_recursive_and_deeply_nested_functions():
    def model(bodies):
        functions = [
            helper.make_function(
                "mine", name, ["X"], ["Y"], nodes, [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
            )
            for name, nodes in bodies.items()
        ]
        return make_model(
            [helper.make_node("f0", ["X"], ["Y"], domain="mine")],
            {"X": np.zeros((1, 1, 1), np.float32)},
            ["Y"],
            {},
            17,
            functions,
            ["mine"],
        )

    call = lambda k, *names: helper.make_node(f"f{k}", [names[0]], [names[1]], domain="mine")  # noqa: E731
    with pytest.raises(lf.FormatError, match="must be nested at most 30 deep"):
        lf.onnx.names(model({"f0": [call(0, "X", "Y")]}))
    bodies = {f"f{k}": [call(k + 1, "X", f"y{j}") for j in range(9)] + [call(k + 1, "X", "Y")] for k in range(12)}
    begin = time.perf_counter()
    with pytest.raises(lf.FormatError, match="more than 200000 nodes"):
        lf.onnx.names(model(bodies | {"f12": [helper.make_node("Identity", ["X"], ["Y"])]}))
    assert time.perf_counter() - begin < 20


def test_deep_bodies():
    inner = helper.make_graph([], "g", [], [])
    for _ in range(200):
        outer = onnx.GraphProto()
        node = outer.node.add(op_type="If")
        node.attribute.add(name="then_branch", type=AttributeProto.GRAPH).g.CopyFrom(inner)
        inner = outer
        model = onnx.ModelProto(ir_version=8)
        model.graph.CopyFrom(inner)
        if len(model.SerializeToString()) > 2000:
            break
    with pytest.raises(lf.FormatError):
        lf.onnx.names(model.SerializeToString())
