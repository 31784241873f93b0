"""What a forecaster is given, as series over time, and what it gives back in the same form.

    one      (T,) or (T, S) array: a series of one number or of S at a time
    several  a list of such arrays, of any lengths
    wide     a data frame with a column for each of the S numbers, and perhaps ds, the time
    long     a data frame with columns y and perhaps unique_id (of the series), ds, and others that explain y

Data frames are those of pandas and polars: of either, only columns, [name] and the constructor are used.
"""

from dataclasses import dataclass

import numpy as np

ID, TIME, TARGET = "unique_id", "ds", "y"


@dataclass
class Series:
    y: np.ndarray  # (T, S) float64
    X: np.ndarray  # (T, E) float64: what is known of each step beforehand; E may be 0
    name: object = None  # of a long frame
    ds: np.ndarray | None = None

    def until(self, end):
        return Series(self.y[:end], self.X[:end], self.name, None if self.ds is None else self.ds[:end])


@dataclass
class Form:
    """What y looked like, to answer in kind."""

    kind: str
    columns: tuple = ()  # of a wide frame: its numbers; of a long one: those that explain
    is_flat: bool = True  # (T,) and not (T, S)
    frame: type | None = None
    has_names: bool = False


def _is_frame(value):
    return hasattr(value, "columns") and hasattr(value, "__getitem__")


def _numbers(name, value):
    value = np.asarray(value)
    if value.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, got {value.dtype}")
    value = value.astype(np.float64)
    if not np.isfinite(value).all():
        first = tuple(int(k) for k in np.argwhere(~np.isfinite(value))[0])
        raise ValueError(f"{name} must be finite, got {value[first]} at {first}")
    return value


def _table(name, value, n_rows=None):
    """(T, columns)"""
    value = _numbers(name, value)
    if value.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (T,) or (T, columns), got {value.shape}")
    value = value.reshape(len(value), -1)
    if n_rows is not None and len(value) != n_rows:
        raise ValueError(f"{name} must have a row for each step, {n_rows}, got {len(value)}")
    return value


def _from_long(frame, explaining=None):
    """{name: (ds, {column: values})}, each series in the order of ds. Without ids there is one, None."""
    columns = list(frame.columns)
    names = np.asarray(frame[ID]) if ID in columns else np.full(len(frame), None)
    groups = {}
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name) if name is not None else np.arange(len(frame))
        ds = None
        if TIME in columns:
            ds = np.asarray(frame[TIME])[rows]
            order = np.argsort(ds, kind="stable")
            rows, ds = rows[order], ds[order]
        groups[name] = ds, {c: np.asarray(frame[c])[rows] for c in columns if c not in (ID, TIME)}
    return groups


def _of_columns(values, columns, n, name):
    if not columns:
        return np.zeros((n, 0))
    return np.column_stack([_numbers(f"{c} of {name}", values[c]) for c in columns])


def read(y, X=None):
    """([Series], Form)"""
    if _is_frame(y) and TARGET in list(y.columns):
        if X is not None:
            raise ValueError("X must be None beside a long data frame: its further columns are what explains y")
        columns = tuple(c for c in y.columns if c not in (ID, TIME, TARGET))
        series = [
            Series(
                _table(f"y of {name}", values[TARGET]),
                _of_columns(values, columns, len(values[TARGET]), name),
                name,
                ds,
            )
            for name, (ds, values) in _from_long(y).items()
        ]
        form = Form("long", columns, True, type(y), ID in list(y.columns))
    elif _is_frame(y):
        columns = tuple(c for c in y.columns if c != TIME)
        values = _of_columns({c: np.asarray(y[c]) for c in columns}, columns, len(y), "y")
        ds = np.asarray(y[TIME]) if TIME in list(y.columns) else None
        series, form = [Series(values, _explaining(X, len(values)), None, ds)], Form("wide", columns, False, type(y))
    elif isinstance(y, (list, tuple)) and any(np.ndim(one) for one in y):
        tables = [_table(f"y[{k}]", one) for k, one in enumerate(y)]
        if X is not None and (not isinstance(X, (list, tuple)) or len(X) != len(y)):
            raise ValueError(f"X must be a list with one array for each of the {len(y)} series")
        series = [
            Series(table, _explaining(None if X is None else X[k], len(table), f"X[{k}]"))
            for k, table in enumerate(tables)
        ]
        form = Form("several", is_flat=all(np.ndim(one) == 1 for one in y))
    else:
        table = _table("y", y)
        series, form = [Series(table, _explaining(X, len(table)))], Form("one", is_flat=np.ndim(y) == 1)
    if not series:
        raise ValueError("y must hold at least one series")
    if len({(one.y.shape[1], one.X.shape[1]) for one in series}) > 1:
        raise ValueError("y and X must have the same number of columns in every series")
    return series, form


