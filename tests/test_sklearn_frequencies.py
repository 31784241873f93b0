"""Frequencies, time zones and dtypes of dates are preserved in the forecast."""

import datetime

import numpy as np
import pandas as pd
import pytest

from optional import needs, require
from table_cases import (
    DAYS,
    HORIZON,
    LIBRARIES,
    VALUES,
    T,
    forecaster,
    long,
    native,
)


def test_freq_overrides_inference():
    holidays = pd.offsets.CustomBusinessDay(holidays=["2024-02-06"])
    for freq in (holidays, pd.offsets.SemiMonthEnd(), pd.offsets.LastWeekOfMonth(weekday=4)):
        days = pd.date_range("2024-01-01", periods=T + HORIZON, freq=freq)
        frame = long().assign(ds=days[:T].to_numpy())
        with pytest.raises(ValueError, match="set freq="):
            forecaster().fit(frame)
        assert list(forecaster(freq=freq).fit(frame).predict()["ds"]) == list(days[T:])
        own = pd.Series(VALUES[:T], days[:T])  # an index that knows its frequency
        assert list(forecaster().fit(own).predict().index) == list(days[T:])
    with pytest.raises(ValueError, match="gap: 2024-02-06 00:00:00 is missing.*frequency B, given by freq"):
        forecaster(freq="B").fit(long().assign(ds=pd.date_range("2024-01-01", periods=T, freq=holidays)))
    with pytest.raises(ValueError, match="has 2024-01-23 00:00:00 between two dates of its frequency 2D"):
        forecaster(freq="2D").fit(long())
    with pytest.raises(ValueError, match="starts at 2024-01-22 00:00:00, which does not match its frequency MS"):
        forecaster(freq="MS").fit(long())
    with pytest.raises(ValueError, match="freq must be a frequency of pandas or None, got 'X'"):
        forecaster(freq="X").fit(long())
    with pytest.raises(ValueError, match="freq must be None for y without dates"):
        forecaster(freq="D").fit(VALUES)
    with pytest.raises(ValueError, match="freq must be None for periods"):
        forecaster(freq="M").fit(pd.Series(VALUES[:T], pd.period_range("2024-01", periods=T, freq="M")))
    with pytest.raises(ValueError, match="freq must be a positive number"):
        forecaster(freq="D").fit(long().assign(ds=np.arange(T)))
    with pytest.raises(ValueError, match="2 dates do not determine a frequency; set freq="):
        forecaster(input_size=1, horizon=1).fit(long(2))
    assert list(forecaster(input_size=1, horizon=1, freq="D").fit(long(2)).predict()["ds"]) == [DAYS[2]]


