"""index_input: symbols give the bits of one-hot vectors everywhere; invalid ones are errors, except in the padding."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from format_cases import FORMATS
from lstm_fast import _core
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, make, train
from tolerances import assert_same_bits


def pair(kind, n, H, options, **arguments):
    """A network that reads symbols, and one with the same parameters that reads vectors."""
    network = make(kind, n, H, {*options, "index_input"}, **arguments)
    config = network.config() | {"index_input": False}
    twin = type(network)(**config)
    twin.load_state_dict(network.state_dict())
    return network, twin


def one_hot(x, n, dtype):
    """One-hot vectors of symbols; NaN for those out of range."""
    vectors = np.full((*np.shape(x), n), np.nan, dtype)
    valid = (x >= 0) & (x < n)
    vectors[valid] = np.eye(n, dtype=dtype)[x[valid]]
    return vectors


def assert_same_training(network, twin, a, case, **call):
    vectors = a | {"x": one_hot(a["x"], network.input_size, network.dtype)}
    want, _ = train(twin, vectors, rng=np.random.default_rng(5), **call)
    got, _ = train(network, a, rng=np.random.default_rng(5), **call)
    del want["d_x"]
    assert got.keys() == want.keys()
    for name in want:
        assert_same_bits(got[name], want[name], (case, name))


# ---- bits ----


@pytest.mark.filterwarnings("ignore:dropout acts between layers")
@pytest.mark.parametrize("seed", range(30))
def test_training_matches_one_hot_vectors_bitwise(isa, seed):
    rng = np.random.default_rng(seed)
    kind = "lstm" if seed % 3 else "tanh"
    names = LSTM_OPTIONS if kind == "lstm" else RNN_OPTIONS
    options = {name for name in names if rng.random() < (0.1, 0.3, 0.8)[seed % 3]}
    structure = dict(num_layers=int(rng.integers(1, 4)), bidirectional=bool(rng.random() < 0.4))
    dtype = (np.float32, np.float64)[seed % 2]
    if kind == "lstm" and dtype == np.float32 and seed % 4 == 0:
        structure["compute_dtype"] = "bfloat16_amx" if seed % 8 else "bfloat16"
    n, H = int(rng.choice([1, 2, 5, 63, 64, 65, 200])), int(rng.choice([1, 3, 8, 17, 33]))
    T, B = int(rng.choice([0, 1, 7, 70])), int(rng.choice([0, 1, 4, 9]))
    network, twin = pair(kind, n, H, options, seed=seed, dtype=dtype, **structure)
    a = draw(rng, network, T, B, options)
    if a["lengths"] is not None:
        a["x"][np.arange(T)[:, None] >= a["lengths"]] = -9
    for num_threads, recompute_gates in ((1, False), (2, True)):
        case = sorted(options), structure, n, H, T, B, num_threads
        call = dict(num_threads=num_threads, recompute_gates=recompute_gates)
        assert_same_training(network, twin, a, case, **call)


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "bfloat16_amx"])
@pytest.mark.parametrize("T", [1, 2, 30, 71])
def test_bfloat16_training_sums_rows_of_a_symbol_in_the_documented_order(isas_with_fma, T, compute_dtype):
    """Gradients of all sizes: sums of similar bfloat16 numbers are exact in float32, in any order."""
    for isa in isas_with_fma:
        network, twin = pair("lstm", 3, 17, (), dtype=np.float32, compute_dtype=compute_dtype)
        rng = np.random.default_rng(0)
        a = draw(rng, network, T, 5, ())
        a["d_output"] *= np.exp(rng.uniform(-12, 12, a["d_output"].shape)).astype(np.float32)
        assert_same_training(network, twin, a, (T, isa))


@pytest.mark.parametrize("split", ["rows", "directions", "units", "layers"])
def test_bits_do_not_depend_on_split(split):
    network, twin = pair("lstm", 70, 40, (), dtype=np.float32, num_layers=2)
    a = draw(np.random.default_rng(0), network, 90, 5, ())
    _core.testing.use_split(split)
    try:
        assert_same_training(network, twin, a, split, num_threads=3)
        vectors = one_hot(a["x"], 70, np.float32)
        assert_same_bits(network(a["x"], num_threads=3)[0], twin(vectors, num_threads=1)[0])
    finally:
        _core.testing.use_split()


@pytest.mark.parametrize("name", FORMATS)
def test_formats_match_one_hot_vectors_bitwise(isa, name):
    format, inputs = FORMATS[name]
    for n, H, options in ((5, 9, {"layer_norm"}), (130, 17, ()), (64, 40, {"peepholes", "no_bias"})):
        network, twin = pair("lstm", n, H, options, dtype=np.float32, num_layers=2)
        small, twin = network.quantized(format, inputs=inputs), twin.quantized(format, inputs=inputs)
        x = np.random.default_rng(0).integers(n, size=(20, 3))
        want, _ = twin(one_hot(x, n, np.float32))
        assert_same_bits(small(x)[0], want)
        stream = small.stream(3)
        assert_same_bits(np.stack([stream.step(row) for row in x]), want)
        assert_same_bits(pickle.loads(pickle.dumps(small))(x)[0], want)


@pytest.mark.parametrize("kind", ["lstm", "relu"])
def test_streams_match_whole_sequences_bitwise(isa, kind):
    network, twin = pair(kind, 70, 17, (), dtype=np.float32, num_layers=2)
    x = np.random.default_rng(0).integers(70, size=(12, 2))
    want = twin(one_hot(x, 70, np.float32))[0]
    stream = network.stream(2)
    parts = [stream.step(x[0])[None], stream.block(x[1:5]), stream.step(list(x[5]))[None], stream.block(x[6:])]
    assert_same_bits(np.concatenate(parts), want)
    one = network.stream()
    got = [one.step(int(x[0, 0])), one.step(x[1, 0]), one.step(x[2, :1])[0], *one.block(x[3:, 0].astype(np.uint8))]
    assert_same_bits(np.stack(got), want[:, 0])
    assert_same_bits(pickle.loads(pickle.dumps(one)).step(3), copy.copy(one).step(3))


def test_layouts_and_dtypes_of_x():
    network = lf.LSTM(200, 8, seed=0, index_input=True)
    x = np.random.default_rng(0).integers(200, size=(6, 3))
    want, _ = network(x)
    for dtype in (np.uint8, np.int16, ">i4", np.uint64):
        assert_same_bits(network(x.astype(dtype))[0], want)
    assert_same_bits(network(x.tolist())[0], want)
    assert_same_bits(network(np.asfortranarray(x))[0], want)
    assert_same_bits(network(x[:, 1])[0], want[:, 1])
    assert_same_bits(network(bytearray(x[:, 1].tolist()))[0], want[:, 1])
    network.batch_first = True
    assert_same_bits(network(x.T)[0], want.swapaxes(0, 1))
    assert network(np.zeros((2, 0), int))[0].shape == (2, 0, 8)
    assert network([])[0].shape == (0, 8)
    trace = network.trace(x.T)
    assert_same_bits(trace.h[0, 0], want)


def test_only_the_rows_of_symbols_that_occur_are_read():
    network = lf.LSTM(4, 8, seed=0, index_input=True)
    with network.edit() as p:
        p["weight_ih_l0"][:, 2] = np.nan
    output, _, tape = network.forward([0, 1, 3])
    gradients = network.backward(tape, np.ones_like(output))
    assert np.isfinite(output).all() and np.isfinite(gradients.flat).all()
    assert (gradients["weight_ih_l0"][:, 2] == 0).all()
    assert np.isnan(network([2, 2])[0]).any()


def test_tape_keeps_the_symbols():
    network = lf.LSTM(5, 8, seed=0, index_input=True)
    x = np.array([1, 2, 3])
    output, _, tape = network.forward(x)
    want = network.backward(tape, np.ones_like(output))
    x[:] = 10**9
    assert_same_bits(network.backward(tape, np.ones_like(output)).flat, want.flat)
    assert want.d_x is None


# ---- errors ----


@pytest.mark.parametrize(
    "x, error, words",
    [
        ([[1, 2], [3, 5]], ValueError, r"x must hold symbols from 0 to input_size - 1 = 4, got 5 at \[1, 1\]"),
        ([0, 1, -1], ValueError, r"got -1 at \[2\]"),
        (np.array([[2**64 - 1]], np.uint64), ValueError, "must hold symbols"),
        ([[0.0, 1.0]], TypeError, "x must hold integers with index_input, got dtype float64"),
        ([[True, False]], TypeError, "got dtype bool"),
        (np.zeros((2, 2, 5), int), ValueError, r"x must have shape \(T, B\) or, unbatched, \(T,\)"),
        ("abc", TypeError, "must hold integers"),
        (np.ma.masked_array([1, 2]), TypeError, "masked"),
    ],
)
def test_invalid_symbols_raise(x, error, words):
    network = lf.LSTM(5, 8, seed=0, index_input=True)
    for call in (network, network.forward, network.stream(np.shape(x)[1] if np.ndim(x) == 2 else 1).block):
        with pytest.raises(error, match=words):
            call(x)


def test_error_positions_use_the_callers_axes():
    network = lf.LSTM(5, 8, seed=0, index_input=True, batch_first=True)
    with pytest.raises(ValueError, match=r"got 7 at \[0, 2\]"):
        network([[1, 2, 7], [1, 2, 3]])
    network([[1, 2, 7], [1, 2, 3]], lengths=[2, 3])
    with pytest.raises(ValueError, match=r"got 7 at \[0, 2\]"):
        network([[1, 2, 7], [1, 2, 3]], lengths=[3, 3])
    with pytest.raises(ValueError, match="lengths must be"):
        network([[1, 2, 7], [1, 2, 3]], lengths=[2, 3, 1])


@pytest.mark.parametrize("x", [5, -1, 10**30, 1.0, True, "a", None, [1, 2]])
def test_invalid_step_leaves_the_state_unchanged(x):
    stream = lf.LSTM(5, 8, seed=0, index_input=True).stream()
    stream.step(3)
    before = stream.snapshot()
    with pytest.raises((TypeError, ValueError), match="x must"):
        stream.step(x)
    assert_same_bits(stream.h, before.h)
    with pytest.raises(ValueError, match=r"got 9 at \[1\]"):
        stream.block([1, 9])


def test_symbols_have_no_gradient():
    network = lf.LSTM(5, 8, seed=0, index_input=True)
    output, _, tape = network.forward([1, 2])
    with pytest.raises(ValueError, match="compute_d_x must be None or False"):
        network.backward(tape, output, compute_d_x=True)
    assert network.backward(tape, output, compute_d_x=False).d_x is None
    with pytest.raises(TypeError, match="tape"):
        lf.LSTM(5, 8, seed=0).backward(tape, output)


def test_binding_rejects_reads_outside_the_table():
    weights = lf.LSTM(5, 8, seed=0, index_input=True).stream().weights
    output, states = np.empty((2, 1, 8), np.float32), np.zeros((1, 1, 8), np.float32)
    for symbol in (5, -1, 2**62):
        with pytest.raises(ValueError, match=f"got {symbol}"):
            weights.forward(
                np.array([1, symbol], np.int64)[:, None, None], None, None, output, states, states.copy(), None, 1
            )
    with pytest.raises(ValueError, match="x must be"):
        weights.forward(np.zeros((2, 1, 5), np.float32), None, None, output, states, states.copy(), None, 1)


def test_symbols_of_another_64_bit_type_are_accepted():
    """The buffers of longlong arrays have the code "q", as all 64-bit integers have on Windows."""
    lstm = lf.LSTM(9, 5, index_input=True, seed=0)
    fleet = lf.Fleet([lf.LSTM(9, 5, index_input=True, seed=seed) for seed in range(3)])
    x, lengths = np.random.default_rng(0).integers(0, 9, (3, 6, 4)), np.array([[6, 1, 0, 3]] * 3)
    assert memoryview(x.astype(np.longlong)).format == "q"
    want, got = lstm(x[0])[0], lstm(x[0].astype(np.longlong))[0]
    assert_same_bits(got, want)
    want, got = fleet(x, lengths=lengths)[0], fleet(x.astype(np.longlong), lengths=lengths.astype(np.longlong))[0]
    assert_same_bits(got, want)
