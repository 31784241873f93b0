"""Tables as input of the estimators: columns by name, dates in order and without gaps, results in the same form."""

import datetime
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.multioutput import MultiOutputClassifier

from lstm_fast.sklearn import LSTMClassifier, LSTMForecaster, LSTMRegressor
from scripts import run

T, HORIZON = 40, 3
rng = np.random.default_rng(0)
VALUES, PRICE, RAIN = 10 + rng.standard_normal((3, T + HORIZON))
DAYS = pd.date_range("2024-01-22", periods=T + HORIZON)  # the forecast begins after 1 March


def forecaster(**arguments):
    return LSTMForecaster(
        **{"input_size": 8, "horizon": HORIZON, "hidden_size": 4, "epochs": 1, "random_state": 0} | arguments
    )


PLAIN = forecaster().fit(VALUES[:T]).predict()


def long(n=T, **columns):
    return pd.DataFrame({"ds": DAYS[:n], "y": VALUES[:n], **columns})


def panel():
    """Two series in one long frame, their rows mixed."""
    frame = pd.concat([long(unique_id="a", p=PRICE[:T]), long(unique_id="b", p=RAIN[:T]).assign(y=-VALUES[:T])])
    return frame.sample(frac=1, random_state=0)


def future(**columns):
    return pd.DataFrame({"ds": DAYS[T:], "p": PRICE[T:], **columns})


def native(frame, library):
    """A pandas frame in another library."""
    if library == "pandas":
        return frame
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    if "unique_id" in frame:
        columns["unique_id"] = frame["unique_id"].astype(object).where(frame["unique_id"].notna(), None).tolist()
    return pl.DataFrame(columns) if library == "polars" else pa.table(columns)


LIBRARIES = ["pandas", "polars", "pyarrow"]

# ---- columns by name ----


@pytest.mark.parametrize("library", LIBRARIES)
def test_exogenous_columns_are_found_by_name(library):
    X = pd.DataFrame({"p": PRICE, "q": RAIN})
    past, coming = native(X[:T], library), native(X[T:], library)
    swapped = native(X[T:][["q", "p"]], library)
    model = forecaster().fit(VALUES[:T], past)
    assert list(model.feature_names_in_) == ["p", "q"] and model.n_features_in_ == 2
    expected = forecaster().fit(VALUES[:T], X[:T].to_numpy()).predict(X=X[T:].to_numpy())
    np.testing.assert_array_equal(model.predict(X=coming), expected)
    np.testing.assert_array_equal(model.predict(X=swapped), expected)
    np.testing.assert_array_equal(
        model.predict(y=VALUES[:T], y_X=native(X[:T][["q", "p"]], library), X=swapped), expected
    )
    with pytest.raises(
        ValueError, match=r"X must have the columns \['p', 'q'\] of fit; missing: \['p'\], unexpected: \['z'\]"
    ):
        model.predict(X=native(X[T:].rename(columns={"p": "z"}), library))
    with pytest.raises(ValueError, match=r"missing: \['p'\]"):
        model.predict(X=native(X[T:][["q"]], library))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(model.predict(X=X[T:].to_numpy()), expected)


def test_numbered_columns_are_columns_too():
    X = pd.DataFrame(np.column_stack([PRICE, RAIN]))
    model = forecaster().fit(VALUES[:T], X[:T])
    np.testing.assert_array_equal(model.predict(X=X[T:][[1, 0]]), model.predict(X=X[T:]))
    with pytest.raises(ValueError, match=r"missing: \[0\], unexpected: \[2\]"):
        model.predict(X=X[T:].rename(columns={0: 2}))


def test_long_frames_name_their_exogenous_columns():
    model = forecaster().fit(panel())
    coming = pd.concat([future(unique_id="a"), future(unique_id="b")])
    expected = model.predict(X=coming)
    pd.testing.assert_frame_equal(
        model.predict(X=coming[["p", "unique_id", "ds"]].sample(frac=1, random_state=1)), expected
    )
    with pytest.raises(ValueError, match=r"X must have the columns \['p'\] of fit; missing: \['p'\]"):
        model.predict(X=coming.drop(columns="p"))
    with pytest.raises(ValueError, match=r"y must have the columns \['p'\] of fit; missing: \['p'\]"):
        model.predict(y=panel().drop(columns="p"), X=coming)


