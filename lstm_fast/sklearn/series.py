"""The series of a forecaster, and forecasts in the form of the input.

single   (T,) or (T, S) array; a series; or a wide frame, with a column for each of the S numbers and optionally ds
several  a list of these, of any lengths
long     a frame with a column y and optionally unique_id (of the series), ds, and exogenous variables
"""

import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .exogenous import (
    Part,
    array_of_numbers,
    exogenous_values,
    read_exogenous,
    require_finite,
    require_order_of_rows,
    sorted_rows,
)
from .frames import ID, TARGET, TIME, Table, require_columns, wrap
from .templates import Template
from .times import Stamps, Times, regular, sort

if TYPE_CHECKING:
    from .series_reader import SeriesReader


@dataclass
class Series:
    """Time series, sorted by time."""

    y: np.ndarray  # (T, S) float64; NaN is missing
    X: np.ndarray  # (T, E) float64: the exogenous variables; E may be 0
    times: Times | None = None
    id: Hashable = None  # unique_id in a long frame
    columns: list[Hashable] | None = None  # column names in a wide frame
    label: str = "y"

    def until(self, end: int) -> "Series":
        """Return the first `end` steps."""
        times = None if self.times is None else self.times.until(end)
        return Series(self.y[:end], self.X[:end], times, self.id, self.columns, self.label)


@dataclass
class Form:
    """The form of y, which forecasts take as well."""

    kind: str  # "single", "several" or "long"
    is_flat: bool  # (T,) and not (T, S)
    templates: list[Template | None] = field(default_factory=list)  # None for arrays
    has_times: bool = False  # whether a long frame has ds
    has_ids: bool = False


# ---- y, with its past exogenous variables ----


def read(
    estimator: "SeriesReader", y: Any, X: Any = None, *, reset: bool, known: Iterable[Any] = ()
) -> tuple[list[Series], Form]:
    """Return series and form of y and X.

    `reset`: the columns of X and of wide frames are recorded, as in fit; otherwise they are matched by name. `known`:
    steps of time that the dates of a short series may have.
    """
    table = Table.read("y", y)
    if table is not None and not table.is_series and TARGET in table.frame.columns:
        if X is not None:
            raise ValueError("X must be None if y is a long frame: its additional columns are the exogenous variables")
        return _read_long(estimator, table, reset, known)
    if table is None and isinstance(y, list | tuple) and any(wrap("y", one) is not None or np.ndim(one) for one in y):
        names, ys = [f"y[{k}]" for k in range(len(y))], y
        if X is not None and (not isinstance(X, list | tuple) or len(X) != len(y)):
            got = len(X) if isinstance(X, list | tuple) else type(X).__name__
            raise ValueError(f"X must be a list with one array or frame for each of the {len(y)} series, got {got}")
        Xs, kind = [None] * len(y) if X is None else X, "several"
    else:
        names, ys, Xs, kind = ["y"], [y], [X], "single"
    parts, stamps, series = [], {}, []
    for k, (name, one) in enumerate(zip(names, ys)):
        part = _read_single(estimator, name, one, reset and k == 0)
        exogenous = read_exogenous(estimator, name.replace("y", "X"), Xs[k], part, reset and k == 0)
        parts.append(part)
        series.append(Series(part.values, exogenous, columns=part.columns, label=name))
        if part.stamps is not None:
            stamps[k] = part.stamps
    require_one_order("y", ys, estimator._targets)
    require_one_order("X", Xs, estimator._columns)
    for k, times in zip(stamps, _regular(estimator, list(stamps.values()), known)):
        series[k].times = times
    widths = {(one.y.shape[1], one.X.shape[1]) for one in series}
    if len(widths) > 1:
        raise ValueError(f"y and X must have the same number of columns in every series, got {sorted(widths)}")
    is_flat = all(np.ndim(one) == 1 if part.is_array else part.columns is None for one, part in zip(ys, parts))
    return series, Form(kind, is_flat, [part.template for part in parts])


def require_one_order(name: str, values: Sequence[Any], known: list[Hashable] | None) -> None:
    """Without columns of fit to put them in order, all parts of a list must have their columns in one order."""
    frames = [wrap(name, one) for one in values]
    orders = {tuple(c for c in getattr(frame, "columns", ()) if c != TIME) for frame in frames}
    if known is None and len(orders) > 1:
        raise ValueError(f"{name} must have the same columns in each of its parts, got {sorted(orders, key=str)}")


def _regular(estimator: "SeriesReader", stamps: list[tuple[str, Stamps]], known: Iterable[Any]) -> list[Times]:
    if estimator.freq is not None and not stamps:
        raise ValueError(f"freq must be None for y without dates (ds or an index of dates), got {estimator.freq!r}")
    return regular(stamps, estimator.freq, known)


