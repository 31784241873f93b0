"""LSTMForecaster: series in all forms, exogenous variables, intervals, rolling origins."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

import lstm_fast as lf
from lstm_fast.sklearn import LSTMForecaster

SMALL = {"input_size": 8, "horizon": 3, "hidden_size": 4, "epochs": 2, "random_state": 0}


def wave(n, noise=0.0, trend=0.0, seed=0):
    t = np.arange(n)
    return 10 + 3 * np.sin(2 * np.pi * t / 12) + trend * t + noise * np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("scale", ["window", "series"])
def test_season_is_learned_on_the_original_scale(scale):
    y = wave(240)
    forecast = LSTMForecaster(24, 12, scale=scale, epochs=40, random_state=0).fit(1000 * y[:-12]).predict()
    np.testing.assert_allclose(forecast, 1000 * y[-12:], atol=400)  # of a swing of 6000


def test_window_scaling_follows_a_level_outside_the_training_data():
    y = wave(240, trend=0.2)
    forecast = LSTMForecaster(24, 12, epochs=40, random_state=0).fit(y[:-12]).predict()
    assert np.abs(forecast - y[-12:]).mean() < 0.3 * np.abs(y[-13] - y[-12:]).mean()


def test_exogenous_variables_predict_what_the_past_cannot():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    y = X @ [2.0, -1.0]
    model = LSTMForecaster(4, 5, epochs=60, random_state=0, scale="series").fit(y[:-5], X[:-5])
    assert np.abs(model.predict(X=X[-5:]) - y[-5:]).mean() < 0.3 * y.std()
    with pytest.raises(ValueError, match="X must give the 2 columns"):
        model.predict()
    with pytest.raises(ValueError, match=r"X must have shape \(horizon, columns\) = \(5, 2\)"):
        model.predict(X=X[-4:])


def test_intervals_have_approximately_their_coverage():
    result = LSTMForecaster(24, 6, quantiles=(0.1, 0.5, 0.9), epochs=40, random_state=0).cross_validate(
        wave(400, noise=1.0), folds=20, refit=False
    )
    assert 0.6 < result["coverage"].mean() < 0.95
    assert result["quantiles"].shape == (20, 1, 6, 1, 3) and (np.diff(result["quantiles"]) >= 0).all()


def test_forecasts_have_the_type_of_y():
    y = wave(40)
    one = LSTMForecaster(**SMALL).fit(y)
    assert one.predict().shape == (3,) and one.predict(7).shape == (7,)
    assert np.array_equal(one.predict(7)[:3], one.predict())
    assert LSTMForecaster(**SMALL).fit(np.column_stack([y, -y])).predict().shape == (3, 2)
    several = LSTMForecaster(**SMALL, quantiles=(0.9, 0.1, 0.5)).fit([y, y[:20]])
    assert [part.shape for part in several.predict()] == [(3,)] * 2
    assert [part.shape for part in several.predict_quantiles()] == [(3, 3)] * 2
    assert [part.shape for part in several.predict_interval()] == [(3, 2)] * 2
    high, low, middle = several.predict_quantiles()[0].T
    assert (low <= middle).all() and (middle <= high).all() and np.array_equal(middle, several.predict()[0])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_data_frames_long_and_wide(frame):
    hours = np.datetime64("2024-02-28T20") + np.arange(40) * np.timedelta64(1, "h")
    months = np.datetime64("2020-01") + np.arange(30)
    order = np.random.default_rng(0).permutation(70)
    columns = {
        "unique_id": np.array(["a"] * 40 + ["b"] * 30)[order],
        "y": np.concatenate([wave(40), -wave(30)])[order],
        "ds": np.concatenate([hours.astype("datetime64[us]"), months.astype("datetime64[us]")])[order],
    }
    columns["unique_id"] = columns["unique_id"].tolist()
    answer = LSTMForecaster(**SMALL, quantiles=(0.25, 0.5)).fit(frame(columns)).predict()
    assert isinstance(answer, frame) and list(answer.columns) == [
        "unique_id",
        "ds",
        "prediction",
        "quantile_0.25",
        "quantile_0.5",
    ]
    assert list(answer["unique_id"]) == sorted(["a", "b"] * 3, key=columns["unique_id"].index)
    times = dict(zip(answer["unique_id"], np.asarray(answer["ds"])))
    assert times["a"].astype("datetime64[h]") == hours[-1] + 3 and times["b"].astype("datetime64[M]") == months[-1] + 3
    arrays = dict(zip("ab", LSTMForecaster(**SMALL, quantiles=(0.25, 0.5)).fit([wave(40), -wave(30)]).predict()))
    if next(iter(answer["unique_id"])) == "a":
        np.testing.assert_array_equal(np.asarray(answer["prediction"]), np.concatenate([arrays["a"], arrays["b"]]))
    wide = (
        LSTMForecaster(**SMALL)
        .fit(frame({"ds": hours.astype("datetime64[us]"), "u": wave(40), "v": -wave(40)}))
        .predict()
    )
    assert isinstance(wide, frame) and list(wide.columns) == ["ds", "u", "v"] and len(wide) == 3


def test_long_frames_with_exogenous_variables():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unique_id": ["a", "b"] * 20, "y": rng.standard_normal(40), "price": rng.standard_normal(40)})
    model = LSTMForecaster(**SMALL).fit(frame)
    future = pd.DataFrame({"unique_id": ["b"] * 3 + ["a"] * 3, "price": rng.standard_normal(6)})
    answer = model.predict(X=future)
    assert list(answer["unique_id"]) == ["a"] * 3 + ["b"] * 3
    swapped = future.assign(unique_id=["a"] * 3 + ["b"] * 3)
    assert not np.array_equal(model.predict(X=swapped)["prediction"], answer["prediction"])
    with pytest.raises(ValueError, match="got none for"):
        model.predict(X=future[:3])


def test_other_series_can_be_forecast_with_the_same_network():
    y = wave(60)
    model = LSTMForecaster(**SMALL).fit(y[:50])
    assert np.array_equal(model.predict(y=y[:50]), model.predict())
    assert not np.array_equal(model.predict(y=y), model.predict())
    with pytest.raises(ValueError, match="at least input_size = 8 steps, got 5"):
        model.predict(y=y[:5])


def test_rolling_origins_do_not_leak():
    y = wave(80, noise=0.5)
    changed = y.copy()
    changed[-3:] += 1000
    a, b = (LSTMForecaster(**SMALL).cross_validate(series, folds=4) for series in (y, changed))
    assert list(a["steps_seen"]) == [68, 71, 74, 77] and a["prediction"].shape == (4, 1, 3, 1)
    np.testing.assert_array_equal(a["prediction"], b["prediction"])
    np.testing.assert_array_equal(a["truth"][-1, 0, :, 0], y[-3:])
    np.testing.assert_allclose(a["mae"], np.abs(a["prediction"] - a["truth"]).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(a["naive_mae"][-1], np.abs(y[-4] - y[-3:]).mean())
    alone = LSTMForecaster(**SMALL).fit(y[:68]).predict()
    np.testing.assert_array_equal(a["prediction"][0, 0, :, 0], alone)
    once = LSTMForecaster(**SMALL).cross_validate(y, folds=4, refit=False)
    np.testing.assert_array_equal(once["prediction"][0], a["prediction"][0])
    assert not np.array_equal(once["prediction"][1], a["prediction"][1])


def test_validation_windows_share_no_target_with_training(monkeypatch):
    seen = {}
    monkeypatch.setattr(LSTMForecaster, "_train", lambda self, model, x, y, loss, **kept: seen.update(y=y, **kept))
    LSTMForecaster(**SMALL, early_stopping=2, validation_fraction=0.25, scale="series").fit(np.arange(60.0))
    targets, validation = seen["y"][:, 8:], seen["validation"][1][:, 8:]
    assert targets.max() < validation.min() and len(validation) == round(50 * 0.25)


def test_early_stopping_restores_best_and_clones_are_equal():
    y = wave(120, noise=1.0)
    model = LSTMForecaster(12, 4, epochs=60, early_stopping=3, validation_fraction=0.3, random_state=0).fit(y)
    assert len(model.history_) < 60 and model.history_.best_epoch is not None
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(), model.predict())
    assert np.array_equal(clone(model).set_params(n_jobs=2).fit(y).predict(), model.predict())


@pytest.mark.parametrize(
    "arguments, y, words",
    [
        ({}, np.arange(10.0), "at least input_size [+] horizon = 11 steps, got 10"),
        ({}, [np.arange(30.0), np.arange(5.0)], "got 5 in series 1"),
        ({}, np.array([1.0] * 20 + [np.inf]), r"y must be finite, got inf at \(20,\)"),
        ({}, np.full(20, np.nan), "y must have values in each column"),
        ({}, np.array(["a"] * 20), "y must be numbers"),
        ({}, np.zeros((20, 2, 2)), "y must have shape"),
        ({"horizon": 0}, np.arange(30.0), "horizon must be a positive integer, got 0"),
        ({"horizon": "3"}, np.arange(30.0), "horizon must be a positive integer, got '3'"),
        ({"input_size": 8.0}, np.arange(30.0), "input_size must be a positive integer, got 8.0"),
        ({"scale": "all"}, np.arange(30.0), "scale must be one of"),
        ({"early_stopping": 1, "validation_fraction": 0.99}, np.arange(30.0), "validation_fraction must leave windows"),
    ],
)
def test_invalid_arguments_raise(arguments, y, words):
    with pytest.raises(ValueError, match=words):
        LSTMForecaster(**SMALL | arguments).fit(y)
    with pytest.raises(ValueError, match="needs quantiles"):
        LSTMForecaster(**SMALL).fit(wave(20)).predict_interval()


def test_exogenous_variables_passed_as_horizon_raise():
    fitted = LSTMForecaster(**SMALL).fit(wave(20), np.zeros((20, 1)))
    with pytest.raises(TypeError, match=r"horizon must be a positive integer, got numpy.ndarray \(X=: exogenous"):
        fitted.predict(np.zeros((3, 1)))


def test_future_values_are_replaced_by_a_flag():
    seen = {}
    model = LSTMForecaster(**SMALL, scale=None)
    model._train = lambda network, x, y, loss, **kept: seen.update(x=x, y=y, mask=kept["mask"])
    y, X = np.arange(1.0, 21.0), np.arange(101.0, 121.0)
    model.fit(y, X)
    assert seen["x"].shape == (10, 11, 3)
    for k, (x, target) in enumerate(zip(seen["x"], seen["y"])):
        np.testing.assert_array_equal(x[:, 0], [*y[k : k + 8], 0, 0, 0])
        np.testing.assert_array_equal(x[:, 1], [0] * 8 + [1] * 3)
        np.testing.assert_array_equal(x[:, 2], X[k : k + 11])
        np.testing.assert_array_equal(target[8:, 0], y[k + 8 : k + 11])
    np.testing.assert_array_equal(seen["mask"], [[False] * 8 + [True] * 3] * 10)


def test_estimators_are_exported():
    assert lf.sklearn.LSTMForecaster is LSTMForecaster
