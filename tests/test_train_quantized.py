"""SequenceModel.quantized: predictions are the head on the QuantizedLSTM's output; streams, files, errors."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from format_cases import FORMATS
from lstm_fast.train import QuantizedModel, SequenceModel
from tolerances import assert_same_bits

each_format = pytest.mark.parametrize("format, inputs", FORMATS.values(), ids=FORMATS)
x = np.random.default_rng(0).standard_normal((7, 6, 3)).astype(np.float32)


def model(readout="last", **options):
    return SequenceModel(lf.LSTM(3, 20, 2, batch_first=True, seed=0, **options), 2, readout, seed=0)


@each_format
@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_predictions_apply_the_head_to_the_network_output(format, inputs, readout):
    full = model(readout, bidirectional=readout == "mean")
    small = full.quantized(format, inputs=inputs)
    lengths = [6, 2, 4, 6, 1, 6, 3]
    got = small.predict(x, lengths)
    output, (h_n, _) = full.lstm.quantized(format, inputs=inputs)(x, lengths=lengths)
    features = {
        "all": output,
        "last": h_n[-full.lstm.num_directions :].swapaxes(0, 1).reshape(7, -1),
        "mean": output.sum(axis=1) / np.float32(lengths)[:, None],
    }[readout]
    head = full.head
    want = features @ head.weight.T + head.bias
    if readout == "all":
        want[np.arange(6) >= np.array(lengths)[:, None]] = 0
    assert np.abs(got - want).max() < 1e-6
    assert 0 < np.abs(got - full.predict(x, lengths)).max() < 0.05
    as_list = small.predict([one[:n] for one, n in zip(x, lengths, strict=True)])
    assert_same_bits(as_list, got)
    assert_same_bits(small.predict(x, lengths, batch_size=2, num_threads=2), got)
    assert small.predict(x[:0]).shape[0] == 0


@each_format
def test_stream_matches_predict_bitwise(format, inputs):
    small = model("all").quantized(format, inputs=inputs)
    want = small.predict(x)
    stream = small.stream(7)
    got = [stream.step(x[:, 0]), *stream.block(x[:, 1:].swapaxes(0, 1))]
    assert_same_bits(np.stack(got, 1), want)
    with pytest.raises(ValueError, match="readout"):
        model("mean").quantized(format, inputs=inputs).stream()


@each_format
@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_files_and_copies_give_the_same_model(tmp_path, format, inputs, readout):
    path = tmp_path / "model.safetensors"
    small = model(readout, peepholes=True, cell_clip=2.0).quantized(format, inputs=inputs)
    small.save(path)
    again = lf.train.load(path)
    for one in (again, copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert type(one) is QuantizedModel and repr(one) == repr(small) and one.nbytes == small.nbytes
        assert_same_bits(one.predict(x), small.predict(x))
    for name, value in small.state_dict().items():
        assert_same_bits(again.state_dict()[name], value, name)
    network = lf.weights.load(path)
    assert repr(network) == repr(small.lstm)
    assert_same_bits(network(x)[0], small.lstm(x)[0])


def test_bytes_options_and_repr():
    full = model()
    small = full.quantized("int8", inputs="int8")
    assert small.nbytes == small.lstm.nbytes + 4 * 2 * 21 < 0.4 * full.flat_parameters.nbytes
    assert (small.format, small.out_features, small.readout, small.dtype) == ("int8", 2, "last", np.float32)
    assert repr(small) == f"QuantizedModel({small.lstm!r}, 2, readout='last')"
    for name in ("lstm", "out_features", "readout", "head", "format", "nbytes"):
        with pytest.raises(AttributeError):
            setattr(small, name, 3)


def test_changes_to_the_original_do_not_affect_the_copy():
    full = model()
    small = full.quantized("bfloat16")
    before = small.predict(x)
    with full.edit() as p:
        p.flat[:] = 0
    assert_same_bits(small.predict(x), before)


def test_training_raises():
    small = model().quantized("int8")
    for call in (
        lambda: small.loss_and_grads(x, np.zeros((7, 2))),
        lambda: lf.train.fit(small, x, np.zeros((7, 2)), epochs=1),
        lambda: small.edit(),
        lambda: small.quantized("bfloat16"),
    ):
        with pytest.raises((AttributeError, TypeError), match="for inference"):
            call()


def test_unquantizable_options_raise():
    with pytest.raises(TypeError, match=r"model\.lstm must be an LSTM to be quantized, got RNN"):
        SequenceModel(lf.RNN(3, 4), 2).quantized("int8")
    with pytest.raises(ValueError, match="dtype must be float32"):
        SequenceModel(lf.LSTM(3, 4, dtype=np.float64), 2).quantized("int8")
    with pytest.raises(ValueError, match="proj_size must be 0"):
        SequenceModel(lf.LSTM(3, 4, proj_size=2), 2).quantized("int8")
    for format in ("bfloat16", "int8"):
        with pytest.raises(TypeError, match=r"lstm must have parameters of one dtype, .*call model\.quantized"):
            SequenceModel(lf.LSTM(3, 4).quantized(format), 2)
    small = model().quantized("int8")
    with pytest.raises(TypeError, match="lstm must be a QuantizedLSTM, got LSTM"):
        QuantizedModel(model().lstm, small.head)
    with pytest.raises(ValueError, match="head must be a float32 Head of 20 inputs"):
        QuantizedModel(small.lstm, model(bidirectional=True).head)
    with pytest.raises(ValueError, match="readout must be one of"):
        QuantizedModel(small.lstm, small.head, "first")


def test_damaged_files_raise_format_error(tmp_path):
    path = tmp_path / "model.safetensors"
    model().quantized("int8").save(path)
    data = path.read_bytes()
    for old, new in (
        (b"scale_hh_l1", b"scale_xx_l1"),
        (b'format\\": \\"int8', b'format\\": \\"int4'),
        (b'"I8"', b'"U8"'),
    ):
        assert old in data
        path.write_bytes(data.replace(old, new))
        with pytest.raises(lf.FormatError):
            lf.train.load(path)
