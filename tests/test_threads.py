"""Python threads: they share objects, edits of one object do not overlap, num_threads is scoped."""

import copy
import itertools
import threading
import time

import numpy as np
import pytest

import lstm_fast
from module_cases import draw, infer, make, train
from scripts import long_call, run


@pytest.mark.parametrize("n_threads, T, H, turns", [(1, 3, 5, 150), (2, 60, 33, 20)])
def test_threads_share_an_object_while_its_weights_are_replaced(some_isa, n_threads, T, H, turns):
    lstm = make("lstm", 3, H, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(8), lstm, T, 9)
    sets = [make("lstm", 3, H, num_layers=2, bidirectional=True, seed=seed).state_dict() for seed in (1, 2)]
    wants = []
    for weights in sets:
        lstm.load_state_dict(weights)
        wants.append(train(lstm, a)[0])
    seen, errors, workers_left = [0, 0], [], threading.Semaphore(0)

    def compare(got):
        which = [all(np.array_equal(got[name], want[name]) for name in got) for want in wants]
        assert sum(which) == 1, "a mixture of two sets of weights, or something else"
        seen[which.index(True)] += 1

    def work():
        try:
            for _ in range(turns):
                compare(infer(lstm, a, num_threads=n_threads))
                compare(train(lstm, a, num_threads=n_threads)[0])
        except BaseException as error:
            errors.append(error)
        finally:
            workers_left.release()

    threads = [threading.Thread(target=work) for _ in range(7)]
    for thread in threads:
        thread.start()
    swaps = itertools.cycle(sets)
    for _ in threads:
        while not workers_left.acquire(timeout=0.0005):
            lstm.load_state_dict(next(swaps))
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    assert min(seen) > 0, f"results of each set of weights: {seen}"


def test_overlapping_edits_lose_nothing_silently():
    lstm, n, applied, rejected = make("lstm", 3, 5), 200, [], []
    with lstm.edit() as p:
        p["bias_ih_l0"][:] = 0

    def work():
        for _ in range(n):
            try:
                with lstm.edit() as p:
                    p["bias_ih_l0"] += 1
                    time.sleep(0)
                applied.append(1)
            except RuntimeError as error:
                assert "must not overlap" in str(error)
                rejected.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(applied) + len(rejected) == 4 * n and (lstm.parameters()["bias_ih_l0"] == len(applied)).all()
    with pytest.raises(RuntimeError, match="must not overlap"), lstm.edit() as outer:
        outer["bias_ih_l0"][:] = 7
        with lstm.edit() as inner:
            inner["bias_ih_l0"][:] = 8
    assert (lstm.parameters()["bias_ih_l0"] == 8).all()
    weights = lstm.state_dict()
    with pytest.raises(RuntimeError, match="must not overlap"), lstm.edit() as outer:
        lstm.load_state_dict(weights)


def test_copies_draw_independent_masks():
    lstm, x = make("lstm", 3, 5, dropout=0.5, num_layers=2), np.ones((4, 2, 3), np.float32)
    twin, other = copy.copy(lstm), copy.copy(lstm)
    want = [lstm.forward(x)[0] for _ in range(3)]
    assert all(np.array_equal(twin.forward(x)[0], output) for output in want)  # also after the first drew
    assert np.array_equal(other.forward(x)[0], want[0])


@pytest.mark.parametrize("mode", ["inference", "backward"])
def test_other_threads_run_during_a_call(mode):
    run(
        long_call(mode)
        + """
ticks, stop = [], threading.Event()
def tick():
    while not stop.wait(0.002):
        ticks.append(time.monotonic())
ticker = threading.Thread(target=tick)
ticker.start()
duration = seconds(long)
stop.set(); ticker.join()
gap = max(b - a for a, b in zip(ticks, ticks[1:]))
assert len(ticks) > 20 and gap < duration / 2, (len(ticks), gap, duration)
"""
    )


def test_num_threads_applies_to_its_block_and_thread_only():
    lstm_fast.set_num_threads(5)
    elsewhere = []
    with lstm_fast.num_threads(3):
        assert lstm_fast.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), lstm_fast.num_threads(2):
            assert lstm_fast.get_num_threads() == 2
            other = threading.Thread(target=lambda: elsewhere.append(lstm_fast.get_num_threads()))
            other.start()
            other.join()
            raise ZeroDivisionError
        assert lstm_fast.get_num_threads() == 3
        lstm_fast.set_num_threads(7)
        assert lstm_fast.get_num_threads() == 3
    assert lstm_fast.get_num_threads() == 7 and elsewhere == [5]
    assert lstm_fast.info()["num_threads"] == 7


def test_call_wakes_at_most_the_allowed_threads():
    run("""
    def n_tasks():
        return len(os.listdir("/proc/self/task"))
    before = n_tasks()
    busy(1)
    lstm(x[:1], num_threads=8)
    assert n_tasks() == before, "one thread, or too little work to share"
    busy(3)
    assert n_tasks() == before + (2 if lf.info()["threads"] != "none" else 0)
    """)
