"""Parameters of networks: names, shapes, initial values, editing, state_dicts, the flat buffer."""

import numpy as np
import pytest

from lstm_fast import LSTM, RNN, LSTMCell
from module_cases import DTYPES, draw, infer, make, train
from tolerances import assert_same_bits


def assert_same_parameters(module, want):
    got = module.parameters()
    assert list(got) == list(want)
    for name in want:
        assert_same_bits(got[name], want[name], name)


def test_parameter_names_shapes_and_order_match_pytorch():
    shapes = {name: value.shape for name, value in LSTM(3, 5, 2, bidirectional=True).parameters().items()}
    assert list(shapes.items()) == [
        ("weight_ih_l0", (20, 3)),
        ("weight_hh_l0", (20, 5)),
        ("bias_ih_l0", (20,)),
        ("bias_hh_l0", (20,)),
        ("weight_ih_l0_reverse", (20, 3)),
        ("weight_hh_l0_reverse", (20, 5)),
        ("bias_ih_l0_reverse", (20,)),
        ("bias_hh_l0_reverse", (20,)),
        ("weight_ih_l1", (20, 10)),
        ("weight_hh_l1", (20, 5)),
        ("bias_ih_l1", (20,)),
        ("bias_hh_l1", (20,)),
        ("weight_ih_l1_reverse", (20, 10)),
        ("weight_hh_l1_reverse", (20, 5)),
        ("bias_ih_l1_reverse", (20,)),
        ("bias_hh_l1_reverse", (20,)),
    ]
    assert [*RNN(3, 5, bias=False).parameters()] == ["weight_ih_l0", "weight_hh_l0"]
    assert [value.shape for value in RNN(3, 5).parameters().values()] == [(5, 3), (5, 5), (5,), (5,)]
    assert [*LSTMCell(3, 5).parameters()] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_initial_parameters_are_uniform_within_the_root_of_the_hidden_size(dtype):
    for module in (
        LSTM(40, 64, 2, dtype=dtype, seed=0),
        RNN(40, 64, 4, dtype=dtype, seed=0),
        LSTMCell(40, 64, dtype=dtype, seed=0),
    ):
        flat = 8 * module.flat_parameters
        assert flat.dtype == dtype and len(np.unique(flat)) > 0.99 * flat.size
        assert -1 <= flat.min() < -0.999 and 0.999 < flat.max() <= 1
        assert abs(flat.mean()) < 4 / np.sqrt(3 * flat.size) and abs(flat.var() - 1 / 3) < 0.02


def test_seed_fixes_parameters_and_dropout():
    def outputs(seed):
        lstm = LSTM(3, 5, 2, dropout=0.5, seed=seed)
        return lstm.flat_parameters, *(lstm.forward(x)[0] for _ in range(3))

    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    for got, want in zip(outputs(1), outputs(1), strict=True):
        assert_same_bits(got, want)
    assert all((got != want).any() for got, want in zip(outputs(1), outputs(2), strict=True))
    _, first, second, _ = outputs(1)
    assert (first != second).any(), "each call draws a new mask"
    assert (LSTM(3, 5).flat_parameters != LSTM(3, 5).flat_parameters).any(), "no seed, no two alike"


def test_forget_bias_initializes_every_forget_gate():
    lstm = LSTM(3, 5, 2, bidirectional=True, seed=1, forget_bias=1.5)
    plain = LSTM(3, 5, 2, bidirectional=True, seed=1).parameters()
    forget = np.arange(20) // 5 == 1
    for name, value in lstm.parameters().items():
        if name.startswith("bias"):
            assert (value[forget] == (1.5 if name.startswith("bias_ih") else 0)).all()
            assert_same_bits(value[~forget], plain[name][~forget], name)
        else:
            assert_same_bits(value, plain[name], name)
    with pytest.raises(ValueError, match="forget_bias"):
        LSTM(3, 5, bias=False, forget_bias=1.0)


