"""Each allocation of a call fails once, the first, the second, ...: a MemoryError or the right result, and the object works as
before. malloc is replaced by one that fails on demand (tests/c/failing_malloc.c), in separate processes.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from scripts import run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="preloads a malloc over that of glibc")


@pytest.fixture(scope="module")
def failing_malloc(tmp_path_factory):
    library = tmp_path_factory.mktemp("malloc") / "failing_malloc.so"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    source = Path(__file__).with_name("c") / "failing_malloc.c"
    subprocess.run([*compiler, "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


# try_all: make() creates an object, move(object) is the call that fails, check(object, result) raises unless all is
# well; result is None after an error.
TRY_ALL = """
import copy, ctypes, gc, pickle, tempfile
libc = ctypes.CDLL(None)
arm, disarm = libc.failing_malloc_arm, libc.failing_malloc_disarm
arm.argtypes, disarm.restype = [ctypes.c_long], ctypes.c_long
lf.set_num_threads(1)
kinds = set()
def attempt(n, move, subject):
    try:
        arm(n)
        return move(subject), disarm()
    except Exception as error:  # not always a MemoryError: NumPy and pickle raise their own
        kinds.add(type(error).__name__)
        return None, disarm()
    finally:
        disarm()
def try_all(make, move, check, most=200):
    for _ in range(3):  # fills caches
        subject = make()
        check(subject, move(subject))
    total = 10**8 - attempt(10**8, move, make())[1]
    n_failed = 0
    gc.disable()
    for n in range(1, total + 2, max(1, total // most)):
        subject = make()
        result, left = attempt(n, move, subject)
        n_failed += left == 0 and result is None
        try:
            check(subject, result)
        except BaseException:
            print("allocation", n, "of", total, file=sys.stderr)
            raise
    gc.enable()
    print(total, "allocations,", n_failed, "calls failed:", *sorted(kinds))
    assert n_failed > 0
def make(**options):
    return lf.LSTM(3, 5, 2, seed=0, **options)
def all_same(got, want):
    return all(map(same, got, want))
x = rng.standard_normal((4, 3, 3)).astype(np.float32)
"""

CASES = {
    "construction": """
for options in ({}, dict(bidirectional=True, proj_size=3, layer_norm=True, learn_initial_state=True)):
    want = make(**options)(x)[0]
    def check(_, got):
        assert same((got or make(**options))(x)[0], want)
    try_all(lambda: None, lambda _: make(**options), check)
""",
    "inference": """
n, state = np.array([4, 1, 3]), make()(x)[1]
for call in (lambda o: o(x), lambda o: o(x, state), lambda o: o(x, lengths=n), lambda o: o(x.tolist(), num_threads=1),
             lambda o: o(x, resets=np.ones((4, 3), bool))):
    want = call(make())[0]
    def check(o, got):
        assert got is None or same(got[0], want)
        assert same(call(o)[0], want)
    try_all(make, call, check)
""",
    "training": """
def call(o):
    output, _, tape = o.forward(x, training=False)
    return o.backward(tape, output).flat
want = call(make())
def check(o, got):
    assert got is None or same(got, want)
    assert same(call(o), want)
try_all(make, call, check)
p = [value for name, value in lf.LSTM(3, 5, seed=0).parameters().items()]
def call(_):
    output, h, c, tape = lf.lstm_forward(x, None, None, *p)
    return np.concatenate([g.ravel() for g in lf.lstm_backward(tape, output)])
want = call(None)
try_all(lambda: None, call, check)
""",
    "stream": """
def make_stream():
    s = make(learn_initial_state=True).stream(3)
    s.block(x[:2])
    return s
mask, other = np.array([True, False, True]), make(learn_initial_state=True)
with other.edit() as p:
    p["weight_ih_l0"] *= 2
snapshot, state = make_stream().snapshot(), tuple(2 * part for part in make_stream().state)
def refresh(s):
    s.module.load_state_dict(other.state_dict())
    s.refresh()
MOVES = {
    "step": lambda s: s.step(x[2]), "step of a list": lambda s: s.step(x[2].tolist()), "block": lambda s: s.block(x[2:]),
    "slow block": lambda s: s.block(x[2:], num_threads=1), "add": lambda s: s.add(5), "remove": lambda s: s.remove(mask),
    "reset": lambda s: (s.reset(), 1), "reset some": lambda s: (s.reset(mask), 1), "restore": lambda s: (s.restore(snapshot), 1),
    "state": lambda s: (setattr(s, "state", state), 1), "refresh": lambda s: (refresh(s), 1), "snapshot": lambda s: s.snapshot(),
    "pickle": lambda s: pickle.dumps(s), "copy": lambda s: copy.copy(s),
}
for name, move in MOVES.items():
    print(name, end=": ")
    before, after = make_stream(), make_stream()
    move(after)
    ways = []
    for way in (before, after):
        ways.append((way.batch_size, way.state, way.step(np.ones((way.batch_size, 3), np.float32))))
    def check(s, got):
        assert s.batch_size in (ways[0][0], ways[1][0])
        for n, states, h in ways[got is not None:] if name != "refresh" or got is not None else ways:
            if s.batch_size == n and all_same(s.state, states):
                step = s.step(np.ones((n, 3), np.float32))
                if same(step, h):
                    s.add(2), s.reset(), s.refresh()
                    return
        raise AssertionError((name, got is None, s.batch_size))
    try_all(make_stream, move, check)
""",
    "parameters": """
new = {name: 2 * value for name, value in make().parameters().items()}
old, twice, want = make().flat_parameters, 2 * make().flat_parameters, [make()(x)[0]]
def edit(o):
    with o.edit() as p:
        for name in p:
            p[name] = new[name]
    return 1
for move in (edit, lambda o: (o.load_state_dict(new), 1), lambda o: o.state_dict(), lambda o: copy.copy(o),
             lambda o: o.quantized(), lambda o: pickle.loads(pickle.dumps(o))):
    after = make()
    move(after)
    def check(o, got):
        wants = [make().flat_parameters, after.flat_parameters]
        assert any(same(o.flat_parameters, want) for want in (wants[1:] if got is not None else wants))
        output, _, tape = o.forward(x)
        assert len(o.backward(tape, output).flat) == len(o.flat_parameters)
    try_all(make, move, check)
""",
    "files": """
folder = tempfile.mkdtemp()
path, model = os.path.join(folder, "model.safetensors"), lambda: lf.train.SequenceModel(make(), 2, seed=0)
want = model().predict(x)
def check(o, got):
    assert same(o.predict(x), want)
    left = os.listdir(folder)
    assert left in ([], ["model.safetensors"]), left
    if got is not None or left:
        assert same(lf.train.load(path).predict(x), want)
    if left and got is not None:
        os.remove(path)
try_all(model, lambda o: (o.save(path), 1), check)
model().save(path)
def check(_, got):
    assert same((got or lf.train.load(path)).predict(x), want)
try_all(lambda: None, lambda _: lf.train.load(path), check)
""",
    "fit": """
y = rng.standard_normal((6, 4, 2)).astype(np.float32)
data = rng.standard_normal((6, 4, 3)).astype(np.float32)
def model():
    return lf.train.SequenceModel(make(dropout=0.3), 2, readout="all", seed=0)
def fit(o):
    return lf.train.fit(o, data, y, epochs=2, batch_size=2, seed=0, validation=0.3)
start, want = model().state_dict(), model()
fit(want)
def check(o, got):
    assert all(np.isfinite(value).all() for value in o.state_dict().values())
    assert got is None or all(same(value, want.state_dict()[name]) for name, value in o.state_dict().items())
    o.load_state_dict(start)
    fit(o)
    assert all(same(value, want.state_dict()[name]) for name, value in o.state_dict().items())
try_all(model, fit, check, most=150)
""",
}


@pytest.mark.skipif(sysconfig.get_config_var("Py_GIL_DISABLED"), reason="has no PYTHONMALLOC=malloc")
@pytest.mark.parametrize("case", CASES)
def test_failed_allocation_changes_nothing(failing_malloc, case):
    print(run(TRY_ALL + CASES[case], timeout=300, LD_PRELOAD=failing_malloc, PYTHONMALLOC="malloc"))
