"""Calls of LSTM, RNN and LSTMCell: layouts, masks, gradients, tapes, traces."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast
from lstm_fast import LSTM, LSTMCell, reference
from lstm_fast._tape import TapeMemory
from module_cases import DTYPES, KINDS, STRUCTURES, draw, infer, is_lstm, make, reference_options, train
from tolerances import FORWARD, assert_same_bits, assert_within, forward_error

# ---- masks ----


def test_rng_argument_replaces_the_module_generator():
    lstm, other = (LSTM(3, 5, 2, dropout=0.5, zoneout=0.1, seed=0) for _ in range(2))
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    first, second = (lstm.forward(x, rng=np.random.default_rng(seed))[0] for seed in (1, 2))
    assert (first != second).any()
    assert_same_bits(lstm.forward(x, rng=np.random.default_rng(1))[0], first)
    assert_same_bits(lstm.forward(x)[0], other.forward(x)[0])  # its own is where it was
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator or None, got int"):
        lstm.forward(x, rng=1)


# ---- calls ----


def test_states_are_never_batch_first_and_2d_if_unbatched():
    for module in (
        make("lstm", 3, 5, num_layers=2, bidirectional=True, batch_first=True),
        make("relu", 3, 5, num_layers=4),
    ):
        a = draw(np.random.default_rng(0), module, 4, 2)
        x = a["x"].swapaxes(0, 1) if module.batch_first else a["x"]
        got = infer(module, a | {"x": x})
        assert got["output"].shape == (*x.shape[:2], 5 * (1 + module.bidirectional))
        assert got["h_n"].shape == (4, 2, 5)
        alone = infer(module, {name: value[:, 0] for name, value in a.items()})
        assert alone["output"].shape == (4, 5 * (1 + module.bidirectional)) and alone["h_n"].shape == (4, 5)


def test_gradients_have_the_layout_of_their_arrays():
    for batch_first in (False, True):
        lstm = make("lstm", 3, 5, num_layers=2, bidirectional=True, batch_first=batch_first)
        plain = make("lstm", 3, 5, num_layers=2, bidirectional=True)
        a = draw(np.random.default_rng(0), lstm, 4, 2)
        want, _ = train(plain, a)
        turned = {name: a[name].swapaxes(0, 1) if batch_first else a[name] for name in ("x", "d_output")}
        got, _ = train(lstm, a | turned)
        assert_same_bits(got["d_x"], want["d_x"].swapaxes(0, 1) if batch_first else want["d_x"])
        for name in ("d_h_0", "d_c_0", "d_weight_ih_l1"):
            assert_same_bits(got[name], want[name], name)
        alone, _ = train(lstm, {name: value[:, 1] for name, value in a.items()})
        for name in ("d_x", "d_h_0", "d_c_0"):
            assert_same_bits(alone[name], want[name][:, 1], name)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    "structure", [{}, dict(num_layers=2, bidirectional=True), dict(layer_norm=True, zoneout=0.2)], ids=str
)
def test_without_d_x_all_other_gradients_keep_their_bits(isa, structure, batch_first):
    lstm = LSTM(3, 9, batch_first=batch_first, seed=0, **structure)
    x = np.random.default_rng(0).standard_normal((7, 5, 3))
    output, _, tape = lstm.forward(x, lengths=[0, 2, 3, 1, 3, 0, 2] if batch_first else [7, 0, 3, 5, 1])
    want, got = lstm.backward(tape, output), lstm.backward(tape, output, compute_d_x=False)
    assert want.d_x.shape == x.shape and got.d_x is None
    for name in ("flat", "d_h_0", "d_c_0"):
        assert_same_bits(getattr(got, name), getattr(want, name), name)
    with pytest.raises(TypeError, match="compute_d_x must be"):
        lstm.backward(tape, output, compute_d_x="no")


def test_gradients_map_names_to_views_of_one_buffer():
    for kind in KINDS[:2]:
        module = make(kind, 3, 5, num_layers=2, bidirectional=True)
        a = draw(np.random.default_rng(0), module, 4, 2)
        *_, tape = module.forward(a["x"])
        gradients = module.backward(tape, a["d_output"])
        if is_lstm(module):
            gradients = pickle.loads(pickle.dumps(gradients))  # still views of one buffer
        assert list(gradients) == list(module.parameters()) and len(gradients) == len(module.parameters())
        assert "weight_ih_l0" in gradients and "weight_ih_l9" not in gradients
        assert_same_bits(gradients.flat, np.concatenate([gradients[name].ravel() for name in gradients]))
        for name, parameter in module.parameters().items():
            assert gradients[name].shape == parameter.shape and np.shares_memory(gradients[name], gradients.flat)
        assert (gradients.d_c_0 is None) == (not is_lstm(module))
        assert "weight_ih_l0" in repr(gradients)
        with module.edit() as p:  # one step down the gradient, in place
            for name in gradients:
                p[name][...] -= 0.1 * gradients[name]


def test_forward_results_belong_to_the_caller():
    lstm = make("lstm", 3, 5)
    a = draw(np.random.default_rng(0), lstm, 4, 2)
    want = infer(lstm, a)
    kept = {name: value.copy() for name, value in want.items()}
    second = infer(lstm, a)
    for value in second.values():
        value[...] = np.nan
    for name in want:
        assert_same_bits(want[name], kept[name], name)
        assert_same_bits(infer(lstm, a)[name], kept[name], name)


def test_tape_repr_and_attributes():
    lstm = make("lstm", 3, 16)
    *_, tape = lstm.forward(np.zeros((7, 2, 3)))
    assert (tape.steps, tape.batch_size) == (7, 2)
    assert tape.nbytes >= 7 * 2 * 16 * 6 * 8 and "7 steps of 2 sequences" in repr(tape)


@pytest.mark.parametrize(
    "other",
    [
        make("lstm", 3, 6),
        make("lstm", 3, 5, num_layers=2),
        make("tanh", 3, 5),
        make("lstm", 3, 5, bidirectional=True),
        make("lstm", 3, 5, bias=False),
        make("lstm", 3, 5, dtype=np.float32),
    ],
    ids=repr,
)
def test_tape_of_another_module_raises(other):
    *_, tape = other.forward(np.ones((4, 2, 3)))
    with pytest.raises(TypeError, match="^tape must"):
        make("lstm", 3, 5).backward(tape, None)


def test_invalid_tape_types_raise():
    lstm = make("lstm", 3, 5)
    *_, tape = lstm_fast.lstm_forward(np.ones((4, 2, 3)), None, None, *lstm.parameters().values())
    for not_a_tape in (tape, None, "tape", (1, 2)):
        with pytest.raises(TypeError, match="^tape must"):
            lstm.backward(not_a_tape, None)


def test_tape_of_another_function_raises():
    x, state = np.ones((4, 2, 3)), np.zeros((2, 5))
    *_, lstm_tape = lstm_fast.lstm_forward(x, state, state, *make("lstm", 3, 5).parameters().values())
    *_, rnn_tape = lstm_fast.rnn_forward(x, state, *make("tanh", 3, 5).parameters().values())
    *_, module_tape = make("lstm", 3, 5, num_layers=2).forward(x)
    for backward, tapes in (
        (lstm_fast.lstm_backward, (rnn_tape, module_tape, None)),
        (lstm_fast.rnn_backward, (lstm_tape, module_tape, None)),
    ):
        for tape in tapes:
            with pytest.raises(TypeError, match="^tape must"):
                backward(tape, None)


# ---- trace ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", range(len(STRUCTURES)), ids=lambda k: str(STRUCTURES[k]))
def test_trace_matches_reference_tape(isa, poison, k, dtype):
    for H in (1, 9, 16):
        lstm = make("lstm", 3, H, dtype=dtype, **STRUCTURES[k])
        a = draw(np.random.default_rng([k, H]), lstm, 5, 2)
        trace = lstm.trace(a["x"], (a["h_0"], a["c_0"]))
        parameters = {name: value.astype(np.float64) for name, value in lstm.parameters().items()}
        arguments = (a[name].astype(np.float64) for name in ("x", "h_0", "c_0"))
        *_, tape = reference.stack_forward(*arguments, parameters, **reference_options(lstm))
        D = 1 + lstm.bidirectional
        for name in trace._fields:
            assert getattr(trace, name).shape == (lstm.num_layers, D, 5, 2, H)
            for index, layer_tape in enumerate(tape.tapes):
                layer, direction = divmod(index, D)
                want = getattr(layer_tape, name)[:: -1 if direction else 1]
                got = getattr(trace, name)[layer, direction]
                assert got.dtype == dtype
                assert_within(forward_error(got, want), FORWARD[dtype], f"{name}, layer {layer}, direction {direction}")
        assert_same_bits(np.concatenate(list(trace.h[-1]), axis=-1), lstm(a["x"], (a["h_0"], a["c_0"]))[0])


def test_trace_layout_does_not_depend_on_the_input_layout():
    lstm, batch_first = make("lstm", 3, 5, num_layers=2), make("lstm", 3, 5, num_layers=2, batch_first=True)
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    want = lstm.trace(x)
    for got in (batch_first.trace(x.swapaxes(0, 1)), lstm.trace(x, num_threads=2)):
        for field in want._fields:
            assert_same_bits(getattr(got, field), getattr(want, field), field)
    assert_same_bits(lstm.trace(x[:, 1]).c, want.c[:, :, :, 1:])
    for T, B in ((0, 2), (3, 0)):
        assert {values.shape for values in lstm.trace(np.zeros((T, B, 3)))} == {(2, 1, T, B, 5)}


def test_trace_ignores_dropout():
    lstm, plain = (make("lstm", 3, 5, num_layers=2, dropout=p) for p in (0.5, 0.0))
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    assert_same_bits(lstm.trace(x).h, plain.trace(x).h)


# ---- LSTMCell ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_cell_matches_lstm_step_by_step_bitwise(isa, bias, dtype):
    lstm, cell = make("lstm", 3, 9, dtype=dtype, bias=bias), LSTMCell(3, 9, bias, dtype=dtype)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.parameters().items()})
    a = draw(np.random.default_rng(0), lstm, 5, 4)
    want, _ = train(lstm, a)
    h, c, tapes = a["h_0"][0], a["c_0"][0], []
    for t in range(5):
        alone = cell(a["x"][t, 2], (h[2], c[2]))
        (h, c), tape = cell.forward(a["x"][t], (h, c))
        tapes.append(tape)
        assert_same_bits(h, want["output"][t])
        assert_same_bits(cell(a["x"][t], None)[0], lstm(a["x"][t : t + 1])[0][0])
        for got, expected in zip(alone, (h, c), strict=True):
            assert_same_bits(got, expected[2])
    assert_same_bits(c, want["c_n"][0])
    d_h, d_c = a["d_h_n"][0], a["d_c_n"][0]
    for t in reversed(range(5)):
        gradients = cell.backward(tapes[t], (d_h + a["d_output"][t], d_c))
        d_h, d_c = gradients.d_h_0, gradients.d_c_0
        assert gradients.d_x.shape == (4, 3) and d_h.shape == (4, 9)
        assert_same_bits(gradients.d_x, want["d_x"][t])
    assert_same_bits(d_h, want["d_h_0"][0])
    assert_same_bits(d_c, want["d_c_0"][0])


def test_unbatched_cell_has_unbatched_gradients():
    cell = LSTMCell(3, 9, dtype=np.float64, seed=0)
    rng = np.random.default_rng(0)
    x, h, c, d_h, d_c = rng.standard_normal(3), *rng.standard_normal((4, 9))
    _, tape = cell.forward(x, (h, c))
    _, batch_tape = cell.forward(x[None], (h[None], c[None]))
    got, want = cell.backward(tape, (d_h, d_c)), cell.backward(batch_tape, (d_h[None], d_c[None]))
    for name in ("d_x", "d_h_0", "d_c_0"):
        assert_same_bits(getattr(got, name), getattr(want, name)[0], name)
    assert_same_bits(got.flat, want.flat)
    none = cell.backward(tape, (None, None))
    assert not none.flat.any() and not none.d_x.any()


def test_memory_of_large_tapes_is_reused_unless_viewed():
    TapeMemory._spare.clear()  # of tapes in other tests
    lstm, x = lstm_fast.LSTM(64, 64, seed=0), np.ones((50, 240, 64), np.float32)

    def place(tape):
        return tape._memory.block.data.ctypes.data

    tape = lstm.forward(x)[2]
    first, copied = place(tape), copy.copy(tape)
    del tape
    other = lstm.forward(x)[2]
    assert place(other) != first, "a copy of the tape still holds it"
    want = lstm.backward(copied, x)
    del copied
    tape = lstm.forward(x)[2]
    assert place(tape) == first
    got = lstm.backward(tape, x)
    assert all((got[name] == want[name]).all() for name in want)
    gates, _, _ = tape.look(0, 0)
    before = gates.copy()
    del tape
    tape = lstm.forward(2 * x)[2]
    assert place(tape) != first and (gates == before).all()
