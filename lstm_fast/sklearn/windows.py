"""Windows of series as inputs and targets of the network.

The network reads input_size steps of a series and continues over the horizon. Its inputs at each step are the S values
of y (zeros in the horizon), a flag (1 in the horizon, 0 before) and the E exogenous variables. All series share one
network.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .network_input import numbered
from .scaling import Scaling
from .series import Series


class Batch(NamedTuple):
    """Windows of series."""

    x: np.ndarray  # (n, input_size + horizon, S + 1 + E)
    targets: np.ndarray  # (n, input_size + horizon, S)
    mask: np.ndarray  # (n, input_size + horizon): which targets count


@dataclass(frozen=True)
class Order:
    """The order of series and columns inside the network.

    It depends only on their contents, so that neither names nor the order of rows and columns change a forecast.
    """

    series: list[int]
    y: list[int]
    X: list[int]

    @classmethod
    def of(cls, series: list[Series]) -> "Order":
        """Sort by content; columns with equal content by position."""

        def content(values: np.ndarray) -> bytes:
            return (np.where(np.isnan(values), np.nan, values) + 0.0).tobytes()  # one NaN, one zero

        y = [[content(column) for column in one.y.T] for one in series]
        X = [[content(column) for column in one.X.T] for one in series]
        keys = [(sorted(y[k]), sorted(X[k])) for k in range(len(series))]
        by_series = sorted(range(len(series)), key=keys.__getitem__)
        return cls(
            by_series,
            sorted(range(len(y[0])), key=lambda c: [y[k][c] for k in by_series]),
            sorted(range(len(X[0])), key=lambda c: [X[k][c] for k in by_series]),
        )

    def apply(self, one: Series) -> Series:
        """A series with its columns in this order."""
        return replace(one, y=columns_of(one.y, self.y), X=columns_of(one.X, self.X))

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Values (steps, S, ...) with the columns of y in their original order."""
        return columns_of(values, np.argsort(self.y)) if len(self.y) > 1 else values


def columns_of(values: np.ndarray, order: list[int] | np.ndarray) -> np.ndarray:
    """Values (steps, columns, ...) with their columns in this order; a single column without a copy."""
    return values[:, order] if len(order) > 1 else values