@pytest.mark.parametrize("library", LIBRARIES)
def test_wide_columns_are_found_by_name(library):
    wide = pd.DataFrame({"u": VALUES[:T], "v": -VALUES[:T], "ds": DAYS[:T]})
    model = forecaster().fit(native(wide, library))
    expected = model.predict()
    again = model.predict(y=native(wide[["v", "ds", "u"]], library))
    for column in "uv":
        np.testing.assert_array_equal(np.asarray(again[column]), np.asarray(expected[column]))
    with pytest.raises(ValueError, match=r"y must have the columns \['u', 'v'\] of fit; missing: \['v'\]"):
        model.predict(y=native(wide.rename(columns={"v": "w"}), library))
    with pytest.raises(ValueError, match="y must be a frame with the columns"):
        model.predict(y=wide[["u", "v"]].to_numpy())


def test_columns_may_come_in_any_order_inside_one_fit():
    wide = pd.DataFrame({"u": VALUES[:T], "v": -VALUES[:T] + PRICE[:T]})
    expected = forecaster().fit([wide, wide[20:].reset_index(drop=True)]).predict()
    mixed = forecaster().fit([wide, wide[20:][["v", "u"]].reset_index(drop=True)]).predict()
    assert list(mixed[1].columns) == ["v", "u"]
    for a, b in zip(expected, mixed):
        pd.testing.assert_frame_equal(a, b[a.columns])
    X = pd.DataFrame({"p": PRICE[:T], "q": RAIN[:T]})
    coming = np.column_stack([PRICE[T:], RAIN[T:]])
    y = [VALUES[:T], -VALUES[:T]]
    expected = forecaster().fit(y, [X.to_numpy()] * 2).predict(X=[coming, coming])
    coming = pd.DataFrame(coming, columns=["p", "q"])
    model = forecaster().fit(y, [X, X[["q", "p"]]])
    np.testing.assert_array_equal(model.predict(X=[coming[["q", "p"]], coming]), expected)
    with pytest.raises(ValueError, match="same columns in each of its parts"):
        forecaster().fit([wide.to_numpy(), wide])
    with pytest.raises(ValueError, match="same columns in each of its parts"):
        forecaster().fit(y, [X.to_numpy()] * 2).predict(X=[coming, coming[["q", "p"]]])
    with pytest.raises(ValueError, match=r"y\[1\] must have the columns"):
        forecaster().fit([wide, wide.rename(columns={"u": "w"})])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("estimator", [LSTMRegressor, LSTMClassifier])
def test_frames_as_sequences_have_named_columns(estimator, library):
    X = [pd.DataFrame({"a": rng.standard_normal(n), "b": rng.standard_normal(n)}) for n in (3, 5, 4, 6)]
    y = np.array([0, 1, 1, 0])
    swapped = [native(one[["b", "a"]], library) for one in X]
    model = estimator(4, epochs=1, random_state=0).fit([native(one, library) for one in X], y)
    assert list(model.feature_names_in_) == ["a", "b"] and model.n_features_in_ == 2
    expected = (
        estimator(4, epochs=1, random_state=0)
        .fit([one.to_numpy() for one in X], y)
        .predict([one.to_numpy() for one in X])
    )
    np.testing.assert_array_equal(model.predict(swapped), expected)
    mixed = estimator(4, epochs=1, random_state=0).fit([X[0], X[1][["b", "a"]], *X[2:]], y)
    np.testing.assert_array_equal(mixed.predict(X), expected)
    with pytest.raises(
        ValueError, match=r"X\[1\] must have the columns \['a', 'b'\] of fit; missing: \['b'\], unexpected: \['c'\]"
    ):
        model.predict([swapped[0], native(X[1].rename(columns={"b": "c"}), library)])
    with pytest.raises(ValueError, match="X must be all data frames or all arrays, got ndarray"):
        model.predict([swapped[0], X[1].to_numpy()])
    with pytest.raises(ValueError, match=r"b of X\[0\] must be numbers"):
        model.predict([native(X[0].assign(b="x"), library)])
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_array_equal(model.predict([one.to_numpy() for one in X]), expected)