def test_parameters_are_read_only_views_of_one_buffer():
    lstm = make("lstm", 3, 5, num_layers=2)
    flat = lstm.flat_parameters
    assert_same_bits(flat, np.concatenate([value.ravel() for value in lstm.parameters().values()]))
    assert flat.flags.c_contiguous
    for value in (flat, *lstm.parameters().values()):
        assert np.shares_memory(value, flat)
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0
    lstm.parameters().clear()
    assert len(lstm.parameters()) == 8


def test_edit_creates_a_new_version_and_does_not_modify_old_arrays():
    lstm = make("lstm", 3, 5)
    a = draw(np.random.default_rng(1), lstm, 4, 2)
    old, old_copy, before = lstm.parameters(), lstm.state_dict(), infer(lstm, a)
    with lstm.edit() as p:
        assert list(p) == list(old) and len(p) == 4
        p["weight_hh_l0"][:5] *= 2
        p["bias_ih_l0"] = np.arange(20)
        p["bias_hh_l0"] += 1  # Python assigns the result back: the same array
        assert_same_bits(infer(lstm, a)["output"], before["output"])
    for name in old:
        assert_same_bits(old[name], old_copy[name], name)
    new = lstm.parameters()
    assert_same_bits(new["weight_hh_l0"][:5], 2 * old["weight_hh_l0"][:5])
    assert_same_bits(new["bias_ih_l0"], np.arange(20.0))
    assert_same_bits(new["bias_hh_l0"], old["bias_hh_l0"] + 1)
    fresh = make("lstm", 3, 5, seed=9)
    fresh.load_state_dict(new)
    got, want = train(lstm, a)[0], train(fresh, a)[0]
    for name in want:
        assert_same_bits(got[name], want[name], name)
    assert (got["output"] != before["output"]).any()


def test_arrays_of_an_edit_do_not_alias_the_parameters_after_the_block():
    lstm = make("lstm", 3, 5)
    a = draw(np.random.default_rng(1), lstm, 4, 2)
    with lstm.edit() as p:
        weight = p["weight_hh_l0"]
        weight += 1
    want, parameters = infer(lstm, a), lstm.state_dict()
    try:
        weight[...] = 7
        p["bias_ih_l0"] = np.full(20, 7)
    except ValueError:
        pass  # an error is acceptable too
    assert_same_parameters(lstm, parameters)
    assert_same_bits(infer(lstm, a)["output"], want["output"])


def test_edit_that_raises_changes_nothing():
    lstm = make("lstm", 3, 5)
    before = lstm.state_dict()
    with pytest.raises(KeyError, match="weight_ih_l1.*weight_ih_l0"), lstm.edit() as p:
        p["weight_ih_l0"], p["weight_ih_l1"] = np.zeros((20, 3)), np.zeros((20, 3))
    with pytest.raises(ValueError, match=r"weight_hh_l0 must have shape .*\(20, 5\), got \(5, 20\)"), lstm.edit() as p:
        p["weight_ih_l0"][...], p["weight_hh_l0"] = 0, np.zeros((5, 20))
    with pytest.raises(ZeroDivisionError), lstm.edit() as p:
        p["bias_ih_l0"][...] = 1 / 0
    assert_same_parameters(lstm, before)


def test_state_dict_copies_and_loads_into_another_module():
    one, other = make("lstm", 3, 5, num_layers=2, seed=1), make("lstm", 3, 5, num_layers=2, seed=2)
    want, state = one.flat_parameters.copy(), one.state_dict()
    other.load_state_dict(dict(reversed(state.items())))
    assert_same_bits(other.flat_parameters, want)
    for value in state.values():
        value[...] = 0
    assert_same_bits(one.flat_parameters, want)
    assert_same_bits(other.flat_parameters, want)
    other.load_state_dict({name: value.tolist() for name, value in state.items()})
    assert not other.flat_parameters.any()


