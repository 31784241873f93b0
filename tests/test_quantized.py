"""LSTM.quantized("float16"): bits of a float32 LSTM with rounded weights, close to the original, inference only."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast
from module_cases import draw, make
from tolerances import assert_same_bits


def pair(rng, *sizes, scale=1.0, **options):
    """A network, its quantized copy, and a float32 network of the copy's parameters."""
    lstm = make("lstm", *sizes, dtype=np.float32, **options)
    with lstm.edit() as p:
        for name in p:
            p[name] = scale * rng.standard_normal(p[name].shape) / np.sqrt(sizes[1])
    quantized = lstm.quantized("float16")
    rounded = make("lstm", *sizes, dtype=np.float32, **options)
    rounded.load_state_dict(quantized.state_dict())
    return lstm, quantized, rounded


@pytest.mark.parametrize(
    "T, B, I, H, options",
    [
        (1, 1, 1, 1, {}),
        (5, 1, 3, 7, dict(bias=False)),
        (9, 2, 5, 16, dict(num_layers=2)),
        (4, 3, 9, 33, dict(bidirectional=True)),
        (6, 7, 20, 24, dict(num_layers=2, bidirectional=True)),
        (3, 40, 4, 65, {}),
        (3, 1, 70, 130, {}),
    ],
    ids=str,
)
def test_bits_are_those_of_the_rounded_weights(isa, T, B, I, H, options):
    lstm, quantized, rounded = pair(np.random.default_rng([T, B, H]), I, H, **options)
    a = draw(np.random.default_rng([B, H]), lstm, T, B)
    got, (h_n, c_n) = quantized(a["x"], (a["h_0"], a["c_0"]))
    want, (want_h_n, want_c_n) = rounded(a["x"], (a["h_0"], a["c_0"]))
    for name, one, other in (("output", got, want), ("h_n", h_n, want_h_n), ("c_n", c_n, want_c_n)):
        assert_same_bits(one, other, name)
    for name in ("i", "f", "g", "o", "c", "h"):
        assert_same_bits(getattr(quantized.trace(a["x"]), name), getattr(rounded.trace(a["x"]), name), name)


@pytest.mark.parametrize("H", [2, 9, 33, 70])
@pytest.mark.parametrize(
    "options",
    [
        dict(proj_size=1),
        dict(proj_size=-1),
        dict(proj_size=-1, peepholes=True, layer_norm=True),
        dict(learn_initial_state=True, coupled_gates=True, cell_clip=0.5, bidirectional=True),
    ],
    ids=str,
)
def test_bits_of_variants_are_those_of_the_rounded_weights(isa, options, H):
    options = options | ({"proj_size": options["proj_size"] % H} if "proj_size" in options else {})
    _, quantized, rounded = pair(np.random.default_rng(H), 5, H, num_layers=2, **options)
    x = np.random.default_rng(1).standard_normal((4, 7, 5), np.float32)
    for got, want in zip([quantized(x)[0], *quantized(x)[1]], [rounded(x)[0], *rounded(x)[1]], strict=True):
        assert_same_bits(got, want)


def test_every_finite_float16_is_read_exactly(isa):
    """Compares gates, which expose each weight times an input, with those of a float32 network of the same weights."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    for block in np.array_split(halves, 256):
        lstm = make("lstm", 1, len(block), dtype=np.float32, bias=False)
        with lstm.edit() as p:
            p["weight_hh_l0"][:], p["weight_ih_l0"][:] = 0, np.tile(block.astype(np.float32), 4)[:, None]
        quantized = lstm.quantized()
        for x in (np.float32(2.0**-14), np.float32(1), np.float32(2.0**14), np.float32(2.0**24)):
            assert_same_bits(quantized(np.full((1, 1, 1), x))[0], lstm(np.full((1, 1, 1), x))[0], x)
        assert_same_bits(quantized.state_dict()["weight_ih_l0"][: len(block), 0], block, "weights")


def test_output_is_close_to_that_of_float32():
    worst = 0
    for seed, (I, H, layers) in enumerate([(8, 64, 1), (64, 256, 1), (128, 512, 2)]):
        rng = np.random.default_rng(seed)
        lstm = make("lstm", I, H, num_layers=layers, dtype=np.float32)  # PyTorch's initial weights
        x = rng.standard_normal((100, 2, I), np.float32)
        worst = max(worst, np.abs(lstm.quantized()(x)[0] - lstm(x)[0]).max())
    assert 1e-6 < worst < 2e-3


@pytest.mark.parametrize("n_threads", [1, 3])
def test_streams_and_threads_give_the_same_bits(n_threads):
    _, quantized, _ = pair(np.random.default_rng(0), 16, 200, num_layers=2)
    x = np.random.default_rng(1).standard_normal((30, 1, 16), np.float32)
    want = quantized(x, num_threads=1)[0]
    assert_same_bits(quantized(x, num_threads=n_threads)[0], want, "threads")
    stream = quantized.stream()
    assert_same_bits(np.stack([stream.step(x_t) for x_t in x[:10]]), want[:10], "steps")
    assert_same_bits(stream.block(x[10:]), want[10:], "block")


def test_weights_take_half_the_bytes():
    lstm = lstm_fast.LSTM(256, 256, seed=0)
    quantized = lstm.quantized()
    assert quantized.flat_parameters.nbytes * 2 == lstm.flat_parameters.nbytes
    assert {array.dtype for array in quantized.parameters().values()} == {np.dtype(np.float16)}
    assert repr(quantized).startswith("QuantizedLSTM(256, 256)")
    assert quantized.dtype == np.float32 and quantized(np.zeros((1, 1, 256)))[0].dtype == np.float32


def test_copy_keeps_its_weights_and_can_be_copied():
    lstm, quantized, _ = pair(np.random.default_rng(0), 4, 10)
    x = np.random.default_rng(1).standard_normal((3, 2, 4), np.float32)
    before = quantized(x)[0]
    with lstm.edit() as p:
        p["bias_ih_l0"][:] = 9
    assert_same_bits(quantized(x)[0], before, "after an edit of the original")
    for other in (copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized))):
        assert_same_bits(other(x)[0], before, "copy")
        assert other.flat_parameters.dtype == np.float16


@pytest.mark.parametrize(
    "call",
    [
        lambda q, x: q.forward(x),
        lambda q, x: q.backward(None, x),
        lambda q, x: q.edit().__enter__(),
        lambda q, x: q.load_state_dict({}),
        lambda q, x: q.quantized(),
    ],
)
def test_training_is_refused(call):
    quantized = lstm_fast.LSTM(4, 5).quantized()
    with pytest.raises(AttributeError, match="for inference"):
        call(quantized, np.zeros((1, 1, 4), np.float32))


def test_unsupported_dtypes_and_overflow_are_refused_by_name():
    lstm = lstm_fast.LSTM(4, 5, seed=0)
    with pytest.raises(ValueError, match="'float16', got 'int8'"):
        lstm.quantized("int8")
    with pytest.raises(ValueError, match="dtype must be float32 .*float64"):
        lstm_fast.LSTM(4, 5, dtype=np.float64).quantized()
    for bad in (1e5, np.inf, np.nan):
        with lstm.edit() as p:
            p["weight_hh_l0"][3, 2] = bad
        with pytest.raises(ValueError, match="weight_hh_l0 must be finite and at most 65504"):
            lstm.quantized()
