"""Teams of threads in the C core: both back-ends, several callers, no thread can be started, one thread is faster."""

import copy
import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
from units import ROOT, compiler

import lstm_fast
from lstm_fast import _core
from module_cases import draw, make, train
from optional import light
from scripts import run
from test_bits import assert_all_same_bits
from test_c_driver import accepts

BACKENDS = ["openmp", "pthreads"] if _core.has_openmp() else ["pthreads"]
SANITIZERS = [["-fsanitize=thread"], ["-fsanitize=address,undefined"], []]
SOURCES = [ROOT / "csrc" / f"{name}.c" for name in ("threads", "pool", "barrier", "system", "oversubscription")]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no threads yet")


# ---- the back-ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", light(SANITIZERS, SANITIZERS[:1]), ids=str)
def test_teams_have_no_data_races(flags, tmp_path):
    """The pool; OpenMP's own synchronization is invisible to ThreadSanitizer."""
    if not accepts(*flags):
        pytest.skip(f"{compiler()} has no {flags}")
    extra = ["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-g", f"-I{ROOT}/csrc", "-pthread"]
    program = tmp_path / "threads"
    subprocess.run([*compiler(), *extra, *flags, ROOT / "tests/c/threads.c", *SOURCES, "-o", program], check=True)
    done = subprocess.run([program, *(["no-forks"] if flags else [])], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


@pytest.fixture(params=BACKENDS)
def backend(request):
    before = _core.threads()
    _core.use_threads(request.param)
    yield request.param
    _core.use_threads(before)


@pytest.mark.parametrize("num_layers, T, B, dropout", [(2, 30, 7, 0), (3, 47, 40, 0.3), (4, 600, 1, 0)])
@pytest.mark.parametrize("split", ["rows", "directions", "units", "layers"])
def test_backends_agree_bitwise(backend, split, num_layers, T, B, dropout):
    """Chunks of one and of several blocks of steps, an odd length in the middle of which both directions meet."""
    lstm = make("lstm", 5, 33, num_layers=num_layers, bidirectional=split == "directions", dropout=dropout)
    a = draw(np.random.default_rng(3), lstm, T, B)
    want, _ = train(copy.copy(lstm), a, num_threads=1)
    _core.testing.use_split(split)
    try:
        for n in (2, 3, 5):
            assert_all_same_bits(train(copy.copy(lstm), a, num_threads=n)[0], want, f"{n} threads")
    finally:
        _core.testing.use_split()
    assert lstm_fast.info()["threads"] == backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_concurrent_callers_have_separate_teams(backend):
    run(
        """
want, wrong = busy(1), []
def call():
    for n in (2, 3, 2, 4):
        if not same(busy(n), want): wrong.append(n)
callers = [threading.Thread(target=call) for _ in range(4)]
for caller in callers: caller.start()
for caller in callers: caller.join()
assert not wrong
""",
        LSTM_FAST_THREADS=backend,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_interpreter_exits_while_workers_sleep_or_compute(backend):
    run(
        """
busy(3)
threading.Thread(target=lambda: [busy(3) for _ in range(10**6)], daemon=True).start()
time.sleep(0.05)
""",
        LSTM_FAST_THREADS=backend,
    )


def test_step_of_a_stream_has_workspace_for_each_worker():
    """Regression test: with per-worker operands, the second worker read out of bounds."""
    run(
        """
int8 = lf.LSTM(64, 700, seed=0).quantized("int8")
x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
one, two = int8.stream(64), int8.stream(64)
for step in range(20):
    with lf.num_threads(1):
        want = one.step(x)
    with lf.num_threads(2 + step % 3):
        assert same(two.step(x), want)
"""
    )


# ---- the split -----------------------------------------------------------------------------------------------------


def split_of(T, B, H, n_threads, *, num_layers=1, bidirectional=False, is_backward=False):
    """How a call would be divided, with the rates of AVX2."""
    before = _core.isa()
    if "avx2" not in _core.available_isas():
        pytest.skip("the model's rates are those of the instruction set")
    _core.use_isa("avx2")
    try:
        lstm = lstm_fast.LSTM(H, H, num_layers, bidirectional=bidirectional)
        return _core.testing.split_of(lstm._version.weights, T, B, n_threads, is_backward)[:2]
    finally:
        _core.use_isa(before)


@pytest.mark.parametrize(
    "shape, options, expected",
    [
        ((100, 1, 16), {}, ("rows", 1)),
        ((100, 1, 64), {}, ("rows", 1)),  # a step is shorter than a barrier
        ((100, 1, 256), {}, ("units", 2)),
        ((100, 1, 1024), {}, ("units", 2)),
        ((1, 1, 64), {}, ("rows", 1)),
        ((1, 1, 1024), {}, ("units", 2)),
        ((100, 32, 64), {}, ("rows", 2)),
        ((50, 64, 128), {}, ("rows", 2)),
        ((50, 64, 512), {}, ("units", 2)),  # half of the weights fit in each core's cache, or nearly
        ((100, 1, 64), dict(num_layers=2), ("layers", 2)),
        ((400, 1, 64), dict(num_layers=4), ("layers", 2)),
        ((100, 1, 64), dict(bidirectional=True), ("directions", 2)),
        ((100, 32, 64), dict(is_backward=True), ("rows", 2)),
        ((100, 1, 128), dict(num_layers=2, is_backward=True), ("layers", 2)),
        ((100, 1, 128), dict(bidirectional=True, is_backward=True), ("directions", 2)),
        ((100, 600, 16), dict(num_layers=2, is_backward=True), ("rows", 2)),  # a chunk is one step
    ],
    ids=str,
)
def test_split_follows_from_the_sizes(shape, options, expected):
    assert split_of(*shape, 2, **options) == expected
    assert split_of(*shape, 1, **options) == ("rows", 1)


def test_split_uses_only_threads_that_pay_off():
    """By the model; barriers of many cores have not been measured."""
    assert split_of(100, 64, 128, 16) == ("rows", 16)
    assert split_of(100, 64, 512, 16) == ("units", 16)  # each core keeps its part of the weights
    split, n = split_of(100, 1, 1024, 64)
    assert split == "units" and 4 <= n <= 64
    assert split_of(100, 1, 64, 64)[1] == 1


# ---- when no thread can be started ---------------------------------------------------------------------------------

SHORTAGES = {
    "stacks of 64 GiB": ("", dict(OMP_STACKSIZE="64G")),
    "address space": ("limit(resource.RLIMIT_AS, virtual_bytes() + (200 << 20))", {}),
    "processes": ("os.setuid(65534); limit(resource.RLIMIT_NPROC, 1)", {}),
}


@pytest.mark.skipif(sys.platform != "linux", reason="sets Linux's limits")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shortage", SHORTAGES)
def test_call_falls_back_to_fewer_threads_and_warns_once(shortage, backend):
    setup, environment = SHORTAGES[shortage]
    if shortage == "processes" and os.getuid():
        pytest.skip("only the superuser can become somebody who has no other process")
    if backend == "pthreads" and environment:
        pytest.skip("the pool does not read OpenMP's settings")
    answer = run(
        f"""
import resource, warnings
def limit(kind, n):
    resource.setrlimit(kind, (n, resource.getrlimit(kind)[1]))
    if resource.getrlimit(kind)[0] != n:
        print("no limits")
        sys.exit()
def virtual_bytes():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[0]) * resource.getpagesize()
if resource.getrlimit(resource.RLIMIT_STACK)[0] != 1 << 29:  # also of threads, if set before the process starts
    limit(resource.RLIMIT_STACK, 1 << 29)
    os.execv(sys.executable, sys.orig_argv)
want = busy(1)
{setup}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for n in (2, 3, 2):
        assert same(busy(n), want)
told = [str(w.message) for w in caught if w.category is RuntimeWarning]
assert len(told) == 1 and "no more threads" in told[0], told
assert len(os.listdir("/proc/self/task")) == 1
try:
    limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
    limit(resource.RLIMIT_NPROC, resource.getrlimit(resource.RLIMIT_NPROC)[1])
except (ValueError, OSError):
    pass
assert same(busy(2), want)
""",
        LSTM_FAST_THREADS=backend,
        **environment,
    )
    if answer == "no limits\n":
        pytest.skip("the limits of processes are not enforced here (qemu)")


# ---- when one thread is better -------------------------------------------------------------------------------------


@pytest.fixture
def budget(tmp_path):
    """oversubscription.c in isolation, with its own budget: the times of calls of 1 ms of work."""
    library = tmp_path / "oversubscription.so"
    flags = ["-std=c11", "-shared", "-fPIC"]
    subprocess.run([*compiler(), *flags, ROOT / "csrc/oversubscription.c", "-o", library], check=True)
    core = ctypes.CDLL(str(library))
    core.lstm_is_oversubscribed.restype = ctypes.c_bool
    ms = 1_000_000

    def calls(n, team_ms, has_spare_processors=False):
        """Return the milliseconds that n calls take if a team takes team_ms, and how many ran on a team."""
        total = n_teams = 0
        for _ in range(n):
            if core.lstm_is_oversubscribed():
                core.lstm_record_serial_call(ctypes.c_int64(ms), ctypes.c_bool(has_spare_processors))
                total += 1
            else:
                core.lstm_record_team(ctypes.c_int64(int(team_ms * ms)), ctypes.c_int64(ms))
                total, n_teams = total + team_ms, n_teams + 1
        return total, n_teams

    return calls


def test_idle_machine_always_uses_teams(budget):
    for _ in range(50):
        assert budget(100, 0.55)[1] == 100
        assert budget(1, 12)[1] == 1, "a moment that the system took"


@pytest.mark.parametrize("has_spare_processors", [False, True])
@pytest.mark.parametrize("team_ms", [1.2, 2, 6, 50])
def test_slow_teams_cost_at_most_five_percent(budget, team_ms, has_spare_processors):
    first, _ = budget(1000, team_ms)
    assert first < 1000 * 1.05 + 20 + 2 * team_ms, "the budget of 20 ms, then a twentieth"
    trials = 9 * team_ms if has_spare_processors else 0  # the competing load slows down only teams
    later, _ = budget(4000, team_ms, has_spare_processors)
    assert later < 4000 * 1.05 + 2 * team_ms + trials


def test_slightly_faster_teams_are_kept(budget):
    assert budget(1000, 0.95)[1] == 1000


def test_teams_resume_after_oversubscription_ends(budget):
    budget(2000, 6)
    assert budget(400, 0.55)[1] > 250, "at most about a hundred calls later"
    budget(2000, 60)
    assert budget(400, 0.55, has_spare_processors=True)[1] > 390, "five milliseconds later"
    assert budget(1, 500)[1] == 1, "a pause of the machine"
    assert budget(400, 0.55, has_spare_processors=True)[1] > 390
