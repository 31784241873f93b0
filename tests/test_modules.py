"""LSTM, RNN and LSTMCell as objects: parameters, shapes, seeds, copies, traces, dropout, gradients."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast
from lstm_fast import LSTM, RNN, LSTMCell, reference
from module_cases import DTYPES, KINDS, STRUCTURES, draw, infer, is_lstm, make, reference_options, train
from tolerances import FORWARD, assert_same_bits, assert_within, forward_error


def assert_same_parameters(module, want):
    got = module.parameters()
    assert list(got) == list(want)
    for name in want:
        assert_same_bits(got[name], want[name], name)


# ---- parameters ----------------------------------------------------------------------------------------------------


def test_parameters_have_the_names_shapes_and_order_of_pytorch():
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


def test_forget_bias_starts_every_forget_gate():
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


def test_edit_makes_a_new_version_and_leaves_the_old_arrays_alone():
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


def test_arrays_of_an_edit_reach_nothing_when_it_is_over():
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
        pass  # refusing is as good
    assert_same_parameters(lstm, parameters)
    assert_same_bits(infer(lstm, a)["output"], want["output"])


def test_edit_that_raises_changes_nothing():
    lstm = make("lstm", 3, 5)
    before = lstm.state_dict()
    with pytest.raises(KeyError, match="weight_ih_l1.*weight_ih_l0"), lstm.edit() as p:
        p["weight_ih_l0"] = np.zeros((20, 3))
        p["weight_ih_l1"] = np.zeros((20, 3))
    with pytest.raises(ValueError, match=r"weight_hh_l0 must have shape .*\(20, 5\), got \(5, 20\)"), lstm.edit() as p:
        p["weight_ih_l0"][...] = 0
        p["weight_hh_l0"] = np.zeros((5, 20))
    with pytest.raises(ZeroDivisionError), lstm.edit() as p:
        p["bias_ih_l0"][...] = 1 / 0
    assert_same_parameters(lstm, before)


def test_state_dict_gives_copies_and_loads_into_another():
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


def test_load_state_dict_takes_all_or_nothing():
    lstm = make("lstm", 3, 5)
    before, good = lstm.state_dict(), make("lstm", 3, 5, seed=9).state_dict()
    bad = [
        ({name: good[name] for name in list(good)[:3]}, "missing .*bias_hh_l0"),
        (good | {"weight_hr_l0": np.zeros(1)}, "unexpected .*weight_hr_l0"),
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


# ---- the object ----------------------------------------------------------------------------------------------------


def test_repr_is_a_call_that_makes_a_like_module():
    modules = [
        LSTM(3, 5),
        RNN(3, 5, 2, "relu", bias=False),
        LSTMCell(3, 5, dtype=np.float64),
        LSTM(3, 5, 2, bias=False, batch_first=True, dropout=0.25, bidirectional=True, dtype="float64"),
        LSTM(3, 5, forget_bias=1.0),
        LSTMCell(3, 5, bias=False),
    ]
    assert repr(modules[0]) == "LSTM(3, 5)"
    assert repr(modules[1]) == "RNN(3, 5, num_layers=2, nonlinearity='relu', bias=False)"
    for module in modules:
        again = eval(repr(module), {"LSTM": LSTM, "RNN": RNN, "LSTMCell": LSTMCell, "float64": np.float64})
        assert repr(again) == repr(module) and list(again.parameters()) == list(module.parameters())
        assert again.dtype == module.dtype


def test_constructor_arguments_are_attributes():
    lstm = LSTM(3, 5, 2, bias=False, batch_first=True, dropout=0.25, bidirectional=True, dtype=np.float64, seed=7)
    assert (lstm.input_size, lstm.hidden_size, lstm.num_layers) == (3, 5, 2)
    assert (lstm.bias, lstm.batch_first, lstm.dropout, lstm.bidirectional) == (False, True, 0.25, True)
    assert (lstm.dtype, lstm.seed, lstm.forget_bias) == (np.float64, 7, None)
    assert RNN(3, 5, nonlinearity="identity").nonlinearity == "identity"
    assert LSTM(np.int64(3), np.int32(5)).input_size == 3


EVERY_KIND = (
    LSTM(3, 5, 2, proj_size=2, peepholes=True, bidirectional=True, seed=0),
    RNN(3, 5, seed=0),
    LSTMCell(3, 5, seed=0),
    LSTM(3, 5, seed=0).quantized(),
)


@pytest.mark.parametrize("module", EVERY_KIND, ids=lambda module: type(module).__name__)
def test_options_are_read_only(module):
    """Writing one would make calls read beyond the packed weights."""
    settings = {"batch_first", "dropout", "recurrent_dropout", "zoneout"}
    others = [
        "num_directions",
        "num_gates",
        "has_cell_state",
        "h_size",
        "output_size",
        "parameter_names",
        "flat_parameters",
    ]
    x, before = np.ones((2, 3) if isinstance(module, LSTMCell) else (4, 2, 3)), repr(module)
    want = module(x)[0]
    for name in [*module.config(), "num_layers", "bidirectional", "proj_size", "learn_initial_state", *others]:
        value = getattr(module, name)
        if name in settings:
            continue
        for wrong in (3, True, value):
            with pytest.raises(AttributeError, match=name):
                setattr(module, name, wrong)
        with pytest.raises(AttributeError, match=name):
            delattr(module, name)
        assert getattr(module, name) is value or np.all(getattr(module, name) == value)
    with pytest.raises(AttributeError, match="hidden_size is fixed .*: make a new .* with hidden_size=9"):
        module.hidden_size = 9
    assert repr(module) == before and (module(x)[0] == want).all()


def test_settings_can_be_changed_and_are_checked():
    lstm, x = LSTM(3, 5, 2, seed=0), np.random.default_rng(0).standard_normal((4, 2, 3))
    want = lstm(x)[0]
    lstm.batch_first, lstm.dropout, lstm.recurrent_dropout, lstm.zoneout = True, 0.5, 0.25, (0.1, 0.2)
    assert repr(lstm) == (
        "LSTM(3, 5, num_layers=2, batch_first=True, dropout=0.5, recurrent_dropout=0.25, zoneout=(0.1, 0.2))"
    )
    assert_same_bits(lstm(x.swapaxes(0, 1))[0], want.swapaxes(0, 1))
    assert lstm.forward(x.swapaxes(0, 1))[2].options[:4] == (0.5, 0.25, 0.1, 0.2)
    for name, wrong in (("batch_first", 1), ("dropout", 1.5), ("recurrent_dropout", -1), ("zoneout", (1, 2))):
        with pytest.raises((TypeError, ValueError), match=name):
            setattr(lstm, name, wrong)
    twin = copy.copy(lstm)
    twin.dropout, twin.batch_first = 0.0, False
    assert (lstm.dropout, lstm.batch_first) == (0.5, True)
    for cls, name in ((LSTMCell, "batch_first"), (LSTMCell, "zoneout")):
        with pytest.raises(AttributeError, match=f"LSTMCell has no option {name}"):
            setattr(cls(3, 5), name, True)
    with pytest.raises(ValueError, match="zoneout must be a number"):
        RNN(3, 5).zoneout = (0.1, 0.2)


@pytest.mark.parametrize("module", EVERY_KIND, ids=lambda module: type(module).__name__)
def test_config_makes_a_like_module(module):
    if not isinstance(module, lstm_fast.QuantizedLSTM):
        assert repr(type(module)(**module.config())) == repr(module)


@pytest.mark.parametrize("module", EVERY_KIND, ids=lambda module: type(module).__name__)
def test_places_of_parameters_are_public(module):
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


def test_flat_parameters_can_be_loaded():
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


def test_a_generator_draws_the_masks_in_place_of_the_modules_own():
    lstm, other = (LSTM(3, 5, 2, dropout=0.5, zoneout=0.1, seed=0) for _ in range(2))
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    first, second = (lstm.forward(x, rng=np.random.default_rng(seed))[0] for seed in (1, 2))
    assert (first != second).any()
    assert_same_bits(lstm.forward(x, rng=np.random.default_rng(1))[0], first)
    assert_same_bits(lstm.forward(x)[0], other.forward(x)[0])  # its own is where it was
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator or None, got int"):
        lstm.forward(x, rng=1)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["deepcopy", "pickle"]
)
def test_copy_is_equal_and_independent(isa, duplicate):
    for module in (
        make("lstm", 3, 5, num_layers=2, bidirectional=True, dropout=0.5, dtype=np.float32),
        make("relu", 3, 5, batch_first=True, bias=False),
    ):
        again = duplicate(module)
        assert repr(again) == repr(module)
        assert_same_parameters(again, module.parameters())
        a = draw(np.random.default_rng(1), module, 4, 4)
        got, want = train(again, a, training=True)[0], train(module, a, training=True)[0]  # the same dropout too
        for name in want:
            assert_same_bits(got[name], want[name], name)
        with again.edit() as p:
            p["weight_ih_l0"][...] = 0
        assert module.parameters()["weight_ih_l0"].all()
        with pytest.raises(ValueError, match="read-only"):
            again.flat_parameters[...] = 0
    cell = LSTMCell(3, 5, seed=0)
    assert_same_bits(duplicate(cell)(np.ones(3))[1], cell(np.ones(3))[1])


def test_dropout_without_layers_to_stand_between_warns():
    with pytest.warns(UserWarning, match="dropout.*num_layers=1") as caught:
        LSTM(3, 5, dropout=0.5)
    assert caught[0].filename == __file__
    LSTM(3, 5, 2, dropout=0.5)


# ---- calls ---------------------------------------------------------------------------------------------------------


def test_states_are_never_batch_first_and_of_two_dimensions_without_a_batch():
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


def test_gradients_have_the_form_of_what_they_belong_to():
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


def test_gradients_are_a_mapping_over_one_buffer_in_the_order_of_parameters():
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


def test_tape_says_what_it_holds():
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
def test_tape_of_another_module_is_refused(other):
    *_, tape = other.forward(np.ones((4, 2, 3)))
    with pytest.raises(TypeError, match="^tape must"):
        make("lstm", 3, 5).backward(tape, None)


def test_what_is_no_tape_of_a_module_is_refused():
    lstm = make("lstm", 3, 5)
    *_, tape = lstm_fast.lstm_forward(np.ones((4, 2, 3)), None, None, *lstm.parameters().values())
    for not_a_tape in (tape, None, "tape", (1, 2)):
        with pytest.raises(TypeError, match="^tape must"):
            lstm.backward(not_a_tape, None)


def test_tape_of_another_function_is_refused():
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


# ---- trace ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", range(len(STRUCTURES)), ids=lambda k: str(STRUCTURES[k]))
def test_trace_shows_what_the_reference_has_on_its_tape(isa, poison, k, dtype):
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


def test_trace_has_one_form_for_every_form_of_input():
    lstm, batch_first = make("lstm", 3, 5, num_layers=2), make("lstm", 3, 5, num_layers=2, batch_first=True)
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    want = lstm.trace(x)
    for got in (batch_first.trace(x.swapaxes(0, 1)), lstm.trace(x, num_threads=2)):
        for field in want._fields:
            assert_same_bits(getattr(got, field), getattr(want, field), field)
    assert_same_bits(lstm.trace(x[:, 1]).c, want.c[:, :, :, 1:])
    for T, B in ((0, 2), (3, 0)):
        assert {values.shape for values in lstm.trace(np.zeros((T, B, 3)))} == {(2, 1, T, B, 5)}


def test_trace_is_without_dropout():
    lstm, plain = (make("lstm", 3, 5, num_layers=2, dropout=p) for p in (0.5, 0.0))
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    assert_same_bits(lstm.trace(x).h, plain.trace(x).h)


# ---- LSTMCell ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_cell_gives_the_bits_of_an_lstm_step_by_step(isa, bias, dtype):
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


def test_cell_without_a_batch_gives_gradients_without_one():
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


def test_memory_of_a_large_tape_is_used_again_but_never_while_somebody_looks():
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