def _read_single(estimator: "SeriesReader", name: str, value: Any, reset: bool) -> Part:
    """Read an array, series or wide frame; sort its rows by time."""
    table = Table.read(name, value)
    if table is None:
        if reset:
            estimator._targets = None
        elif estimator._targets is not None:
            raise ValueError(f"{name} must be a frame with the columns {estimator._targets} seen in fit, got an array")
        return Part(array_of_numbers(name, value, may_be_missing=True))
    if not table.is_series and TARGET in table.frame.columns:
        raise ValueError(
            f"{name} must be an array, a series or a wide frame: several series go into one long frame, not a list"
        )
    if table.ids() is not None:
        raise ValueError(f"{name} must have a column y in addition to unique_id, got {list(table.frame.columns)}")
    columns = None if table.is_series else table.numbers
    if not table.numbers:
        raise ValueError(f"{name} must have a column of numbers, got {list(table.frame.columns)}")
    if reset:
        estimator._targets = columns
    elif columns is not None and estimator._targets is not None:
        require_columns(name, columns, estimator._targets)
    given = columns
    if columns is not None and estimator._targets is not None:
        columns = estimator._targets
    values = table.values(columns or [TARGET])
    require_finite(name, values, may_be_missing=True)
    order, stamps = sorted_rows(table)
    values = values if order is None else values[order]
    template = Template.of(table)
    if given is not None:
        template.columns = given
    return Part(values, stamps, table.has_default_index, False, order, template, columns)


def warn_of_missing(series: list[Series], *, stacklevel: int) -> None:
    """Warn about missing values in y, with their number."""
    n, size = sum(int(np.isnan(one.y).sum()) for one in series), sum(one.y.size for one in series)
    if n:
        warnings.warn(
            f"y has {n} missing values of {size}: they are masked in the loss, and the network reads the last known "
            "value instead",
            stacklevel=stacklevel,
        )


# ---- long frames ----


def groups_of(table: Table) -> dict[Hashable, tuple[np.ndarray, tuple[str, Stamps] | None]]:
    """Return {id: (rows sorted by time, their stamps)}; without ids the only key is None."""
    ids, stamps = table.ids(), table.stamps()
    rows: dict[Hashable, list[int]] = {}
    if ids is None:
        rows[None] = list(range(len(table.frame)))
    else:
        for row, one in enumerate(ids):
            rows.setdefault(one, []).append(row)
    groups = {}
    for one, of_one in rows.items():
        chosen, own = np.array(of_one, np.intp), None
        if stamps is not None:
            name = stamps[0] if one is None else f"{stamps[0]} for {one!r}"
            own_stamps = stamps[1][chosen]
            order, ascending = sort(name, own_stamps)
            if table.index is not None and isinstance(ascending, np.ndarray):
                require_order_of_rows(table, own_stamps)
            chosen, own = chosen[order], (name, ascending)
        groups[one] = chosen, None if table.has_row_labels else own
    return groups


def _read_long(estimator: "SeriesReader", table: Table, reset: bool, known: Iterable[Any]) -> tuple[list[Series], Form]:
    exogenous = [column for column in table.numbers if column != TARGET]
    if reset:
        estimator._targets = None
    elif not exogenous and estimator._columns:
        require_columns("y", [], estimator._columns)
    if exogenous:
        X = exogenous_values(estimator, "y", table, exogenous, reset)
    else:
        X = np.zeros((len(table.frame), 0))
        if reset:
            read_exogenous(estimator, "X", None, Part(X), True)
    y = table.values([TARGET])
    require_finite("y", y, may_be_missing=True)
    groups = groups_of(table)
    if not len(table.frame):
        raise ValueError("y must hold at least one series, got a frame without rows")
    stamps = [own for _, own in groups.values() if own is not None]
    times = iter(_regular(estimator, stamps, known))
    series = [
        Series(
            y[rows], X[rows], None if own is None else next(times), one, None, "y" if one is None else f"y of {one!r}"
        )
        for one, (rows, own) in groups.items()
    ]
    template = Template.of(table)
    return series, Form("long", True, [template], bool(stamps), ID in table.frame.columns)


# ---- answers ----


def answer(
    forecasts: list[np.ndarray],
    series: list[Series],
    form: Form,
    levels: Sequence[float] | None = None,
    quantiles: list[np.ndarray] | None = None,
) -> Any:
    """Return forecasts (horizon, S) of each series in the form of y.

    Long frames have a column for each level of `quantiles` (horizon, S, levels).
    """
    stamps = [None if one.times is None else one.times.after(len(part)) for one, part in zip(series, forecasts)]
    if form.kind == "long":
        columns = {"prediction": np.concatenate([part[:, 0] for part in forecasts])}
        for k, level in enumerate(() if levels is None else levels):
            columns[f"quantile_{level:g}"] = np.concatenate([one[:, 0, k] for one in quantiles or ()])
        ids = [one.id for one, part in zip(series, forecasts) for _ in range(len(part))] if form.has_ids else None
        (long_template,) = form.templates
        assert long_template is not None
        return long_template.fill(columns, ids, _joined(stamps) if form.has_times else None)
    parts = []
    for part, one, template, own in zip(forecasts, series, form.templates, stamps):
        if template is None:
            parts.append(part[:, 0] if form.is_flat else part)
        else:
            names = one.columns or [TARGET]
            values = {name: part[:, names.index(name)] for name in template.columns or [TARGET]}
            parts.append(template.fill(values, None, own))
    return parts if form.kind == "several" else parts[0]


def _joined(stamps: list[Stamps]) -> Stamps:
    if isinstance(stamps[0], np.ndarray):
        return np.concatenate(stamps)
    return stamps[0].append(stamps[1:])
