"""What a forecaster is given, as series over time, and what it gives back in the same form.

    single   (T,) or (T, S) array; a series; or a wide frame, with a column for each of the S numbers and perhaps ds
    several  a list of such, of any lengths
    long     a frame with a column y and perhaps unique_id (of the series), ds, and exogenous variables
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .frames import ID, TARGET, TIME, Table, Template, order_of_columns, require_columns, wrap
from .times import Stamps, Times, is_ascending, regular, require_equal, sort


@dataclass
class Series:
    """One series in order of time."""

    y: np.ndarray  # (T, S) float64; NaN is missing
    X: np.ndarray  # (T, E) float64: the exogenous variables; E may be 0
    times: Times | None = None
    id: Hashable = None  # of a long frame
    columns: list[Hashable] | None = None  # of a wide frame
    label: str = "y"

    def until(self, end: int) -> "Series":
        """Its first `end` steps."""
        times = None if self.times is None else self.times.until(end)
        return Series(self.y[:end], self.X[:end], times, self.id, self.columns, self.label)


@dataclass
class Form:
    """What y looked like, to answer in kind."""

    kind: str  # "single", "several" or "long"
    is_flat: bool  # (T,) and not (T, S)
    templates: list[Template | None] = field(default_factory=list)  # None for arrays
    has_times: bool = False  # of a long frame
    has_ids: bool = False


@dataclass
class _Part:
    """A series whose time stamps are not regular times yet, or exogenous variables."""

    values: np.ndarray
    stamps: tuple[str, Stamps] | None = None
    is_default: bool = False  # the stamps only count rows
    is_array: bool = True
    order: np.ndarray | None = None  # of the rows as they came
    template: Template | None = None
    columns: list[Hashable] | None = None


def array_of_numbers(name: str, value: Any, *, may_be_missing: bool = False) -> np.ndarray:
    """(T, columns) float64 of a (T,) or (T, columns) array."""
    value = np.asarray(value)
    if value.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, got {value.dtype}")
    if value.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (T,) or (T, columns), got {value.shape}")
    require_finite(name, value, may_be_missing)
    return value.reshape(len(value), -1).astype(np.float64)


def require_finite(name: str, values: np.ndarray, may_be_missing: bool = False) -> None:
    """Raises an error that names the first number that is not finite; NaN, for a missing one, may be allowed."""
    wrong = np.isinf(values) if may_be_missing else ~np.isfinite(values)
    if wrong.any():
        first = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"{name} must be finite, got {values[first]} at {first}")


# ---- y, with its past exogenous variables ----


def read(estimator: Any, y: Any, X: Any = None, *, reset: bool, known: Iterable[Any] = ()) -> tuple[list[Series], Form]:
    """Series and form of y and X.

    `reset`: the columns of X and of wide frames are those of fit from now on; else they are found by name. `known`: steps
    of time that the dates of a short series may have.
    """
    table = Table.read("y", y)
    if table is not None and not table.is_series and TARGET in table.frame.columns:
        if X is not None:
            raise ValueError("X must be None if y is a long frame, whose further columns are the exogenous variables")
        return _read_long(estimator, table, reset, known)
    if table is None and isinstance(y, list | tuple) and any(wrap("y", one) is not None or np.ndim(one) for one in y):
        names, ys = [f"y[{k}]" for k in range(len(y))], y
        if X is not None and (not isinstance(X, list | tuple) or len(X) != len(y)):
            raise ValueError(f"X must be a list with one array or frame for each of the {len(y)} series")
        Xs, kind = [None] * len(y) if X is None else X, "several"
    else:
        names, ys, Xs, kind = ["y"], [y], [X], "single"
    parts, stamps, series = [], {}, []
    for k, (name, one) in enumerate(zip(names, ys)):
        part = _read_single(estimator, name, one, reset and k == 0)
        exogenous = _read_exogenous(estimator, name.replace("y", "X"), Xs[k], part, reset and k == 0)
        parts.append(part)
        series.append(Series(part.values, exogenous, columns=part.columns, label=name))
        if part.stamps is not None:
            stamps[k] = part.stamps
    _require_one_order("y", ys, estimator._targets)
    _require_one_order("X", Xs, estimator._columns)
    for k, times in zip(stamps, _regular(estimator, list(stamps.values()), known)):
        series[k].times = times
    if len({(one.y.shape[1], one.X.shape[1]) for one in series}) > 1:
        raise ValueError("y and X must have the same number of columns in every series")
    is_flat = all(np.ndim(one) == 1 if part.is_array else part.columns is None for one, part in zip(ys, parts))
    return series, Form(kind, is_flat, [part.template for part in parts])


def _require_one_order(name: str, values: list[Any], known: list[Hashable] | None) -> None:
    """Without columns of fit to put them in order, all parts of a list must have their columns in one order."""
    frames = [wrap(name, one) for one in values]
    orders = {tuple(c for c in getattr(frame, "columns", ()) if c != TIME) for frame in frames}
    if known is None and len(orders) > 1:
        raise ValueError(f"{name} must have the same columns in each of its parts, got {sorted(orders, key=str)}")


def _regular(estimator: Any, stamps: list[tuple[str, Stamps]], known: Iterable[Any]) -> list[Times]:
    if estimator.freq is not None and not stamps:
        raise ValueError(f"freq must be None for y without dates (ds or an index of dates), got {estimator.freq!r}")
    return regular(stamps, estimator.freq, known)


def _read_single(estimator: Any, name: str, value: Any, reset: bool) -> _Part:
    """An array, series or wide frame, its rows in order of time."""
    table = Table.read(name, value)
    if table is None:
        if reset:
            estimator._targets = None
        elif estimator._targets is not None:
            raise ValueError(f"{name} must be a frame with the columns {estimator._targets} of fit, got an array")
        return _Part(array_of_numbers(name, value, may_be_missing=True))
    if not table.is_series and TARGET in table.frame.columns:
        raise ValueError(f"{name} must be an array, a series or a wide frame: several series go into one long frame, not a list")
    if table.ids() is not None:
        raise ValueError(f"{name} must have a column y beside unique_id, got {list(table.frame.columns)}")
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
    order, stamps = _sorted(table)
    values = values if order is None else values[order]
    template = Template.of(table)
    if given is not None:
        template.columns = given
    return _Part(values, stamps, table.has_default_index, False, order, template, columns)


def _sorted(table: Table) -> tuple[np.ndarray | None, tuple[str, Stamps] | None]:
    """The order of a table's rows in time, and their stamps in that order."""
    stamps = table.stamps()
    if stamps is None:
        return None, None
    order, ascending = sort(*stamps)
    if table.index is not None and isinstance(ascending, np.ndarray):
        _require_order_of_rows(table, stamps[1])
    return order, (stamps[0], ascending)


