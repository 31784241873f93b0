"""Data frames and series of pandas, polars, pyarrow and others, read and made through narwhals.

A pandas index counts like columns: its levels unique_id and ds, or its dates or numbers as ds.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .times import Stamps

ID, TIME, TARGET = "unique_id", "ds", "y"


def wrap(name: str, value: Any) -> Any | None:
    """narwhals' view of a data frame or series; None for what NumPy reads."""
    if value is None or isinstance(value, np.ndarray | list | tuple):
        return None
    try:
        import narwhals.stable.v2 as nw
    except ImportError:
        if hasattr(value, "columns") or hasattr(value, "index"):
            raise ImportError('data frames need narwhals: pip install "lstm_fast[sklearn]"') from None
        return None
    try:
        wrapped = nw.from_native(value, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError:
        raise ValueError(f"{name} must have unique column names, got {list(value.columns)}") from None
    if isinstance(wrapped, nw.LazyFrame):
        raise TypeError(f"{name} must hold its data, got a lazy {type(value).__name__}: call collect() on it first")
    return wrapped if isinstance(wrapped, nw.DataFrame | nw.Series) else None


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("dates (ds) need pandas for their calendar: pip install pandas; or leave ds out") from None
    return pd


@dataclass
class Table:
    """A data frame or series (a frame with one column, y) with the roles of its columns and index."""

    name: str
    frame: Any  # narwhals' DataFrame; levels of the index that have a role are columns
    levels: tuple[tuple[str, Hashable], ...]  # (role, name in the index) of what came in the index
    index: Any | None  # pandas' index of dates or numbers, if there is no column ds
    is_series: bool = False
    series_name: Hashable = None
    has_row_labels: bool = False  # the index numbers the rows of several series: it tells their order, but is no time

    @classmethod
    def read(cls, name: str, value: Any) -> "Table | None":
        """None for what NumPy reads."""
        wrapped = wrap(name, value)
        if wrapped is None:
            return None
        import narwhals.stable.v2 as nw

        is_series, series_name = isinstance(wrapped, nw.Series), None
        index = nw.maybe_get_index(wrapped)
        if is_series:
            wrapped, series_name = wrapped.alias(TARGET).to_frame(), wrapped.name
        levels: tuple[tuple[str, Hashable], ...] = ()
        if index is not None:
            roles = [role for role in index.names if role in (ID, TIME) and role not in wrapped.columns]
            if index.nlevels > 1 or roles == [ID]:
                if len(roles) < index.nlevels and not (TIME in wrapped.columns and not roles):
                    raise ValueError(
                        f"the index of {name} must be of dates, of numbers or of the levels unique_id and ds, got levels "
                        f"{list(index.names)}: rename them, or use reset_index"
                    )
                if roles:
                    wrapped = nw.from_native(wrapped.to_native().reset_index())
                    levels = tuple((role, role) for role in roles)
                index = None
            elif TIME in wrapped.columns:
                index = None
            else:
                levels = ((TIME, index.name),)
        table = cls(name, wrapped, levels, index, is_series, series_name)
        if ID in table.frame.columns and index is not None and isinstance(table.stamps()[1], np.ndarray):
            table.levels, table.has_row_labels = (), True
        return table

    @property
    def numbers(self) -> list[Hashable]:
        """The columns that are neither ids nor times."""
        return [column for column in self.frame.columns if column not in (ID, TIME)]

    @property
    def has_default_index(self) -> bool:
        """Whether the index only counts rows from 0 on, as that of a frame that was given none."""
        if self.index is None or self.index.dtype.kind != "i":
            return False
        return np.array_equal(self.index, np.arange(len(self.index)))

    def ids(self) -> list[Hashable] | None:
        """The id of each row; None without a column of them."""
        if ID not in self.frame.columns:
            return None
        ids = self.frame[ID].to_list()
        for row, one in enumerate(ids):
            if one is None or one != one:
                raise ValueError(f"unique_id of {self.name} must not be missing, got {one} in row {row}")
        return ids

    def stamps(self) -> tuple[str, Stamps] | None:
        """What to call the time stamps of the rows, and the stamps; None if there are none."""
        if TIME in self.frame.columns:
            return f"ds of {self.name}", _stamps_of_column(f"ds of {self.name}", self.frame[TIME])
        if self.index is None:
            return None
        return f"the index of {self.name}", _stamps_of_index(f"the index of {self.name}", self.index)

    def values(self, columns: list[Hashable]) -> np.ndarray:
        """(rows, columns) float64, what is missing as NaN."""
        return numbers_of(self.name, self.frame, columns)


def numbers_of(name: str, frame: Any, columns: list[Hashable]) -> np.ndarray:
    """(rows, columns) float64 of narwhals' frame, what is missing as NaN."""
    import narwhals.stable.v2 as nw

    values = np.empty((len(frame), len(columns)))
    for k, column in enumerate(columns):
        series = frame[column]
        if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
            raise ValueError(f"{column} of {name} must be numbers, got {series.dtype}")
        values[:, k] = series.cast(nw.Float64).to_numpy()
    return values


# ---- time stamps ----


def _stamps_of_index(name: str, index: Any) -> Stamps:
    pd = _pandas()
    if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex):
        return index
    return _stamps_of_values(name, index)


