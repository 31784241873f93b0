"""Tables as input of the forecaster: rows in the order of their dates, without gaps; the dates that follow."""

import numpy as np
import pandas as pd
import pytest

from optional import require
from table_cases import (
    DAYS,
    HORIZON,
    LIBRARIES,
    PLAIN,
    VALUES,
    T,
    forecaster,
    long,
    native,
    panel,
)


@pytest.mark.parametrize("library", LIBRARIES)
def test_dates_as_text_raise(library):
    text = long().assign(ds=DAYS[:T].strftime("%m/%d/%Y"))
    with pytest.raises(ValueError, match="ds of y must hold dates"):
        forecaster().cross_validate(native(text, library), folds=1)
    if library == "pandas":
        with pytest.raises(ValueError, match="the index of y must hold dates.*reset_index"):
            forecaster().fit(text.set_index("ds")["y"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_are_sorted_by_date(library):
    answer = forecaster().fit(native(long().sample(frac=1, random_state=0), library)).predict()
    np.testing.assert_array_equal(np.asarray(answer["prediction"]), PLAIN)
    np.testing.assert_array_equal(np.asarray(answer["ds"]).astype("M8[ns]"), DAYS[T:].to_numpy().astype("M8[ns]"))
    truth = forecaster().cross_validate(native(long()[::-1], library), folds=1)["truth"]
    np.testing.assert_array_equal(truth[0, 0, :, 0], VALUES[T - HORIZON : T])


def test_series_are_sorted_by_index_and_forecasts_have_the_following_dates():
    y = pd.Series(VALUES[:T], DAYS[:T], name="sales")
    for one in (y, y[::-1], y.sample(frac=1, random_state=0)):
        answer = forecaster().fit(one).predict()
        pd.testing.assert_series_equal(answer, pd.Series(PLAIN, DAYS[T:], name="sales"), check_freq=False)
    numbered = forecaster().fit(pd.Series(VALUES[:T], np.arange(1900, 1900 + T))).predict()
    pd.testing.assert_series_equal(
        numbered, pd.Series(PLAIN, np.arange(1900 + T, 1900 + T + HORIZON)), check_index_type=False
    )
    pd.testing.assert_series_equal(
        forecaster().fit(pd.Series(VALUES[:T])).predict(), pd.Series(PLAIN, pd.RangeIndex(T, T + HORIZON))
    )
    hours = pd.to_timedelta(np.arange(T + HORIZON), unit="h")
    pd.testing.assert_index_equal(
        forecaster().fit(pd.Series(VALUES[:T], hours[:T])).predict().index, hours[T:], exact="equiv"
    )


def test_forecasts_have_the_container_of_y():
    pl, pa = require("polars"), require("pyarrow")
    answer = forecaster().fit(pl.Series("sales", VALUES[:T])).predict()
    assert isinstance(answer, pl.Series) and answer.name == "sales" and np.array_equal(answer.to_numpy(), PLAIN)
    answer = forecaster().fit(pa.chunked_array([VALUES[:T]])).predict()
    assert isinstance(answer, pa.ChunkedArray) and np.array_equal(answer.to_numpy(), PLAIN)
    y = pd.Series(VALUES[:T], DAYS[:T])
    first, second = forecaster().fit([y[::-1], pl.Series(VALUES[:20])]).predict()
    assert list(first.index) == list(DAYS[T:]) and isinstance(second, pl.Series)
    arrays = forecaster().fit([VALUES[:T], VALUES[:20]]).predict()
    assert np.array_equal(first, arrays[0]) and np.array_equal(second, arrays[1])


def test_wide_frames_are_sorted_by_index():
    wide = pd.DataFrame({"u": VALUES[:T], "v": -VALUES[:T]}, DAYS[:T])
    expected = forecaster().fit(wide.to_numpy()).predict()
    answer = forecaster().fit(wide[::-1]).predict()
    assert list(answer.index) == list(DAYS[T:]) and list(answer.columns) == ["u", "v"]
    np.testing.assert_array_equal(answer, expected)
    answer = forecaster().fit(wide.set_axis([0, 1], axis=1)).predict()
    assert list(answer.columns) == [0, 1] and np.array_equal(answer, expected)
    two = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
    answer = forecaster().fit(wide.set_axis(two, axis=1)).predict()
    pd.testing.assert_index_equal(answer.columns, two)
    assert np.array_equal(answer, expected)


def test_unordered_numeric_index_raises():
    y = pd.Series(VALUES[:T])
    for one in (y[::-1], y.sample(frac=1, random_state=0), y.to_frame("u")[::-1], long().drop(columns="ds")[::-1]):
        with pytest.raises(ValueError, match=r"the index of y must ascend, got .*sort_index.*reset_index"):
            forecaster().fit(one)
    with pytest.raises(ValueError, match="the index of y must ascend"):
        forecaster().fit(panel().drop(columns="ds").reset_index(drop=True)[::-1])


@pytest.mark.parametrize("levels", [["unique_id"], ["unique_id", "ds"], ["ds", "unique_id"], ["ds"]], ids="-".join)
def test_index_levels_replace_columns(levels):
    frame = panel().drop(columns="p")
    expected = forecaster().fit(frame).predict().set_index(levels)
    answer = forecaster().fit(frame.set_index(levels)).predict()
    pd.testing.assert_frame_equal(answer.sort_index(), expected.sort_index())
    with pytest.raises(ValueError, match="the levels unique_id and ds, got levels"):
        forecaster().fit(frame.set_index(["unique_id", "ds"]).rename_axis(["store", "day"]))


@pytest.mark.parametrize("library", LIBRARIES)
def test_repeated_and_missing_dates_raise(library):
    twice = pd.concat([long(), long()[5:7]])
    with pytest.raises(ValueError, match="ds of y must not repeat within a series, got 2024-01-27 00:00:00 2 times"):
        forecaster().fit(native(twice, library))
    ids = pd.concat([panel(), long(unique_id="a", p=1.0)[5:6]])
    with pytest.raises(ValueError, match="ds of y for 'a' must not repeat"):
        forecaster().fit(native(ids, library))
    frame = native(long().assign(ds=DAYS[:T].where(np.arange(T) != 5)), library)
    with pytest.raises(ValueError, match="ds of y must not be missing, got NaT in row 5"):
        forecaster().fit(frame)


def test_repeated_and_missing_index_entries_raise():
    y = pd.Series(VALUES[:T], DAYS[:T])
    with pytest.raises(ValueError, match="the index of y must not repeat"):
        forecaster().fit(pd.concat([y, y[:1]]))
    with pytest.raises(ValueError, match="the index of y must not be missing, got NaT in row 5"):
        forecaster().fit(y.set_axis(DAYS[:T].where(np.arange(T) != 5)))
    with pytest.raises(ValueError, match="the index of y for 'a' must not repeat"):
        forecaster().fit(pd.concat([panel(), panel()[panel().unique_id == "a"][:1]]).set_index(["ds"]))


@pytest.mark.parametrize(
    "times, words",
    [
        (DAYS, "gap: 2024-02-11 00:00:00 is missing after 2024-02-10 00:00:00 .frequency D, inferred.*freq="),
        (pd.date_range("2024-01-01", periods=T, freq="h"), "gap: 2024-01-01 20:00:00 is missing"),
        (pd.date_range("2024-01-01", periods=T, freq="MS"), "gap: 2025-09-01 00:00:00 is missing"),
        (pd.date_range("2024-01-01", periods=T, freq="B"), "gap: 2024-01-29 00:00:00 is missing .*frequency B"),
        (pd.period_range("2024-01", periods=T, freq="M"), "gap: 2025-10 follows 2025-08"),
        (np.arange(T), "gap: 21 follows 19"),
        (np.arange(T) * 0.25, "gap: 5.25 follows 4.75"),
    ],
    ids=["days", "hours", "months", "business days", "periods", "integers", "numbers"],
)
def test_error_names_the_first_gap(times, words):
    frame = long().assign(ds=times[:T]).drop(index=[20, 30])
    with pytest.raises(ValueError, match=f"ds of y has a {words}"):
        forecaster().fit(frame)
    with pytest.raises(ValueError, match="the index of y has a gap"):
        forecaster().fit(frame.set_index("ds")["y"])
