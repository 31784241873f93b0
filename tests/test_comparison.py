"""compare_formats: errors, metric, bytes, time and the table."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import comparison

x = np.random.default_rng(0).standard_normal((12, 3, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    monkeypatch.setattr(comparison, "SECONDS_OF_ROUND", 1e-4)


def test_rows_have_the_documented_fields():
    lstm = lf.LSTM(5, 32, 2, seed=0)
    rows = lf.compare_formats(lstm, x, metric=lambda y: y[-1].sum())
    assert [row.name for row in rows] == [
        "float32",
        "float16",
        "bfloat16",
        "bfloat16_amx",
        "int8",
        "int8, inputs='int16'",
        "int8, inputs='int8'",
    ]
    exact = lstm(x)[0]
    for row in rows:
        small = lstm if row.format == "float32" else lstm.quantized(row.format, inputs=row.inputs)
        y = small(x)[0]
        assert row.max_error == np.abs(y - exact).max()
        assert row.rms_error == pytest.approx(np.sqrt(np.mean((y.astype(float) - exact) ** 2)), rel=1e-6)
        assert row.metric == float(y[-1].sum()) and row.reason is None and row.seconds > 0
        assert row.nbytes == (lstm.flat_parameters.nbytes if small is lstm else small.nbytes)
        assert rows[row.name] is row
    with pytest.raises(KeyError, match="'int4' is not one of float32, float16"):
        rows["int4"]


def test_table():
    rows = lf.compare_formats(lf.LSTM(5, 32, seed=0), x, metric=lambda y: 0.5)
    header, *lines = str(rows).splitlines()
    assert repr(rows) == str(rows) and len(lines) == 7
    assert header.split("  ")[0] == "format" and header.endswith("max error  rms error  metric")
    assert len({len(line) for line in (header, *lines)}) == 1, "aligned"
    assert lines[0].startswith("float32") and "100%" in lines[0] and " 50%" in lines[1]
    assert all(line.endswith("0.5") for line in lines)


def test_padding_and_states_do_not_dilute_the_error():
    lstm = lf.LSTM(5, 32, batch_first=True, seed=0)
    rows, lengths = x.swapaxes(0, 1), np.array([12, 3, 1])
    state = (np.zeros((1, 3, 32)), np.ones((1, 3, 32)))
    row = lf.compare_formats(lstm, rows, state=state, lengths=lengths)["bfloat16"]
    error = lstm.quantized("bfloat16")(rows, state, lengths=lengths)[0] - lstm(rows, state, lengths=lengths)[0]
    valid = np.arange(12) < lengths[:, None]
    assert row.rms_error == pytest.approx(np.sqrt(np.mean(error[valid].astype(float) ** 2)), rel=1e-6)
    assert lf.compare_formats(lstm, rows[0], lengths=4)["int8"].max_error > 0


def test_models():
    model = lf.train.SequenceModel(lf.LSTM(5, 32, seed=0), 2, seed=0)
    rows = lf.compare_formats(model, x, lambda y: y.mean(), lengths=[12, 4, 1], num_threads=1)
    small = model.quantized("int8")
    assert rows["int8"].max_error == np.abs(small.predict(x, [12, 4, 1]) - model.predict(x, [12, 4, 1])).max()
    assert rows["int8"].nbytes == small.nbytes and rows["float32"].nbytes == model.flat_parameters.nbytes
    with pytest.raises(ValueError, match="state must be None"):
        lf.compare_formats(model, x, state=(None, None))


def test_unsupported_formats_have_a_reason():
    rows = lf.compare_formats(lf.LSTM(5, 32, proj_size=4, seed=0), x)
    assert rows["int8"].reason.startswith("proj_size must be 0") and np.isnan(rows["int8"].max_error)
    assert rows["bfloat16"].reason is None
    assert "proj_size must be 0" in str(rows)


@pytest.mark.parametrize(
    "wrong, error, words",
    [
        (lf.RNN(5, 3), TypeError, "lstm must be an LSTM or a SequenceModel of one, got RNN"),
        (lf.train.SequenceModel(lf.RNN(5, 3), 1), TypeError, "lstm must be"),
        (None, TypeError, "lstm must be"),
        (lf.LSTM(5, 3, dtype=np.float64), ValueError, "dtype must be float32"),
        (lf.LSTM(4, 3), ValueError, "x must have shape"),
    ],
)
def test_invalid_arguments_raise(wrong, error, words):
    with pytest.raises(error, match=words):
        lf.compare_formats(wrong, x)