def test_the_steps_of_sequences_follow_their_index():
    X = [pd.DataFrame({"a": VALUES[:5]}, index=DAYS[:5]) for _ in range(3)]
    model = LSTMRegressor(4, epochs=1).fit(X, [0.0, 1, 2])
    with pytest.raises(ValueError, match=r"the index of X\[1\] must ascend, got 2024-01-26"):
        model.predict([X[0], X[1][::-1]])
    with pytest.raises(ValueError, match=r"the index of X\[0\] must ascend"):
        model.predict([X[0]["a"].reset_index(drop=True)[::-1], X[1]["a"][:2]])


# ---- dates ----


@pytest.mark.parametrize("library", LIBRARIES)
def test_dates_as_text_are_refused(library):
    text = long().assign(ds=DAYS[:T].strftime("%m/%d/%Y"))
    with pytest.raises(ValueError, match="ds of y must be dates"):
        forecaster().cross_validate(native(text, library), folds=1)
    if library == "pandas":
        with pytest.raises(ValueError, match="the index of y must be dates.*reset_index"):
            forecaster().fit(text.set_index("ds")["y"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_are_put_in_the_order_of_their_dates(library):
    answer = forecaster().fit(native(long().sample(frac=1, random_state=0), library)).predict()
    np.testing.assert_array_equal(np.asarray(answer["prediction"]), PLAIN)
    np.testing.assert_array_equal(np.asarray(answer["ds"]).astype("M8[ns]"), DAYS[T:].to_numpy().astype("M8[ns]"))
    truth = forecaster().cross_validate(native(long()[::-1], library), folds=1)["truth"]
    np.testing.assert_array_equal(truth[0, 0, :, 0], VALUES[T - HORIZON : T])


def test_a_series_is_put_in_the_order_of_its_index_and_answered_with_the_dates_that_follow():
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


def test_series_without_an_index_and_lists_of_series_are_answered_in_kind():
    answer = forecaster().fit(pl.Series("sales", VALUES[:T])).predict()
    assert isinstance(answer, pl.Series) and answer.name == "sales" and np.array_equal(answer.to_numpy(), PLAIN)
    answer = forecaster().fit(pa.chunked_array([VALUES[:T]])).predict()
    assert isinstance(answer, pa.ChunkedArray) and np.array_equal(answer.to_numpy(), PLAIN)
    y = pd.Series(VALUES[:T], DAYS[:T])
    first, second = forecaster().fit([y[::-1], pl.Series(VALUES[:20])]).predict()
    assert list(first.index) == list(DAYS[T:]) and isinstance(second, pl.Series)
    arrays = forecaster().fit([VALUES[:T], VALUES[:20]]).predict()
    assert np.array_equal(first, arrays[0]) and np.array_equal(second, arrays[1])


def test_wide_frames_are_put_in_the_order_of_their_index():
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


def test_an_unordered_index_of_numbers_may_mean_either_order_and_is_refused():
    y = pd.Series(VALUES[:T])
    for one in (y[::-1], y.sample(frac=1, random_state=0), y.to_frame("u")[::-1], long().drop(columns="ds")[::-1]):
        with pytest.raises(ValueError, match=r"the index of y must ascend, got .*sort_index.*reset_index"):
            forecaster().fit(one)
    with pytest.raises(ValueError, match="the index of y must ascend"):
        forecaster().fit(panel().drop(columns="ds").reset_index(drop=True)[::-1])


@pytest.mark.parametrize("levels", [["unique_id"], ["unique_id", "ds"], ["ds", "unique_id"], ["ds"]], ids="-".join)
def test_the_index_holds_what_columns_hold(levels):
    frame = panel().drop(columns="p")
    expected = forecaster().fit(frame).predict().set_index(levels)
    answer = forecaster().fit(frame.set_index(levels)).predict()
    pd.testing.assert_frame_equal(answer.sort_index(), expected.sort_index())
    with pytest.raises(ValueError, match="of the levels unique_id and ds, got levels"):
        forecaster().fit(frame.set_index(["unique_id", "ds"]).rename_axis(["store", "day"]))


@pytest.mark.parametrize("library", LIBRARIES)
def test_repeated_and_missing_dates_are_refused(library):
    twice = pd.concat([long(), long()[5:7]])
    with pytest.raises(ValueError, match="ds of y must not repeat within a series, got 2024-01-27 00:00:00 2 times"):
        forecaster().fit(native(twice, library))
    ids = pd.concat([panel(), long(unique_id="a", p=1.0)[5:6]])
    with pytest.raises(ValueError, match="ds of y for 'a' must not repeat"):
        forecaster().fit(native(ids, library))
    frame = native(long().assign(ds=DAYS[:T].where(np.arange(T) != 5)), library)
    with pytest.raises(ValueError, match="ds of y must not be missing, got NaT in row 5"):
        forecaster().fit(frame)


def test_repeated_and_missing_entries_of_an_index_are_refused():
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
def test_the_first_gap_is_named(times, words):
    frame = long().assign(ds=times[:T]).drop(index=[20, 30])
    with pytest.raises(ValueError, match=f"ds of y has a {words}"):
        forecaster().fit(frame)
    with pytest.raises(ValueError, match="the index of y has a gap"):
        forecaster().fit(frame.set_index("ds")["y"])


def test_freq_says_what_the_dates_follow():
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
    with pytest.raises(ValueError, match="begins at 2024-01-22 00:00:00, which is no date of its frequency MS"):
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
def test_each_frequency_that_pandas_infers_comes_back(freq, library):
    days = pd.date_range("2023-11-01", periods=T + HORIZON, freq=freq).to_numpy()
    answer = forecaster().fit(native(long().assign(ds=days[:T]), library)).predict()
    assert (np.asarray(answer["ds"]).astype("M8[ns]") == days[T:].astype("M8[ns]")).all()
    if library == "pandas":
        assert (forecaster().fit(pd.Series(VALUES[:T], pd.DatetimeIndex(days[:T]))).predict().index == days[T:]).all()


@pytest.mark.parametrize("freq", ["Y", "Q", "M", "W", "D", "h"])
def test_periods_come_back_as_periods(freq):
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
def test_time_zones_come_back_across_the_change_of_clocks(zone, freq):
    days = pd.date_range("2024-03-08", periods=T + HORIZON, freq=freq, tz=zone)
    frame = long().assign(ds=days[:T])
    answer = forecaster().fit(frame).predict()
    pd.testing.assert_series_equal(answer["ds"], pd.Series(days[T:], name="ds"))
    pd.testing.assert_index_equal(
        forecaster().fit(frame.set_index("ds")["y"]).predict().index, days[T:], check_names=False
    )
    naive = pl.Series("ds", days.tz_convert("UTC").tz_localize(None).to_numpy())
    zoned = naive.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    answer = forecaster().fit(pl.DataFrame({"ds": zoned[:T], "y": VALUES[:T]})).predict()
    assert answer["ds"].equals(zoned[T:]) and answer["ds"].dtype == zoned.dtype
    table = pa.table({"ds": pa.array(list(days[:T].to_pydatetime())), "y": VALUES[:T]})
    answer = forecaster().fit(table).predict()
    assert answer["ds"].type == table["ds"].type and answer["ds"].to_pylist() == list(days[T:].to_pydatetime())


def test_local_times_that_the_change_of_clocks_skips_or_repeats():
    for end, following in [("2024-03-30", "2024-03-31 03:00+02:00"), ("2024-10-26", "2024-10-27 02:30+02:00")]:
        days = pd.date_range(end=f"{end} 02:30", periods=T, freq="D", tz="Europe/Berlin")
        assert forecaster().fit(long().assign(ds=days)).predict()["ds"][0] == pd.Timestamp(following)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([day.date() for day in DAYS]),
        pd.Series(list(DAYS.to_pydatetime()), dtype=object),
        pd.Series(DAYS).astype("M8[s]"),
        pd.Series(DAYS).astype("timestamp[ms][pyarrow]"),
        pd.Series(DAYS).astype("date32[pyarrow]"),
        pl.Series([day.date() for day in DAYS]),
        pl.Series(DAYS.to_numpy()).dt.cast_time_unit("ms"),
        pl.Series(np.arange(T + HORIZON), dtype=pl.Int32),
        pl.Series(np.arange(T + HORIZON) * np.timedelta64(1000, "ms")),
        pd.Series(np.arange(T + HORIZON) / 4),
    ],
    ids=lambda column: f"{type(column).__module__.split('.')[0]}-{column.dtype}-{type(column[0]).__name__}",
)
def test_the_type_of_ds_comes_back(column):
    library = pd if isinstance(column, pd.Series) else pl
    answer = forecaster().fit(library.DataFrame({"ds": column[:T], "y": VALUES[:T]})).predict()
    assert list(answer["ds"]) == list(column[T:]) and answer["ds"].dtype == column.dtype
    assert isinstance(answer["ds"][0], datetime.datetime) == isinstance(column[0], datetime.datetime)


