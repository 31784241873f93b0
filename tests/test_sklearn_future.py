"""Exogenous variables of the steps to forecast: their dates must follow the series."""

import numpy as np
import pandas as pd
import pytest

from optional import require
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
    "change, words",
    [
        (
            lambda X: X.assign(ds=X.ds + pd.DateOffset(years=1)),
            "expected 2024-03-02 00:00:00 in row 0 .*got 2025-03-02",
        ),
        (lambda X: X.assign(ds=X.ds - pd.Timedelta(days=1)), "expected 2024-03-02 00:00:00 in row 0 .*got 2024-03-01"),
        (lambda X: X.drop(index=1), "expected 2024-03-03 00:00:00 in row 1 .*got 2024-03-04"),
        (lambda X: X[:2], "expected 2024-03-04 00:00:00 in row 2 .*got none"),
        (
            lambda X: pd.concat([X, X[-1:].assign(ds=pd.Timestamp("2024-03-05"))]),
            "expected none in row 3 .*got 2024-03-05",
        ),
        (lambda X: X.drop(columns="ds"), "X must have the time stamps of the steps to forecast"),
        (lambda X: X.assign(ds=X.ds.dt.tz_localize("UTC")), r"got 2024-03-02 00:00:00\+00:00"),
        (lambda X: X.assign(ds=[5, 6, 7]), "got 5"),
        (lambda X: X.assign(p=[1, np.nan, 2]), r"p of X must be finite, got nan at \(1,\)"),
    ],
)
def test_future_must_follow_the_series(change, words):
    model = forecaster().fit(long(p=PRICE[:T]))
    expected = model.predict(X=future())
    pd.testing.assert_frame_equal(model.predict(X=future()[::-1]), expected)
    with pytest.raises(ValueError, match=words):
        model.predict(X=change(future()))
    by_index = forecaster().fit(long(p=PRICE[:T]).set_index("ds"))
    np.testing.assert_array_equal(by_index.predict(X=future().set_index("ds")[::-1]), expected[["prediction"]])
    if "ds" in change(future()):
        with pytest.raises(ValueError, match=words):
            by_index.predict(X=change(future()).set_index("ds"))


def test_future_of_several_series():
    model = forecaster().fit(panel())
    coming = pd.concat([future(unique_id="a"), future(unique_id="b")])
    with pytest.raises(ValueError, match=r"got none for \['b'\]"):
        model.predict(X=coming[:3])
    with pytest.raises(ValueError, match=r"some for \['c'\]"):
        model.predict(X=pd.concat([coming, future(unique_id="c")]))
    with pytest.raises(ValueError, match="ds of X for 'b' must be the 3 steps after y of 'b': expected 2024-03-04"):
        model.predict(X=coming[:5])


def test_exogenous_rows_are_matched_by_date():
    y, X = pd.Series(VALUES[:T], DAYS[:T]), pd.DataFrame({"p": PRICE}, DAYS)
    expected = forecaster().fit(VALUES[:T], PRICE[:T]).predict(X=PRICE[T:])
    for past, coming in [(X[:T], X[T:]), (X[:T][::-1], X[T:][::-1]), (X["p"][:T], X["p"][T:])]:
        np.testing.assert_array_equal(forecaster().fit(y[::-1], past).predict(X=coming), expected)
        np.testing.assert_array_equal(forecaster().fit([y], [past]).predict(X=[coming])[0], expected)
    np.testing.assert_array_equal(forecaster().fit(y[::-1], PRICE[:T][::-1]).predict(X=PRICE[T:]), expected)
    np.testing.assert_array_equal(forecaster().fit(VALUES[:T], X[:T]).predict(X=X[T:]), expected)
    with pytest.raises(
        ValueError, match="the index of X must be the time stamps of y: expected 2024-01-22.*got 2024-01-23"
    ):
        forecaster().fit(y, X[1 : T + 1])
    with pytest.raises(ValueError, match="X must have the time stamps of y"):
        forecaster().fit(y, X[:T].reset_index(drop=True))
    with pytest.raises(ValueError, match="the index of X must ascend, because y has no time stamps"):
        forecaster().fit(VALUES[:T], X[:T][::-1])
    with pytest.raises(ValueError, match="expected 2024-03-02 00:00:00 in row 0"):
        forecaster().fit(VALUES[:T], X[:T]).predict(X=X[:3])
    with pytest.raises(ValueError, match="X must have no unique_id"):
        forecaster().fit(VALUES[:T], X[:T].assign(unique_id="a"))
    default = X.reset_index(drop=True)
    plain = pd.Series(VALUES[:T])
    for coming in (default[T:], default[T:].reset_index(drop=True)):
        np.testing.assert_array_equal(forecaster().fit(plain, default[:T]).predict(X=coming), expected)
    with pytest.raises(ValueError, match="expected 40 in row 0 .*got 3"):
        forecaster().fit(plain, default[:T]).predict(X=default[3:6])


def test_exogenous_rows_of_another_library_are_matched_by_date():
    frame = require("polars").DataFrame({"ds": DAYS.to_numpy(), "p": PRICE})
    y = pd.Series(VALUES[:T], DAYS[:T])
    expected = forecaster().fit(VALUES[:T], PRICE[:T]).predict(X=PRICE[T:])
    np.testing.assert_array_equal(forecaster().fit(y, frame[:T][::-1]).predict(X=frame[T:][::-1]), expected)
