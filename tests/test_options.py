"""Options of networks as attributes, repr, config, copies."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast
from lstm_fast import LSTM, RNN, LSTMCell
from lstm_fast._options import options_of
from module_cases import draw, make, train
from tolerances import assert_same_bits


def assert_same_parameters(module, want):
    got = module.parameters()
    assert list(got) == list(want)
    for name in want:
        assert_same_bits(got[name], want[name], name)


def test_repr_recreates_the_module():
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


def test_options_are_documented():
    classes = (
        LSTM,
        RNN,
        LSTMCell,
        lstm_fast.QuantizedLSTM,
        lstm_fast.train.SequenceModel,
        lstm_fast.train.QuantizedModel,
    )
    options = {f"{cls.__name__}.{name}": one for cls in classes for name, one in options_of(cls).items()}
    assert len(options) > 60
    for name, one in options.items():
        assert isinstance(one.__doc__, str) and one.__doc__.endswith(".") and callable(one.check), name


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
    LSTM(3, 5, seed=0).quantized("int8"),
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
    with pytest.raises(AttributeError, match="hidden_size is fixed .*: create a new .* with hidden_size=9"):
        module.hidden_size = 9
    assert repr(module) == before and (module(x)[0] == want).all()


def test_settings_are_mutable_and_validated():
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
def test_config_recreates_the_module(module):
    if not isinstance(module, lstm_fast.QuantizedLSTM):
        assert repr(type(module)(**module.config())) == repr(module)


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


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match="dropout.*num_layers=1") as caught:
        LSTM(3, 5, dropout=0.5)
    assert caught[0].filename == __file__
    LSTM(3, 5, 2, dropout=0.5)