def test_numbers_that_outgrow_their_type_take_a_wider_one():
    frame = pl.DataFrame({"ds": pl.Series(np.arange(128 - T, 128), dtype=pl.Int8), "y": VALUES[:T]})
    assert forecaster().fit(frame).predict()["ds"].to_list() == [128, 129, 130]


def test_a_series_from_monday_to_friday_follows_the_frequency_of_the_others():
    days = pd.date_range("2024-01-01", periods=T + HORIZON, freq="B")
    frame = pd.concat([long(unique_id="a").assign(ds=days[:T]), long(5, unique_id="b").assign(ds=days[:5])])
    model = forecaster(input_size=3, horizon=1).fit(frame)
    assert list(model.predict()["ds"]) == [days[T], days[5]]
    assert model.predict(y=long(4).assign(ds=days[1:5]))["ds"][0] == days[5]  # what fit has seen counts, too


# ---- exogenous variables of the steps to forecast ----


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
def test_the_future_must_be_the_steps_after_the_series(change, words):
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


def test_the_future_of_several_series_is_that_of_each():
    model = forecaster().fit(panel())
    coming = pd.concat([future(unique_id="a"), future(unique_id="b")])
    with pytest.raises(ValueError, match=r"got none for \['b'\]"):
        model.predict(X=coming[:3])
    with pytest.raises(ValueError, match=r"some for \['c'\]"):
        model.predict(X=pd.concat([coming, future(unique_id="c")]))
    with pytest.raises(ValueError, match="ds of X for 'b' must be the 3 steps after y of 'b': expected 2024-03-04"):
        model.predict(X=coming[:5])


