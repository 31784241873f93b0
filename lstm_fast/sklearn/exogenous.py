"""Exogenous variables: values known for every step, including those to forecast."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import array_of
from .frames import Table, order_of_columns
from .templates import Template
from .times import Stamps, is_ascending, require_equal, sort

if TYPE_CHECKING:
    from .series_reader import SeriesReader


@dataclass
class Part:
    """A series, or exogenous variables, whose time step is not known yet."""

    values: np.ndarray
    stamps: tuple[str, Stamps] | None = None
    is_default: bool = False  # the stamps are mere row numbers
    is_array: bool = True
    order: np.ndarray | None = None  # original order of the rows
    template: Template | None = None
    columns: list[Hashable] | None = None


def array_of_numbers(name: str, value: Any, *, may_be_missing: bool = False) -> np.ndarray:
    """Convert a (T,) or (T, columns) array to float64 (T, columns)."""
    numbers = array_of(name, value)
    if numbers.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, got {numbers.dtype}")
    if numbers.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (T,) or (T, columns), got {numbers.shape}")
    require_finite(name, numbers, may_be_missing)
    return (numbers if numbers.ndim == 2 else numbers[:, None]).astype(np.float64)


def require_finite(name: str, values: np.ndarray, may_be_missing: bool = False) -> None:
    """Raise an error that names the first value that is not finite; NaN may be allowed, as a missing value."""
    wrong = np.isinf(values) if may_be_missing else ~np.isfinite(values)
    if wrong.any():
        first = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"{name} must be finite, got {values[first]} at {first}")


def sorted_rows(table: Table) -> tuple[np.ndarray | None, tuple[str, Stamps] | None]:
    """Return the order that sorts the rows of a table by time, and the sorted stamps."""
    stamps = table.stamps()
    if stamps is None:
        return None, None
    order, ascending = sort(*stamps)
    if table.index is not None and isinstance(ascending, np.ndarray):
        require_order_of_rows(table, stamps[1])
    return order, (stamps[0], ascending)


def require_order_of_rows(table: Table, labels: Stamps) -> None:
    """Raise for an unsorted index of numbers: they may number rows or time steps, so the order is ambiguous."""
    if not is_ascending(labels):
        raise ValueError(
            f"the index of {table.name} must ascend, got {', '.join(map(str, labels[:4].tolist()))}, ...: call "
            "sort_index() if the index is the order of the steps, reset_index(drop=True) if the rows are"
        )


def read_exogenous(estimator: "SeriesReader", name: str, X: Any, y: Part, reset: bool) -> np.ndarray:
    """Return the exogenous variables (T, E) of the steps of y, sorted by its time stamps."""
    if X is None:
        if reset:
            estimator._columns = None
            for attribute in ("feature_names_in_", "n_features_in_"):
                if hasattr(estimator, attribute):
                    delattr(estimator, attribute)
        return np.zeros((len(y.values), 0))
    part = read_columns(estimator, name, X, reset)
    if len(part.values) != len(y.values):
        raise ValueError(f"{name} must have a row for each step of y, {len(y.values)}, got {len(part.values)}")
    own = None if y.is_default else y.stamps
    if part.is_array or (part.is_default and own is None):
        return part.values if y.order is None else part.values[y.order]
    if part.stamps is None or part.is_default:
        if own is not None:
            raise ValueError(
                f"{name} must have the time stamps of y (ds, or the index), got a frame without them; pass an array if "
                "its rows are in the order of those of y"
            )
        return part.values
    if own is not None:
        require_equal(part.stamps[0], part.stamps[1], own[1], "the time stamps of y")
    elif part.order is not None and not (np.diff(part.order) == 1).all():
        raise ValueError(f"{part.stamps[0]} must ascend, because y has no time stamps to match its rows with")
    else:
        y.stamps = part.stamps
    return part.values


def read_columns(estimator: "SeriesReader", name: str, X: Any, reset: bool) -> Part:
    """Read exogenous variables: rows sorted by time, columns in the order of fit."""
    table = Table.read(name, X)
    if table is None:
        values = array_of_numbers(name, X)
        order_of_columns(estimator, name, values, reset=reset)
        return Part(values)
    if table.ids() is not None:
        raise ValueError(f"{name} must have no unique_id unless y is a long frame")
    values = exogenous_values(estimator, name, table, table.numbers, reset)
    order, stamps = sorted_rows(table)
    return Part(values if order is None else values[order], stamps, table.has_default_index, False, order)


def exogenous_values(
    estimator: "SeriesReader", name: str, table: Table, columns: list[Hashable], reset: bool
) -> np.ndarray:
    frame = table.frame[:, [table.frame.columns.index(column) for column in columns]]
    order = order_of_columns(estimator, name, _array_if_unnamed(table, frame), reset=reset)
    values = table.values([columns[k] for k in order])
    for k, place in enumerate(order):
        require_finite(f"{columns[place]} of {name}", values[:, k])
    return values


def _array_if_unnamed(table: Table, frame: Any) -> Any:
    return frame.to_numpy() if table.is_series and table.series_name is None else frame.to_native()
