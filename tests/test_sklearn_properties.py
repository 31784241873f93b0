"""Properties of the forecaster over generated frames: the layout of a table never changes a forecast."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lstm_fast.sklearn import LSTMForecaster

HORIZON = 2
FREQUENCIES = ["15min", "h", "D", "B", "W-WED", "MS", "ME", "QE-DEC"]
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York"]
fast = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def forecaster(scale):
    return LSTMForecaster(3, HORIZON, 2, epochs=1, batch_size=4, scale=scale, random_state=0)


def numbers(*shape):
    """Draw numbers from a seed: drawn one by one, most would be equal."""
    return st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(10, 5, shape).round(2))


@st.composite
def panels(draw):
    """A long frame of up to three series with up to two exogenous variables, and their future."""
    past, future = [], []
    n_exogenous = draw(st.integers(0, 2))
    for k in range(draw(st.integers(1, 3))):
        n = draw(st.integers(8, 14))
        start = pd.Timestamp("2024-03-20") + pd.Timedelta(days=draw(st.integers(0, 20)))
        freq, zone = draw(st.sampled_from(FREQUENCIES)), "Europe/Berlin"
        days = pd.date_range(start, periods=n + HORIZON, freq=freq, tz=zone)
        frame = pd.DataFrame({"unique_id": "abc"[k], "ds": days, "y": draw(numbers(n + HORIZON))})
        for column in "pq"[:n_exogenous]:
            frame[column] = draw(numbers(n + HORIZON))
        if draw(st.booleans()):
            frame.loc[draw(st.integers(0, n - 1)), "y"] = np.nan
        past.append(frame[:n])
        future.append(frame[n:].drop(columns="y"))
    columns = [[*zip(frame["p"], frame["q"])] for frame in past] if n_exogenous == 2 else [[]]
    assume(
        n_exogenous < 2 or any(p != q for one in columns for p, q in one)
    )  # equal columns are told apart by their order
    return pd.concat(past, ignore_index=True), pd.concat(future, ignore_index=True), n_exogenous


def into(library, frame, levels=()):
    """A pandas frame in another library, or with columns in its index."""
    if library == "pandas":
        return frame.set_index(list(levels)) if levels else frame
    if library == "pyarrow dtypes":
        return frame.convert_dtypes(dtype_backend="pyarrow")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return pl.from_arrow(table) if library == "polars" else table


def out_of(answer):
    """{(id, instant): prediction}"""
    if isinstance(answer, pl.DataFrame):
        answer = pd.DataFrame({name: answer[name].to_list() for name in answer.columns})
    elif isinstance(answer, pa.Table):
        answer = answer.to_pandas()
    if answer.index.names != [None]:
        answer = answer.reset_index()
    instants = pd.DatetimeIndex(pd.to_datetime(answer["ds"], utc=True))
    return dict(zip(zip(answer["unique_id"], instants), answer["prediction"]))


def shuffled(draw, frame):
    rows = np.random.default_rng(draw(st.integers(0, 9999))).permutation(len(frame))  # st.permutations moves few
    return frame.iloc[rows][list(draw(st.permutations(list(frame.columns))))].reset_index(drop=True)


@fast
@given(panels(), st.data())
@pytest.mark.filterwarnings("ignore:y has")
def test_long_frame_layout_does_not_affect_forecasts(panel, data):
    past, future, n_exogenous = panel
    draw = data.draw
    scale = draw(st.sampled_from(["window", "series", None]))
    expected = out_of(forecaster(scale).fit(past).predict(X=future if n_exogenous else None))
    names = dict(zip("pq", draw(st.permutations(["a", "z", "price"]))))
    ids = dict(zip("abc", draw(st.permutations(["x", "Y", "0"]))))
    library = draw(st.sampled_from(["pandas", "pyarrow dtypes", "polars", "pyarrow"]))
    levels = draw(st.sampled_from([(), ("ds",), ("unique_id",), ("unique_id", "ds"), ("ds", "unique_id")]))
    zone = draw(st.sampled_from(ZONES[1:]))

    def written(frame):
        frame = frame.rename(columns=names).assign(unique_id=frame["unique_id"].map(ids))
        return into(library, shuffled(draw, frame.assign(ds=frame["ds"].dt.tz_convert(zone))), levels)

    coming, rejected = written(future) if n_exogenous else None, None
    try:
        model = forecaster(scale).fit(written(past))
        answer, again = model.predict(X=coming), model.predict(y=written(past), X=coming)
    except ValueError as error:  # days differ between time zones
        rejected = str(error)
    if rejected is not None:
        assert zone != "Europe/Berlin" and "ds of" in rejected.replace("the index", "ds"), rejected
        return
    renamed = {(ids[one], instant): value for (one, instant), value in expected.items()}
    if zone == "Europe/Berlin":
        assert out_of(answer) == out_of(again) == renamed
    else:  # a day may be 24 hours there: the forecasts are the same, in the same order
        assert [*map(renamed.get, sorted(renamed))] == [*map(out_of(answer).get, sorted(out_of(answer)))]


@fast
@given(numbers(12, 3), st.data())
@pytest.mark.filterwarnings("ignore:y has")
def test_wide_frame_layout_does_not_affect_forecasts(values, data):
    draw = data.draw
    if draw(st.booleans()):
        values[draw(st.integers(0, 11)), draw(st.integers(0, 2))] = np.nan
    freq, zone = draw(st.sampled_from(FREQUENCIES)), draw(st.sampled_from(ZONES))
    days = pd.date_range("2024-03-20", periods=12 + HORIZON, freq=freq, tz=zone)
    scale = draw(st.sampled_from(["window", "series", None]))
    expected = forecaster(scale).fit(values).predict()
    names = draw(st.permutations(["u", "V", "1"]))
    wide = shuffled(draw, pd.DataFrame(values, columns=names).assign(ds=days[:12]))
    library = draw(st.sampled_from(["pandas", "pyarrow dtypes", "polars", "pyarrow", "index", "periods"]))
    if library == "index":
        wide = wide.set_index("ds")
    elif library == "periods":
        wide = wide.assign(
            ds=wide["ds"].dt.tz_localize(None).dt.to_period({"B": "D"}.get(freq, freq.split("S")[0][:1]))
        )
        assume(freq not in ("B", "15min"))
    else:
        wide = into(library, wide)
    model = forecaster(scale).fit(wide)
    for answer in (model.predict(), model.predict(y=wide)):
        for k, name in enumerate(names):
            np.testing.assert_array_equal(np.asarray(answer[name]), expected[:, k])
        if library == "index":
            assert list(answer.index) == list(days[12:])
        elif library != "periods":
            given_days = answer["ds"].to_pylist() if library == "pyarrow" else list(answer["ds"])
            assert list(pd.DatetimeIndex(given_days)) == list(days[12:])


@fast
@given(panels(), st.data())
def test_missing_repeated_and_renamed_entries_raise(panel, data):
    past, future, n_exogenous = panel
    draw = data.draw
    past["y"] = past["y"].fillna(0)
    first = past[past["unique_id"] == "a"]
    row = draw(st.sampled_from(list(first.index[1:-1])))
    damage = draw(st.sampled_from(["gap", "repeated", "missing date", "missing id", "text"]))
    bad = {
        "gap": past.drop(index=row),
        "repeated": pd.concat([past, past.loc[[row]]]),
        "missing date": past.assign(ds=past["ds"].where(past.index != row)),
        "missing id": past.assign(unique_id=past["unique_id"].where(past.index != row)),
        "text": past.assign(ds=past["ds"].astype(str)),
    }[damage]
    library = draw(st.sampled_from(["pandas", "polars", "pyarrow"]))
    with pytest.raises(ValueError, match="ds of y|unique_id of y"):
        forecaster("window").fit(into(library, shuffled(draw, bad)))
    if n_exogenous:
        model = forecaster("window").fit(past)
        for wrong in (
            future.rename(columns={"p": "other"}),
            future.drop(index=draw(st.sampled_from(list(future.index)))),
            future.assign(ds=future["ds"] + pd.Timedelta(days=1)),
            future.assign(unique_id="other"),
            future.drop(columns="ds"),
        ):
            table = into(library, shuffled(draw, wrong))
            with pytest.raises(ValueError, match="X"):
                model.predict(X=table)
