"""Sequences of different lengths: the reference's results, unread padding, the same bits as each sequence alone."""

import numpy as np
import pytest

import lstm_fast
from lstm_fast import _core, reference
from module_cases import DTYPES, KINDS, STRUCTURES, draw, expect, infer, is_lstm, make, train
from tolerances import FORWARD, assert_same_bits, assert_within, forward_error, gradient_error, gradient_tolerance

# T, B, I, H: all tile sizes, several chunks of projections and of gradients, more rows than one gradient product.
SHAPES = [
    (1, 1, 3, 5),
    (3, 2, 3, 7),
    (7, 5, 1, 8),
    (6, 17, 16, 9),
    (9, 8, 3, 33),
    (5, 33, 20, 17),
    (700, 2, 3, 9),
    (3, 600, 4, 5),
    (40, 7, 40, 65),
]


def draw_lengths(rng, T, B):
    """Unsorted lengths; a quarter of the sequences is empty, a quarter full."""
    lengths = rng.integers(0, T + 1, B)
    lengths[rng.permutation(B)[: B // 4]] = 0
    lengths[rng.permutation(B)[: (B + 3) // 4]] = T
    return lengths


def padding(lengths, T):
    return np.arange(T)[:, None] >= np.asarray(lengths)


def poisoned(rng, a, lengths):
    """The arguments with poisoned padding."""
    is_padding, changed = padding(lengths, len(a["x"])), dict(a)
    for name in ("x", "d_output"):
        changed[name] = a[name].copy()
        changed[name][is_padding] = rng.choice([np.nan, np.inf, -np.inf, 1e30], (is_padding.sum(), 1))
    return changed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_and_gradients_match_the_reference(isa, kind, dtype, shape):
    T, B, I, H = shape
    rng = np.random.default_rng([*shape, KINDS.index(kind)])
    if kind in ("relu", "identity") and T > 20:
        T = 20  # longer sequences may overflow in such a network
    module = make(kind, I, H, dtype=dtype, **STRUCTURES[(T + B + KINDS.index(kind)) % len(STRUCTURES)])
    a, lengths = draw(rng, module, T, B), draw_lengths(rng, T, B)
    want = expect(module, a, lengths=lengths)
    got, _ = train(module, poisoned(rng, a, lengths), lengths=lengths)
    for name, value in want.items():
        if name in ("output", "h_n", "c_n"):
            assert_within(forward_error(got[name], value), FORWARD[dtype], name)
        else:
            assert_within(gradient_error(got[name], value, dtype), gradient_tolerance(value, dtype), name)
    for name, value in infer(module, poisoned(rng, a, lengths), lengths=lengths).items():
        assert_same_bits(value, got[name], f"inference, {name}")
    assert not got["output"][padding(lengths, T)].any() and not got["d_x"][padding(lengths, T)].any()


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_bits_match_each_sequence_alone(isa, kind, structure):
    T, B = 11, 7
    module = make(kind, 5, 18, dtype=np.float32, **structure)
    rng = np.random.default_rng(3)
    a, lengths = draw(rng, module, T, B), np.array([4, 0, 11, 7, 11, 1, 7])
    got, _ = train(module, a, lengths=lengths)
    for b, n in enumerate(lengths):
        alone = {
            name: value[:n, b : b + 1] if name in ("x", "d_output") else value[:, b : b + 1]
            for name, value in a.items()
        }
        want, _ = train(module, alone)
        for name in ("output", "d_x"):
            assert_same_bits(got[name][:n, b : b + 1], want[name], f"{name} of {b}")
        for name in {"h_n", "c_n", "d_h_0", "d_c_0"} & set(want):
            assert_same_bits(got[name][:, b : b + 1], want[name], f"{name} of {b}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("split", ["rows", "directions", "units"])
@pytest.mark.parametrize("structure", STRUCTURES[1::2] + [dict(num_layers=3, dropout=0.4)], ids=str)
def test_bits_do_not_depend_on_threads(some_isa, split, structure, dtype):
    T, B = 23, 19
    rng = np.random.default_rng(5)
    lengths = draw_lengths(rng, T, B)

    def run(n):
        module = make("lstm", 4, 18, dtype=dtype, seed=5, **structure)  # the same seed draws the same dropout
        return train(
            module, draw(np.random.default_rng(6), module, T, B), training=True, lengths=lengths, num_threads=n
        )[0]

    _core.testing.use_split(split)
    try:
        want = run(1)
        for n in (2, 3, 8):
            for name, value in run(n).items():
                assert_same_bits(value, want[name], f"{name}, {n} threads")
    finally:
        _core.testing.use_split()


@pytest.mark.parametrize("structure", [{}, dict(num_layers=3), dict(num_layers=2, bidirectional=True)], ids=str)
def test_bits_do_not_depend_on_batch_order(isa, structure):
    """For a random order, and for descending lengths, where the core reads and writes in place instead of copying."""
    lstm = make("lstm", 3, 20, dtype=np.float32, **structure)
    rng = np.random.default_rng(8)
    a, lengths = draw(rng, lstm, 9, 12), draw_lengths(rng, 9, 12)
    want, _ = train(lstm, a, lengths=lengths)
    for order in (rng.permutation(12), np.argsort(-lengths, kind="stable")):
        some = poisoned(rng, {name: value[:, order] for name, value in a.items()}, lengths[order])
        got, _ = train(lstm, some, lengths=lengths[order])
        for name in ("output", "h_n", "c_n", "d_x", "d_h_0", "d_c_0"):
            assert_same_bits(got[name], want[name][:, order], name)
        for name, value in infer(lstm, some, lengths=lengths[order]).items():
            assert_same_bits(value, got[name], f"inference, {name}")


def test_full_lengths_are_equivalent_to_none(isa):
    lstm = make("lstm", 3, 9, dtype=np.float32)
    a = draw(np.random.default_rng(0), lstm, 4, 3)
    want, _ = train(lstm, a)
    for name, value in train(lstm, a, lengths=[4, 4, 4])[0].items():
        assert_same_bits(value, want[name], name)


@pytest.mark.parametrize("is_bidirectional", [False, True])
def test_dropout_masks_do_not_depend_on_lengths(isa, is_bidirectional):
    options = dict(num_layers=2, dropout=0.5, bidirectional=is_bidirectional)
    T, B, lengths = 6, 5, np.array([2, 6, 0, 5, 6])
    lstm, draws = make("lstm", 3, 8, seed=4, **options), make("lstm", 3, 8, seed=4, **options)
    a = draw(np.random.default_rng(1), lstm, T, B)
    got, _ = train(lstm, a, training=True, lengths=lengths)
    seed = int(draws._rng.integers(2**64, dtype=np.uint64))
    masks = [reference.dropout_mask(seed, 0, (T, B, 8 * (1 + is_bidirectional)), 0.5, np.float64)]
    want = expect(lstm, a, masks=masks, lengths=lengths)
    for name in want:
        error = forward_error if name in ("output", "h_n", "c_n") else lambda g, w: gradient_error(g, w, np.float64)
        assert_within(error(got[name], want[name]), 1e-12, name)


def test_batch_first_and_unbatched_and_trace():
    lstm = make("lstm", 3, 6, num_layers=2, bidirectional=True)
    first = make("lstm", 3, 6, num_layers=2, bidirectional=True, batch_first=True)
    a, lengths = draw(np.random.default_rng(2), lstm, 5, 4), [3, 0, 5, 1]
    output, (h_n, c_n) = lstm(a["x"], lengths=lengths)
    transposed, (h, c) = first(a["x"].swapaxes(0, 1), lengths=lengths)
    for got, want in ((transposed.swapaxes(0, 1), output), (h, h_n), (c, c_n)):
        assert_same_bits(got, want)
    alone, (h, c) = lstm(a["x"][:, 0], lengths=3)
    for got, want in ((alone, output[:, 0]), (h, h_n[:, 0]), (c, c_n[:, 0])):
        assert_same_bits(got, want)
    trace = lstm.trace(a["x"], lengths=lengths)
    assert_same_bits(np.concatenate(trace.h[-1], axis=-1), output)
    assert_same_bits(trace.c[1, 1, 0, [0, 2, 3]], c_n[3, [0, 2, 3]], "the reverse direction ends at time 0")
    assert_same_bits(trace.c[1, 0, [2, 4, 0], [0, 2, 3]], c_n[2, [0, 2, 3]], "the forward direction at each one's end")
    for values in trace:
        assert not values[:, :, padding(lengths, 5)].any()


def test_functions_accept_lengths():
    lstm = make("lstm", 3, 6)
    a, lengths = draw(np.random.default_rng(2), lstm, 5, 4), [3, 0, 5, 1]
    weights = tuple(lstm.parameters().values())
    results = [
        module.lstm_forward(a["x"], a["h_0"][0], a["c_0"][0], *weights, lengths) for module in (lstm_fast, reference)
    ]
    for got, want in zip(*(result[:3] for result in results)):
        assert_within(forward_error(got, want), 1e-13, "forward")
    gradients = [
        module.lstm_backward(result[3], a["d_output"])._asdict()
        for module, result in zip((lstm_fast, reference), results)
    ]
    for name in gradients[0]:
        assert_within(gradient_error(gradients[0][name], gradients[1][name], np.float64), 1e-12, name)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_empty_input(kind):
    module = make(kind, 3, 5, num_layers=2, bidirectional=True)
    for T, B, lengths in ((0, 3, [0, 0, 0]), (4, 0, []), (4, 3, [0, 0, 0]), (4, 1, [0])):
        a = draw(np.random.default_rng(0), module, T, B)
        got, _ = train(module, a, lengths=lengths)
        assert not got["output"].any() and not got["d_x"].any() and not got["d_weight_hh_l0"].any()
        for state in ("h", "c") if is_lstm(module) else ("h",):
            assert_same_bits(got[f"{state}_n"], a[f"{state}_0"])
            assert_same_bits(got[f"d_{state}_0"], a[f"d_{state}_n"])


def test_steps_of_an_empty_batch_are_skipped():
    lstm = make("lstm", 3, 5, num_layers=2, bidirectional=True, dropout=0.5)
    x = np.zeros((10**12, 0, 3))  # at one millisecond per step this would take thirty years
    output, _, tape = lstm.forward(x)
    assert lstm(x)[0].shape == lstm(x, lengths=[])[0].shape == output.shape == (10**12, 0, 10)
    assert lstm.backward(tape, output).d_x.shape == x.shape


@pytest.mark.parametrize(
    "lengths, message",
    [
        ([1, 2], r"lengths must be integers of shape \(B,\) = \(3,\), got int64 \(2,\)"),
        ([1.0, 2.0, 3.0], r"lengths must be integers .*float64"),
        ([1, 2, 5], "lengths must be from 0 to T = 4, got 5"),
        ([-1, 2, 3], "lengths must be from 0 to T = 4, got -1"),
        (3, r"lengths must be integers of shape \(B,\)"),
        ([True, False, True], "lengths must be integers .*bool"),
        ([None, 1, 2], "lengths must be integers"),
    ],
)
def test_invalid_lengths_raise(lengths, message):
    with pytest.raises(ValueError, match=message):
        make("lstm", 2, 3)(np.zeros((4, 3, 2)), lengths=lengths)


def test_tapes_know_the_lengths_of_their_sequences():
    lstm, x = lstm_fast.LSTM(2, 3, seed=0), np.zeros((5, 4, 2), np.float32)
    assert lstm.forward(x)[2].lengths.tolist() == [5, 5, 5, 5]
    assert lstm.forward(x, lengths=[2, 5, 0, 3])[2].lengths.tolist() == [2, 5, 0, 3]