class Windowing:
    """Conversion of series to inputs and targets of the network, and of its outputs to forecasts.

    Scalings and order are determined by `series`, the training data.
    """

    def __init__(
        self, series: list[Series], *, input_size: int, horizon: int, step: int, scale: str | None, dtype: str
    ) -> None:
        self.input_size, self.horizon, self.step, self.scale, self.dtype = input_size, horizon, step, scale, dtype
        self.n_targets, self.n_exogenous = series[0].y.shape[1], series[0].X.shape[1]
        self.order = Order.of(series)
        self._scalings: dict[Hashable, Scaling] = {}  # read by _scaling
        self._scalings = {self._key(k, one): self._scaling(k, one) for k, one in enumerate(series)}
        X = np.concatenate([self.order.apply(series[k]).X for k in self.order.series])
        self._X_scaling = Scaling.of(X) if scale else Scaling.none(self.n_exogenous)

    @property
    def n_inputs(self) -> int:
        """Input size of the network."""
        return int(self.n_targets + 1 + self.n_exogenous)

    def feature_names(self, y: Sequence[Hashable] | None, X: Sequence[Hashable] | None) -> list[str]:
        """Names of the network's inputs from those of the columns of y and of the exogenous variables, if any."""
        of_y = numbered("y", self.n_targets) if y is None else [str(name) for name in y]
        of_X = numbered("X", self.n_exogenous) if X is None else [str(name) for name in X]
        return [*(of_y[k] for k in self.order.y), "is forecast", *(of_X[k] for k in self.order.X)]

    def _key(self, k: int, one: Series) -> Hashable:
        return k if one.id is None else one.id

    def _scaling(self, k: int, one: Series) -> Scaling:
        """The scaling of the same id or position in fit; an unknown series gets its own."""
        known = self._scalings.get(self._key(k, one))
        if known is not None:
            return known
        return Scaling.of(columns_of(one.y, self.order.y)) if self.scale == "series" else Scaling.none(self.n_targets)

    # ---- training ----

    def training(self, series: list[Series], held_out: float) -> tuple[Batch, Batch]:
        """Windows to train on, and the last `held_out` share of each series. Windows without a target are left out."""
        parts, later = [], []
        for k in self.order.series:
            batch = self._windows(k, series[k])
            n = len(batch.x)
            n_later = round(n * held_out)
            gap = -(-self.horizon // self.step) - 1 if n_later else 0  # no target is on both sides
            parts.append(Batch(*(part[: max(0, n - n_later - gap)] for part in batch)))
            later.append(Batch(*(part[n - n_later :] for part in batch)))
        return _joined(parts), _joined(later)

    def _windows(self, k: int, one: Series) -> Batch:
        length = self.input_size + self.horizon
        scaling, one = self._scaling(k, one), self.order.apply(one)
        y = scaling.apply(one.y)
        past, targets = self._cut(carry_forward(y))[:, : self.input_size], self._cut(y)
        has_past = (~np.isnan(past)).any(axis=1).all(axis=1)
        if self.scale == "window":
            by = Scaling.of_windows(past)
            past, targets = by.apply(past), by.apply(targets)
        is_known = ~np.isnan(targets)
        mask = is_known.all(axis=2) & has_past[:, None] & (np.arange(length) >= self.input_size)
        X = self._cut(self._X_scaling.apply(one.X))
        return Batch(self._inputs(np.nan_to_num(past), X), np.where(is_known, targets, 0), mask)

    def _cut(self, table: np.ndarray) -> np.ndarray:
        """Windows (n, input_size + horizon, columns) of a table (T, columns), `step` apart."""
        windows = np.lib.stride_tricks.sliding_window_view(table, self.input_size + self.horizon, axis=0)
        return windows[:: self.step].swapaxes(1, 2)

    def _inputs(self, past: np.ndarray, X: np.ndarray) -> np.ndarray:
        """past (n, input_size, S), X (n, steps, E): (n, steps, S + 1 + E)."""
        n, steps, _ = X.shape
        x = np.zeros((n, steps, self.n_inputs), self.dtype)
        x[:, : self.input_size, : self.n_targets] = past
        x[:, self.input_size :, self.n_targets] = 1
        x[:, :, self.n_targets + 1 :] = X
        return x

    # ---- forecasts ----

    def forecast_inputs(self, series: list[Series], future: list[np.ndarray]) -> tuple[np.ndarray, Scaling]:
        """Inputs of the steps after each series, and the scaling of each window.

        `future`: the exogenous variables of those steps, (steps, E) for each series.
        """
        past = np.stack([self._past(k, one, one.y[-self.input_size :]) for k, one in enumerate(series)])
        is_missing = np.isnan(past).any()
        if is_missing:
            past = np.stack([self._past(k, one, carry_forward(one.y)) for k, one in enumerate(series)])
        by = Scaling.of_windows(past) if self.scale == "window" else Scaling.none(self.n_targets)
        known = [np.concatenate([one.X[-self.input_size :], part]) for one, part in zip(series, future)]
        X = np.stack([self._X_scaling.apply(columns_of(one, self.order.X)) for one in known])
        past = by.apply(past)
        return self._inputs(np.nan_to_num(past) if is_missing else past, X), by

    def _past(self, k: int, one: Series, y: np.ndarray) -> np.ndarray:
        """The last input_size steps of y, scaled and ordered."""
        return self._scaling(k, one).apply(columns_of(y[-self.input_size :], self.order.y))

    def forecasts(self, outputs: np.ndarray, series: list[Series], by: Scaling) -> list[np.ndarray]:
        """Outputs (n, steps, S, levels) of the network in units of y: (steps, S, levels) for each series."""
        outputs = outputs * np.expand_dims(by.deviation, -1) + np.expand_dims(by.mean, -1)
        return [
            self.order.undo(self._scaling(k, one).undo(part.swapaxes(1, 2)).swapaxes(1, 2))
            for k, (one, part) in enumerate(zip(series, outputs))
        ]


def carry_forward(y: np.ndarray) -> np.ndarray:
    """Forward-fill missing values of y (T, S); NaN remains before the first known value."""
    is_known = ~np.isnan(y)
    if is_known.all():
        return y
    last = np.maximum.accumulate(np.where(is_known, np.arange(len(y))[:, None], 0), axis=0)
    return np.take_along_axis(y, last, axis=0)


def _joined(parts: list[Batch]) -> Batch:
    """Windows of all series, except those without a target."""
    batch = Batch(*map(np.concatenate, zip(*parts)))
    keep = batch.mask.any(axis=1)
    return batch if keep.all() else Batch(*(part[keep] for part in batch))
