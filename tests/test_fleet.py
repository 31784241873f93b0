"""Fleets: each model has the bits that it has alone, in every call, with every option; parameters, files, errors."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import _core
from option_cases import LSTM_OPTIONS, draw, make

NAMES = ("x", "h_0", "c_0", "d_output", "d_h_n", "d_c_n", "lengths", "resets")
STATES = ("h_0", "c_0", "d_h_n", "d_c_n")


def same(a, b):
    """Equal to the bit; None equals None."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def models_of(K, I, H, options, **structure):
    """Of the same options, drawn for the first."""
    first = make("lstm", I, H, options, **structure)
    models = [lf.LSTM(**first.config() | {"seed": k}) for k in range(K)]
    rng = np.random.default_rng(1)
    for model in models:
        model.load_flat_parameters(first.flat_parameters * rng.uniform(0.5, 1, len(first.flat_parameters)))
    return models


def arguments(models, T, B, options, seed=0):
    """Those of each model, and the same stacked."""
    rng = np.random.default_rng(seed)
    each = []
    for k, model in enumerate(models):
        one = draw(rng, model, T, B, options)
        if k == 1 and one["lengths"] is not None:
            one["lengths"] = np.full(B, T)  # a model without padding among others
        if k == 1 and one["resets"] is not None:
            one["resets"] = np.zeros((T, B), bool)
        each.append(one)
    stacked = {name: None if each[0][name] is None else np.stack([one[name] for one in each]) for name in NAMES}
    return each, stacked


def check(models, T, B, options=(), num_threads=1, **forward):
    """Inference, forward and backward of a fleet against each of its models."""
    fleet = lf.Fleet(models)
    each, a = arguments(models, T, B, options)
    common = {"num_threads": num_threads, **forward}
    keywords = {"lengths": a["lengths"], "resets": a["resets"]}
    called = fleet(a["x"], (a["h_0"], a["c_0"]), **keywords, num_threads=num_threads)
    for attempt in range(2):  # the second time, packed weights are kept; masks are others
        output, state, tape = fleet.forward(a["x"], (a["h_0"], a["c_0"]), **keywords, **common)
        d = fleet.backward(tape, a["d_output"], (a["d_h_n"], a["d_c_n"]), record_norms=True, num_threads=num_threads)
        for k, model in enumerate(models):
            own = each[k]
            keys = {"lengths": own["lengths"], "resets": own["resets"]}
            alone = model(own["x"], (own["h_0"], own["c_0"]), **keys)
            assert same(called[0][k], alone[0]) and all(same(s[k], t) for s, t in zip(called[1], alone[1]))
            alone, last, own_tape = model.forward(own["x"], (own["h_0"], own["c_0"]), **keys, **forward)
            assert same(output[k], alone) and all(same(s[k], t) for s, t in zip(state, last)), (k, attempt)
            g = model.backward(own_tape, own["d_output"], (own["d_h_n"], own["d_c_n"]), record_norms=True)
            assert same(d.flat[k], g.flat), (k, [name for name in g if not same(d[name][k], g[name])])
            for name in ("d_x", "d_h_0", "d_c_0", "d_h_norms", "d_c_norms"):
                assert same(getattr(d, name)[k], getattr(g, name)), (k, name)


# ---- bits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [*LSTM_OPTIONS, "recompute_gates", "reverse", "layers", "bfloat16"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_option(option, dtype):
    structure = {"num_layers": 2, "bidirectional": option == "reverse", "dtype": dtype}
    if option == "bfloat16":
        if dtype == np.float64:
            return
        models = [lf.LSTM(3, 5, 2, compute_dtype="bfloat16", seed=k) for k in range(3)]
        return check(models, 4, 4)
    check(models_of(3, 3, 5, {option}, **structure), 4, 4, {option}, recompute_gates=option == "recompute_gates")


