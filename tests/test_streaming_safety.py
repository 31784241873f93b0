"""Streams with overlapping memory, concurrent threads and failing calls: an error or the right result, and no access
outside the stream's memory."""

import numpy as np
import pytest

from lstm_fast.streaming import Stream
from scripts import run
from test_streaming import make, moved


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_out_must_not_alias_the_state(kind):
    stream, x = make(kind).stream(), np.ones(3, np.float32)
    for out in (stream.h[0, 0], stream.h[1, 0], *([stream.c[1, 0]] if kind == "lstm" else [])):
        with pytest.raises(ValueError, match="no part of the stream's state"):
            stream.step(x, out)
    assert np.array_equal(stream.step(x), make(kind).stream().step(x))


def test_x_may_alias_the_state_or_out():
    """A network that reads its own output has the same bits as with copies."""
    module, start = make(I=5, L=3, H=5), np.random.default_rng(9).standard_normal((4, 5)).astype(np.float32)
    for pick in (lambda s: s.h[0], lambda s: s.h[1], lambda s: s.h[2], lambda s: s.c[1]):
        got, want = module.stream(4), module.stream(4)
        got.step(start), want.step(start)
        for _ in range(3):
            assert np.array_equal(got.step(pick(got)), want.step(pick(want).copy()))
            assert np.array_equal(got.block(got.h), want.block(want.h.copy()))
            assert np.array_equal(got.block(got.h[::-1]), want.block(want.h[::-1].copy()))
    buffer, want = start.copy(), start
    got_stream, want_stream = module.stream(4), module.stream(4)
    for _ in range(3):
        want = want_stream.step(want)
        assert got_stream.step(buffer, buffer) is buffer and np.array_equal(buffer, want)


def test_state_can_be_set_from_its_own_views():
    stream = moved(make(), 3, np.ones((2, 3, 3), np.float32))
    h, c = stream.state
    stream.state = stream.h[:, ::-1], stream.c[::-1]
    assert np.array_equal(stream.h, h[:, ::-1]) and np.array_equal(stream.c, c[::-1])


def test_uninitialized_stream_raises():
    stream = Stream.__new__(Stream)
    stream._release()
    calls = [
        lambda: stream.step(np.ones(3)),
        lambda: stream._fast_block(np.ones((2, 3), np.float32)),
        lambda: stream.h,
        lambda: stream.state,
        lambda: stream.add(),
        lambda: stream.reset(),
        lambda: stream._use_version(make()._version),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="was not initialized"):
            call()


def test_streams_keep_the_sizes_of_their_network():
    stream = make().stream(2)
    for other in (make(H=6), make(L=1), make(I=4), make("rnn"), make(dtype=np.float64), make(proj_size=2)):
        with pytest.raises(ValueError, match="keeps the sizes"):
            stream._use_version(other._version)
    with pytest.raises(RuntimeError, match="initialized only once"):
        stream.__init__(make())


def test_refresh_during_steps_of_another_thread():
    run("""
module = lf.LSTM(512, 1024, seed=0)
stream, x = module.stream(64), np.ones((64, 512), np.float32)
want = [stream.step(x) for _ in range(6)]
stream.reset()
got = []
def work():
    for _ in range(6):
        got.append(stream.step(x))
other = threading.Thread(target=work)
other.start()
n = 0
while other.is_alive():
    stream.refresh()
    n += 1
other.join()
assert n > 20 and len(got) == 6 and all(map(same, got, want)), n
""")


def test_concurrent_steps_are_serialized():
    run("""
stream, x = lf.LSTM(16, 256, seed=0).stream(20000), np.ones((20000, 16), np.float32)
want = [stream.step(x), stream.step(x)]
snapshot = stream.snapshot()
stream.reset()
stream.step(x)
got = []
other = threading.Thread(target=lambda: got.append(stream.step(x)))
lf.set_num_threads(1)
other.start()
time.sleep(0.02)
mask, rejected = np.arange(20000) > 200, 0
for move in (lambda: stream.step(x), lambda: stream.block(x[None]), lambda: stream.block(x[None], num_threads=1),
             lambda: stream.add(3), lambda: stream.remove(mask), lambda: stream.reset(), lambda: stream.reset(mask),
             lambda: stream.snapshot(), lambda: stream.restore(snapshot), lambda: stream.state,
             lambda: setattr(stream, "state", stream.state), lambda: stream.__reduce__()):
    try:
        move()
    except RuntimeError as error:
        assert "one thread at a time" in str(error), error
        rejected += 1
stream.refresh()
assert other.is_alive(), "the step was over too early to tell"
other.join()
assert rejected == 12, rejected
assert same(got[0], want[1]) and same(stream.h[0], want[1]) and stream.batch_size == 20000
stream.step(x)
""")


def test_signal_handler_using_the_interrupted_stream_raises():
    run("""
lf.set_num_threads(1)
stream, x, seen = lf.LSTM(16, 256, seed=0).stream(20000), np.ones((20000, 16), np.float32), []
def handler(*_):
    try:
        stream.reset()
    except RuntimeError as error:
        seen.append(error)
signal.signal(signal.SIGALRM, handler)
want = stream.step(x)
stream.reset()
signal.setitimer(signal.ITIMER_REAL, 0.02)
assert same(stream.step(x), want) and len(seen) == 1
stream.reset()
""")


def test_adding_too_many_sequences_changes_nothing():
    stream, x = make(I=1, H=1, L=1).stream(), np.ones(1, np.float32)
    stream.step(x)
    before = stream.state
    for n in (2**38, 2**40 - 1):
        with pytest.raises(MemoryError):
            stream.add(n)
    assert stream.batch_size == 1 and all(map(np.array_equal, stream.state, before))
    want = make(I=1, H=1, L=1).stream()
    want.step(x)
    assert np.array_equal(stream.step(x), want.step(x)) and stream.add(2) == 3
