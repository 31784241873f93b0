"""LSTMForecaster with a network for each series: each forecast has the bits of a forecaster for only that series."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from lstm_fast.sklearn import LSTMForecaster

OPTIONS = dict(input_size=8, horizon=3, hidden_size=5, epochs=3, batch_size=8)


def series(n=4, lengths=(40, 40, 33, 50), S=1):
    rng = np.random.default_rng(0)
    parts = [
        np.sin(np.arange(T) / (k + 1))[:, None] + 0.1 * rng.standard_normal((T, S)) for k, T in enumerate(lengths[:n])
    ]
    return [10 * k + (k + 1) * (part if S > 1 else part[:, 0]) for k, part in enumerate(parts)]


def forecaster(**options):
    return LSTMForecaster(**OPTIONS | options)


@pytest.mark.parametrize(
    "options",
    [
        {"random_state": 0},
        {"random_state": 3, "scale": "series", "early_stopping": 1, "validation_fraction": 0.3},
        {"random_state": 0, "quantiles": (0.1, 0.5, 0.9), "lstm_options": {"recurrent_dropout": 0.3}},
        {
            "random_state": 0,
            "scale": None,
            "dtype": "float64",
            "lr_schedule": "cosine",
            "num_layers": 2,
            "dropout": 0.2,
        },
    ],
)
def test_each_series_matches_a_separate_forecaster_bitwise(options):
    ys = series()
    with_missing = ys[2].copy()
    with_missing[5:8] = np.nan
    ys[2] = with_missing
    with pytest.warns(UserWarning, match="3 missing values"):
        together = forecaster(models="per_series", **options).fit(ys)
    assert len(together.model_) == len(together.history_) == 4
    for horizon in (None, 5):
        got = together.predict(horizon)
        for k, y in enumerate(ys):
            alone = forecaster(**options)
            if k == 2:
                with pytest.warns(UserWarning, match="3 missing values"):
                    alone.fit(y)
            else:
                alone.fit(y)
            assert got[k].tobytes() == alone.predict(horizon).tobytes(), k
            assert together.history_[k].loss == alone.history_.loss
            assert together.history_[k].best_epoch == alone.history_.best_epoch
            if "quantiles" in options:
                assert together.predict_quantiles(horizon)[k].tobytes() == alone.predict_quantiles(horizon).tobytes()


def test_generator_as_random_state_matches_a_loop():
    ys = series()
    together = forecaster(models="per_series", random_state=np.random.RandomState(5)).fit(ys)
    rng = np.random.RandomState(5)
    for got, y in zip(together.predict(), ys):
        assert got.tobytes() == forecaster(random_state=rng).fit(y).predict().tobytes()


def test_frames_with_exogenous_variables_and_a_subset_of_series():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    frames = [
        pd.DataFrame(
            {
                "unique_id": name,
                "ds": pd.date_range("2024-01-01", periods=40),
                "y": rng.standard_normal(40).cumsum(),
                "price": rng.standard_normal(40),
            }
        )
        for name in "abc"
    ]
    future = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-02-10", periods=3), "price": rng.standard_normal(3)})
        for name in "abc"
    ]
    together = forecaster(models="per_series", random_state=0).fit(pd.concat(frames))
    together = pickle.loads(pickle.dumps(together))
    got = together.predict(X=pd.concat(future)).set_index("unique_id")["prediction"]
    for name, frame, own in zip("abc", frames, future):
        alone = forecaster(random_state=0).fit(frame)
        assert got[name].to_numpy().tobytes() == alone.predict(X=own)["prediction"].to_numpy().tobytes()
    some = together.predict(X=pd.concat(future[1:]), y=pd.concat(frames[1:])).set_index("unique_id")["prediction"]
    assert some["b"].tolist() == got["b"].tolist() and some["c"].tolist() == got["c"].tolist()
    with pytest.raises(ValueError, match="y must contain only series that were passed to fit.* got 'd'"):
        together.predict(X=future[0].assign(unique_id="d"), y=frames[0].assign(unique_id="d"))


def test_cross_validation_refits_each_series():
    ys = series(lengths=(40, 40, 40, 40))
    together = forecaster(models="per_series", random_state=0).cross_validate(ys, folds=2)
    alone = [forecaster(random_state=0).cross_validate(y, folds=2) for y in ys]
    for k, one in enumerate(alone):
        assert together["prediction"][:, k].tobytes() == one["prediction"][:, 0].tobytes()
    assert together["mae"] == pytest.approx(np.mean([one["mae"] for one in alone], axis=0))


def test_several_columns_and_one_series():
    ys = series(S=2)
    together = forecaster(models="per_series", random_state=0).fit(ys).predict()
    assert together[3].tobytes() == forecaster(random_state=0).fit(ys[3]).predict().tobytes()
    one = forecaster(models="per_series", random_state=0).fit(ys[0]).predict()
    assert one.tobytes() == together[0].tobytes()


def test_errors_name_argument_and_series():
    ys = series()
    with pytest.raises(ValueError, match=r"models must be one of \('shared', 'per_series'\), got 'each'"):
        forecaster(models="each").fit(ys)
    with pytest.raises(ValueError, match="11 steps, got 9 in series 1"):
        forecaster(models="per_series").fit([ys[0], ys[1][:9]])
    with pytest.raises(ValueError, match='models must be "shared" for quantized'):
        forecaster(models="per_series").fit(ys).quantized()
    with pytest.raises(ValueError, match="validation_fraction must leave windows on both sides in series 1"):
        forecaster(models="per_series", early_stopping=1).fit([ys[0], ys[1][:12]])