FREQUENCIES = (
    "ms s min 15min h 2h bh D 2D B W-SUN W-WED 2W-MON MS 2MS ME BMS BME QS-FEB QE-DEC QE-NOV BQS-JAN BQE-DEC YS-JAN"
)
FREQUENCIES = [*FREQUENCIES.split(), "YS-JUL", "YE-DEC", "2YE-DEC", "BYS-JAN", "BYE-DEC", "WOM-3FRI"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("freq", FREQUENCIES)
def test_frequencies_inferred_by_pandas_are_preserved(freq, library):
    days = pd.date_range("2023-11-01", periods=T + HORIZON, freq=freq).to_numpy()
    answer = forecaster().fit(native(long().assign(ds=days[:T]), library)).predict()
    assert (np.asarray(answer["ds"]).astype("M8[ns]") == days[T:].astype("M8[ns]")).all()
    if library == "pandas":
        assert (forecaster().fit(pd.Series(VALUES[:T], pd.DatetimeIndex(days[:T]))).predict().index == days[T:]).all()


@pytest.mark.parametrize("freq", ["Y", "Q", "M", "W", "D", "h"])
def test_periods_are_preserved(freq):
    periods = pd.period_range("2023-11-01", periods=T + HORIZON, freq=freq)
    answer = forecaster().fit(long().assign(ds=periods[:T]).sample(frac=1, random_state=0)).predict()
    pd.testing.assert_series_equal(answer["ds"], pd.Series(periods[T:], name="ds"))
    pd.testing.assert_index_equal(
        forecaster().fit(pd.Series(VALUES[:T], periods[:T])[::-1]).predict().index, periods[T:]
    )


def test_months_may_have_any_day():
    for first in ("2024-01-15", "2024-01-30", "2024-01-31 07:30"):
        days = pd.DatetimeIndex([pd.Timestamp(first) + pd.DateOffset(months=k) for k in range(T + HORIZON)])
        assert list(forecaster().fit(long().assign(ds=days[:T])).predict()["ds"]) == list(days[T:])


@pytest.mark.parametrize("freq", ["h", "6h", "D", "B", "ME"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_time_zones_are_preserved_across_dst_changes(zone, freq):
    days = pd.date_range("2024-03-08", periods=T + HORIZON, freq=freq, tz=zone)
    frame = long().assign(ds=days[:T])
    answer = forecaster().fit(frame).predict()
    pd.testing.assert_series_equal(answer["ds"], pd.Series(days[T:], name="ds"))
    pd.testing.assert_index_equal(
        forecaster().fit(frame.set_index("ds")["y"]).predict().index, days[T:], check_names=False
    )


@needs("polars", "pyarrow")
@pytest.mark.parametrize("freq", ["h", "6h", "D", "B", "ME"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_time_zones_are_preserved_in_polars_and_pyarrow(zone, freq):
    pl, pa = require("polars"), require("pyarrow")
    days = pd.date_range("2024-03-08", periods=T + HORIZON, freq=freq, tz=zone)
    naive = pl.Series("ds", days.tz_convert("UTC").tz_localize(None).to_numpy())
    zoned = naive.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    answer = forecaster().fit(pl.DataFrame({"ds": zoned[:T], "y": VALUES[:T]})).predict()
    assert answer["ds"].equals(zoned[T:]) and answer["ds"].dtype == zoned.dtype
    table = pa.table({"ds": pa.array(list(days[:T].to_pydatetime())), "y": VALUES[:T]})
    answer = forecaster().fit(table).predict()
    assert answer["ds"].type == table["ds"].type and answer["ds"].to_pylist() == list(days[T:].to_pydatetime())


def test_local_times_skipped_or_repeated_by_dst():
    for end, following in [("2024-03-30", "2024-03-31 03:00+02:00"), ("2024-10-26", "2024-10-27 02:30+02:00")]:
        days = pd.date_range(end=f"{end} 02:30", periods=T, freq="D", tz="Europe/Berlin")
        assert forecaster().fit(long().assign(ds=days)).predict()["ds"][0] == pd.Timestamp(following)


def assert_type_comes_back(frame, column):
    answer = forecaster().fit(frame).predict()
    assert list(answer["ds"]) == list(column[T:]) and answer["ds"].dtype == column.dtype
    assert isinstance(answer["ds"][0], datetime.datetime) == isinstance(column[0], datetime.datetime)


@pytest.mark.parametrize(
    "dtype",
    [
        object,
        "M8[s]",
        pytest.param("timestamp[ms][pyarrow]", marks=needs("pyarrow")),
        pytest.param("date32[pyarrow]", marks=needs("pyarrow")),
    ],
    ids=str,
)
def test_date_dtypes_are_preserved(dtype):
    column = pd.Series(list(DAYS.to_pydatetime()) if dtype is object else DAYS, dtype=dtype)
    assert_type_comes_back(long().assign(ds=column[:T]), column)


def test_dates_without_a_time_and_integers_are_preserved():
    for column in (pd.Series([day.date() for day in DAYS]), pd.Series(np.arange(T + HORIZON) / 4)):
        assert_type_comes_back(long().assign(ds=column[:T]), column)


@needs("polars")
def test_polars_dtypes_are_preserved():
    pl = require("polars")
    for column in (
        pl.Series([day.date() for day in DAYS]),
        pl.Series(DAYS.to_numpy()).dt.cast_time_unit("ms"),
        pl.Series(np.arange(T + HORIZON), dtype=pl.Int32),
        pl.Series(np.arange(T + HORIZON) * np.timedelta64(1000, "ms")),
    ):
        assert_type_comes_back(pl.DataFrame({"ds": column[:T], "y": VALUES[:T]}), column)


def test_integer_times_are_widened_on_overflow():
    pl = require("polars")
    frame = pl.DataFrame({"ds": pl.Series(np.arange(128 - T, 128), dtype=pl.Int8), "y": VALUES[:T]})
    assert forecaster().fit(frame).predict()["ds"].to_list() == [128, 129, 130]


def test_short_series_use_the_frequency_of_the_others():
    days = pd.date_range("2024-01-01", periods=T + HORIZON, freq="B")
    frame = pd.concat([long(unique_id="a").assign(ds=days[:T]), long(5, unique_id="b").assign(ds=days[:5])])
    model = forecaster(input_size=3, horizon=1).fit(frame)
    assert list(model.predict()["ds"]) == [days[T], days[5]]
    assert model.predict(y=long(4).assign(ds=days[1:5]))["ds"][0] == days[5]  # the data of fit count, too