def test_load_state_dict_is_all_or_nothing():
    lstm = make("lstm", 3, 5)
    before, good = lstm.state_dict(), make("lstm", 3, 5, seed=9).state_dict()
    bad = [
        ({name: good[name] for name in list(good)[:3]}, "missing .*bias_hh_l0"),
        (good | {"weight_hr_l0": np.zeros(1)}, "unexpected .*weight_hr_l0"),
        ({f"a.lstm.{name}": good[name] for name in good}, r"pass the state_dict of a.lstm alone"),
        (good | {"bias_hh_l0": np.zeros(19)}, r"bias_hh_l0 must have shape .*\(20,\), got \(19,\)"),
        (good | {"bias_hh_l0": np.zeros((20, 1))}, "bias_hh_l0"),
        (good | {"bias_hh_l0": None}, "bias_hh_l0"),
        (good | {"bias_hh_l0": ["a"] * 20}, "bias_hh_l0"),
        (good | {"bias_hh_l0": np.zeros(20, complex)}, "bias_hh_l0"),
    ]
    for state, message in bad:
        with pytest.raises((ValueError, TypeError), match=message):
            lstm.load_state_dict(state)
        assert_same_parameters(lstm, before)
    with pytest.raises((ValueError, TypeError), match="state_dict"):
        lstm.load_state_dict(None)


EVERY_KIND = (
    LSTM(3, 5, 2, proj_size=2, peepholes=True, bidirectional=True, seed=0),
    RNN(3, 5, seed=0),
    LSTMCell(3, 5, seed=0),
    LSTM(3, 5, seed=0).quantized(),
)


@pytest.mark.parametrize("module", EVERY_KIND, ids=lambda module: type(module).__name__)
def test_names_shapes_and_slices_of_parameters(module):
    flat = np.arange(module.flat_parameters.size, dtype=float)
    views, slices = module.unflatten(flat), module.parameter_slices
    assert module.parameter_names == tuple(views) == tuple(slices) == tuple(module.parameters())
    for name, shape in module.parameter_shapes.items():
        assert views[name].shape == shape == module.parameters()[name].shape
        assert_same_bits(views[name].ravel(), flat[slices[name]], name)
    ends = {name.removeprefix("weight_ih") for name in views if name.startswith("weight_ih")}
    assert set(module.parameter_suffixes) == ends and module.output_size == module.num_directions * module.h_size
    with pytest.raises(ValueError, match="flat must have shape"):
        module.unflatten(flat[1:])


def test_load_flat_parameters():
    lstm, flat = LSTM(3, 5, seed=0), np.arange(200.0)
    lstm.load_flat_parameters(flat)
    flat[0] = -1
    assert_same_bits(lstm.flat_parameters, np.arange(200, dtype=np.float32))
    own = np.arange(200, dtype=np.float32)[::-1].copy()
    lstm.load_flat_parameters(own, copy=False)
    assert lstm.flat_parameters is own and not own.flags.writeable
    lstm.load_flat_parameters(np.arange(400, dtype=np.float32)[::2], copy=False)
    assert lstm.flat_parameters.flags.c_contiguous
    for wrong in (flat[1:], flat[:, None], ["a"] * 200, None):
        with pytest.raises((TypeError, ValueError), match="flat must"):
            lstm.load_flat_parameters(wrong)


def test_forget_bias_sets_the_biases_of_the_forget_gates_alone():
    options = dict(num_layers=2, bidirectional=True, seed=0)
    plain, changed = (LSTM(3, 5, forget_bias=value, **options).parameters() for value in (None, 1.5))
    for name in plain:
        rows = np.zeros(len(plain[name]), bool)
        rows[5:10] = name.startswith("bias_")
        np.testing.assert_array_equal(changed[name][rows], 1.5 if name.startswith("bias_ih") else 0)
        np.testing.assert_array_equal(changed[name][~rows], plain[name][~rows])
