"""The forward pass of every cell, dtype and instruction set, in inference and training: against reference, PyTorch."""

import json
import pathlib

import numpy as np
import pytest

from module_cases import (
    DROPOUT_SHAPES,
    DROPOUT_STRUCTURES,
    DTYPES,
    EMPTY_SHAPES,
    KINDS,
    LONG_SHAPES,
    SHAPES,
    STRUCTURES,
    Shape,
    draw,
    expect,
    infer,
    known,
    known_wide,
    known_with_dropout,
    make,
    make_with_dropout,
    states,
    train,
)
from optional import light
from tolerances import FORWARD, FROZEN_F32, assert_same_bits, assert_within, forward_error, gradient_error

GOLDEN = np.load(pathlib.Path(__file__).parent / "data" / "golden_torch.npz")
RESULTS = ("output", "h_n", "c_n")


def assert_results(got, want, dtype, case):
    for name in set(RESULTS) & set(want):
        assert got[name].dtype == dtype, name
        assert_within(forward_error(got[name], want[name]), FORWARD[dtype], f"{name} of {case}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_matches_reference_at_every_shape(each_isa, poison, kind, dtype):
    for isa in each_isa():
        for n, shape in enumerate(SHAPES):
            k = n % len(STRUCTURES)
            a, want = known(kind, dtype, shape, k)
            module = make(kind, shape.I, shape.H, dtype=dtype, **STRUCTURES[k])
            case = f"{shape} {STRUCTURES[k]}, {isa}"
            assert_results(infer(module, a), want, dtype, case)
            assert_results(train(module, a)[0], want, dtype, "training, " + case)


@pytest.mark.parametrize("k", [0, 1], ids=lambda k: str(STRUCTURES[k]))
def test_forward_float32_is_within_8_epsilons_of_float64(each_isa, k):
    for isa in each_isa():
        for seed in range(3):
            a, want = known("lstm", np.float32, Shape(100, 3, 40, 256), k, seed)
            lstm = make("lstm", 40, 256, dtype=np.float32, seed=seed, **STRUCTURES[k])
            assert_results(infer(lstm, a), want, np.float32, f"seed {seed}, {isa}")


@pytest.mark.parametrize("dtype", light(DTYPES, DTYPES[:1]))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LONG_SHAPES)
def test_forward_matches_reference_beyond_one_block(each_isa, poison, name, kind, dtype):
    shape = LONG_SHAPES[name]
    for isa in each_isa():
        for k in (1, 2) if kind == "lstm" else (4,):
            a, want = known(kind, dtype, shape, k)
            module = make(kind, shape.I, shape.H, dtype=dtype, **STRUCTURES[k])
            assert_results(infer(module, a), want, dtype, f"{STRUCTURES[k]}, {isa}")
            assert_results(train(module, a)[0], want, dtype, f"training, {STRUCTURES[k]}, {isa}")


@pytest.mark.parametrize("dtype", light(DTYPES, DTYPES[:1]))
@pytest.mark.parametrize("kind", KINDS)
def test_forward_matches_reference_beyond_one_block_of_rows(each_isa, poison, kind, dtype):
    for isa in each_isa():
        for k in (1, 2) if kind == "lstm" else (4,):
            a, want = known_wide(kind, dtype, k)
            module = make(kind, 1400, 3, dtype=dtype, **STRUCTURES[k])
            assert_results(infer(module, a), want, dtype, f"{STRUCTURES[k]}, {isa}")
            assert_results(train(module, a)[0], want, dtype, f"training, {STRUCTURES[k]}, {isa}")


@pytest.mark.parametrize("kind", KINDS)
def test_forward_takes_a_missing_state_as_zero(isa, kind):
    module = make(kind, 3, 9, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(9), module, 4, 3)
    for absent in {"h_0", "c_0"} & set(a):
        want = infer(module, a | {absent: np.zeros_like(a[absent])})
        got = module(a["x"], states(module, *(None if name == absent else a.get(name) for name in ("h_0", "c_0"))))
        assert_same_bits(got[0], want["output"], absent)
    zeros = {name: np.zeros_like(a[name]) for name in {"h_0", "c_0"} & set(a)}
    assert_same_bits(module(a["x"])[0], infer(module, a | zeros)["output"])


