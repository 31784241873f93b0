"""Wrong arguments raise errors that name the argument, the expected and the given value; unusual ones are converted."""

import numpy as np
import pytest

import lstm_fast
from lstm_fast import LSTMCell
from module_cases import draw, make, states, train
from optional import require
from tolerances import assert_same_bits

T, B, I, H = 4, 2, 3, 5


def call(module, a):
    """Forward and backward with arguments of any type and shape."""
    *_, tape = module.forward(a["x"], states(module, a["h_0"], a.get("c_0")), training=False)
    fixed = draw(np.random.default_rng(0), module, T, B)
    *_, good_tape = module.forward(fixed["x"], training=False)
    tape = good_tape if tape.steps != T or tape.batch_size != B else tape
    return module.backward(tape, a["d_output"], states(module, a["d_h_n"], a.get("d_c_n")))


def arguments(module):
    return draw(np.random.default_rng(1), module, T, B)


class Uncooperative:
    def __array__(self, *args, **kwargs):
        raise RuntimeError("no")


# ---- shapes ----


def wrong_shapes(shape, free):
    """Shapes of other rank, and with each length off by one, doubled, zero or swapped; not along the free axes."""
    yield from (shape[:-1], shape[1:], (1, *shape), (*shape, 1), (), (0,))
    for axis in set(range(len(shape))) - set(free):
        for n in {0, shape[axis] - 1, shape[axis] + 1, 2 * shape[axis]}:
            yield (*shape[:axis], n, *shape[axis + 1 :])
    yield shape[::-1]


@pytest.mark.parametrize("kind", ["lstm", "relu"])
def test_invalid_shape_raises_with_expected_and_given_shape(kind):
    module = make(kind, I, H, num_layers=2, bidirectional=True)
    a = arguments(module)
    for name, value in a.items():
        for shape in wrong_shapes(value.shape, free=(0, 1) if name == "x" else ()):
            # (T, I) is a valid shape too: an unbatched x.
            if shape == value.shape or (name == "x" and len(shape) == 2 and shape[-1] == I):
                continue
            with pytest.raises(ValueError) as caught:
                call(module, a | {name: np.ones(shape)})
            message = str(caught.value)
            assert message.startswith(f"{name} must have shape") and f"got {shape}" in message, (shape, message)


def test_invalid_shape_raises_without_batch_axis():
    lstm = make("lstm", I, H)
    a = {name: value[:, 0] for name, value in arguments(lstm).items()}
    for name in set(a) - {"x"}:
        for shape in wrong_shapes(a[name].shape, free=()):
            if shape != a[name].shape:
                with pytest.raises(ValueError, match=f"^{name} must have shape"):
                    train(lstm, a | {name: np.ones(shape)})


@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_functions_raise_on_invalid_shapes(mode):
    module = make("lstm" if mode == "lstm" else "tanh", I, H)
    a = arguments(module)
    weights = {name.removesuffix("_l0"): value for name, value in module.parameters().items()}
    given = {name: a[name] if name == "x" else a[name][0] for name in ("x", "h_0", "c_0") if name in a} | weights
    forward, backward = getattr(lstm_fast, mode + "_forward"), getattr(lstm_fast, mode + "_backward")
    for name, value in given.items():
        free = {"x": (0, 1, 2), "weight_hh": (0, 1)}.get(name, ())
        for shape in wrong_shapes(value.shape, free):
            if shape == value.shape:
                continue
            with pytest.raises(ValueError) as caught:
                forward(**given | {name: np.ones(shape)})
            assert " must have shape " in str(caught.value) and "got (" in str(caught.value), (name, shape)
            if name not in ("x", "weight_hh"):  # these two set the sizes, so the error may name another argument
                assert str(caught.value).startswith(name + " must have shape"), (shape, str(caught.value))
    *_, tape = forward(**given)
    incoming = {"d_output": (T, B, H), "d_h_n": (B, H)} | ({"d_c_n": (B, H)} if mode == "lstm" else {})
    for name, right in incoming.items():
        for shape in wrong_shapes(right, free=()):
            if shape != right:
                with pytest.raises(ValueError, match=f"^{name} must have shape"):
                    backward(tape, **{"d_output": None, name: np.ones(shape)})


def test_lstm_cell_raises_on_invalid_shapes():
    cell = LSTMCell(I, H)
    for shape in ((), (I + 1,), (B, I + 1), (1, B, I)):
        with pytest.raises(ValueError, match=r"^x must have shape \(B, I\) or \(I,\)"):
            cell(np.ones(shape))
    for x, good, bad in (((B, I), (B, H), (H,)), ((I,), (H,), (1, H)), ((B, I), (B, H), (B + 1, H))):
        with pytest.raises(ValueError, match="^h_0 must have shape"):
            cell(np.ones(x), (np.ones(bad), np.ones(good)))
        with pytest.raises(ValueError, match="^c_0 must have shape"):
            cell(np.ones(x), (np.ones(good), np.ones(bad)))


# ---- types ----


def wrong_types(value):
    yield from (None, "text", b"bytes", object(), {}, {"a": 1}, [[1, 2], [3]], [None], lambda: 0, {1, 2}, 1j)
    yield from (value.astype(dtype) for dtype in (complex, object, str, "datetime64[s]", "timedelta64[s]"))
    yield from (np.ma.masked_array(value, mask=value > 0), np.ma.masked_array(value))
    yield from (np.zeros(value.shape, [("a", "f4")]), (n for n in [1]))