def _stamps_of_values(name: str, values: Any) -> Stamps:
    """Stamps of pandas' values of any other kind."""
    pd = _pandas()
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        is_whole = pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any()
        return values.to_numpy(np.int64 if is_whole else np.float64)
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.to_numpy()
    if pd.api.types.infer_dtype(values, skipna=True) in ("date", "datetime"):
        return pd.DatetimeIndex(pd.to_datetime(values))
    raise ValueError(
        f"{name} must be dates, periods or numbers, got {values.dtype} such as {values[:1].tolist()}. Convert text to dates "
        "first, for example with pandas.to_datetime(..., format=...)" + (
            ", or call reset_index(drop=True) if the rows are in order" if "index" in name else ""
        )
    )


def _stamps_of_column(name: str, series: Any) -> Stamps:
    import narwhals.stable.v2 as nw

    if series.is_null().any():
        raise ValueError(f"{name} must not be missing, got NaT in row {series.is_null().to_list().index(True)}")
    if series.dtype in (nw.Date, nw.Datetime):
        pd = _pandas()
        if nw.maybe_get_index(series) is not None:
            return pd.DatetimeIndex(series.to_native())
        unit = series.dtype.time_unit if series.dtype == nw.Datetime else "us"
        counts = series.cast(nw.Datetime(unit, getattr(series.dtype, "time_zone", None))).cast(nw.Int64).to_numpy()
        stamps = pd.DatetimeIndex(counts.astype(f"M8[{unit}]"))
        zone = getattr(series.dtype, "time_zone", None)
        return stamps if zone is None else stamps.tz_localize("UTC").tz_convert(zone)
    if series.dtype.is_integer():
        return series.cast(nw.Int64).to_numpy()
    if series.dtype.is_numeric():
        return series.cast(nw.Float64).to_numpy()
    if series.dtype == nw.Duration:
        return series.to_numpy()
    if nw.maybe_get_index(series) is not None:
        native = series.to_native()
        if type(native.dtype).__name__ == "PeriodDtype":
            return _pandas().PeriodIndex(native)
        return _stamps_of_values(name, native)
    raise ValueError(f"{name} must be dates or numbers, got {series.dtype}: convert text to dates first")


def _column_of_stamps(stamps: Stamps, like: Any) -> Any:
    """Stamps as a column of the library and type of `like`."""
    import narwhals.stable.v2 as nw

    backend, dtype = like.implementation, like.dtype
    if nw.maybe_get_index(like) is not None and not isinstance(stamps, np.ndarray):
        native = _pandas().Series(stamps)
        if type(native.dtype).__name__ != "PeriodDtype":
            is_date = dtype == nw.Object and all(stamps == stamps.normalize())
            native = native.dt.date.astype(object) if is_date else native.astype(like.to_native().dtype)
        return nw.from_native(native, series_only=True)
    if not isinstance(stamps, np.ndarray):
        unit = dtype.time_unit if dtype == nw.Datetime else "us"
        counts = nw.new_series(TIME, stamps.as_unit(unit).asi8, nw.Int64, backend=backend)
        zoned = nw.Datetime(unit, getattr(dtype, "time_zone", None))
        return counts.cast(zoned).cast(dtype)
    series = nw.new_series(TIME, stamps, backend=backend)
    try:
        narrow = series.cast(dtype)
        return narrow if (narrow.to_numpy() == stamps).all() else series
    except Exception:  # numbers that go on beyond a narrow type: each library has an error of its own
        return series


