"""The binding in isolation: it rejects unsafe arguments, whatever its callers have checked."""

import re
from pathlib import Path

import numpy as np
import pytest

from lstm_fast import LSTM, _core
from lstm_fast._tape import BackwardArrays
from scripts import run
from tolerances import assert_same_bits


def test_mismatched_states_raise():
    lstm = LSTM(3, 5, seed=0)
    x, output, h = np.ones((4, 2, 3), np.float32), np.zeros((4, 2, 5), np.float32), np.zeros((1, 2, 5), np.float32)
    read_only = h.copy()
    read_only.flags.writeable = False
    unaligned = np.zeros(h.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(h.shape)
    for wrong in (h.astype(np.float64), np.zeros((1, 5, 2), np.float32).swapaxes(1, 2), h.astype(">f4"), unaligned):
        with pytest.raises((ValueError, BufferError)):
            lstm._version.weights.forward(x, wrong, None, output, h, h.copy(), None, 1)
    with pytest.raises((ValueError, BufferError)):
        lstm._version.weights.forward(x, None, None, output, read_only, h, None, 1)
    lstm._version.weights.forward(x, read_only, None, output, h, h.copy(), None, 1)


def test_mismatched_gradients_raise():
    lstm = LSTM(3, 5, seed=0)
    x, h, c = np.ones((4, 2, 3), np.float32), np.zeros((1, 2, 5), np.float32), np.zeros((1, 2, 5), np.float32)
    tape = lstm.forward(x)[2]
    weights, block = lstm._version.weights, tape._memory.block
    apart = _core.Weights("lstm", np.float32, 3, 5, 1, 1, weights.arrays)  # of no flat array
    good = np.empty_like(lstm.flat_parameters)
    rows = [tuple(None if array is None else np.empty_like(array) for array in of) for of in weights.arrays]
    for of, gradients in (
        (weights, good[:-1]),
        (weights, good.astype(np.float64)),
        (weights, good.reshape(1, -1)),
        (apart, [rows[0][:-1]]),
        (apart, []),
        (apart, [(rows[0][0].T, *rows[0][1:])]),
    ):
        with pytest.raises(ValueError):
            of.backward(block, BackwardArrays(x, *[None] * 6, h, c, gradients), 1)
    for of, gradients in ((weights, good), (apart, rows)):
        arrays = BackwardArrays(x, None, None, None, h * 0 + 1, None, None, h.copy(), c, gradients)
        of.backward(block, arrays, 1)
    for name, value in zip(_core.PARAMETERS, rows[0], strict=True):
        if value is not None:
            assert_same_bits(value, lstm.unflatten(good)[name + "_l0"])
    with pytest.raises(ValueError, match="PARAMETERS"):
        _core.Weights("lstm", np.float32, 3, 5, 1, 1, [rows[0][:-1]])


# ---- attributes changed from Python ----------------------------------------------------------------------------------

SIZES = """
from lstm_fast import _core
from lstm_fast._tape import BackwardArrays
f4 = lambda *shape: np.zeros(shape, np.float32)
T, B, I, H, L, D = 4, 3, 5, 7, 2, 2
lstm = lf.LSTM(I, H, L, bidirectional=True, seed=0)
weights = lstm._version.weights
x, output, h, c = f4(T, B, I), f4(T, B, D * H), f4(L * D, B, H), f4(L * D, B, H)
want = lstm(x)[0]
def rejected(call, *kinds):
    try:
        call()
    except (kinds or (ValueError,)) as error:
        return str(error)
    raise AssertionError("not rejected")
"""


def test_forward_and_backward_check_every_shape():
    run(
        SIZES
        + """
good = dict(x=x, h_0=h, c_0=c, output=output, h_n=h.copy(), c_n=c.copy(), tape=None, num_threads=1)
weights.forward(**good)
tape = _core.Block(weights.tape_bytes(T, B))
weights.forward(**(good | dict(tape=tape)))
wrong = dict(
    x=[f4(T, B, I - 1), f4(T, B, I + 1), f4(T * B, I), f4(T + 1, B, I), f4(T, B + 1, I), f4(T, B, 2 * I)[..., ::2], None, 3],
    output=[f4(T, B, H), f4(T - 1, B, D * H), f4(T, B - 1, D * H), f4(T, B, 2 * D * H)[..., ::2], None],
    h_0=[f4(L * D, B, H - 1), f4(L, B, H), f4(L * D, B - 1, H), f4(1), f4(L * D, H, B).swapaxes(1, 2)],
    c_0=[f4(L * D, B, 1)], h_n=[f4(L * D, B, H - 1), f4(1, B, H), None], c_n=[f4(L * D, B - 1, H), None],
    tape=[_core.Block(tape.nbytes - 1), _core.Block(0)],
    resets=[np.zeros((T, B - 1), np.uint8), np.zeros((T - 1, B), np.uint8), np.zeros(T * B, np.uint8)],
)
for name, values in wrong.items():
    for value in values:
        rejected(lambda: weights.forward(**(good | {name: value})), ValueError, TypeError)
flat = np.empty_like(lstm.flat_parameters)
good = BackwardArrays(x, h, c, output, h, c, f4(T, B, I), h.copy(), c.copy(), flat, np.zeros((L * D, T, B)), np.zeros((L * D, T, B)))
weights.backward(tape, good, 1)
for value in (_core.Block(tape.nbytes - 1), None):
    rejected(lambda: weights.backward(value, good, 1), ValueError, TypeError)
wrong = dict(
    x=[f4(T, B, I - 1), f4(T + 1, B, I), f4(T, B + 1, I), None],
    d_output=[f4(T, B, H), f4(T - 1, B, D * H)], d_x=[f4(T, B, I - 1), f4(T - 1, B, I)], h_0=[f4(1, B, H)], c_0=[f4(1, B, H)],
    d_h_n=[f4(L * D, B, 1)], d_c_n=[f4(L * D, 1, H)], d_h_0=[None, f4(1, B, H)], d_c_0=[None, f4(L * D, B, 1)],
    gradients=[flat[1:], None, flat.reshape(1, -1), [()] * 4], d_h_norms=[np.zeros((L * D, T, B - 1)), np.zeros((1, T, B))],
    d_c_norms=[np.zeros((L * D, T - 1, B)), f4(L * D, T, B)],
)
for name, values in wrong.items():
    for value in values:
        rejected(lambda: weights.backward(tape, good._replace(**{name: value}), 1), ValueError, TypeError)
for order in ((np.array([4, 3]), np.array([0, 1])), (np.array([5, 3, 1]), np.arange(3)), (np.array([4, 3, 1]), np.array([0, 1, 3])),
              (np.array([4, 3, -1]), np.arange(3)), (np.array([4, 3, 1]), np.array([0, -1, 2]))):
    rejected(lambda: weights.forward(x, h, c, output, h.copy(), c.copy(), None, 1, None, order))
for T_, B_ in ((-1, 3), (3, -1)):
    rejected(lambda: weights.tape_bytes(T_, B_))
for layer, direction in ((2, 0), (0, 2), (-1, 0), (0, -1)):
    rejected(lambda: weights.look(tape, T, B, layer, direction))
rejected(lambda: weights.look(tape, T + 1, B, 0, 0))
rnn = lf.RNN(I, H, seed=0)._version.weights
rejected(lambda: rnn.forward(x, None, None, f4(T, B, H), f4(1, B, H), None, None, 1, (0.0, 0.0, 0.0, 0.5, 1, False)))
assert same(lstm(x)[0], want)
"""
    )


def test_weights_check_every_array_and_size():
    run(
        SIZES
        + """
make = lambda arrays=weights.arrays, I=I, H=H, L=L, D=D, cell="lstm", dtype=np.float32, **options: _core.Weights(
    cell, dtype, I, H, L, D, arrays, **options)
make()
one = weights.arrays[0]
for sizes in (dict(I=I + 1), dict(I=0), dict(I=-5), dict(H=H + 1), dict(H=H - 1), dict(L=L + 1), dict(L=0), dict(D=1), dict(D=3),
              dict(L=4, D=1), dict(H=2**62), dict(I=2**63 - 1), dict(dtype=np.float64), dict(dtype=np.int32), dict(proj_size=3),
              dict(proj_size=H), dict(proj_size=-1), dict(peepholes=True), dict(layer_norm=True), dict(cell="tanh"),
              dict(flat=f4(10)), dict(flat=np.zeros_like(lstm.flat_parameters)), dict(arrays=[]), dict(arrays=[one]),
              dict(arrays=[one[:-1]] * 4), dict(arrays=[(*one[:4], f4(3, H), *one[5:])] + list(weights.arrays[1:]))):
    rejected(lambda: make(**sizes), ValueError, MemoryError)
for k, of in enumerate(weights.arrays):
    for j, array in enumerate(of):
        for wrong in (f4(1), None) if array is not None else (f4(H),):
            if wrong is None and j in (2, 3):
                continue  # biases may be None
            arrays = [list(of) for of in weights.arrays]
            arrays[k][j] = wrong
            rejected(lambda: make(arrays))
plain = lf.RNN(I, H, seed=0)._version.weights.arrays
make(plain, L=1, D=1, cell="tanh")
for options in (dict(peepholes=True), dict(cell_clip=1.0), dict(activation=("relu", 0, 0)), dict(coupled_gates=True), dict(proj_size=2)):
    rejected(lambda: make(plain, L=1, D=1, cell="tanh", **options))
"""
    )


def test_uninitialized_objects_raise():
    run(
        SIZES
        + """
for kind in (_core.Weights, _core.Block, _core.Live):
    rejected(lambda: kind.__new__(kind), TypeError)
for n, memory in ((-1, None), (2**62 + 1, None), (2**60, None), (10, np.zeros(9, np.uint8)), (10, np.zeros(80)), (10, bytearray(80)),
                  (10, np.zeros(160, np.uint8)[::2]), (10, np.frombuffer(bytes(80), np.uint8))):
    rejected(lambda: _core.Block(n, memory), ValueError, TypeError, MemoryError)
block = _core.Block(10)
before = block.data.ctypes.data
rejected(lambda: block.__init__(10**12), TypeError) if type(block).__init__ is not object.__init__ else None
assert block.nbytes == 10 and block.data.ctypes.data == before
rejected(lambda: _core.sort_lengths(np.zeros(3, np.int64), -5))
rejected(lambda: _core.sort_lengths(np.zeros(3, np.int64), 2**63 - 1), ValueError, MemoryError)
"""
    )


def test_module_attributes_cannot_cause_invalid_reads():
    """Attributes changed from Python lead to an error or to the right result."""
    run(
        SIZES
        + """
def lie(**attributes):
    lstm = lf.LSTM(8, 8, seed=0)
    lstm.__dict__.update(attributes)
    return lstm
ones, state = lambda *shape: np.ones(shape, np.float32), lambda H, n=1: (np.ones((n, 2, H), np.float32),) * 2
calls = (lambda o: o(ones(2, 2, 3)), lambda o: o(ones(2, 2, 8)), lambda o: o(ones(2, 2, 8), state(1)), lambda o: o(ones(2, 2, 8), state(8)),
         lambda o: o(ones(2, 2, 8), state(8, 2), num_threads=1), lambda o: o(ones(2, 8)), lambda o: o(ones(2, 3), num_threads=1),
         lambda o: o.forward(ones(2, 2, 3)), lambda o: o.forward(ones(2, 2, 8), state(1)), lambda o: o.quantized(),
         lambda o: o.stream(2).step(ones(2, 3)), lambda o: o.stream(2).step(ones(2, 8)), lambda o: o.stream().block(ones(2, 8), num_threads=1),
         lambda o: o.backward(o.forward(ones(2, 2, 8))[2], ones(2, 2, 8)), lambda o: o.trace(ones(2, 2, 8)))
attributes = [dict(input_size=3), dict(hidden_size=1), dict(hidden_size=64), dict(bidirectional=True), dict(num_layers=3), dict(proj_size=3),
              dict(batch_first=True), dict(dtype=np.dtype(np.float64)), dict(_is_cell=True)]
attributes += [{"_" + name: value} for of in attributes for name, value in of.items()]
n_rejected = 0
for of in attributes:
    for call in calls:
        try:
            call(lie(**of))
        except Exception:  # any error is acceptable, a crash is not
            n_rejected += 1
assert n_rejected
two = lf.LSTM(8, 8, 2, seed=0)
assert _core.infer(two._version.weights, ones(2, 8), (ones(2, 8), ones(2, 8)), None, False, lambda: 1, True) is None
"""
    )


def test_training_functions_check_every_shape():
    run(
        SIZES
        + """
rejected(lambda: _core.linear(f4(3, 4), None, f4(2, 5), 1))
rejected(lambda: _core.linear(f4(3, 4), f4(2), f4(2, 4), 1))
rejected(lambda: _core.linear(f4(3, 4), None, np.zeros((2, 4)), 1))
rejected(lambda: _core.linear(f4(12), None, f4(2, 4), 1))
rejected(lambda: _core.linear_backward(f4(3, 4), f4(2, 4), f4(2, 2), 1))
rejected(lambda: _core.linear_backward(f4(3, 4), f4(2, 4), None, 1), ValueError, TypeError)
class Liar(np.ndarray):
    shape, size = (100, 100), 10**6
liar = f4(4, 4).view(Liar)
for call in (lambda: _core.linear(liar, None, liar, 1), lambda: _core.norm(liar), lambda: _core.testing.activate(("tanh", 0, 0), liar)):
    try:
        call()
    except (ValueError, TypeError, MemoryError):
        pass
from lstm_fast.train.optimizers import UpdateRule
step = lambda p, g, first, second: _core.optimize(UpdateRule(0.0, 0.9, 0.9, 1e-8), p, g, first, second, 1, 0.1, 1.0)
step(f4(4), f4(4), f4(4), f4(4))
for arrays in ((f4(4), f4(3), None, None), (f4(4), None, None, None), (f4(4), f4(4), f4(3), None), (f4(4), f4(4), f4(4), f4(3)),
               (f4(4), f4(4), None, f4(4)), (f4(4), np.zeros(4), None, None), (f4(8)[::2], f4(4), None, None)):
    rejected(lambda: step(*arrays))
"""
    )


def names(declarations):
    """Names declared by C or Cython declarations, in order: "int a, *b; bool (*f)(void); void *c[2]" -> a b f c."""
    pieces = [piece.strip() for piece in re.split(r"[,;\n]", declarations)]
    return [re.search(r"\(\*(\w+)\)|(\w+)(\[\w*\])?$", piece).group(1, 2) for piece in pieces if piece]


def test_every_struct_member_of_the_header_is_declared():
    """Cython accepts structs with members left out, whose size and order it then does not know."""
    root = Path(__file__).resolve().parent.parent
    header = "".join((root / "csrc" / name).read_text() for name in ("lstm_fast.h", "split.h", "lstm_fleet.h"))
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    contract = re.sub(r"#.*", "", (root / "lstm_fast/_binding/csrc.pxd").read_text()).replace("noexcept nogil", "")
    in_c = dict(re.findall(r"^(?:struct|enum) (\w+) \{(.*?)\};", header, flags=re.S | re.M))
    declared = re.findall(r'^    (?:struct|enum) (\w+)(?: "(\w+)")?:\n((?: {8}.*\n)*)', contract, flags=re.M)
    in_pxd = {c_name or name: body for name, c_name, body in declared}
    assert in_c and in_pxd.keys() == in_c.keys()
    for name, body in in_c.items():
        assert names(in_pxd[name]) == names(body), name


def test_binding_reads_every_parameter():
    """A member that the binding leaves out would be NULL. (The C core checks the list against both structs.)"""
    source = (Path(__file__).resolve().parent.parent / "lstm_fast/_binding/parameters.pxi").read_text()
    read = re.findall(r"\bw\.(\w+) = .*\bparameter\(m, entry, LSTM_AT_(\w+),", source)
    assert read == [(name, name) for name in _core.PARAMETERS]


def test_binding_has_no_list_comprehension():
    """Cython 3.3 frees a new element twice when the list of a comprehension cannot grow (limited API)."""
    for path in (Path(__file__).resolve().parent.parent / "lstm_fast/_binding").glob("*.p[xy]*"):
        assert not re.findall(r"\[[^\]\"'#\n]* for \w+ in .*\]", path.read_text()), path