def _require_order_of_rows(table: Table, labels: Stamps) -> None:
    """Numbers in an index are the rows of some file or count the steps; if they do not ascend, either order may be meant."""
    if not is_ascending(labels):
        raise ValueError(
            f"the index of {table.name} must ascend, got {', '.join(map(str, labels[:4].tolist()))}, ...: call sort_index() "
            "if it tells the order of the steps, reset_index(drop=True) if the rows do"
        )


def _read_exogenous(estimator: Any, name: str, X: Any, y: _Part, reset: bool) -> np.ndarray:
    """(T, E) of the steps of y, in the order of its time stamps."""
    if X is None:
        if reset:
            estimator._columns = None
            for attribute in ("feature_names_in_", "n_features_in_"):
                vars(estimator).pop(attribute, None)
        return np.zeros((len(y.values), 0))
    part = _read_columns(estimator, name, X, reset)
    if len(part.values) != len(y.values):
        raise ValueError(f"{name} must have a row for each step of y, {len(y.values)}, got {len(part.values)}")
    has_own = y.stamps is not None and not y.is_default
    if part.is_array or (part.is_default and not has_own):
        return part.values if y.order is None else part.values[y.order]
    if part.stamps is None or part.is_default:
        if has_own:
            raise ValueError(
                f"{name} must have the time stamps of y (ds, or the index), got a frame without; give an array if its rows are "
                "in the order of those of y"
            )
        return part.values
    if has_own:
        require_equal(part.stamps[0], part.stamps[1], y.stamps[1], "the time stamps of y")
    elif part.order is not None and not (np.diff(part.order) == 1).all():
        raise ValueError(f"{part.stamps[0]} must ascend, because y has no time stamps to pair its rows by")
    else:
        y.stamps = part.stamps
    return part.values


def _read_columns(estimator: Any, name: str, X: Any, reset: bool) -> _Part:
    """Exogenous variables in order of time, their columns in the order of fit."""
    table = Table.read(name, X)
    if table is None:
        values = array_of_numbers(name, X)
        order_of_columns(estimator, name, values, reset=reset)
        return _Part(values)
    if table.ids() is not None:
        raise ValueError(f"{name} must have no unique_id unless y is a long frame")
    values = _exogenous_values(estimator, name, table, table.numbers, reset)
    order, stamps = _sorted(table)
    return _Part(values if order is None else values[order], stamps, table.has_default_index, False, order)


def _exogenous_values(estimator: Any, name: str, table: Table, columns: list[Hashable], reset: bool) -> np.ndarray:
    frame = table.frame.select(columns)
    order = order_of_columns(estimator, name, _array_if_unnamed(table, frame), reset=reset)
    values = table.values([columns[k] for k in order])
    require_finite(name, values)
    return values


def _array_if_unnamed(table: Table, frame: Any) -> Any:
    return frame.to_numpy() if table.is_series and table.series_name is None else frame.to_native()


# ---- long frames ----


def _groups(table: Table) -> dict[Hashable, tuple[np.ndarray, tuple[str, Stamps] | None]]:
    """{id: (rows in order of time, stamps in that order)}. Without ids there is one, None."""
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
            order, ascending = sort(name, stamps[1][chosen])
            if table.index is not None and isinstance(ascending, np.ndarray):
                _require_order_of_rows(table, stamps[1][chosen])
            chosen, own = chosen[order], (name, ascending)
        groups[one] = chosen, None if table.has_row_labels else own
    return groups