def _explaining(X, n, name="X"):
    return np.zeros((n, 0)) if X is None else _table(name, X, n)


def read_future(X, series, form, n_explaining, horizon):
    """What is known of the steps to forecast: [(horizon, E)] for each series."""
    if not n_explaining:
        if X is not None:
            raise ValueError("X must be None: fit had nothing that explains y")
        return [np.zeros((horizon, 0))] * len(series)
    if X is None:
        raise ValueError(
            f"X must give the {n_explaining} columns that explain y for the {horizon} steps to forecast, got None"
        )
    if form.kind == "long":
        groups = _from_long(X)
        missing = [one.name for one in series if one.name not in groups]
        if missing:
            raise ValueError(f"X must have rows for each series, got none for {missing}")
        parts = [_of_columns(groups[one.name][1], form.columns, 0, one.name) for one in series]
    else:
        parts = [_table("X", part) for part in (X if form.kind == "several" else [X])]
    for part in parts:
        if part.shape != (horizon, n_explaining):
            raise ValueError(
                f"X must have shape (horizon, columns) = ({horizon}, {n_explaining}) for each series, got {part.shape}"
            )
    if len(parts) != len(series):
        raise ValueError(f"X must have one part for each of {len(series)} series, got {len(parts)}")
    return parts


def times_after(ds, n):
    """The n times that follow ds, if its steps are equal in time or in calendar months; else None."""
    if ds is None or len(ds) < 2:
        return None
    ds = ds.astype("datetime64[us]") if ds.dtype == object and not isinstance(ds[0], (int, float)) else ds
    steps = np.diff(ds)
    if (steps == steps[0]).all():
        return ds[-1] + steps[0] * np.arange(1, n + 1)
    if ds.dtype.kind == "M":
        months = ds.astype("datetime64[M]")
        days, steps = ds - months, np.diff(months)
        if (steps == steps[0]).all() and (days == days[0]).all():
            return (months[-1] + steps[0] * np.arange(1, n + 1)).astype(ds.dtype) + days[0]
    return None


def answer(forecasts, series, form, levels=None, quantiles=None):
    """Forecasts [(horizon, S)] in the form of y; long frames with a column for each level of quantiles [(horizon, S, levels)]."""
    if form.kind in ("one", "several"):
        parts = [one[:, 0] if form.is_flat else one for one in forecasts]
        return parts if form.kind == "several" else parts[0]
    columns = {}
    times = [times_after(one.ds, len(forecast)) for one, forecast in zip(series, forecasts)]
    if form.has_names:
        columns[ID] = [one.name for one, forecast in zip(series, forecasts) for _ in range(len(forecast))]
    if all(one is not None for one in times):
        columns[TIME] = np.concatenate(times)
    if form.kind == "wide":
        return form.frame(columns | {c: forecasts[0][:, k] for k, c in enumerate(form.columns)})
    columns["prediction"] = np.concatenate([forecast[:, 0] for forecast in forecasts])
    for k, level in enumerate(levels or ()):
        columns[f"quantile_{level:g}"] = np.concatenate([one[:, 0, k] for one in quantiles])
    return form.frame(columns)