@pytest.mark.parametrize("seed", range(6))
def test_combinations_of_options(seed):
    rng = np.random.default_rng(seed)
    options = {name for name in LSTM_OPTIONS if rng.random() < 0.4}
    structure = {"num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2))}
    options -= {"dropout"} if structure["num_layers"] == 1 else set()
    models = models_of(3, 2, 4, options, dtype=np.float32, **structure)
    check(models, 5, 3, options, num_threads=2, recompute_gates=bool(rng.integers(2)))


SIZES = [(1, 1, 1, 1, 1), (3, 7, 2, 3, 8), (20, 4, 1, 3, 8), (17, 3, 3, 2, 20), (5, 70, 9, 4, 16), (33, 2, 1, 70, 3)]


@pytest.mark.parametrize("K,T,B,I,H", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_instruction_set(isa, dtype, K, T, B, I, H):
    models = [lf.LSTM(I, H, dtype=dtype, seed=k) for k in range(K)]
    check(models, T, B, num_threads=1 + K % 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_across_models(isa, dtype):
    """Sums of several blocks: of x, of h, of rows; several chunks; groups and single models."""
    for K, T, B, I, H in ((17, 70, 1, 70, 12), (16, 5, 3, 1, 2), (19, 3, 2, 3, 8), (33, 540, 1, 2, 2)):
        models = [lf.LSTM(I, H, bias=K != 19, dtype=dtype, seed=k) for k in range(K)]
        check(models, T, B, {"given_h_0", "given_c_0"}, num_threads=2)
        fleet, x = lf.Fleet(models), np.ones((K, T, B, I), dtype)
        expected = fleet(x)[0]
        try:
            _core.testing.use_lanes(False)
            assert same(fleet(x)[0], expected)
        finally:
            _core.testing.use_lanes(True)


def test_few_units_with_the_default_instruction_set():
    """Their weights are packed for narrower vectors."""
    for K, H, options in itertools.product((2, 19), (3, 8), ({}, {"bias": False}, {"num_layers": 2})):
        check([lf.LSTM(3, H, seed=k, **options) for k in range(K)], 6, 2)


def test_splits_and_threads_do_not_matter():
    fleet = lf.Fleet([lf.LSTM(4, 8, seed=k) for k in range(40)])
    x = np.random.default_rng(0).standard_normal((40, 9, 3, 4), np.float32)
    expected = fleet(x, num_threads=1)[0]
    try:
        for split in ("rows", "units"):
            _core.testing.use_split(split)
            for n in (2, 3, 64):
                assert same(fleet(x, num_threads=n)[0], expected)
    finally:
        _core.testing.use_split()


# ---- axes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first,is_batch", [(True, True), (False, False), (True, False)])
def test_axes(batch_first, is_batch):
    models = [lf.LSTM(3, 5, batch_first=batch_first, bidirectional=True, seed=k) for k in range(3)]
    fleet, rng = lf.Fleet(models), np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 6, 3) if is_batch else (3, 6, 3)).astype(np.float32)
    lengths = rng.integers(0, 6, x.shape[:2] if is_batch else 3)
    output, state, tape = fleet.forward(x, lengths=lengths)
    d = fleet.backward(tape, output, state)
    for k, model in enumerate(models):
        alone, last, own = model.forward(x[k], lengths=lengths[k])
        g = model.backward(own, alone, last)
        assert same(output[k], alone) and same(state[0][k], last[0]) and same(state[1][k], last[1])
        assert same(d.d_x[k], g.d_x) and same(d.d_h_0[k], g.d_h_0) and same(d.flat[k], g.flat)


def test_x_of_other_types_and_strides():
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(2)])
    one = np.random.default_rng(0).standard_normal((4, 6, 3))
    shared = np.broadcast_to(one.astype(np.float32), (2, 4, 6, 3))
    expected = fleet(np.stack([one, one]))[0]
    assert same(fleet(shared)[0], expected) and same(fleet(np.asfortranarray(shared))[0], expected)
    assert same(expected[1], fleet[1](one)[0])


@pytest.mark.parametrize("shape", [(2, 0, 3, 3), (2, 4, 0, 3)])
def test_empty(shape):
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(2)])
    output, _, tape = fleet.forward(np.zeros(shape))
    g = fleet.backward(tape, output)
    assert output.shape == (*shape[:3], 5) and not g.flat.any()


# ---- parameters --------------------------------------------------------------------------------------------------


def test_a_member_is_a_view_of_the_fleet():
    models = [lf.LSTM(3, 5, seed=k) for k in range(3)]
    fleet, x = lf.Fleet(models), np.ones((4, 2, 3), np.float32)
    member, again = fleet[1], fleet[-2]
    assert isinstance(member, lf.LSTM) and repr(member) == "LSTM(3, 5)" and len(fleet) == 3
    with member.edit() as p:
        p["bias_ih_l0"][:] = 7
    assert (fleet.parameters()["bias_ih_l0"] == 7).all(axis=1).tolist() == [False, True, False]
    assert same(again(x)[0], member(x)[0]) and same(fleet(np.stack([x] * 3))[0][1], member(x)[0])
    with fleet.edit() as p:
        p["bias_ih_l0"][:] = 0
    assert not member.parameters()["bias_ih_l0"].any() and again.flat_parameters.any()
    before = member.parameter_version
    fleet[0].load_state_dict(models[2].state_dict())
    assert member.parameter_version[0] is before[0]  # another row was changed
    with pytest.raises(RuntimeError, match="edit"), member.edit():
        fleet[1] = models[2]
    assert same(fleet[1](x)[0], models[2](x)[0])
    for own in (copy.copy(member), copy.deepcopy(member), pickle.loads(pickle.dumps(member))):
        assert type(own) is lf.LSTM
        own.load_flat_parameters(np.zeros_like(own.flat_parameters))
    assert fleet[1].flat_parameters.any()