def test_exogenous_rows_are_those_of_the_same_dates():
    y, X = pd.Series(VALUES[:T], DAYS[:T]), pd.DataFrame({"p": PRICE}, DAYS)
    expected = forecaster().fit(VALUES[:T], PRICE[:T]).predict(X=PRICE[T:])
    for past, coming in [(X[:T], X[T:]), (X[:T][::-1], X[T:][::-1]), (X["p"][:T], X["p"][T:])]:
        np.testing.assert_array_equal(forecaster().fit(y[::-1], past).predict(X=coming), expected)
        np.testing.assert_array_equal(forecaster().fit([y], [past]).predict(X=[coming])[0], expected)
    np.testing.assert_array_equal(forecaster().fit(y[::-1], PRICE[:T][::-1]).predict(X=PRICE[T:]), expected)
    np.testing.assert_array_equal(forecaster().fit(VALUES[:T], X[:T]).predict(X=X[T:]), expected)
    frame = pl.DataFrame({"ds": DAYS.to_numpy(), "p": PRICE})
    np.testing.assert_array_equal(forecaster().fit(y, frame[:T][::-1]).predict(X=frame[T:][::-1]), expected)
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


# ---- ids ----


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_missing_id_is_named(library):
    frame = panel().assign(unique_id=["a", "b", None, *["a"] * (2 * T - 3)])
    with pytest.raises(ValueError, match="unique_id of y must not be missing, got .* in row 2"):
        forecaster().fit(native(frame, library))
    with pytest.raises(ValueError, match="in row 0"):
        forecaster().fit(panel().assign(unique_id=None))


