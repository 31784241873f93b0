"""lf.dask.forecast: results do not depend on the partitions, and equal a separate forecaster for each series."""

import pickle

import numpy as np
import pytest

dd = pytest.importorskip("dask.dataframe")
pytest.importorskip("sklearn")
import dask  # noqa: E402
import pandas as pd  # noqa: E402

import lstm_fast as lf  # noqa: E402
from lstm_fast.dask import SeriesForecasts  # noqa: E402
from lstm_fast.sklearn import LSTMForecaster  # noqa: E402


def forecaster(**options):
    defaults = dict(input_size=6, horizon=2, hidden_size=3, epochs=2, models="per_series", random_state=0)
    return LSTMForecaster(**defaults | options)


def frame(has_dates=True):
    rng = np.random.default_rng(0)
    parts = []
    for k, name in enumerate("abcde"):
        n = 20 + k
        ds = pd.date_range("2024-01-01", periods=n) if has_dates else np.arange(n)
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": rng.standard_normal(n).cumsum()}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("has_dates", [True, False])
@pytest.mark.parametrize("quantiles", [None, (0.1, 0.5)])
@pytest.mark.parametrize("npartitions", [1, 4])
def test_forecasts_match_each_series_alone(has_dates, quantiles, npartitions):
    data, estimator = frame(has_dates), forecaster(quantiles=quantiles)
    lazy = lf.dask.forecast(dd.from_pandas(data.sample(frac=1, random_state=0), npartitions=npartitions), estimator)
    with dask.config.set(scheduler="sync"):
        result = lazy.compute()
    assert list(lazy.columns) == list(result.columns) and not hasattr(estimator, "model_")
    for name, own in data.groupby("unique_id"):
        alone = forecaster(quantiles=quantiles).fit(own).predict()
        got = result[result["unique_id"] == name]
        for column in alone.columns:
            if column != "unique_id":
                assert got[column].to_numpy().tobytes() == alone[column].to_numpy().tobytes()
                assert got[column].dtype == lazy[column].dtype


def test_iterators_of_frames():
    forecasts, data = pickle.loads(pickle.dumps(SeriesForecasts(forecaster(), horizon=4))), frame()
    (one,) = forecasts(iter([data]))
    assert len(one) == 5 * 4 and one.equals(forecaster().fit(data).predict(4))


def test_errors_name_the_argument():
    data = dd.from_pandas(frame(), npartitions=2)
    with pytest.raises(ValueError, match="forecaster must have models=\"per_series\", got 'shared'"):
        lf.dask.forecast(data, forecaster(models="shared"))
    with pytest.raises(ValueError, match="random_state of the forecaster must be an integer or None"):
        lf.dask.forecast(data, forecaster(random_state=np.random.RandomState(0)))
    with pytest.raises(TypeError, match="data must be a Dask DataFrame, got DataFrame"):
        lf.dask.forecast(frame(), forecaster())
    with pytest.raises(ValueError, match="data must have the columns unique_id, ds and y"):
        lf.dask.forecast(data.rename(columns={"y": "z"}), forecaster())
    with pytest.raises(TypeError, match="forecaster must be an LSTMForecaster, got str"):
        lf.dask.forecast(data, "shared")