def test_members_are_saved_and_trained_as_lstms(tmp_path):
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(3)])
    lf.weights.save(fleet[2], tmp_path / "one.safetensors")
    assert lf.fingerprint(lf.weights.load(tmp_path / "one.safetensors")) == lf.fingerprint(fleet[2])
    model = lf.train.SequenceModel(fleet[0], 1, seed=0)
    x = np.ones((4, 8, 3))
    lf.train.fit(model, x, np.zeros(8), epochs=1, seed=0)
    assert same(fleet.flat_parameters[0], model.lstm.flat_parameters)
    assert type(type(fleet[0])(**fleet[0].config())) is lf.LSTM
    assert repr(fleet[0].stream()).startswith("<Stream") and fleet[0].quantized("int8").hidden_size == 5


def test_parameters_of_all(tmp_path):
    models = [lf.LSTM(3, 5, 2, seed=k, peepholes=True, cell_clip=2.0) for k in range(4)]
    fleet = lf.Fleet(models)
    for name, stacked in fleet.parameters().items():
        assert same(stacked, np.stack([model.parameters()[name] for model in models])) and not stacked.flags.writeable
    assert same(fleet.flat_parameters, np.stack([model.flat_parameters for model in models]))
    assert fleet.parameter_shapes["bias_hh_l1"] == (4, 20) and fleet.cell_clip == 2.0 and fleet.config()["peepholes"]
    other = lf.Fleet(models[::-1])
    other.load_state_dict(fleet.state_dict())
    fleet.save(tmp_path / "fleet.safetensors")
    loaded = lf.Fleet.load(tmp_path / "fleet.safetensors")
    for same_one in (
        other,
        loaded,
        pickle.loads(pickle.dumps(fleet)),
        copy.copy(fleet),
        copy.deepcopy(fleet),
        fleet[:],
    ):
        assert lf.fingerprint(same_one) == lf.fingerprint(fleet) and repr(same_one) == repr(fleet)
    assert lf.fingerprint(fleet[1:3][0]) == lf.fingerprint(fleet[1])
    with pytest.raises(ValueError, match="flat_parameters"):
        fleet.load_flat_parameters(fleet.flat_parameters[0])
    assert len(fleet.unflatten(np.zeros_like(fleet.flat_parameters))["weight_ih_l1"]) == 4


def test_damaged_files(tmp_path):
    lf.weights.save(lf.LSTM(3, 5), tmp_path / "one.safetensors")
    with pytest.raises(lf.FormatError, match="must be a file that Fleet.save wrote"):
        lf.Fleet.load(tmp_path / "one.safetensors")
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(2)])
    config = {"file": "fleet", "network": {"input_size": 3, "hidden_size": 6}}
    lf._safetensors.write(tmp_path / "bad.safetensors", fleet.state_dict(), config)
    with pytest.raises(lf.FormatError, match="hidden_size must be 5"):
        lf.Fleet.load(tmp_path / "bad.safetensors")
    fewer = fleet.state_dict() | {"bias_hh_l0": np.zeros((3, 20), np.float32)}
    lf._safetensors.write(tmp_path / "bad.safetensors", fewer, config)
    with pytest.raises(lf.FormatError, match="one number of models"):
        lf.Fleet.load(tmp_path / "bad.safetensors")


