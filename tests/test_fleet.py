"""Fleets: each call is bitwise that of the models alone, with every option."""

import itertools

import numpy as np
import pytest

import lstm_fast as lf
from fleet_cases import check, models_of, same
from lstm_fast import _core
from option_cases import LSTM_OPTIONS

# ---- bits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [*LSTM_OPTIONS, "recompute_gates", "reverse", "layers", "bfloat16", "bfloat16_amx"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_option(option, dtype):
    structure = {"num_layers": 2, "bidirectional": option == "reverse", "dtype": dtype}
    if option.startswith("bfloat16"):
        if dtype == np.float64:
            return
        models = [lf.LSTM(3, 5, 2, compute_dtype=option, seed=k) for k in range(3)]
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


SIZES_OF_LANES = [
    (17, 70, 1, 70, 12),  # several blocks of the sums over x, h and rows
    (33, 540, 1, 2, 2),  # several chunks of steps
    (16, 5, 3, 1, 2),  # groups and single models
    (19, 3, 2, 3, 8),
    (16, 3, 7, 9, 12),  # blocks of four rows, two and one; transposes with a remainder
    (17, 2, 5, 17, 24),
    (18, 2, 9, 8, 16),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_across_models(isa, dtype):
    for K, T, B, I, H in SIZES_OF_LANES:
        models = [lf.LSTM(I, H, bias=K != 19, dtype=dtype, seed=k) for k in range(K)]
        check(models, T, B, {"given_h_0", "given_c_0"}, num_threads=2)
        fleet, x = lf.Fleet(models), np.ones((K, T, B, I), dtype)
        expected = fleet(x)[0]
        try:
            _core.testing.use_lanes(False)
            assert same(fleet(x)[0], expected)
        finally:
            _core.testing.use_lanes(True)


@pytest.mark.parametrize("B", [1, 7])
def test_lanes_with_strided_sequences(isa, B):
    """Rows of a step do not follow one another with the batch first."""
    models = [lf.LSTM(3, 6, batch_first=True, seed=k) for k in range(17)]
    fleet, rng = lf.Fleet(models), np.random.default_rng(0)
    x, d = (rng.standard_normal((17, B, 5, n), np.float32) for n in (3, 6))
    output, _, tape = fleet.forward(x)
    got = fleet.backward(tape, d)
    for k, model in enumerate(models):
        expected, _, own = model.forward(x[k])
        g = model.backward(own, d[k])
        assert same(output[k], expected) and same(got.d_x[k], g.d_x) and same(got.flat[k], g.flat)


def test_tapes_larger_than_caches():
    """They are staged from 128 MB on."""
    models = [lf.LSTM(2, 32, seed=k) for k in range(76)]
    fleet, x = lf.Fleet(models), np.random.default_rng(0).standard_normal((76, 300, 8, 2), np.float32)
    output, state, tape = fleet.forward(x, num_threads=2)
    assert tape.nbytes > 128 << 20
    got = fleet.backward(tape, output, state)
    for k in (0, 37, 75):
        expected, last, own = models[k].forward(x[k])
        assert same(output[k], expected) and same(got.flat[k], models[k].backward(own, expected, last).flat)


def test_few_units_with_default_instruction_set():
    """Their weights are packed for narrower vectors."""
    for K, H, options in itertools.product((2, 19), (3, 8), ({}, {"bias": False}, {"num_layers": 2})):
        check([lf.LSTM(3, H, seed=k, **options) for k in range(K)], 6, 2)


def test_bits_do_not_depend_on_splits_or_threads():
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
def test_layouts(batch_first, is_batch):
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


def test_x_with_other_dtypes_and_strides():
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
