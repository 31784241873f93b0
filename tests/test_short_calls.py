"""The fast path of inference: plain arrays take it and match the slow path bitwise; everything else falls back."""

import numpy as np
import pytest

from lstm_fast import LSTM, RNN, LSTMCell, _arguments, _core, _network
from tolerances import assert_same_bits


def make(kind, dtype, **options):
    if kind == "cell":
        return LSTMCell(3, 9, dtype=dtype, seed=1)
    return (LSTM if kind == "lstm" else RNN)(3, 9, num_layers=2, dtype=dtype, seed=1, **options)


def arguments(rng, module, kind, form):
    """x and a state: of a batch, without one, of one row."""
    B = {"batch": 4, "one": 1, "unbatched": None}[form]
    rows = () if B is None else (B,)
    sizes = () if kind == "cell" else (5,)
    n = () if kind == "cell" else (module.num_layers * (1 + module.bidirectional),)
    x = rng.standard_normal((*rows, *sizes, 3) if module.batch_first and rows else (*sizes, *rows, 3)).astype(
        module.dtype
    )
    h = rng.standard_normal((*n, *rows, module.h_size)).astype(module.dtype)
    return x, h if kind == "rnn" else (h, rng.standard_normal((*n, *rows, 9)).astype(module.dtype))


def flat(result):
    output, state = result
    return [output, *(state if isinstance(state, tuple) else [state])]