# ---- answers in kind ----


@dataclass
class Template:
    """An empty frame or series in the form of what came in, to answer in kind."""

    empty: Any  # native, without rows
    levels: tuple[tuple[str, Hashable], ...]
    index: Any | None  # without rows
    columns: list[Hashable]
    is_series: bool
    series_name: Hashable

    @classmethod
    def of(cls, table: Table) -> "Template":
        index = None if table.index is None else table.index[:0]
        empty = table.frame.head(0).to_native()
        return cls(empty, table.levels, index, table.numbers, table.is_series, table.series_name)

    def fill(self, columns: Mapping[Hashable, Any], ids: list[Hashable] | None, stamps: Stamps | None) -> Any:
        """A native frame, or series of the first of `columns`, with these ids and time stamps where the form has them."""
        import narwhals.stable.v2 as nw

        empty = nw.from_native(self.empty)
        backend = empty.implementation
        values = {name: nw.new_series("", np.asarray(v), backend=backend) for name, v in columns.items()}
        if self.is_series and not self.levels:
            return values[next(iter(values))].alias(self.series_name).to_native()
        roles: dict[Hashable, Any] = {}
        if ids is not None:
            roles[ID] = nw.from_native(_ids_like(empty[ID], ids), series_only=True)
        if stamps is not None and TIME in empty.columns:
            roles[TIME] = _column_of_stamps(stamps, empty[TIME])
        in_index = [role for role, _ in self.levels]
        order = [name for name in empty.columns if name in roles] + list(values)
        frame = nw.from_dict({name: (roles | values)[name] for name in order}, backend=backend).to_native()
        if in_index and self.index is None:
            frame = frame.set_index(in_index)
        elif in_index and stamps is not None:
            frame.index = self._index(stamps)
        if self.is_series:
            return frame[next(iter(values))].rename(self.series_name)
        return frame

    def _index(self, stamps: Stamps) -> Any:
        pd = _pandas()
        if isinstance(self.index, pd.RangeIndex) and isinstance(stamps, np.ndarray) and len(stamps) > 1:
            step = int(stamps[1] - stamps[0])
            return pd.RangeIndex(int(stamps[0]), int(stamps[-1]) + step, step, name=self.index.name)
        return pd.Index(stamps, name=self.index.name)


def _ids_like(empty: Any, ids: list[Hashable]) -> Any:
    import narwhals.stable.v2 as nw

    if nw.maybe_get_index(empty) is not None:
        native = empty.to_native()
        values = np.empty(len(ids), object)
        for k, one in enumerate(ids):  # not values[:] = ids, which would unpack tuples
            values[k] = one
        return type(native)(values).astype(native.dtype)
    return nw.new_series(ID, ids, empty.dtype, backend=empty.implementation).to_native()


# ---- columns by name ----


def order_of_columns(estimator: Any, name: str, X: Any, *, reset: bool) -> list[int]:
    """Where in X (a native frame or an array) the columns of fit stand.

    Named columns are found by name, in any order; the rest of the check, and what fit keeps of them (feature_names_in_,
    n_features_in_), is scikit-learn's own.
    """
    wrapped = wrap(name, X)
    columns = None if wrapped is None else list(wrapped.columns)
    order = list(range(X.shape[1]))
    if reset:
        estimator._columns = columns
    elif columns is not None and estimator._columns is not None and set(columns) == set(estimator._columns):
        order = [columns.index(column) for column in estimator._columns]
        X = wrapped.select(estimator._columns).to_native()
    try:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not reset and columns is not None and estimator._columns is not None and len(columns) == len(order):
        require_columns(name, columns, estimator._columns)
    return order


def require_columns(name: str, columns: list[Hashable], expected: list[Hashable]) -> None:
    """Raises an error unless `columns` are those of `expected`, in any order."""
    missing = [column for column in expected if column not in columns]
    further = [column for column in columns if column not in expected]
    if missing or further:
        raise ValueError(f"{name} must have the columns {expected} of fit; missing: {missing}, unexpected: {further}")
