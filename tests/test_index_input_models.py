"""index_input in models, files and other libraries: supported, or an error that names it."""

import pickle

import numpy as np
import pytest

import lstm_fast as lf
from optional import needs
from tolerances import assert_same_bits


@pytest.mark.parametrize("batch_first", [False, True])
def test_fit_matches_one_hot_vectors_bitwise(tmp_path, batch_first):
    x = np.random.default_rng(0).integers(11, size=(20, 7))
    axes = (lambda a: a) if batch_first else (lambda a: a.swapaxes(0, 1))
    settings = dict(loss="cross_entropy", epochs=2, batch_size=6, seed=0, validation=0.2)

    def fitted(x, **options):
        lstm = lf.LSTM(11, 8, batch_first=batch_first, seed=0, **options)
        model = lf.train.SequenceModel(lstm, 11, readout="all", seed=0)
        return model, lf.train.fit(model, x, axes(np.roll(x_of_targets, -1, axis=1)), **settings).loss

    x_of_targets = x
    vectors = np.eye(11, dtype=np.float32)[x]
    model, losses = fitted(axes(x), index_input=True)
    twin, want = fitted(axes(vectors))
    assert losses == want
    assert_same_bits(model.predict(axes(x)), twin.predict(axes(vectors)))
    mapped = np.memmap(tmp_path / "x", np.uint8, "w+", shape=axes(x).shape)
    mapped[:] = axes(x)
    assert fitted(mapped, index_input=True)[1] == want
    model.save(tmp_path / "model")
    again = lf.train.load(tmp_path / "model")
    assert again.lstm.index_input
    assert_same_bits(again.predict(axes(x)), model.predict(axes(x)))
    assert_same_bits(model.stream().block(x[0]), again.predict([x[0]])[0])


def test_lists_of_sequences():
    model = lf.train.SequenceModel(lf.LSTM(11, 8, seed=0, index_input=True), 2, seed=0)
    rows = [[1, 2, 3], np.array([4], np.uint8), [5, 6]]
    want = np.stack([model.predict(np.asarray(row)[:, None])[0] for row in rows])
    assert_same_bits(model.predict(rows), want)
    with pytest.raises(ValueError, match=r"x\[1\] must hold symbols from 0 to input_size - 1 = 10, got 11 at \[2\]"):
        model.predict([[1], [1, 2, 11]])
    with pytest.raises(TypeError, match=r"x\[0\] must hold integers"):
        model.predict([[1.5]])


def test_files_and_repr(tmp_path):
    for network in (lf.LSTM(5, 8, index_input=True, seed=0), lf.RNN(5, 8, index_input=True, seed=0)):
        assert "index_input=True" in repr(network)
        assert pickle.loads(pickle.dumps(network)).index_input
    lstm = lf.LSTM(5, 8, index_input=True, seed=0)
    lf.weights.save(lstm, tmp_path / "lstm")
    assert lf.weights.load(tmp_path / "lstm").index_input
    assert not lf.weights.load(tmp_path / "lstm", index_input=False).index_input
    assert lf.fingerprint(lstm) == lf.fingerprint(lf.LSTM(5, 8, seed=0))
    lf.weights.save(lstm.quantized("int8", inputs="int8"), tmp_path / "int8")
    assert_same_bits(lf.weights.load(tmp_path / "int8")([1, 2])[0], lstm.quantized("int8", inputs="int8")([1, 2])[0])
    with pytest.raises(AttributeError, match="index_input"):
        lstm.index_input = False


def test_unsupported_combinations_raise():
    lstm = lf.LSTM(5, 8, index_input=True, seed=0)
    with pytest.raises(ValueError, match="index_input"):
        lf.explain.html(lstm, [1, 2], "unused.html")
    with pytest.raises(TypeError, match="index_input must be True or False"):
        lf.LSTM(5, 8, index_input=1)


@needs("keras")
def test_keras_export_raises():
    with pytest.raises(ValueError, match="index_input must be False for Keras"):
        lf.keras.to_layer(lf.LSTM(5, 8, index_input=True, seed=0))


@needs("matplotlib")
def test_plots_of_x_raise():
    lstm = lf.LSTM(5, 8, index_input=True, seed=0)
    with pytest.raises(ValueError, match="index_input=False"):
        lf.plot.unit(lstm, [1, 2])


@needs("onnx", "onnxruntime")
def test_onnx_export_gathers_the_same_rows(tmp_path):
    import onnxruntime

    lstm = lf.LSTM(5, 8, num_layers=2, bidirectional=True, index_input=True, seed=0)
    lf.onnx.save(lstm, tmp_path / "lstm.onnx")
    again = lf.onnx.load(tmp_path / "lstm.onnx")
    assert again.index_input and again.input_size == 5
    x = np.random.default_rng(0).integers(5, size=(6, 3))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(tmp_path / "lstm.onnx"), options)
    assert np.abs(session.run(["output"], {"x": x})[0] - lstm(x)[0]).max() < 1e-6