@pytest.mark.parametrize("shape", EMPTY_SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_of_an_empty_input_passes_the_states_through(isa, poison, kind, shape):
    T, B, I, H = shape
    for structure in STRUCTURES:
        module = make(kind, I, H, **structure)
        a = draw(np.random.default_rng(1), module, T, B)
        for got in (infer(module, a), train(module, a)[0]):
            assert got["output"].shape == a["d_output"].shape
            for state in {"h", "c"} & {name[0] for name in a}:
                assert_same_bits(got[state + "_n"], a[state + "_0"], structure)


@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_layouts_give_the_same_results(isa, dtype):
    for k, kind in enumerate(KINDS):
        module = make(kind, 5, 9, num_layers=2, bidirectional=True, dtype=dtype)
        batch_first = make(kind, 5, 9, num_layers=2, bidirectional=True, dtype=dtype, batch_first=True)
        a = draw(np.random.default_rng(k), module, 6, 3)
        want = infer(module, a)
        got = infer(batch_first, a | {"x": a["x"].swapaxes(0, 1)})
        assert_same_bits(got["output"].swapaxes(0, 1), want["output"], kind)
        assert_same_bits(got["h_n"], want["h_n"], kind)
        for each in (module, batch_first):
            unbatched = infer(each, {name: value[:, 1] for name, value in a.items()})
            for name in unbatched:
                assert_same_bits(unbatched[name], want[name][:, 1], f"{kind} {name}")


# ---- golden results of PyTorch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", sorted({name.split("/")[0] for name in GOLDEN.files} - {"versions"}))
def test_modules_match_golden_results_of_pytorch_forward_and_backward(isa, case, dtype):
    golden = {name.split("/")[1]: GOLDEN[name] for name in GOLDEN.files if name.startswith(case + "/")}
    config = json.loads(str(golden["config"]))
    options = {name: config[name] for name in ("num_layers", "bidirectional", "bias") if name in config}
    is_float64 = dtype is np.float64 and config.get("dtype") != "float32"
    I, H = golden["x"].shape[2], golden["h_0"].shape[2]
    module = make(config.get("nonlinearity", "lstm"), I, H, dtype=dtype, **options)
    module.load_state_dict({name: golden[name] for name in module.parameters()})
    arguments = ("x", "h_0", "c_0", "d_output", "d_h_n", "d_c_n")
    got, _ = train(module, {name: golden[name].astype(dtype) for name in arguments if name in golden})
    # d_<result> are arguments here; every other array of the file is a result or a gradient, and all must be compared.
    expected = set(golden) - set(module.parameters()) - set(arguments) - {"config"}
    assert expected == set(got)
    for name in got:
        error = gradient_error(got[name], golden[name], np.float64 if is_float64 else np.float32)
        assert_within(error, 1e-12 if is_float64 else FROZEN_F32, name)


# ---- dropout -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", DROPOUT_SHAPES, ids=str)
def test_forward_with_dropout_matches_reference_with_its_masks(each_isa, poison, kind, shape):
    for isa in each_isa():
        for k, structure in enumerate(DROPOUT_STRUCTURES):
            a, want, seed = known_with_dropout(kind, shape, k)
            module = make_with_dropout(kind, shape, k)
            got, tape = train(module, a, training=True)
            assert tape.options.seed == seed
            assert_results(got, want, np.float64, f"{structure}, {isa}")
            assert forward_error(infer(module, a)["output"], got["output"]) > 1e-3


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_inference_and_training_false_ignore_dropout(isa, p):
    with_dropout, without = (make("lstm", 3, 9, num_layers=3, dropout=p) for p in (p, 0.0))
    a = draw(np.random.default_rng(3), without, 6, 4)
    want = infer(without, a)
    for got in (infer(with_dropout, a), train(with_dropout, a)[0]):
        for name in want:
            assert_same_bits(got[name], want[name], name)


def test_dropout_0_does_not_change_training(isa):
    lstm = make("lstm", 3, 9, num_layers=3, dropout=0.0)
    a = draw(np.random.default_rng(3), lstm, 6, 4)
    (got, _), (want, _) = train(lstm, a, training=True), train(lstm, a, training=False)
    for name in want:
        assert_same_bits(got[name], want[name], name)


def test_dropout_1_disconnects_the_layers(isa, poison):
    lstm = make("lstm", 3, 9, num_layers=2, dropout=1.0)
    a = draw(np.random.default_rng(3), lstm, 6, 4)
    a["d_h_n"][0] = a["d_c_n"][0] = 0  # gradients reach layer 0 through the dropout only
    got, _ = train(lstm, a, training=True)
    assert_results(got, expect(lstm, a, [np.zeros((6, 4, 9))]), np.float64, "p = 1")
    other, _ = train(lstm, a | {"x": a["x"] + 1}, training=True)
    assert_same_bits(other["output"], got["output"])
    assert not got["d_x"].any() and not got["d_weight_ih_l1"].any() and got["d_weight_hh_l1"].any()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_with_the_given_probability(isa, p):
    rnn = make("identity", 1, 100, num_layers=2, dropout=p, dtype=np.float32)
    with rnn.edit() as parameters:  # layer 0 outputs 1, layer 1 is the identity: the output is the mask
        for name in parameters:
            parameters[name] = np.zeros(parameters[name].shape)
        parameters["bias_ih_l0"] = np.ones(100)
        parameters["weight_ih_l1"] = np.eye(100)
    mask, _, _ = rnn.forward(np.zeros((100, 50, 1), np.float32))
    assert set(np.unique(mask)) == {0, np.float32(1 / (1 - p))}
    deviation = np.sqrt(p * (1 - p) / mask.size)
    assert abs((mask == 0).mean() - p) < 4 * deviation
    again, _, _ = rnn.forward(np.zeros((100, 50, 1), np.float32))
    assert abs(((mask == 0) & (again == 0)).mean() - p * p) < 4 * np.sqrt(p * p * (1 - p * p) / mask.size)
