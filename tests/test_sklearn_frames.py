"""Invalid tables raise errors; arrays need no data frame library."""

import datetime
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.multioutput import MultiOutputClassifier

from lstm_fast.sklearn import LSTMClassifier, LSTMRegressor
from optional import needs, require
from scripts import run
from table_cases import (
    DAYS,
    PRICE,
    VALUES,
    T,
    forecaster,
    future,
    long,
    panel,
)


@pytest.mark.parametrize(
    "fit", [forecaster().fit, lambda X: LSTMRegressor().fit(X, VALUES), lambda X: LSTMClassifier().fit([X], [0])]
)
def test_lazy_frames_raise(fit):
    with pytest.raises(TypeError, match="must be an eager frame, got a lazy LazyFrame: call collect"):
        fit(require("polars").LazyFrame({"y": VALUES}))


def test_frames_neither_long_nor_wide_raise():
    for frame, words in [
        (pd.DataFrame({"unique_id": ["a"] * T, "u": VALUES[:T]}), "y must have a column y in addition to unique_id"),
        (pd.DataFrame({"ds": DAYS}), "y must have a column of numbers"),
        (pd.DataFrame(np.zeros((T, 2)), columns=["a", "a"]), "y must have unique column names"),
        (long(p="x"), "p of y must be numbers, got"),
        (
            pd.DataFrame({"date": DAYS, "value": VALUES[: len(DAYS)]}),
            "date of y must be numbers.*; dates are the column ds",
        ),
        (long(0), "y must hold at least one series"),
        ([long(), long()], r"y\[0\] must be an array, a series or a wide frame"),
    ]:
        with pytest.raises(ValueError, match=words):
            forecaster().fit(frame)
    with pytest.raises(ValueError, match="X must be None if y is a long frame"):
        forecaster().fit(long(), PRICE[:T])


@pytest.mark.parametrize("estimator", [LSTMRegressor, LSTMClassifier])
def test_estimators_predict_one_target_per_sequence(estimator):
    X = np.random.default_rng(1).standard_normal((6, 4, 2))
    with pytest.raises(ValueError, match='readout must be "last" or "mean", got \'all\'.*SequenceModel.*lf.train.fit'):
        estimator(readout="all").fit(X, np.arange(6) % 2)
    for y in (np.zeros((6, 4, 1), int), [np.zeros(k + 1, int) for k in range(6)], [("a", "b"), ("a",), (), (), (), ()]):
        with pytest.raises(ValueError, match="y must have one target per sequence, got several.*lf.train.fit"):
            estimator().fit(X, y)


def test_multilabel_raises_and_suggests_several_classifiers():
    X, y = np.random.default_rng(1).standard_normal((6, 4, 2)), np.array([[0, 1], [1, 1], [0, 0]] * 2)
    with pytest.raises(
        ValueError, match=r"one class for each sequence, shape \(N,\), got \(6, 2\).*MultiOutputClassifier"
    ):
        LSTMClassifier().fit(X, y)
    model = MultiOutputClassifier(LSTMClassifier(2, epochs=1, random_state=0)).fit(list(X), y)
    assert model.predict(list(X)).shape == (6, 2)


def test_pickle_forecaster_fitted_on_frames():
    model = forecaster().fit(panel())
    coming = pd.concat([future(unique_id="a"), future(unique_id="b")])
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.predict(X=coming), model.predict(X=coming))


def test_pickle_forecaster_fitted_on_polars():
    pl = require("polars")
    dates = forecaster().fit(
        pl.DataFrame(
            {"ds": pl.date_range(datetime.date(2024, 1, 1), datetime.date(2024, 2, 9), eager=True)} | {"y": VALUES[:T]}
        )
    )
    assert pickle.loads(pickle.dumps(dates)).predict().equals(dates.predict())


# ---- optional dependencies ----


def test_arrays_do_not_require_pandas_or_narwhals():
    run(
        """
        from lstm_fast.sklearn import LSTMForecaster
        model = LSTMForecaster(3, 2, 2, epochs=1, random_state=0)
        expected = model.fit(np.arange(9.0)).predict()
        sys.modules["pandas"] = sys.modules["narwhals.stable.v2"] = None
        assert np.array_equal(model.fit(np.arange(9.0)).predict(), expected)
        """
    )


@needs("polars")
def test_polars_requires_narwhals_and_pandas_only_for_dates():
    run(
        """
        import polars as pl
        from lstm_fast.sklearn import LSTMForecaster
        sys.modules["pandas"] = None
        model = LSTMForecaster(3, 2, 2, epochs=1, random_state=0)
        expected = model.fit(np.arange(9.0)).predict()
        frame = pl.DataFrame({"ds": range(9), "y": np.arange(9.0)})
        assert np.array_equal(model.fit(frame).predict()["prediction"], expected)
        try:
            model.fit(pl.DataFrame({"ds": np.arange(9).astype("M8[D]"), "y": np.arange(9.0)}))
        except ImportError as error:
            assert "pip install pandas" in str(error)
        else:
            raise AssertionError("dates without pandas")
        sys.modules["narwhals.stable.v2"] = None
        try:
            model.fit(pl.DataFrame({"y": np.arange(9.0)}))
        except ImportError as error:
            assert 'lstm_fast[sklearn]' in str(error)
        else:
            raise AssertionError("frames without narwhals")
        """
    )
