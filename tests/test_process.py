"""The library inside a process: threads of Python, floating-point modes, import, the environment.

Scripts run in processes of their own, so that a hang or a crash is a failure of one test.
"""

import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import lstm_fast
from lstm_fast import _core
from module_cases import draw, infer, make, train
from scripts import long_call, run


def run_bare(code, **environment):
    """A bare `python -c`: exit status, output and errors."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ | environment
    )
    return done.returncode, done.stdout.strip(), done.stderr


# ---- Python's threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads, T, H, turns", [(1, 3, 5, 150), (2, 60, 33, 20)])
def test_threads_share_an_object_while_one_swaps_its_weights(isa, n_threads, T, H, turns):
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


def test_num_threads_holds_in_its_block_and_its_thread_alone():
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


def test_call_wakes_as_many_threads_as_it_was_allowed():
    run("""
    def n_tasks():
        return len(os.listdir("/proc/self/task"))
    before = n_tasks()
    busy(1)
    lstm(x[:1], num_threads=8)
    assert n_tasks() == before, "one thread, or too little work to share"
    busy(3)
    assert n_tasks() == before + (2 if lf.info()["openmp"] else 0)
    """)


# ---- floating-point modes ------------------------------------------------------------------------------------------


def denormals_work():
    return bool((np.full(32, 1e-40, np.float32) * np.float32(1)).all() and np.float64(1e-310) * np.float64(1))


def test_mode_of_the_caller_is_as_before_after_a_call(isa):
    lstm = make("lstm", 16, 65, dtype=np.float32)
    a = draw(np.random.default_rng(1), lstm, 40, 33)
    results = []

    def check():
        before = denormals_work()
        train(lstm, a, num_threads=3)
        with pytest.raises(ValueError):
            lstm(np.ones(3))
        results.append((before, denormals_work()))

    check()
    for _ in range(3):
        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
    assert results == [(True, True)] * 4


# fegetenv and fesetenv of the C library: where the control word lies in fenv_t, and in it flush-to-zero, rounding up
# and the masks of invalid operation, division by zero and overflow, which unmasked would kill the process.
MODES = """
import ctypes, platform
libm = ctypes.CDLL("libm.so.6")
places = {"x86_64": (7, 0x8040, 0x4000, 0x680), "aarch64": (0, 1 << 24, 1 << 22, 0)}
word, flush, upward, traps = places[platform.machine()]
def in_mode(change, function):
    kept, changed = (ctypes.c_uint32 * 16)(), (ctypes.c_uint32 * 16)()
    libm.fegetenv(kept)
    libm.fegetenv(changed)
    changed[word] = changed[word] & ~traps | change
    libm.fesetenv(changed)
    result = function()
    libm.fegetenv(changed)
    after = changed[word]
    libm.fesetenv(kept)
    assert after & change == change, hex(after)
    return result
"""


def test_mode_of_the_caller_changes_no_bit():
    run(
        MODES
        + """
lstm.forward(x)
denormal = np.full((4, 2, 16), 1e-40, np.float32)
for n in (1, 3):
    function = lambda: [busy(n), lstm(denormal)[0]]
    want = function()
    for change in (flush, upward, flush | upward, 0):
        assert in_mode(flush, lambda: np.float32(1e-40) * np.float32(1)) == 0, "the mode is set at all"
        got = in_mode(change, function)
        assert all(same(g, w) for g, w in zip(got, want)), (n, hex(change))
"""
    )


def test_denormal_numbers_cost_no_time():
    """Unprotected they cost 45 times as much; bounds are wide, as machines are shared."""
    lstm = make("lstm", 64, 64, dtype=np.float32)
    x = np.random.default_rng(0).standard_normal((100, 4, 64)).astype(np.float32)

    def seconds(x):
        begin = time.perf_counter()
        lstm(x, num_threads=1)
        return time.perf_counter() - begin

    normal, tiny = (min(seconds(x * np.float32(scale)) for _ in range(15)) for scale in (1, 1e-39))
    assert tiny < 4 * normal


# ---- import and environment ----------------------------------------------------------------------------------------


def test_import_starts_no_thread_loads_no_framework_and_changes_nothing():
    status, output, errors = run_bare("""if True:
        import os, random, signal, sys, threading
        import numpy as np
        def world():
            handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGFPE, signal.SIGSEGV, signal.SIGTERM)]
            threads = len(os.listdir("/proc/self/task")), threading.active_count()
            numbers = (np.full(8, 1e-40, np.float32) * np.float32(1)).tolist()
            return (threads, handlers, dict(os.environ), os.getcwd(), np.random.get_state()[1].tolist(),
                    random.getstate(), np.geterr(), numbers)
        modules, before = set(sys.modules), world()
        import lstm_fast
        assert world() == before
        new = {name for name in set(sys.modules) - modules}
        heavy = {"torch", "matplotlib", "tqdm", "importlib.metadata", "sklearn", "onnx", "keras", "scipy", "pandas"}
        assert not heavy & new, heavy & new
        assert not {"lstm_fast.reference", "lstm_fast.datasets", "lstm_fast.tour", "lstm_fast.__main__"} & new
        assert lstm_fast.reference.lstm_forward and lstm_fast.__version__ and "LSTM" in dir(lstm_fast)
    """)
    assert status == 0, errors


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="lstm_fast.*nonsense"):
        _ = lstm_fast.nonsense


def test_isa_comes_from_the_environment():
    show = "import lstm_fast; print(lstm_fast.info()['isa'])"
    for name in _core.available_isas():
        assert run_bare(show, LSTM_FAST_ISA=name)[:2] == (0, name)
    assert run_bare(show, LSTM_FAST_ISA="")[:2] == (0, _core.available_isas()[-1])


def test_unknown_isa_in_the_environment_is_an_error_that_lists_the_choices():
    for wrong in ("nonsense", "AVX2", "avx2 ", *(set(_core.compiled_isas()) - set(_core.available_isas()))):
        status, _, errors = run_bare("import lstm_fast", LSTM_FAST_ISA=wrong)
        assert status == 1
        assert errors.splitlines()[-1].startswith(
            f"ValueError: LSTM_FAST_ISA must be one of {', '.join(_core.available_isas())} here, got {wrong!r}"
        ), errors


def test_default_number_of_threads_comes_from_openmp_and_affinity():
    show = "import lstm_fast; print(lstm_fast.get_num_threads())"
    assert run_bare(show, OMP_NUM_THREADS="1")[:2] == (0, "1")
    assert int(run_bare(show, OMP_NUM_THREADS="2")[1]) <= 2
    first = min(os.sched_getaffinity(0))
    assert run_bare(f"import os; os.sched_setaffinity(0, {{{first}}})\n{show}", OMP_NUM_THREADS="")[:2] == (0, "1")


def test_info_tells_what_a_bug_report_needs():
    info = lstm_fast.info()
    assert {"version", "isa", "isa_available", "openmp", "num_threads", "numpy", "compiler"} <= set(info)
    assert info["isa_available"] == _core.available_isas() and info["isa"] in info["isa_available"]
    assert info["numpy"] == np.__version__ and info["version"] == lstm_fast.__version__


# ---- memory --------------------------------------------------------------------------------------------------------
