"""lf.explain.html of models and estimators, given the arguments of predict: it shows the input of the network."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import lstm_fast as lf
from lstm_fast.sklearn import LSTMClassifier, LSTMForecaster, LSTMRegressor
from test_explain import array, write, written

SMALL = {"hidden_size": 4, "epochs": 2, "random_state": 0}
SERIES = 50 + 10 * np.sin(np.arange(60.0))


def forecaster(**options):
    return LSTMForecaster(8, 3, **SMALL, **options)


def frame(n, promo, first=0):
    dates = pd.date_range("2024-01-01", periods=first + n)[first:]
    return pd.DataFrame({"ds": dates, "y": SERIES[:n], "promo": np.full(n, promo)})


def test_forecaster_shows_its_next_forecast(tmp_path):
    model = forecaster(scale=None).fit(SERIES)
    data = written(write(tmp_path, model, None))
    x = array(data["x"]).swapaxes(0, 1)
    assert x.shape == (1, 11, 2) and data["features"] == ["y", "is forecast"] and data["names"] == ["Series 1"]
    np.testing.assert_array_equal(x[0, :8, 0], SERIES[-8:].astype(np.float32))
    np.testing.assert_array_equal(model.model_.predict(x)[0, 8:, 0], model.predict().astype(np.float32))
    other = written(write(tmp_path, model, SERIES[:40]))
    np.testing.assert_array_equal(array(other["x"])[:8, 0, 0], SERIES[32:40].astype(np.float32))


def test_forecaster_says_what_it_reads(tmp_path):
    page = write(tmp_path, forecaster().fit(SERIES), None)
    assert (
        "reads 8 steps of a series, standardized by their own mean and deviation. It then continues over the 3" in page
    )
    assert "standardized" not in write(tmp_path, forecaster().fit(SERIES), None, text="Sales")


def test_names_are_those_of_series_and_columns(tmp_path):
    long = pd.concat([frame(40, 1.0).assign(unique_id=name) for name in ("north", "south")])
    model = forecaster().fit(long)
    future = pd.concat([frame(3, 0.0, 40).drop(columns="y").assign(unique_id=name) for name in ("north", "south")])
    found = model.network_input(X=future)
    data = written(write(tmp_path, model, found))
    assert data["names"] == ["north", "south"] and data["features"] == ["y", "is forecast", "promo"]
    with pytest.raises(ValueError, match="X must give the 1 columns") as caught:
        write(tmp_path, model, None)
    assert "x may also be estimator.network_input" in caught.value.__notes__[0]


def test_columns_are_named_in_the_order_of_the_network():
    wide = pd.DataFrame({"b": SERIES, "a": SERIES[::-1] - 100})
    one, other = forecaster(scale=None).fit(wide), forecaster(scale=None).fit(wide[["a", "b"]])
    for found in (one.network_input(), other.network_input()):
        for column in "ab":
            k = found.features.index(column)
            np.testing.assert_array_equal(found.x[0, :8, k], wide[column].to_numpy()[-8:].astype(np.float32))
    assert forecaster().fit(np.column_stack([SERIES, SERIES])).network_input().features == ["y 1", "y 2", "is forecast"]


def test_one_series_of_a_forecaster_with_a_network_for_each(tmp_path):
    model = forecaster(models="per_series").fit([SERIES, SERIES[:50] * 2])
    with pytest.raises(ValueError, match='y must be one series with models="per_series".*got 2'):
        write(tmp_path, model, None)
    found = model.network_input(SERIES)
    np.testing.assert_array_equal(found.lstm.flat_parameters, model.model_[0].lstm.flat_parameters)
    assert written(write(tmp_path, model, SERIES))["hidden_size"] == 4


@pytest.mark.parametrize("estimator", [LSTMRegressor, LSTMClassifier])
def test_estimators_scale_their_sequences(estimator, tmp_path):
    X = 100 + np.random.default_rng(0).standard_normal((20, 5, 2))
    parts = [pd.DataFrame(one, columns=["width", "height"]) for one in X]
    model = estimator(**SMALL).fit(parts, np.arange(20) % 2)
    data = written(write(tmp_path, model, parts[:2]))
    assert data["features"] == ["width", "height"] and data["names"] == ["Sequence 1", "Sequence 2"]
    x = array(data["x"]).swapaxes(0, 1)
    assert x.shape == (2, 5, 2) and np.abs(x).max() < 10
    expected = (X - X.mean(axis=(0, 1))) / X.std(axis=(0, 1))
    np.testing.assert_allclose(x, expected[:2], rtol=1e-4)
    with pytest.raises(ValueError, match="x must be sequences of one length, got lengths 4, 5"):
        write(tmp_path, model, [parts[0], parts[1][:4]])


def test_tables_have_no_names_of_features(tmp_path):
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((20, 5)), columns=list("abcde"))
    model = LSTMRegressor(**SMALL).fit(table, np.arange(20.0))
    assert written(write(tmp_path, model, table[:1]))["features"] is None


@pytest.mark.parametrize("batch_first", [False, True])
def test_sequence_models_show_their_network(batch_first, tmp_path):
    model = lf.train.SequenceModel(lf.LSTM(2, 3, batch_first=batch_first, seed=0), 1, seed=0)
    x = np.random.default_rng(0).standard_normal((4, 5, 2)).astype(np.float32)
    shown = array(written(write(tmp_path, model, list(x)))["x"])
    np.testing.assert_array_equal(shown, x.swapaxes(0, 1))
    named = pd.DataFrame(x[0], columns=["width", "height"])
    assert written(write(tmp_path, model, named))["features"] == ["width", "height"]
    assert written(write(tmp_path, model.lstm, named, features=["w", "h"]))["features"] == ["w", "h"]


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: forecaster(), NotFittedError, "not fitted"),
        (lambda: forecaster().fit(SERIES).quantized(), TypeError, "got lstm_fast.quantized.QuantizedLSTM"),
        (lambda: LSTMForecaster(8, 3, hidden_size=65, epochs=1).fit(SERIES), ValueError, "at most 64, got 65"),
        (lambda: LSTMForecaster, TypeError, "lstm must be a lstm_fast.LSTM, got type"),
        (
            lambda: lf.train.SequenceModel(lf.Fleet([lf.LSTM(1, 1), lf.LSTM(1, 1)]), 1),
            TypeError,
            r"FleetModel of 2 models \(pass one of them, model\[k\]\)",
        ),
        (lambda: lf.train.SequenceModel(lf.RNN(1, 1), 1), TypeError, "lstm must be a lstm_fast.LSTM, got RNN"),
    ],
)
def test_models_that_cannot_be_shown(make, error, message, tmp_path):
    with pytest.raises(error, match=message):
        lf.explain.html(make(), None if "ore" in message else SERIES[:, None], tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