def _read_long(estimator: Any, table: Table, reset: bool, known: Iterable[Any]) -> tuple[list[Series], Form]:
    exogenous = [column for column in table.numbers if column != TARGET]
    if reset:
        estimator._targets = None
    if exogenous:
        X = _exogenous_values(estimator, "y", table, exogenous, reset)
    else:
        X = np.zeros((len(table.frame), 0))
        if reset:
            _read_exogenous(estimator, "X", None, _Part(X), True)
    y = table.values([TARGET])
    require_finite("y", y, may_be_missing=True)
    groups = _groups(table)
    if not len(table.frame):
        raise ValueError("y must hold at least one series, got a frame without rows")
    stamps = [own for _, own in groups.values() if own is not None]
    times = iter(_regular(estimator, stamps, known))
    series = [
        Series(y[rows], X[rows], None if own is None else next(times), one, None, "y" if one is None else f"y of {one!r}")
        for one, (rows, own) in groups.items()
    ]
    template = Template.of(table)
    return series, Form("long", True, [template], bool(stamps), ID in table.frame.columns)


# ---- the steps to forecast ----


def read_future(estimator: Any, X: Any, series: list[Series], form: Form, horizon: int) -> list[np.ndarray]:
    """The exogenous variables of the steps to forecast: (horizon, E) for each series."""
    n = series[0].X.shape[1]
    if not n:
        if X is not None:
            raise ValueError("X must be None: fit had no exogenous variables")
        return [np.zeros((horizon, 0))] * len(series)
    if X is None:
        raise ValueError(f"X must give the {n} columns of exogenous variables for the {horizon} steps to forecast, got None")
    if form.kind == "long" and wrap("X", X) is not None:
        return _read_long_future(estimator, X, series, horizon)
    is_list = form.kind == "several"
    if (is_list or form.has_ids) and (not isinstance(X, list | tuple) or len(X) != len(series)):
        raise ValueError(f"X must have one part for each of {len(series)} series")
    parts = []
    for k, (one, of_one) in enumerate(zip(series, X if is_list or form.has_ids else [X])):
        name = f"X[{k}]" if is_list else "X"
        part = _read_columns(estimator, name, of_one, False)
        _require_future(name, part, one, horizon)
        parts.append(part.values)
    return parts


def _require_future(name: str, part: _Part, one: Series, horizon: int) -> None:
    """The stamps of exogenous variables must be those after a series; arrays and default indices have none."""
    if not part.is_array and not part.is_default and part.stamps is not None and one.times is not None:
        require_equal(part.stamps[0], part.stamps[1], one.times.after(horizon), f"the {horizon} steps after {one.label}")
    elif not part.is_array and one.times is not None and not _counts_rows(one):
        raise ValueError(
            f"{name} must have the time stamps of the steps to forecast (ds, or the index), {one.times.after(horizon)[0]} first; "
            "give an array if its rows are in order"
        )
    elif part.order is not None and not (np.diff(part.order) == 1).all():
        raise ValueError(f"{name} must be in order of time, because y has no time stamps")
    if len(part.values) != horizon:
        raise ValueError(
            f"{name} must have shape (horizon, columns) = ({horizon}, {part.values.shape[1]}) for each series, got "
            f"{part.values.shape}"
        )


def _counts_rows(one: Series) -> bool:
    stamps = one.times.stamps if one.times is not None else None
    return isinstance(stamps, np.ndarray) and stamps[0] == 0 and one.times.step == 1


def _read_long_future(estimator: Any, X: Any, series: list[Series], horizon: int) -> list[np.ndarray]:
    table = Table.read("X", X)
    values = _exogenous_values(estimator, "X", table, table.numbers, False)
    groups = _groups(table)
    given, expected = set(groups), {one.id for one in series}
    if given != expected:
        missing, further = [one for one in expected if one not in given], [one for one in given if one not in expected]
        raise ValueError(f"X must have rows for each series of y and no other, got none for {missing} and some for {further}")
    parts = []
    for one in series:
        rows, stamps = groups[one.id]
        part = _Part(values[rows], stamps, table.has_default_index, False)
        _require_future("X", part, one, horizon)
        parts.append(part.values)
    return parts


# ---- answers ----


def answer(
    forecasts: list[np.ndarray],
    series: list[Series],
    form: Form,
    levels: tuple[float, ...] | None = None,
    quantiles: list[np.ndarray] | None = None,
) -> Any:
    """Forecasts [(horizon, S)] in the form of y; long frames with a column for each level of quantiles [(horizon, S, levels)]."""
    stamps = [None if one.times is None else one.times.after(len(part)) for one, part in zip(series, forecasts)]
    if form.kind == "long":
        columns = {"prediction": np.concatenate([part[:, 0] for part in forecasts])}
        for k, level in enumerate(levels or ()):
            columns[f"quantile_{level:g}"] = np.concatenate([one[:, 0, k] for one in quantiles or ()])
        ids = [one.id for one, part in zip(series, forecasts) for _ in range(len(part))] if form.has_ids else None
        return form.templates[0].fill(columns, ids, _joined(stamps) if form.has_times else None)
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
