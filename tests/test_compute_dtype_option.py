"""The option compute_dtype: validated, shown, kept by copies, files, models, estimators and ONNX."""

import copy
import functools
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.modules.reverse import ReverseLSTM
from option_cases import make
from optional import require
from tolerances import assert_same_bits

make = functools.partial(make, "lstm", dtype=np.float32, compute_dtype="bfloat16")


@pytest.mark.parametrize("cls", [lf.LSTM, lf.LSTMCell, ReverseLSTM])
def test_option_is_validated_shown_and_fixed(cls):
    with pytest.raises(ValueError, match=r"compute_dtype must be None, 'bfloat16' or 'bfloat16_amx', got 'float16'"):
        cls(3, 4, compute_dtype="float16")
    with pytest.raises(ValueError, match="compute_dtype must be None with dtype float64, got 'bfloat16'"):
        cls(3, 4, dtype=np.float64, compute_dtype="bfloat16")
    for compute_dtype in ("bfloat16", "bfloat16_amx"):
        network = cls(3, 4, compute_dtype=compute_dtype)
        assert network.compute_dtype == compute_dtype and network.dtype == np.float32
        assert f"compute_dtype={compute_dtype!r}" in repr(network) and "compute_dtype" not in repr(cls(3, 4))
    with pytest.raises(AttributeError, match="compute_dtype is fixed"):
        network.compute_dtype = None


def test_rnn_has_no_such_option():
    with pytest.raises(TypeError, match="compute_dtype"):
        lf.RNN(3, 4, compute_dtype="bfloat16")


def test_copies_and_pickles_keep_the_option():
    lstm = make(3, 9, (), seed=1)
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    for other in (copy.copy(lstm), copy.deepcopy(lstm), pickle.loads(pickle.dumps(lstm))):
        assert other.compute_dtype == "bfloat16" and other.config() == lstm.config()
        assert_same_bits(other(x)[0], lstm(x)[0])


def test_edited_parameters_are_rounded():
    lstm = make(3, 9, (), seed=1)
    x = np.ones((4, 2, 3), np.float32)
    before, (_, _, tape) = lstm(x)[0], lstm.forward(x)
    want = lstm.backward(tape, np.ones_like(before))
    with lstm.edit() as p:
        p["weight_hh_l0"][...] *= 2
    assert (lstm(x)[0][1:] != before[1:]).any()
    assert_same_bits(lstm(x)[0], lstm.quantized("bfloat16")(x)[0])
    assert_same_bits(lstm.backward(tape, np.ones_like(before)).flat, want.flat)  # uses the weights of its forward call


def test_tapes_with_and_without_the_option_are_not_interchangeable():
    plain = lf.LSTM(3, 9, seed=1)
    *_, tape = plain.forward(np.ones((2, 1, 3)))
    with pytest.raises(TypeError, match="tape must come from forward of this module"):
        make(3, 9, ()).backward(tape, None)


def test_quantized_copies_lack_the_option():
    lstm = lf.LSTM(3, 9, compute_dtype="bfloat16")
    for format in ("float16", "bfloat16", "bfloat16_amx", "int8"):
        quantized = lstm.quantized(format)
        assert repr(quantized) == f"QuantizedLSTM(3, 9, format={format!r})"
        assert pickle.loads(pickle.dumps(quantized)).format == format
        assert quantized.dequantized().compute_dtype is None


@pytest.mark.parametrize("cell", [False, True])
def test_files_keep_the_option(tmp_path, cell):
    pytest.importorskip("safetensors")
    lstm = (lf.LSTMCell if cell else lf.LSTM)(3, 9, compute_dtype="bfloat16_amx", seed=1)
    lf.weights.save(lstm, tmp_path / "x.safetensors")
    loaded = lf.weights.load(tmp_path / "x.safetensors")
    assert repr(loaded) == repr(lstm)
    assert_same_bits(loaded.flat_parameters, lstm.flat_parameters)
    assert lf.weights.load(tmp_path / "x.safetensors", compute_dtype=None).compute_dtype is None
    with pytest.raises(ValueError, match="compute_dtype must be None with dtype float64"):
        lf.weights.load(tmp_path / "x.safetensors", dtype=np.float64)


def test_files_omit_the_default(tmp_path):
    pytest.importorskip("safetensors")
    lf.weights.save(lf.LSTM(3, 9), tmp_path / "x.safetensors")
    assert b"compute_dtype" not in (tmp_path / "x.safetensors").read_bytes()


def test_models_and_checkpoints_keep_the_option(tmp_path):
    pytest.importorskip("safetensors")
    model = lf.train.SequenceModel(make(3, 9, (), seed=1), 2, seed=0)
    x = np.random.default_rng(0).standard_normal((6, 4, 3)).astype(np.float32)
    model.save(tmp_path / "x.safetensors")
    loaded = lf.train.load(tmp_path / "x.safetensors")
    assert loaded.lstm.compute_dtype == "bfloat16"
    assert_same_bits(loaded.predict(x), model.predict(x))
    assert model.quantized("int8").lstm.format == "int8"
    y = np.zeros((4, 2), np.float32)
    want, gradients = model.loss_and_grads(x, y)
    assert want == loaded.loss_and_grads(x, y)[0]
    assert gradients["lstm.weight_hh_l0"].dtype == np.float32


def test_estimators_pass_the_option():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.base import clone

    X = np.random.default_rng(0).standard_normal((20, 6, 2))
    y = X[:, :, 0].sum(axis=1)
    regressor = lf.sklearn.LSTMRegressor(
        hidden_size=8, epochs=2, lstm_options={"compute_dtype": "bfloat16"}, random_state=0
    )
    regressor = clone(regressor).fit(X, y)
    assert sklearn and regressor.model_.lstm.compute_dtype == "bfloat16"
    assert_same_bits(clone(regressor).fit(X, y).predict(X), regressor.predict(X))
    assert regressor.quantized("int8").predict(X).shape == y.shape


def test_onnx_stores_float32_weights_and_the_option(tmp_path):
    require("onnx")
    lstm = make(3, 9, (), seed=1)
    lf.onnx.save(lstm, tmp_path / "x.onnx")
    loaded = lf.onnx.load(tmp_path / "x.onnx")
    assert loaded.compute_dtype == "bfloat16"
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    assert_same_bits(loaded(x)[0], lstm(x)[0])
    lf.onnx.save(lf.LSTM(3, 9), tmp_path / "plain.onnx")
    assert b"compute_dtype" not in (tmp_path / "plain.onnx").read_bytes()


def test_formats_are_compared_with_float32():
    lstm = make(3, 9, (), seed=1)
    x = np.random.default_rng(0).standard_normal((6, 2, 3)).astype(np.float32)
    for one, data in ((lstm, x), (lf.train.SequenceModel(lstm, 1, seed=0), x)):
        comparison = lf.compare_formats(one, data)
        assert comparison["bfloat16"].max_error > 0 and comparison["float32"].max_error == 0
