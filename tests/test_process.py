"""The library inside a process: floating-point modes, import, the environment.

Scripts run in separate processes, so that a hang or a crash is a failure of one test.
"""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import lstm_fast
from lstm_fast import _core
from module_cases import draw, make, train
from scripts import run


def run_bare(code, **environment):
    """A bare `python -c`: exit status, output and errors."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ | environment
    )
    return done.returncode, done.stdout.strip(), done.stderr


# ---- floating-point modes ------------------------------------------------------------------------------------------


def denormals_work():
    return bool((np.full(32, 1e-40, np.float32) * np.float32(1)).all() and np.float64(1e-310) * np.float64(1))


def test_floating_point_mode_of_the_caller_is_restored(isa):
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


def test_floating_point_mode_of_the_caller_does_not_affect_results():
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


def test_denormal_numbers_are_not_slow():
    """Without flushing they would take 45 times as long; bounds are wide because machines are shared."""
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
    status, _output, errors = run_bare("""if True:
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
    status, best, _ = run_bare(show, LSTM_FAST_ISA="")
    assert status == 0 and _core.base_isa(best) == _core.base_isa(_core.available_isas()[-1])


def test_thread_backend_comes_from_the_environment():
    show = "import lstm_fast; print(lstm_fast.info()['threads'], lstm_fast.get_num_threads())"
    n = len(os.sched_getaffinity(0))
    default = "openmp" if _core.has_openmp() else "pthreads"
    for name, most in ((default, n), ("pthreads", n), ("none", 1)):
        status, shown, errors = run_bare(show, LSTM_FAST_THREADS=name, OMP_NUM_THREADS=str(n))
        assert status == 0, errors
        assert shown.split()[0] == name and 1 <= int(shown.split()[1]) <= most
    assert run_bare(show, LSTM_FAST_THREADS="")[1].split()[0] == default
    assert run_bare(show, LSTM_FAST_THREADS="pthreads", OMP_NUM_THREADS="1")[1] == "pthreads 1"
    status, _, errors = run_bare(show, LSTM_FAST_THREADS="tbb")
    assert status == 1 and "LSTM_FAST_THREADS must be one of openmp, pthreads, none, got 'tbb'" in errors


def test_unknown_isa_in_the_environment_raises_with_the_choices():
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
    processors = len(os.sched_getaffinity(0))
    for wrong in ("2000000000", "1025", str(2**63)):
        assert 1 <= int(run_bare(show, OMP_NUM_THREADS=wrong)[1]) <= processors
    first = min(os.sched_getaffinity(0))
    assert run_bare(f"import os; os.sched_setaffinity(0, {{{first}}})\n{show}", OMP_NUM_THREADS="")[:2] == (0, "1")


def test_info_has_what_a_bug_report_needs():
    info = lstm_fast.info()
    assert {"version", "isa", "isa_available", "openmp", "threads", "num_threads", "numpy", "compiler"} <= set(info)
    assert info["isa_available"] == _core.available_isas() and info["isa"] in info["isa_available"]
    assert info["numpy"] == np.__version__ and info["version"] == lstm_fast.__version__


# ---- memory --------------------------------------------------------------------------------------------------------
