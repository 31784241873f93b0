"""Tables for the tests of the estimators: a series, its dates and its exogenous variables, in several libraries."""

import numpy as np
import pandas as pd
import pytest

from lstm_fast.sklearn import LSTMForecaster
from optional import needs, require

T, HORIZON = 40, 3
VALUES, PRICE, RAIN = 10 + np.random.default_rng(0).standard_normal((3, T + HORIZON))
DAYS = pd.date_range("2024-01-22", periods=T + HORIZON)  # the forecast begins after 1 March
LIBRARIES = ["pandas", pytest.param("polars", marks=needs("polars")), pytest.param("pyarrow", marks=needs("pyarrow"))]


def forecaster(**arguments):
    return LSTMForecaster(
        **{"input_size": 8, "horizon": HORIZON, "hidden_size": 4, "epochs": 1, "random_state": 0} | arguments
    )


PLAIN = forecaster().fit(VALUES[:T]).predict()


def long(n=T, **columns):
    return pd.DataFrame({"ds": DAYS[:n], "y": VALUES[:n], **columns})


def panel():
    """Two series in one long frame, with shuffled rows."""
    frame = pd.concat([long(unique_id="a", p=PRICE[:T]), long(unique_id="b", p=RAIN[:T]).assign(y=-VALUES[:T])])
    return frame.sample(frac=1, random_state=0)


def future(**columns):
    return pd.DataFrame({"ds": DAYS[T:], "p": PRICE[T:], **columns})


def native(frame, library):
    """A pandas frame converted to another library."""
    if library == "pandas":
        return frame
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    if "unique_id" in frame:
        columns["unique_id"] = frame["unique_id"].astype(object).where(frame["unique_id"].notna(), None).tolist()
    return require("polars").DataFrame(columns) if library == "polars" else require("pyarrow").table(columns)
