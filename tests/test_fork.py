"""Forked child processes compute, whatever other threads were doing. Scripts run in separate processes."""

import subprocess
import sys
import textwrap

import pytest

from lstm_fast import _core
from optional import MUST_HAVE_ALL, light
from scripts import PRELUDE, run

BACKENDS = ["openmp", "pthreads"] if _core.has_openmp() else ["pthreads"]


@pytest.fixture(autouse=True, params=light(BACKENDS, [_core.threads()]))
def backend(request, monkeypatch):
    """Back-end of the threads in each script."""
    monkeypatch.setenv("LSTM_FAST_THREADS", request.param)
    return request.param


IN_CHILD = """
def in_child(function):
    \"\"\"True if the function, in a child made by fork, returns True within 5 s.\"\"\"
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if function() else 1)
    return os.waitpid(child, 0)[1] == 0
"""


def test_fork_after_a_threaded_call():
    run(
        IN_CHILD
        + """
want = busy()
for turn in range(10):
    assert in_child(lambda: same(busy(), want)), "child"
    assert in_child(lambda: same(busy(8), want) and in_child(lambda: same(busy(), want))), "grandchild"
    assert same(busy(), want), "parent"
"""
    )


def test_forked_child_reports_its_number_of_threads():
    """With OpenMP one; a pool starts its workers again."""
    run(
        IN_CHILD
        + """
n = lf.get_num_threads()
of_child = 1 if lf.info()["threads"] == "openmp" else n
assert in_child(lambda: lf.get_num_threads() == of_child)
lf._core.testing.use_split("rows")  # a team, even if other processes keep the processors busy
busy(3)
n_tasks = lambda: len(os.listdir("/proc/self/task"))
def uses_threads():
    before = n_tasks()
    busy(3)
    return n_tasks() - before == (0 if lf.info()["threads"] == "openmp" else 2)
assert in_child(uses_threads)
""",
        OMP_NUM_THREADS="2",
    )


def test_fork_before_any_call():
    run(
        IN_CHILD
        + """
results = [in_child(lambda: busy().size > 0), same(busy(), busy(1)), in_child(lambda: same(busy(), busy(1)))]
assert all(results), results
"""
    )


def test_fork_while_another_thread_is_in_a_call():
    run(
        IN_CHILD
        + """
want, stop = busy(), threading.Event()
def keep_busy():
    while not stop.is_set():
        busy()
others = [threading.Thread(target=keep_busy) for _ in range(2)]
for other in others: other.start()
results = []
for turn in range(20):
    time.sleep(0.003)
    results.append(in_child(lambda: same(busy(), want)))
from_other = []
other = threading.Thread(target=lambda: from_other.append(in_child(lambda: same(busy(), want))))
other.start(); other.join()
stop.set()
for other in others: other.join()
assert all(results) and from_other == [True], (results, from_other)
assert same(busy(), want)
"""
    )


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_pool_works_after_a_threaded_call(method, tmp_path):
    # A file, because spawn imports the main module again.
    (tmp_path / "main.py").write_text(
        PRELUDE
        + textwrap.dedent(f"""
        import multiprocessing
        if __name__ == "__main__":
            want = busy()
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                results = pool.map_async(busy, [1, 2, 3, 2]).get(timeout=30)
            assert all(same(result, want) for result in results)
    """)
    )
    done = subprocess.run([sys.executable, tmp_path / "main.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_fork_during_first_backward_leaves_no_lock_held():
    run(
        IN_CHILD
        + """
results = []
for turn in range(6):
    lstm = lf.LSTM(1024, 1024, seed=turn)  # packing for backward takes a while and releases the GIL
    output, _, tape = lstm.forward(np.ones((1, 1, 1024), np.float32))
    backward = lambda: lstm.backward(tape, output, num_threads=1).flat
    other = threading.Thread(target=backward)
    other.start()
    time.sleep(0.002 * turn)
    results.append(in_child(lambda: len(backward()) > 0))
    other.join()
assert all(results), results
"""
    )


def test_concurrent_first_backward_gives_the_same_gradients():
    run("""
for turn in range(10):
    lstm = lf.LSTM(64, 64, seed=turn)
    output, _, tape = lstm.forward(np.ones((3, 2, 64), np.float32))
    gate, got = threading.Barrier(4), []
    def work():
        gate.wait()
        got.append(lstm.backward(tape, output, num_threads=1).flat)
    others = [threading.Thread(target=work) for _ in range(4)]
    for other in others: other.start()
    for other in others: other.join()
    assert len(got) == 4 and all(same(flat, got[0]) for flat in got)
""")


def test_fork_while_tapes_are_created_leaves_no_lock_held():
    turns = 60 if MUST_HAVE_ALL else 20
    run(
        f"TURNS = {turns}"
        + IN_CHILD
        + """
Memory, stop = type(lstm.forward(x)[2]._memory), threading.Event()
def use(n):
    for _ in range(n):
        Memory(16 << 20)
    return True
def keep_busy():
    while not stop.is_set():
        use(1)
others = [threading.Thread(target=keep_busy) for _ in range(4)]
for other in others: other.start()
results = [in_child(lambda: use(2)) for turn in range(TURNS)]
stop.set()
for other in others: other.join()
assert all(results), results
"""
    )


def test_fork_while_another_thread_calls_a_fleet_stream():
    run(
        IN_CHILD
        + """
fleet = lf.Fleet([lf.LSTM(8, 64, seed=k) for k in range(8)])
x = np.ones((8, 400, 8), np.float32)
stream, want = fleet.stream(), fleet(x)[0]
def in_fork():
    stream.reset()
    return same(stream.block(x, num_threads=1), want)
results = []
for turn in range(10):
    stop = threading.Event()
    other = threading.Thread(target=lambda: [stream.block(x, num_threads=1) for _ in iter(stop.is_set, True)])
    other.start()
    time.sleep(0.003 * turn)
    results.append(in_child(in_fork))
    stop.set()
    other.join()
assert all(results), results
assert in_child(in_fork) and in_fork()
"""
    )