@pytest.fixture
def slow_path_raises(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("the slow path")

    return lambda: monkeypatch.setattr(_network, "forward", fail)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", ["batch", "one", "unbatched"])
@pytest.mark.parametrize(
    "kind, options",
    [
        ("lstm", {}),
        ("lstm", dict(bidirectional=True, batch_first=True)),
        ("lstm", dict(proj_size=4, peepholes=True)),
        ("lstm", dict(learn_initial_state=True)),
        ("rnn", dict(bidirectional=True)),
        ("rnn", dict(batch_first=True)),
        ("cell", {}),
    ],
    ids=str,
)
def test_fast_path_matches_slow_path_bitwise(isa, kind, options, form, dtype, slow_path_raises):
    module = make(kind, dtype, **options)
    x, state = arguments(np.random.default_rng(0), module, kind, form)
    states = [None, state] + ([(state[0], None), (None, state[1])] if kind != "rnn" else [])
    want = [module(x, s, num_threads=1) for s in states]
    slow_path_raises()
    for s, long in zip(states, want, strict=True):
        for got, value in zip(flat(module(x, s)), flat(long), strict=True):
            assert got.flags.c_contiguous and got.flags.owndata and got.shape == value.shape
            assert_same_bits(got, value)
    strange = np.zeros((*x.shape[:-1], 7), dtype)[..., 2:5]  # rows that are not contiguous
    strange[...] = x
    strange.flags.writeable = False
    for got, value in zip(flat(module(strange, state)), flat(want[1]), strict=True):
        assert_same_bits(got, value)


LENGTHS = ([5, 0, 3, 5], [0, 0, 0, 0], [1, 2, 3, 4], [4, 3, 3, 1], [5, 5, 5, 5])


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("options", [{}, dict(bidirectional=True, batch_first=True)], ids=str)
def test_lengths_use_the_fast_path(options, lengths, slow_path_raises):
    module = make("lstm", np.float32, **options)
    x, state = arguments(np.random.default_rng(0), module, "lstm", "batch")
    want = [flat(module(x, s, lengths=lengths)) for s in (None, state)]  # a list is not as usual
    strided = np.array(lengths * 2).reshape(2, 4).T.copy().T[1]
    slow_path_raises()
    for s, long in zip((None, state), want, strict=True):
        for given in (np.array(lengths), strided):
            for got, value in zip(flat(module(x, s, lengths=given)), long, strict=True):
                assert_same_bits(got, value)


def test_unusual_lengths_use_the_slow_path():
    module = make("lstm", np.float32)
    x, _ = arguments(np.random.default_rng(0), module, "lstm", "batch")
    want = flat(module(x, lengths=np.array([5, 0, 3, 5])))
    for lengths in ([5, 0, 3, 5], np.array([5, 0, 3, 5], np.uint8), np.array([5, 0, 3, 5], ">i8")):
        for got, value in zip(flat(module(x, lengths=lengths)), want, strict=True):
            assert_same_bits(got, value)
    for wrong, words in (
        ([5, 0, 3], r"\(B,\) = \(4,\)"),
        ([5, 0, 3, 6], "from 0 to T = 5, got 6"),
        ([5, 0, -1, 5], "got -1"),
        ([[5, 0, 3, 5]], r"\(B,\) = \(4,\)"),
        ([5.0, 0, 3, 5], "must be integers"),
    ):
        with pytest.raises(ValueError, match=words):
            module(x, lengths=np.array(wrong))
    with pytest.raises(ValueError, match=f"got {2**64 - 1}"):
        module(x, lengths=np.array([5, 0, 3, 2**64 - 1], np.uint64))
    assert (
        _arguments.order_of_lengths(np.zeros(0, np.int64), 2**50, 0) is None
    )  # no sequences, so that many steps need no memory


def test_lengths_order():
    rng = np.random.default_rng(0)
    for B, T in ((1, 0), (1, 7), (40, 5), (5, 400)):
        lengths = rng.integers(0, T + 1, B)
        longest_first, rows = _core.sort_lengths(lengths, T)
        want = np.argsort(-lengths, kind="stable")
        assert (rows == want).all() and (longest_first == lengths[want]).all()


def test_unusual_arguments_use_the_slow_path():
    module = make("lstm", np.float32)
    x, state = arguments(np.random.default_rng(0), module, "lstm", "batch")
    want = flat(module(x, state))
    halves = np.zeros((5, 4, 6), np.float32)[..., ::2]
    halves[...] = x
    for other in (x.tolist(), x.astype(np.float64), np.asfortranarray(x), halves, x.astype(">f4"), x.view(np.recarray)):
        for got, value in zip(flat(module(other, state)), want, strict=True):
            assert_same_bits(got, value)
    turned = np.asfortranarray(state[0])
    for other in (list(state), (turned, state[1]), (state[0].astype(np.float64), state[1])):
        for got, value in zip(flat(module(x, other)), want, strict=True):
            assert_same_bits(got, value)
    with pytest.raises(TypeError, match="x must be a plain array"):
        module(np.ma.masked_array(x), state)
    with pytest.raises(ValueError, match=r"x must have shape \(T, B, I\)"):
        module(x[..., :2], state)
    with pytest.raises(ValueError, match=r"h_0 must have shape"):
        module(x, (state[0][:, :3], state[1]))
    with pytest.raises(ValueError, match=r"c_0 must have shape"):
        module(x, (state[0], state[1][:1]))
    with pytest.raises(TypeError, match="state must be a pair"):
        module(x, state[0])
    assert module(x[:0])[0].shape == (0, 4, 9) and module(x[:, :0])[0].shape == (5, 0, 9)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_stream_blocks_use_the_fast_path(batch_size):
    lstm = make("lstm", np.float32)
    short, long = lstm.stream(batch_size), lstm.stream(batch_size)
    x = np.random.default_rng(0).standard_normal((6, batch_size, 3)).astype(np.float32)
    for block in (x[:4], x[4:]):
        assert short._fast_block(block[:, :, :2]) is None
        assert_same_bits(short.block(block), long.block(block, num_threads=1))
    for got, value in zip(short.state, long.state, strict=True):
        assert_same_bits(got, value)
    if batch_size == 1:
        assert_same_bits(short.block(x[:, 0]), long.block(x[:, 0].tolist()))
    with pytest.raises(ValueError, match="x must have shape"):
        short.block(np.zeros((2, batch_size + 1, 3), np.float32))
