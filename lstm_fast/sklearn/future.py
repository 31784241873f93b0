"""The exogenous variables of the steps to forecast."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .exogenous import Part, exogenous_values, read_columns
from .frames import Table, wrap
from .series import Form, Series, groups_of, require_one_order
from .times import require_equal

if TYPE_CHECKING:
    from .series_reader import SeriesReader


def read_future(estimator: "SeriesReader", X: Any, series: list[Series], form: Form, horizon: int) -> list[np.ndarray]:
    """Return the exogenous variables of the steps to forecast: (horizon, E) for each series."""
    n = series[0].X.shape[1]
    if not n:
        if X is not None:
            raise ValueError("X must be None: fit had no exogenous variables")
        return [np.zeros((horizon, 0))] * len(series)
    if X is None:
        raise ValueError(
            f"X must give the {n} columns of exogenous variables for the {horizon} steps to forecast, got None"
        )
    if form.kind == "long" and wrap("X", X) is not None:
        return _read_long_future(estimator, X, series, horizon)
    is_list = form.kind == "several"
    if (is_list or form.has_ids) and (not isinstance(X, list | tuple) or len(X) != len(series)):
        got = len(X) if isinstance(X, list | tuple) else type(X).__name__
        raise ValueError(f"X must have one part for each of {len(series)} series, got {got}")
    if is_list:
        require_one_order("X", X, estimator._columns)
    parts = []
    for k, (one, of_one) in enumerate(zip(series, X if is_list or form.has_ids else [X])):
        name = f"X[{k}]" if is_list else "X"
        part = read_columns(estimator, name, of_one, False)
        _require_future(name, part, one, horizon)
        parts.append(part.values)
    return parts


def _require_future(name: str, part: Part, one: Series, horizon: int) -> None:
    """Check that the stamps of exogenous variables continue a series; arrays and default indices have none."""
    if not part.is_array and not part.is_default and part.stamps is not None and one.times is not None:
        require_equal(
            part.stamps[0], part.stamps[1], one.times.after(horizon), f"the {horizon} steps after {one.label}"
        )
    elif not part.is_array and one.times is not None and not _counts_rows(one):
        raise ValueError(
            f"{name} must have the time stamps of the steps to forecast (ds, or the index), from "
            f"{one.times.after(horizon)[0]} on; pass an array if its rows are in order"
        )
    elif part.order is not None and not (np.diff(part.order) == 1).all():
        raise ValueError(f"{name} must be in chronological order, because y has no time stamps")
    if len(part.values) != horizon:
        raise ValueError(
            f"{name} must have shape (horizon, columns) = ({horizon}, {part.values.shape[1]}) for each series, got "
            f"{part.values.shape}"
        )


def _counts_rows(one: Series) -> bool:
    if one.times is None:
        return False
    return isinstance(one.times.stamps, np.ndarray) and one.times.stamps[0] == 0 and one.times.step == 1


def _read_long_future(estimator: "SeriesReader", X: Any, series: list[Series], horizon: int) -> list[np.ndarray]:
    table = Table.read("X", X)
    assert table is not None
    values = exogenous_values(estimator, "X", table, table.numbers, False)
    groups = groups_of(table)
    given, expected = set(groups), {one.id for one in series}
    if given != expected:
        missing, further = [one for one in expected if one not in given], [one for one in given if one not in expected]
        raise ValueError(
            f"X must have rows for each series of y and no other, got none for {missing} and some for {further}"
        )
    parts = []
    for one in series:
        rows, stamps = groups[one.id]
        part = Part(values[rows], stamps, table.has_default_index, False)
        _require_future("X", part, one, horizon)
        parts.append(part.values)
    return parts