@pytest.mark.parametrize(
    "a, b, dtype", [(("x", 1), ("y", 2), object), (1, 2, "int64"), ("x", "y", "category"), (0.5, 1.5, float)], ids=str
)
def test_ids_of_any_kind_come_back(a, b, dtype):
    frame = panel().drop(columns="p")
    ids = pd.Series([a if one == "a" else b for one in frame["unique_id"]], index=frame.index, dtype=dtype)
    expected = forecaster().fit(frame).predict()
    answer = forecaster().fit(frame.assign(unique_id=ids)).predict()
    assert list(answer["unique_id"]) == [a if one == "a" else b for one in expected["unique_id"]]
    assert answer["unique_id"].dtype == ids.dtype
    np.testing.assert_array_equal(answer["prediction"], expected["prediction"])


# ---- missing numbers ----


def test_missing_numbers_are_no_targets_and_are_counted():
    y = VALUES[:T].copy()
    y[[5, 20, 39]] = np.nan
    with pytest.warns(UserWarning, match="y has 3 missing values of 40"):
        expected = forecaster().fit(y).predict()
    for frame in (
        long().assign(y=y),
        pl.DataFrame({"ds": DAYS[:T].to_numpy(), "y": [None if np.isnan(one) else one for one in y]}),
        long().assign(y=pd.Series(y, dtype="Float64")),
    ):
        with pytest.warns(UserWarning, match="3 missing"):
            np.testing.assert_array_equal(np.asarray(forecaster().fit(frame).predict()["prediction"]), expected)
    with pytest.warns(UserWarning, match="3 missing"):
        result = forecaster(quantiles=(0.1, 0.9)).cross_validate(y, folds=6)
    assert np.isfinite(result["mae"]).all() and np.isfinite(result["coverage"]).all()
    assert np.isnan(result["truth"]).sum() == 1 and np.isfinite(result["prediction"]).all()


@pytest.mark.filterwarnings("ignore:y has")
def test_what_the_network_reads_of_missing_numbers():
    seen = {}
    model = forecaster(scale=None, input_size=2, horizon=2)
    model._train = lambda network, x, y, loss, **kept: seen.update(x=x, y=y, mask=kept["mask"])
    n = np.nan
    model.fit(np.array([n, n, 1.0, n, 3, 4, n, 6]))
    assert seen["x"][..., 0].tolist() == [[0, 1, 0, 0], [1, 1, 0, 0], [1, 3, 0, 0], [3, 4, 0, 0]]
    assert seen["mask"].tolist() == [[False, False, *one] for one in ([0, 1], [1, 1], [1, 0], [0, 1])]
    assert np.where(seen["mask"], seen["y"][..., 0], 0)[:, 2:].tolist() == [[0, 3], [3, 4], [4, 0], [0, 6]]
    two = np.column_stack([[1.0, 2, 3, 4, 5, 6], [n, n, n, 4, n, 6]])
    model.fit(two)  # the first windows have no past of the second number, and a step counts where both are known
    assert seen["x"][:, :2, :2].tolist() == [[[3, 0], [4, 4]]] and seen["mask"].tolist() == [
        [False, False, False, True]
    ]
    with pytest.raises(ValueError, match="y must have a window"):
        model.fit(np.array([1.0, 2, n, n, n]))


@pytest.mark.filterwarnings("ignore:y has")
@pytest.mark.parametrize("scale", ["window", "series", None])
def test_missing_numbers_do_not_hide_a_level(scale):
    level = 1000.0 + np.arange(200) % 5
    level[np.arange(200) % 7 == 3] = np.nan
    level[:30] = np.nan
    forecast = forecaster(scale=scale, epochs=30, early_stopping=30).fit(level if scale else level - 1000).predict()
    assert np.abs(forecast - (1002 if scale else 2)).max() < 4


