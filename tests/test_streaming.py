"""Streams: the same bits as the whole sequence, state that can be set, reset and restored, errors that name the
argument."""

import pickle
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import lstm_fast as lf


def make(kind="lstm", I=3, H=5, L=2, dtype=np.float32, **options):
    module = lf.LSTM if kind == "lstm" else lf.RNN
    return module(I, H, L, dtype=dtype, seed=0, **options)


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_and_blocks_match_the_whole_sequence_bitwise(isa, kind, dtype):
    rng = np.random.default_rng(1)
    for I, H, L, B in [(1, 1, 1, 1), (3, 5, 2, 4), (7, 16, 1, 1), (20, 33, 3, 9), (2, 64, 1, 2)]:
        module = make(kind, I, H, L, dtype)
        x = rng.standard_normal((11, B, I)).astype(dtype)
        state = rng.standard_normal((2, L, B, H)).astype(dtype)
        want, want_state = module(x, tuple(state) if kind == "lstm" else state[0])
        stream = module.stream(B)
        stream.state = tuple(state) if kind == "lstm" else state[0]
        got = [stream.step(x[0]), stream.step(x[1]), *stream.block(x[2:7]), stream.step(x[7]), *stream.block(x[8:])]
        assert np.array_equal(np.stack(got), want), (I, H, L, B)
        assert np.array_equal(stream.state, want_state), (I, H, L, B)


def test_unbatched_sequence():
    stream, x = make().stream(), np.random.default_rng(2).standard_normal((4, 3)).astype(np.float32)
    want, _ = make()(x)
    assert np.array_equal(stream.step(x[0]), want[0]) and stream.step(x[1][None]).shape == (1, 5)
    assert np.array_equal(stream.block(x[2:]), want[2:]) and stream.block(x[:0]).shape == (0, 5)


def test_step_takes_any_real_array():
    x = np.arange(3.0)
    want = make().stream().step(x.astype(np.float32))
    for value in (
        x,
        x.astype(">f4"),
        x.astype(int),
        [0, 1, 2],
        x.astype(np.float16),
        np.repeat(x, 2)[::2].astype("f4"),
        np.broadcast_to(x.astype("f4"), (1, 3))[0],
    ):
        assert np.array_equal(make().stream().step(value), want)
    unaligned = np.frombuffer(b"\0" + x.astype(np.float32).tobytes(), np.uint8)[1:].view(np.float32)
    assert np.array_equal(make().stream().step(unaligned), want)


def test_step_writes_into_out_and_returns_it():
    stream, x = make().stream(2), np.ones((2, 3), np.float32)
    out = np.full((2, 5), np.nan, np.float32)
    assert stream.step(x, out) is out and np.array_equal(out, make().stream(2).step(x))


@pytest.mark.parametrize(
    "options",
    [{}, dict(proj_size=2, peepholes=True, layer_norm=True, cell_clip=1.0, activation="elu", learn_initial_state=True)],
    ids=["plain", "variant"],
)
def test_step_allocates_nothing_with_out(options):
    module = make(**options)
    stream, x, out = module.stream(), np.ones(3, np.float32), np.empty(module.h_size, np.float32)
    stream.step(x, out)
    threads = threading.active_count()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        blocks = sys.getallocatedblocks()
        for _ in range(1000):
            stream.step(x, out)
        assert (
            tracemalloc.get_traced_memory()[1] - before < 512
        )  # only the loop itself: less than 512 bytes for 1000 steps
        assert sys.getallocatedblocks() - blocks < 20
    finally:
        tracemalloc.stop()
    assert threading.active_count() == threads


def test_reset_clears_the_chosen_sequences():
    stream, x = make().stream(3), np.ones((3, 3), np.float32)
    stream.step(x)
    kept = [part[:, 1].copy() for part in stream.state]
    stream.reset(np.array([True, False, True]))
    for part, want in zip(stream.state, kept, strict=True):
        assert not part[:, [0, 2]].any() and np.array_equal(part[:, 1], want) and want.any()
    stream.reset()
    assert not any(part.any() for part in stream.state)


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_restore_returns_to_the_snapshot(kind):
    stream, x = make(kind).stream(), np.random.default_rng(3).standard_normal((6, 3)).astype(np.float32)
    stream.block(x[:3])
    snapshot = stream.snapshot()
    want = stream.block(x[3:])
    stream.restore(snapshot)
    assert np.array_equal(stream.block(x[3:]), want)
    other = make(kind).stream()
    other.restore(snapshot)
    assert np.array_equal(other.block(x[3:]), want)