# ---- streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"learn_initial_state": True, "num_layers": 2}, {"proj_size": 2}])
def test_streams(options):
    models = [lf.LSTM(3, 5, seed=k, **options) for k in range(3)]
    if "learn_initial_state" in options:
        models = models_of(3, 3, 5, {"learned"}, num_layers=2, dtype=np.float32)
    fleet, B = lf.Fleet(models), 2
    x = np.random.default_rng(0).standard_normal((3, 9, B, 3)).astype(np.float32)
    stream, each = fleet.stream(B), [model.stream(B) for model in models]
    mask = np.array([[True, False], [False, False], [True, True]])
    for t in range(3):
        h = stream.step(x[:, t])
        assert all(same(h[k], one.step(x[k, t])) for k, one in enumerate(each))
    stream.reset(mask)
    for k, one in enumerate(each):
        one.reset(mask[k])
    snapshot = stream.snapshot()
    y = stream.block(x[:, 3:7])
    assert all(same(y[k], one.block(x[k, 3:7])) for k, one in enumerate(each))
    pickled = pickle.loads(pickle.dumps(stream))
    with fleet.edit() as p:
        p["bias_ih_l0"][:] += 1
    assert same(stream.step(x[:, 7]), pickled.step(x[:, 7]))
    stream.restore(snapshot)
    assert same(stream.block(x[:, 3:7]), y)
    stream.refresh()
    assert not same(stream.step(x[:, 7]), pickled.step(x[:, 7]))


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,value",
    [("hidden_size", 6), ("dtype", np.float64), ("peepholes", True), ("dropout", 0.5), ("batch_first", True)],
)
def test_models_that_differ(name, value):
    first, other = lf.LSTM(3, 5, 2), {"input_size": 3, "hidden_size": 5, "num_layers": 2, name: value}
    with pytest.raises(ValueError, match=rf"{name} of models\[2\]"):
        lf.Fleet([first, first, lf.LSTM(**other)])
    with pytest.raises(ValueError, match=name):
        lf.Fleet([first])[0] = lf.LSTM(**other)


def test_refused():
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k, forget_bias=[None, 1.0][k]) for k in range(2)])
    x = np.zeros((2, 4, 1, 3))
    output, _, tape = fleet.forward(x)
    for match, call in {
        "at least one LSTM": lambda: lf.Fleet([]),
        r"models\[0\] must be an LSTM, got RNN": lambda: lf.Fleet([lf.RNN(3, 5)]),
        r"x must have shape \(K, T, B, I\)": lambda: fleet(x[:1]),
        "x must have shape": lambda: fleet(x[0, 0]),
        "h_0 must have shape": lambda: fleet(x, (np.zeros((1, 1, 1, 5)), None)),
        "state must be a pair": lambda: fleet(x, np.zeros(3)),
        "lengths must be integers": lambda: fleet(x, lengths=[4, 4]),
        "lengths must be from 0 to T = 4, got 5": lambda: fleet(x, lengths=[[4], [5]]),
        "resets must be boolean": lambda: fleet(x, resets=np.zeros((4, 1), bool)),
        "d_output must have shape": lambda: fleet.backward(tape, output[0]),
        "tape must come from forward of this fleet": lambda: fleet[:1].backward(tape, output[:1]),
        "tape must come from forward of this module, got FleetTape": lambda: fleet[0].backward(tape, output[0]),
        "training must be True or False": lambda: fleet.forward(x, training=1),
        "one direction": lambda: lf.Fleet([lf.LSTM(3, 5, bidirectional=True)]).stream(),
        "x must have shape .K, B, I.": lambda: fleet.stream().step(x[:1, 0]),
        "mask must be boolean of shape": lambda: fleet.stream().reset([True]),
        "snapshot must come from": lambda: fleet.stream().restore(None),
    }.items():
        with pytest.raises((ValueError, TypeError), match=match):
            call()
    with pytest.raises(AttributeError, match="hidden_size is fixed"):
        fleet.hidden_size = 3
    with pytest.raises(IndexError):
        fleet[2]


def test_the_binding_checks_shapes():
    lstm = lf.LSTM(3, 5)
    w = _core.FleetWeights(lstm._version.weights, np.zeros((2, len(lstm.flat_parameters)), np.float32))
    x, output, h = (np.zeros(shape, np.float32) for shape in ((2, 4, 1, 3), (2, 4, 1, 5), (2, 1, 1, 5)))
    w.forward(x, None, None, output, h, h.copy(), None, 1)
    for wrong in (x[:1], x[0], x[..., :2], x.astype(np.float64), None):
        with pytest.raises(ValueError, match="x must be"):
            w.forward(wrong, None, None, output, h, h.copy(), None, 1)
    with pytest.raises(ValueError, match="output must be"):
        w.forward(x, None, None, output[:, :3], h, h.copy(), None, 1)
    with pytest.raises(ValueError, match="h_n must be"):
        w.forward(x, None, None, output, h[..., :4], h.copy(), None, 1)
    with pytest.raises(ValueError, match="lengths"):
        w.forward(x, None, None, output, h, h.copy(), None, 1, order=(np.array([[5], [1]]), np.zeros((2, 1))))
    with pytest.raises(ValueError, match="seeds"):
        w.forward(x, None, None, output, h, h.copy(), None, 1, seeds=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="flat must be"):
        _core.FleetWeights(lstm._version.weights, np.zeros((2, 7), np.float32))


def test_networks_of_symbols_are_refused():
    with pytest.raises(ValueError, match="index_input"):
        lf.Fleet([lf.LSTM(5, 4, index_input=True, seed=0)])