def test_infinite_numbers_are_refused():
    with pytest.raises(ValueError, match="y must be finite, got inf"):
        forecaster().fit(long().assign(y=np.inf))


# ---- errors that help ----


@pytest.mark.parametrize(
    "fit", [forecaster().fit, lambda X: LSTMRegressor().fit(X, VALUES), lambda X: LSTMClassifier().fit([X], [0])]
)
def test_lazy_frames_are_named(fit):
    with pytest.raises(TypeError, match="must hold its data, got a lazy LazyFrame: call collect"):
        fit(pl.LazyFrame({"y": VALUES}))


def test_frames_that_are_neither_long_nor_wide_are_named():
    for frame, words in [
        (pd.DataFrame({"unique_id": ["a"] * T, "u": VALUES[:T]}), "y must have a column y beside unique_id"),
        (pd.DataFrame({"ds": DAYS}), "y must have a column of numbers"),
        (pd.DataFrame(np.zeros((T, 2)), columns=["a", "a"]), "y must have unique column names"),
        (long(p="x"), "p of y must be numbers, got"),
        (long(0), "y must hold at least one series"),
        ([long(), long()], r"y\[0\] must be an array, a series or a wide frame"),
    ]:
        with pytest.raises(ValueError, match=words):
            forecaster().fit(frame)
    with pytest.raises(ValueError, match="X must be None if y is a long frame"):
        forecaster().fit(long(), PRICE[:T])


@pytest.mark.parametrize("estimator", [LSTMRegressor, LSTMClassifier])
def test_one_answer_a_sequence_is_all_that_the_estimators_give(estimator):
    X = rng.standard_normal((6, 4, 2))
    with pytest.raises(ValueError, match='readout must be "last" or "mean", got \'all\'.*SequenceModel.*lf.train.fit'):
        estimator(readout="all").fit(X, np.arange(6) % 2)
    for y in (np.zeros((6, 4, 1), int), [np.zeros(k + 1, int) for k in range(6)], [("a", "b"), ("a",), (), (), (), ()]):
        with pytest.raises(ValueError, match="y must have one target for each sequence, got several.*lf.train.fit"):
            estimator().fit(X, y)


def test_several_labels_are_several_classifiers():
    X, y = rng.standard_normal((6, 4, 2)), np.array([[0, 1], [1, 1], [0, 0]] * 2)
    with pytest.raises(
        ValueError, match=r"one class for each sequence, shape \(N,\), got \(6, 2\).*MultiOutputClassifier"
    ):
        LSTMClassifier().fit(X, y)
    model = MultiOutputClassifier(LSTMClassifier(2, epochs=1, random_state=0)).fit(list(X), y)
    assert model.predict(list(X)).shape == (6, 2)


def test_a_fitted_forecaster_of_frames_can_be_pickled():
    model = forecaster().fit(panel())
    coming = pd.concat([future(unique_id="a"), future(unique_id="b")])
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.predict(X=coming), model.predict(X=coming))
    dates = forecaster().fit(
        pl.DataFrame(
            {"ds": pl.date_range(datetime.date(2024, 1, 1), datetime.date(2024, 2, 9), eager=True)} | {"y": VALUES[:T]}
        )
    )
    assert pickle.loads(pickle.dumps(dates)).predict().equals(dates.predict())


# ---- what need not be installed ----


def test_arrays_need_neither_pandas_nor_narwhals_and_polars_needs_pandas_for_dates_alone():
    run(
        """
        import sys
        import numpy as np, polars as pl
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
        assert np.array_equal(model.fit(np.arange(9.0)).predict(), expected)
        try:
            model.fit(pl.DataFrame({"y": np.arange(9.0)}))
        except ImportError as error:
            assert 'lstm_fast[sklearn]' in str(error)
        else:
            raise AssertionError("frames without narwhals")
        """
    )