def test_stream_keeps_its_weights_until_refresh():
    module, x = make(L=1), np.ones(3, np.float32)
    stream, before = module.stream(), module.stream().step(x)
    with module.edit() as p:
        p["weight_ih_l0"] *= 2
    assert np.array_equal(stream.step(x), before)
    stream.reset()
    stream.refresh()
    assert np.array_equal(stream.step(x), module.stream().step(x)) and not np.array_equal(stream.step(x), before)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda s: s.step(np.ones(4)), "x must have shape"),
        (lambda s: s.step(np.ones((3, 3))), "x must have shape"),
        (lambda s: s.step(None), "x must"),
        (lambda s: s.step(np.ones(3, complex)), "x must hold real numbers"),
        (lambda s: s.block(np.ones((2, 4))), "x must have shape"),
        (lambda s: s.block(np.ones(3)), "x must have shape"),
        (lambda s: s.step(np.ones(3), np.empty(4, np.float32)), "out must"),
        (lambda s: s.step(np.ones(3), np.empty(5)), "out must"),
        (lambda s: s.step(np.ones(3), np.empty((1, 5), np.float32)), "out must"),
        (lambda s: s.step(np.ones(3), [0] * 5), "out must"),
        (lambda s: s.step(np.ones(3), np.broadcast_to(np.float32(0), (5,))), "out must"),
        (lambda s: s.reset([1]), "mask must be boolean"),
        (lambda s: s.reset([True, False]), "mask must be boolean"),
        (lambda s: s.restore((1, 2)), "snapshot must come"),
        (lambda s: setattr(s, "state", np.zeros((2, 1, 5))), "state must be a pair"),
        (lambda s: setattr(s, "state", (np.zeros((2, 1, 5)), np.zeros((2, 1, 4)))), "c must have shape"),
    ],
)
def test_invalid_arguments_raise_and_change_nothing(call, words):
    stream = make().stream()
    stream.step(np.ones(3))
    before = stream.state
    with pytest.raises((TypeError, ValueError), match=words):
        call(stream)
    assert np.array_equal(stream.state, before)


def test_invalid_streams_raise():
    with pytest.raises(ValueError, match="unidirectional"):
        make(bidirectional=True).stream()
    with pytest.raises(ValueError, match="batch_size"):
        make().stream(0)


def test_thousands_of_sequences_in_one_step():
    stream, x = make(H=16).stream(3000), np.random.default_rng(4).standard_normal((3000, 3)).astype(np.float32)
    got = stream.step(x)
    for b in (0, 1, 1499, 2999):
        assert np.array_equal(make(H=16).stream().step(x[b]), got[b])


# ---- adding and removing sequences, learned initial states, pickles --------------------------------------------------


def moved(module, B, x):
    stream = module.stream(B)
    stream.block(x)
    return stream


@pytest.mark.parametrize("options", [{}, dict(proj_size=2, learn_initial_state=True)], ids=["plain", "learned"])
def test_added_sequences_start_fresh_after_the_others(options):
    module, rng = make(**options), np.random.default_rng(5)
    with module.edit() as p:
        for name in p:
            p[name] = rng.standard_normal(p[name].shape)
    x = rng.standard_normal((6, 5, 3)).astype(np.float32)
    stream = moved(module, 2, x[:3, :2])
    assert stream.add(3) == stream.batch_size == 5
    got, fresh = stream.block(x[3:]), module.stream(3).block(x[3:, 2:])
    assert np.array_equal(got[:, :2], module(x[:, :2])[0][3:]) and np.array_equal(got[:, 2:], fresh)
    assert np.array_equal(fresh, module(x[3:, 2:])[0])


def test_removing_sequences_does_not_affect_the_others():
    module, x = make(), np.random.default_rng(6).standard_normal((6, 4, 3)).astype(np.float32)
    stream = moved(module, 4, x[:3])
    assert stream.remove(np.array([True, False, False, True])) == stream.batch_size == 2
    assert np.array_equal(stream.block(x[3:, 1:3]), module(x[:, 1:3])[0][3:])
    for mask in ([True, True], [True], np.array([1, 0])):
        with pytest.raises(ValueError, match="mask must"):
            stream.remove(mask)
    for n in (0, -1, 1.5):
        with pytest.raises(ValueError, match="n must be a positive integer"):
            stream.add(n)
    assert stream.batch_size == 2


def test_reset_restores_the_learned_state():
    module = make(learn_initial_state=True)
    with module.edit() as p:
        for k, suffix in enumerate(("_l0", "_l1")):
            p["h_0" + suffix], p["c_0" + suffix] = np.full(5, k + 0.25), np.full(5, -k - 0.5)
    stream = module.stream(2)
    h, c = stream.state
    assert (h[0] == 0.25).all() and (h[1] == 1.25).all() and (c[0] == -0.5).all() and (c[1] == -1.5).all()
    stream.block(np.ones((3, 2, 3)))
    stream.reset(np.array([False, True]))
    assert np.array_equal(stream.state[0][:, 1], h[:, 1]) and not np.array_equal(stream.state[0][:, 0], h[:, 0])


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_pickled_stream_continues_with_its_own_weights(kind):
    module, x = make(kind), np.random.default_rng(7).standard_normal((6, 2, 3)).astype(np.float32)
    stream = moved(module, 2, x[:3])
    with module.edit() as p:
        p["weight_ih_l0"] *= 2  # not the stream's business
    copy = pickle.loads(pickle.dumps(stream))
    assert np.array_equal(copy.block(x[3:]), stream.block(x[3:])) and copy.batch_size == 2
    copy.refresh()
    copy.reset()
    assert np.array_equal(copy.block(x), module(x)[0])
