"""Data frames and series of pandas, polars, pyarrow and others, read through narwhals.

A pandas index counts like columns: its levels unique_id and ds, or its dates or numbers as ds.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from .stamps import stamps_of_column, stamps_of_pandas
from .times import Stamps

if TYPE_CHECKING:
    from .base import Estimator

ID, TIME, TARGET = "unique_id", "ds", "y"


def wrap(name: str, value: Any) -> Any | None:
    """Wrap a data frame or series with narwhals; None for anything that NumPy can read."""
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
        raise TypeError(f"{name} must be an eager frame, got a lazy {type(value).__name__}: call collect() on it first")
    return wrapped if isinstance(wrapped, nw.DataFrame | nw.Series) else None


@dataclass
class Table:
    """A data frame or series (a frame with one column, y) with the roles of its columns and index."""

    name: str
    frame: Any  # narwhals' DataFrame; levels of the index that have a role are columns
    levels: tuple[tuple[str, Hashable], ...]  # (role, name) of the levels of the index
    index: Any | None  # pandas' index of dates or numbers, if there is no column ds
    is_series: bool = False
    series_name: Hashable = None
    has_row_labels: bool = False  # the index numbers the rows of several series: it orders them but is not a time

    @classmethod
    def read(cls, name: str, value: Any) -> "Table | None":
        """Read a data frame or series; None for anything that NumPy can read."""
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
                        f"the index of {name} must hold dates or numbers, or have the levels unique_id and ds, got "
                        f"levels {list(index.names)}: rename them, or use reset_index"
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
        if ID in table.frame.columns and index is not None and isinstance(stamps_of_pandas(name, index), np.ndarray):
            table.levels, table.has_row_labels = (), True
        return table

    @property
    def numbers(self) -> list[Hashable]:
        """Columns that hold neither ids nor time stamps."""
        return [column for column in self.frame.columns if column not in (ID, TIME)]

    @property
    def has_default_index(self) -> bool:
        """Whether the index is the default one: 0, 1, 2, ..."""
        if self.index is None or self.index.dtype.kind != "i":
            return False
        return np.array_equal(self.index, np.arange(len(self.index)))

    def ids(self) -> list[Hashable] | None:
        """Return the id of each row; None without an id column."""
        if ID not in self.frame.columns:
            return None
        ids: list[Hashable] = self.frame[ID].to_list()
        for row, one in enumerate(ids):
            if one is None or one != one:
                raise ValueError(f"unique_id of {self.name} must not be missing, got {one} in row {row}")
        return ids

    def stamps(self) -> tuple[str, Stamps] | None:
        """Return the time stamps of the rows, after their name in error messages; None if there are none."""
        if TIME in self.frame.columns:
            return f"ds of {self.name}", stamps_of_column(f"ds of {self.name}", self.frame[TIME])
        if self.index is None:
            return None
        return f"the index of {self.name}", stamps_of_pandas(f"the index of {self.name}", self.index)

    def values(self, columns: list[Hashable]) -> np.ndarray:
        """Convert columns to float64 (rows, columns), missing values to NaN."""
        hint = "; dates are the column ds, names of series unique_id" if self.name != "X" else ""
        return numbers_of(self.name, self.frame, columns, hint)


def numbers_of(name: str, frame: Any, columns: list[Hashable], hint: str = "") -> np.ndarray:
    """Convert columns of a narwhals frame to float64 (rows, columns), missing values to NaN."""
    import narwhals.stable.v2 as nw

    values = np.empty((len(frame), len(columns)))
    for k, column in enumerate(columns):
        series = frame[:, frame.columns.index(column)]  # not by name, which may be a number
        if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
            what = name if column == name else f"{column} of {name}"  # a series is a frame with one column of its name
            raise ValueError(f"{what} must be numbers, got {series.dtype}{hint}")
        values[:, k] = series.cast(nw.Float64).to_numpy()
    return values


# ---- columns by name ----


def order_of_columns(estimator: "Estimator", name: str, X: Any, *, reset: bool) -> list[int]:
    """Return the positions in X (a native frame or an array) of the columns of fit.

    Named columns are found by name, in any order; the rest of the check, and what fit keeps of them (feature_names_in_,
    n_features_in_), is scikit-learn's own.
    """
    wrapped = wrap(name, X)
    columns = None if wrapped is None else list(wrapped.columns)
    order = list(range(X.shape[1]))
    if reset:
        estimator._columns = columns
    elif (
        wrapped is not None
        and columns is not None
        and estimator._columns is not None
        and set(columns) == set(estimator._columns)
    ):
        order = [columns.index(column) for column in estimator._columns]
        X = wrapped[:, order].to_native()
    elif columns is not None and estimator._columns is not None:
        require_columns(name, columns, estimator._columns)
    try:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if reset and columns and all(isinstance(column, str) for column in columns):
        # scikit-learn before 1.9 reads column names of few libraries.
        estimator.feature_names_in_ = np.asarray(columns, object)
    return order


def require_columns(name: str, columns: list[Hashable], expected: list[Hashable]) -> None:
    """Raise an error unless `columns` are those of `expected`, in any order."""
    missing = [column for column in expected if column not in columns]
    further = [column for column in columns if column not in expected]
    if missing or further:
        raise ValueError(
            f"{name} must have the columns {expected} seen in fit; missing: {missing}, unexpected: {further}"
        )
