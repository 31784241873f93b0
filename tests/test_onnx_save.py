"""lf.onnx.save: ONNX Runtime runs the file with the same results, and load gives the bits back."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lstm_fast as lf
from lstm_fast.onnx import ReverseRNN
from lstm_fast.onnx.loading import REMEMBERED
from onnx_cases import ACTIVATIONS, assert_close, run

LSTMS = {
    "plain": {},
    "no bias": {"bias": False},
    "stacked": {"num_layers": 3, "dropout": 0.1},
    "bidirectional": {"bidirectional": True},
    "batch_first": {"batch_first": True},
    "all of these": {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
    "peepholes": {"peepholes": True, "bidirectional": True},
    "coupled_gates": {"coupled_gates": True},
    "gate_clip": {"gate_clip": 0.3},
    "learn_initial_state": {"learn_initial_state": True, "num_layers": 2, "bidirectional": True},
    "recurrent_dropout, zoneout": {"recurrent_dropout": 0.2, "zoneout": (0.1, 0.3)},
    "variants": {
        "peepholes": True,
        "coupled_gates": True,
        "gate_clip": 0.7,
        "activation": "softsign",
        "recurrent_activation": ("hard_sigmoid", 0.3, 0.4),
        "cell_activation": ("elu", 0.8),
        "bidirectional": True,
        "num_layers": 2,
    },
}


def filled(module, seed=0):
    """Set parameters to values that no initialization produces, including -0."""
    rng = np.random.default_rng(seed)
    with module.edit() as p:
        p.flat[:] = rng.uniform(-0.5, 0.5, p.flat.shape)
        p.flat[::17] = -0.0
    return module


def draw(module, T=6, B=4, seed=1):
    """x, lengths, h_0, c_0."""
    rng = np.random.default_rng(seed)
    n = module.num_layers * (1 + module.bidirectional)
    states = rng.standard_normal((2, n, B, module.hidden_size)).astype(module.dtype)
    x = rng.standard_normal((B, T, module.input_size) if module.batch_first else (T, B, module.input_size)).astype(
        module.dtype
    )
    return x, rng.integers(1, T + 1, B).astype(np.int32), *states


def flat(result):
    output, state = result
    return [output, *(state if isinstance(state, tuple) else (state,))]


def check_runs(module, path, run=run):
    """With and without lengths and states, for other T and B of one file."""
    names = ("h_0", "c_0")[: 1 + isinstance(module, lf.LSTM)]
    for T, B in ((6, 4), (1, 1), (9, 2)):
        x, lengths, *states = draw(module, T, B)
        states = states[: len(names)]
        given = tuple(states) if len(states) == 2 else states[0]
        for feeds, want in (
            ({}, module(x)),
            ({"lengths": lengths}, module(x, lengths=lengths)),
            (dict(zip(names, states)), module(x, given)),
            ({"lengths": lengths, **dict(zip(names, states))}, module(x, given, lengths=lengths)),
        ):
            assert_close(run(path, {"x": x, **feeds}), flat(want))


@pytest.mark.parametrize("name", LSTMS)
def test_lstm(name, tmp_path):
    lstm = filled(lf.LSTM(3, 5, **LSTMS[name]))
    lf.onnx.save(lstm, tmp_path / "lstm.onnx")
    onnx.checker.check_model(str(tmp_path / "lstm.onnx"), full_check=True)
    check_runs(lstm, tmp_path / "lstm.onnx")
    again = lf.onnx.load(tmp_path / "lstm.onnx")
    assert repr(again) == repr(lstm) and again.flat_parameters.tobytes() == lstm.flat_parameters.tobytes()


@pytest.mark.parametrize("name", LSTMS)
def test_float64(name, tmp_path):
    """ONNX Runtime has no float64 LSTM; Backend has one."""
    lstm = filled(lf.LSTM(3, 5, dtype=np.float64, **LSTMS[name]))
    lf.onnx.save(lstm, tmp_path / "lstm.onnx")
    prepared = lf.onnx.Backend.prepare(onnx.load(tmp_path / "lstm.onnx"))
    check_runs(lstm, None, run=lambda _, feeds: prepared.run(feeds))
    again = lf.onnx.load(tmp_path / "lstm.onnx")
    assert again.dtype == np.float64 and again.flat_parameters.tobytes() == lstm.flat_parameters.tobytes()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, tmp_path):
    ours = {
        "LeakyRelu": ("leaky_relu", 0.3),
        "ThresholdedRelu": ("thresholded_relu", 0.1),
        "ScaledTanh": ("scaled_tanh", 0.7, 0.6),
        "HardSigmoid": ("hard_sigmoid", 0.3, 0.4),
        "Affine": ("affine", 0.5, 0.1),
        "Elu": ("elu", 0.4),
    }.get(activation, activation.lower())
    for argument in ("activation", "recurrent_activation", "cell_activation"):
        lstm = lf.LSTM(3, 4, seed=0, **{argument: ours})
        lf.onnx.save(lstm, tmp_path / "lstm.onnx")
        check_runs(lstm, tmp_path / "lstm.onnx")
        assert getattr(lf.onnx.load(tmp_path / "lstm.onnx"), argument) == ours


def test_reverse(tmp_path):
    lstm = filled(lf.onnx.ReverseLSTM(3, 5, 2, peepholes=True, batch_first=True))
    lf.onnx.save(lstm, tmp_path / "lstm.onnx")
    check_runs(lstm, tmp_path / "lstm.onnx")
    again = lf.onnx.load(tmp_path / "lstm.onnx")
    assert repr(again) == repr(lstm) and again.flat_parameters.tobytes() == lstm.flat_parameters.tobytes()


def test_reverse_rnn(tmp_path):
    rnn = filled(ReverseRNN(3, 5, 2, "relu"))
    lf.onnx.save(rnn, tmp_path / "rnn.onnx")
    check_runs(rnn, tmp_path / "rnn.onnx")


@pytest.mark.parametrize("nonlinearity", ("tanh", "relu", "identity"))
def test_rnn(nonlinearity, tmp_path):
    rnn = lf.RNN(3, 5, 2, nonlinearity, bidirectional=True, learn_initial_state=True, seed=0)
    lf.onnx.save(rnn, tmp_path / "rnn.onnx")
    onnx.checker.check_model(str(tmp_path / "rnn.onnx"), full_check=True)
    check_runs(rnn, tmp_path / "rnn.onnx")
    prepared = lf.onnx.Backend.prepare(onnx.load(tmp_path / "rnn.onnx"))
    check_runs(rnn, None, run=lambda _, feeds: prepared.run(feeds))
    assert lf.onnx.names(tmp_path / "rnn.onnx") == []


@pytest.mark.parametrize("readout", ("last", "mean", "all"))
@pytest.mark.parametrize(
    "options",
    ({}, {"batch_first": True, "bidirectional": True, "num_layers": 2, "learn_initial_state": True}, {"rnn": True}),
)
def test_sequence_model(readout, options, tmp_path):
    options = dict(options)
    module = filled((lf.RNN if options.pop("rnn", False) else lf.LSTM)(3, 5, **options))
    model = lf.train.SequenceModel(module, 2, readout, seed=0)
    lf.onnx.save(model, tmp_path / "model.onnx")
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    for T, B in ((6, 4), (1, 1)):
        x, lengths, *_ = draw(module, T, B)
        assert_close(run(tmp_path / "model.onnx", {"x": x}), [model.predict(x)])
        got, want = run(tmp_path / "model.onnx", {"x": x, "lengths": lengths})[0], model.predict(x, lengths)
        if readout == "all":  # the padding is unspecified
            valid = np.arange(T)[:, None] < lengths
            valid = valid.T if module.batch_first else valid
            got, want = got[valid], want[valid]
        assert_close([got], [want])
    if isinstance(module, lf.LSTM):
        again = lf.onnx.load(tmp_path / "model.onnx")
        assert repr(again) == repr(module) and again.flat_parameters.tobytes() == module.flat_parameters.tobytes()


@pytest.mark.parametrize("options", ({"proj_size": 2}, {"layer_norm": True}, {"cell_clip": 3.0}))
def test_options_that_onnx_lacks_raise(options, tmp_path):
    for lstm in (lf.LSTM(3, 5, **options), lf.train.SequenceModel(lf.LSTM(3, 5, **options), 1)):
        with pytest.raises(ValueError, match=f"{next(iter(options))}=.*cannot be saved"):
            lf.onnx.save(lstm, tmp_path / "lstm.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", (lf.LSTMCell(2, 3), "lstm", None))
def test_other_types_raise(wrong, tmp_path):
    with pytest.raises(TypeError, match="lstm_or_model must be an LSTM, an RNN or a SequenceModel"):
        lf.onnx.save(wrong, tmp_path / "lstm.onnx")


@pytest.mark.parametrize("format", ["float16", "bfloat16", "int8"])
def test_quantized_lstm_is_saved_with_dequantized_weights(tmp_path, format):
    small = lf.LSTM(3, 5, 2, bidirectional=True, batch_first=True, seed=0).quantized(format)
    lf.onnx.save(small, tmp_path / "lstm.onnx")
    again, x = lf.onnx.load(tmp_path / "lstm.onnx"), draw(small)[0]
    assert repr(again) == repr(small.dequantized())
    assert (again(x)[0] == small.dequantized()(x)[0]).all()
    model = lf.train.SequenceModel(lf.LSTM(3, 5, seed=0), 2, seed=0).quantized(format)
    lf.onnx.save(model, tmp_path / "model.onnx")
    (y,) = run(tmp_path / "model.onnx", {"x": x}) if format != "float16" else (model.predict(x),)
    assert np.abs(y - model.predict(x)).max() < 0.02


def test_files_are_written_atomically(tmp_path, monkeypatch):
    path = tmp_path / "lstm.onnx"
    lf.onnx.save(lf.LSTM(3, 5, seed=0), path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        lf.onnx.save(lf.LSTM(3, 5, seed=1), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        lf.onnx.save(lf.LSTM(3, 5, seed=1), tmp_path / "none" / "lstm.onnx")


def test_files_are_reproducible(tmp_path):
    for name in "ab":
        lf.onnx.save(lf.LSTM(3, 5, 2, seed=0), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damaged_metadata(tmp_path):
    lf.onnx.save(lf.LSTM(3, 5), tmp_path / "lstm.onnx")
    model = onnx.load(tmp_path / "lstm.onnx")
    for value in ("{", "[]", "{}", json.dumps(dict.fromkeys(REMEMBERED, 3)), "[" * 100000):
        model.metadata_props[0].value = value
        with pytest.raises(lf.FormatError):
            lf.onnx.load(model)
