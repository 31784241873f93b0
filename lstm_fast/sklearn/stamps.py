"""Conversion of time stamps from and to columns and indices of each library."""

from typing import Any

import numpy as np

from .times import Stamps


def pandas() -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("dates (ds) need pandas for their calendar: pip install pandas; or leave ds out") from None
    return pd


def stamps_of_pandas(name: str, values: Any) -> Stamps:
    """Read the stamps of a pandas Index or Series."""
    pd = pandas()
    if isinstance(values, pd.DatetimeIndex | pd.PeriodIndex):
        return values
    kind = values.dtype.kind
    if isinstance(values.dtype, pd.PeriodDtype):
        return pd.PeriodIndex(values)
    if kind == "M":
        return pd.DatetimeIndex(values)
    if kind in "iu" and not values.isna().any():
        return values.to_numpy(np.int64)
    if kind in "iuf":
        return values.to_numpy(np.float64, na_value=np.nan)
    if kind == "m":
        return pd.TimedeltaIndex(values).to_numpy()
    if pd.api.types.infer_dtype(values, skipna=True) in ("date", "datetime"):
        return pd.DatetimeIndex(pd.to_datetime(values))
    raise ValueError(
        f"{name} must hold dates, periods or numbers, got {values.dtype} such as {values[:1].tolist()}. Convert text "
        "to dates first, for example with pandas.to_datetime(..., format=...)"
        + (", or call reset_index(drop=True) if the rows are in order" if "index" in name else "")
    )


def stamps_of_column(name: str, series: Any) -> Stamps:
    """Read the stamps of a narwhals Series."""
    import narwhals.stable.v2 as nw

    if nw.maybe_get_index(series) is not None:
        return stamps_of_pandas(name, series.to_native())
    if series.is_null().any():
        raise ValueError(f"{name} must not be missing, got NaT in row {series.is_null().to_list().index(True)}")
    if series.dtype in (nw.Date, nw.Datetime):
        pd = pandas()
        unit, zone = _unit_and_zone(series.dtype)
        stamps = pd.DatetimeIndex(series.cast(nw.Datetime(unit, zone)).cast(nw.Int64).to_numpy().astype(f"M8[{unit}]"))
        return stamps if zone is None else stamps.tz_localize("UTC").tz_convert(zone)
    if series.dtype.is_integer():
        return series.cast(nw.Int64).to_numpy()
    if series.dtype.is_numeric():
        return series.cast(nw.Float64).to_numpy()
    if series.dtype == nw.Duration:
        return series.to_numpy()
    raise ValueError(f"{name} must hold dates or numbers, got {series.dtype}: convert text to dates first")


def _unit_and_zone(dtype: Any) -> tuple[Any, str | None]:
    """Return the time unit of narwhals' Datetime, or of the Datetime that a Date becomes."""
    return getattr(dtype, "time_unit", "us"), getattr(dtype, "time_zone", None)


def column_of_stamps(stamps: Stamps, like: Any) -> Any:
    """Convert stamps to a column of the library and type of `like`."""
    import narwhals.stable.v2 as nw

    backend, dtype = like.implementation, like.dtype
    if nw.maybe_get_index(like) is not None and not isinstance(stamps, np.ndarray):
        native = pandas().Series(stamps)
        if type(native.dtype).__name__ != "PeriodDtype":
            is_date = dtype == nw.Object and type(like[0]).__name__ == "date"
            native = native.dt.date if is_date else native.astype(like.to_native().dtype)
        return nw.from_native(native, series_only=True)
    if not isinstance(stamps, np.ndarray):
        unit, zone = _unit_and_zone(dtype)
        counts = nw.new_series("ds", stamps.as_unit(unit).asi8, nw.Int64, backend=backend)
        return counts.cast(nw.Datetime(unit, zone)).cast(dtype)
    series = nw.new_series("ds", stamps, backend=backend)
    try:
        narrow = series.cast(dtype)
        return narrow if (narrow.to_numpy() == stamps).all() else series
    except Exception:  # numbers that overflow a narrow type: each library raises its own error
        return series