@pytest.mark.parametrize("kind", ["lstm", "relu"])
def test_wrong_type_raises(kind):
    module = make(kind, I, H, num_layers=2)
    a = arguments(module)
    for name, value in a.items():
        for wrong in wrong_types(value):
            if wrong is not None or name == "x":  # elsewhere None means zero
                with pytest.raises((TypeError, ValueError), match=f"^{name} must .*got"):
                    call(module, a | {name: wrong})


def test_wrong_weight_type_raises():
    lstm = make("lstm", I, H)
    given = {"x": arguments(lstm)["x"], "h_0": None, "c_0": None}
    given |= {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    for name in ("x", "h_0", "c_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for wrong in wrong_types(given["x"] if given[name] is None else given[name]):
            if wrong is not None or name in ("x", "weight_ih", "weight_hh"):
                with pytest.raises((TypeError, ValueError), match=f"^{name} must .*got"):
                    lstm_fast.lstm_forward(**given | {name: wrong})
    for name, value in lstm.parameters().items():
        for wrong in wrong_types(value):
            with pytest.raises((TypeError, ValueError), match=f"^{name} must .*got"), lstm.edit() as p:
                p[name] = wrong


def test_state_of_an_lstm_must_be_a_pair():
    lstm = make("lstm", I, H)
    x, h = np.ones((T, B, I)), np.ones((1, B, H))
    for wrong in (h, (h,), (h, h, h), "hc", 1, {"h": h, "c": h}):
        with pytest.raises((TypeError, ValueError), match="^state must be a pair"):
            lstm(x, wrong)
    with pytest.raises((TypeError, ValueError), match="^h_0 must"):
        make("tanh", I, H)(x, (h, h, h))


def test_failing_array_conversion_names_the_argument():
    with pytest.raises(TypeError, match=r"x must be an array of numbers, got Uncooperative \(no\)"):
        make("lstm", I, H)(Uncooperative())


# ---- conversions ----


@pytest.mark.parametrize(
    "dtype",
    [
        bool,
        np.int8,
        np.uint8,
        np.int16,
        np.int64,
        np.uint64,
        np.float16,
        np.float32,
        np.float64,
        np.longdouble,
        ">f4",
        ">f8",
        "<f4",
        ">i4",
        ">f2",
    ],
)
def test_any_real_dtype_is_converted(isa, dtype):
    for own in (np.float32, np.float64):
        lstm = make("lstm", I, H, num_layers=2, dtype=own)
        a = {name: (5 * np.abs(value)).astype(dtype) for name, value in arguments(lstm).items()}
        got, want = train(lstm, a)[0], train(lstm, {name: value.astype(own) for name, value in a.items()})[0]
        for name in want:
            assert_same_bits(got[name], want[name], name)


def test_lists_and_array_likes_are_converted():
    lstm = make("lstm", I, H)
    a = arguments(lstm)

    class ArrayLike:
        def __array__(self, dtype=None, copy=None):
            return a["x"].astype(dtype)

    want = lstm(a["x"])[0]
    for like in (a["x"].tolist(), tuple(map(tuple, a["x"].tolist())), list(a["x"]), ArrayLike(), memoryview(a["x"])):
        assert_same_bits(lstm(like)[0], want)
    assert lstm([[1, 2, 3]])[0].shape == (1, H)
    assert lstm(a["x"], [a["h_0"], None])[0].shape == (T, B, H)


def test_numbers_beyond_the_dtype_become_infinite_without_warning():
    lstm = make("lstm", I, H, dtype=np.float32)
    x = arguments(lstm)["x"].astype(np.float64)
    x[1, 0, 0] = 1e300
    want = x.copy()
    want[1, 0, 0] = np.inf
    assert_same_bits(lstm(x)[0], lstm(want)[0])


def test_unaligned_and_packed_arrays_are_copied(isa):
    lstm = make("lstm", I, H, dtype=np.float64)
    a = arguments(lstm)
    want, _ = train(lstm, a)
    records = {name: np.zeros(value.shape, [("flag", "u1"), ("value", "f8")]) for name, value in a.items()}
    for name in a:
        records[name]["value"] = a[name]
    got, _ = train(lstm, {name: record["value"] for name, record in records.items()})
    for name in want:
        assert_same_bits(got[name], want[name], name)


def test_memory_mapped_input_works(isa, tmp_path):
    lstm = make("lstm", I, H, dtype=np.float32)
    a = arguments(lstm)
    for name, value in a.items():
        value.tofile(tmp_path / name)
    for offset, mode in ((0, "r"), (0, "r+"), (0, "c")):
        mapped = {name: np.memmap(tmp_path / name, np.float32, mode, offset, value.shape) for name, value in a.items()}
        got, want = train(lstm, mapped)[0], train(lstm, a)[0]
        for name in want:
            assert_same_bits(got[name], want[name], name)
    (tmp_path / "odd").write_bytes(b"?" + a["x"].tobytes())
    odd = np.memmap(tmp_path / "odd", np.float32, "r", 1, a["x"].shape)
    assert_same_bits(lstm(odd)[0], lstm(a["x"])[0])


def test_tensor_that_requires_grad_raises_with_its_name():
    torch = require("torch")
    module, x = lstm_fast.LSTM(3, 5), torch.ones(2, 2, 3, requires_grad=True)
    for call in (lambda: module(x), lambda: module.forward(x), lambda: module.stream(2).block(x)):
        with pytest.raises(TypeError, match="x must be an array of numbers, got Tensor .*requires grad"):
            call()
