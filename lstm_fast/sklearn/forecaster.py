"""LSTMForecaster: how series go on.

The network reads the last input_size steps of a series and then walks over the steps to come. Its inputs at each step:

    the S numbers of y (zeros in the future), 1 in the future and 0 before, and the E columns that explain y

Its head's output at the future steps is the forecast. All series share one network.
"""

import time
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .. import _arguments
from .base import SETTINGS, Estimator, keep
from .future import read_future
from .scaling import Scaling
from .series import answer, read
from .windows import Order, carry_forward, cut, targets_of

SCALES = ("series", "window", None)


class LSTMForecaster(Estimator):
    __doc__ = f"""Forecasts of one or many series, several steps at once, with intervals and with columns that explain them.

    Parameters
    ----------
    input_size : steps of the past that the network reads
    horizon : steps that it learns to forecast
    {SETTINGS}
    scale : "window" (each by mean and deviation of its input_size steps, so that the level may wander), "series" (by those of each
        series in training) or None; forecasts are scaled back
    validation_fraction : of the windows, the last in time
    quantiles : None, or levels such as (0.1, 0.5, 0.9), learned with the quantile loss in place of `loss` ("mse", "mae" or
        "huber"); predict gives the level nearest to 0.5
    window_step : only every window_step-th window of each series is learned from

    y is (T,), or (T, S) for S numbers at a time, or a list of such arrays, or a data frame (pandas, polars): long with columns
    y and perhaps unique_id, ds and others that explain y, or wide with a column for each number. X, what explains y, is (T, E),
    for a list of series a list. Forecasts come back in the same form.

    Attributes
    ----------
    model_ : lf.train.SequenceModel; history_ : lf.train.History
    """

    def __init__(
        self,
        input_size=24,
        horizon=1,
        hidden_size=32,
        num_layers=1,
        *,
        loss="mse",
        quantiles=None,
        window_step=1,
        freq=None,
        dropout=0.0,
        lstm_options=None,
        epochs=50,
        batch_size=32,
        lr=5e-3,
        weight_decay=0.0,
        clip_norm=1.0,
        lr_schedule=None,
        early_stopping=None,
        validation_fraction=0.1,
        scale="window",
        dtype="float32",
        random_state=None,
        n_jobs=None,
        verbose=False,
    ):
        keep(self, locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False  # a series is no table of samples
        tags.non_deterministic = self.random_state is None
        return tags

    # ---- fit ----

    def fit(self, y, X=None):
        """Learns from y, and from X, the exogenous variables.

        Missing numbers (NaN) in y are no targets, and the network reads the last known one in their place; a warning counts them.
        """
        series, form = read(self, y, X, reset=True)
        self._check(series)
        self._warn_of_missing(series)
        self._fit_series(series, form)
        return self

    def _check(self, series):
        for name in ("input_size", "horizon", "window_step"):
            _arguments.positive_integer(name, getattr(self, name))
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, got {self.scale!r}")
        least = self.input_size + self.horizon
        for k, one in enumerate(series):
            where = f" in series {k if one.id is None else one.id}" if len(series) > 1 else ""
            if len(one.y) < least:
                raise ValueError(f"y must have at least input_size + horizon = {least} steps, got {len(one.y)}{where}")
            if np.isnan(one.y).all(axis=0).any():
                raise ValueError(f"y must hold numbers in each column, got only missing ones{where}")

    def _warn_of_missing(self, series):
        n, size = sum(int(np.isnan(one.y).sum()) for one in series), sum(one.y.size for one in series)
        if n:
            warnings.warn(
                f"y has {n} missing values of {size}: they are left out of the loss, and the last known value stands in for them "
                "among the inputs",
                stacklevel=3,
            )

    def _fit_series(self, series, form):
        self._series, self._form, self._order = series, form, Order.of(series)
        self._n_targets, self._n_explaining = series[0].y.shape[1], series[0].X.shape[1]
        self._scalings = {self._key(k, one): self._scaling_of(self._order.apply(one)) for k, one in enumerate(series)}
        ordered = [(self._key(k, series[k]), self._order.apply(series[k])) for k in self._order.series]
        self._X_scaling = (
            Scaling.of(np.concatenate([one.X for _, one in ordered]))
            if self.scale
            else Scaling.none(self._n_explaining)
        )
        levels = 1 if self.quantiles is None else len(self.quantiles)
        self.model_ = self._make_model(self._n_targets + 1 + self._n_explaining, self._n_targets * levels, "all")
        parts, later = [], []
        for key, one in ordered:
            n = len(range(0, len(one.y) - self.input_size - self.horizon + 1, self.window_step))
            n_later = round(n * self.validation_fraction) if self.early_stopping is not None else 0
            windows = self._windows(one, self._scalings[key])
            gap = -(-self.horizon // self.window_step) - 1 if n_later else 0  # no target is on both sides
            parts.append([part[: max(0, n - n_later - gap)] for part in windows])
            later.append([part[n - n_later :] for part in windows])
        (x, targets, mask), validation = _joined(parts), None
        if self.early_stopping is not None:
            later_x, later_targets, later_mask = _joined(later)
            if not len(x) or not len(later_x):
                raise ValueError(
                    f"validation_fraction must leave windows on both sides, got {self.validation_fraction!r}: "
                    f"{len(x)} to train on, {len(later_x)} to validate"
                )
            validation = (later_x, later_targets, None, later_mask)
        if not len(x):
            raise ValueError(
                f"y must have a window of input_size + horizon = {self.input_size + self.horizon} steps with a number in its past "
                "and one to forecast, got only missing ones"
            )
        self._train(self.model_, x, targets, self._loss(), mask=mask, validation=validation)

    def _loss(self):
        return self.loss if self.quantiles is None else ("quantile", tuple(self.quantiles))

    def _key(self, k, one):
        return k if one.id is None else one.id

    def _scaling_of(self, one):
        return Scaling.of(one.y) if self.scale == "series" else Scaling.none(one.y.shape[1])

    def _windows(self, one, scaling):
        """(inputs (n, input_size + horizon, I), targets (n, input_size + horizon, S), which steps count) of a series."""
        past, targets, counts = targets_of(
            scaling.apply(one.y), self.input_size, self.horizon, self.window_step, is_scaled=self.scale == "window"
        )
        X = cut(self._X_scaling.apply(one.X), self.input_size + self.horizon, self.window_step)
        return self._inputs(past, X), targets, counts

    def _inputs(self, past, X):
        """past (n, input_size, S), X (n, steps, E): (n, steps, S + 1 + E)."""
        n, steps, _ = X.shape
        x = np.zeros((n, steps, self._n_targets + 1 + self._n_explaining), self.dtype)
        x[:, : self.input_size, : self._n_targets] = past
        x[:, self.input_size :, self._n_targets] = 1
        x[:, :, self._n_targets + 1 :] = X
        return x

    # ---- forecasts ----

    def predict(self, horizon=None, X=None, *, y=None, y_X=None):
        """The steps after y, or after what fit has seen.

        Parameters
        ----------
        horizon : steps; None: that of the constructor. The network walks as far as it is told, but learned only so many.
        X : what explains those steps, (horizon, E) for each series
        y, y_X : other series in the form of fit's, whose last input_size steps count; scaled as fit's of the same place or id,
            an unknown one by itself
        """
        series, form, levels = self._levels(horizon, X, y, y_X)
        return answer([one[..., self._middle()] for one in levels], series, form, self.quantiles, levels)

    def predict_quantiles(self, horizon=None, X=None, *, y=None, y_X=None):
        """As predict: (horizon, levels), or (horizon, S, levels); several series: a list. Levels that cross are sorted."""
        self._need_quantiles("predict_quantiles")
        return self._arrays(horizon, X, y, y_X, lambda levels: levels)

    def predict_interval(self, horizon=None, X=None, *, y=None, y_X=None):
        """As predict: (horizon, 2), or (horizon, S, 2), from the lowest to the highest of quantiles; several series: a list."""
        self._need_quantiles("predict_interval")
        order = np.argsort(self.quantiles)
        return self._arrays(horizon, X, y, y_X, lambda levels: levels[..., order[[0, -1]]])

    def _need_quantiles(self, name):
        if self.quantiles is None:
            raise ValueError(f"{name} needs quantiles, levels such as (0.1, 0.5, 0.9), got None")

    def _middle(self):
        return 0 if self.quantiles is None else int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))

    def _arrays(self, horizon, X, y, y_X, choose):
        series, form, levels = self._levels(horizon, X, y, y_X)
        parts = [choose(one)[:, 0] if form.is_flat else choose(one) for one in levels]
        return parts if form.kind == "several" or form.has_names else parts[0]

    def _levels(self, horizon, X, y, y_X):
        """([Series], Form, [(horizon, S, levels)]) of a call of predict."""
        check_is_fitted(self, "model_")
        horizon = self.horizon if horizon is None else _arguments.positive_integer("horizon", horizon)
        series, form = self._series, self._form
        if y is not None:
            known = [one.times.step for one in self._series if one.times is not None]
            series, form = read(self, y, y_X, reset=False, known=known)
            self._warn_of_missing(series)
        for one in series:
            if one.y.shape[1] != self._n_targets or one.X.shape[1] != self._n_explaining:
                raise ValueError(
                    f"y and y_X must have {self._n_targets} and {self._n_explaining} columns as in fit, got "
                    f"{one.y.shape[1]} and {one.X.shape[1]}"
                )
            if len(one.y) < self.input_size:
                raise ValueError(f"y must have at least input_size = {self.input_size} steps, got {len(one.y)}")
            if np.isnan(one.y).all(axis=0).any():
                raise ValueError("y must hold numbers in each column, got only missing ones")
        return series, form, self._forecast(series, read_future(self, X, series, form, horizon))

    def _forecast(self, series, future):
        """[(horizon, S, levels)] after each series, from the exogenous variables of the steps to come, [(horizon, E)]."""
        ordered = [self._order.apply(one) for one in series]
        scalings = [self._scalings.get(self._key(k, one)) or self._scaling_of(one) for k, one in enumerate(ordered)]
        past = np.stack(
            [carry_forward(scaling.apply(one.y))[-self.input_size :] for scaling, one in zip(scalings, ordered)]
        )
        by = Scaling.of_windows(past) if self.scale == "window" else Scaling.none(self._n_targets)
        known = np.stack(
            [
                self._X_scaling.apply(np.concatenate([one.X[-self.input_size :], part[:, self._order.X]]))
                for one, part in zip(ordered, future)
            ]
        )
        inputs = self._inputs(np.nan_to_num(by.apply(past)), known)
        p = self.model_.predict(inputs, num_threads=self.n_jobs)[:, self.input_size :].astype(np.float64)
        p = p.reshape(*p.shape[:2], self._n_targets, -1)
        if self.quantiles is not None:
            p = np.sort(p, axis=3)[..., np.argsort(np.argsort(self.quantiles))]
        p = p * np.expand_dims(by.deviation, -1) + np.expand_dims(by.mean, -1)
        return [self._order.undo(scaling.undo(one.swapaxes(1, 2)).swapaxes(1, 2)) for scaling, one in zip(scalings, p)]

    # ---- how well ----

    def cross_validate(self, y, X=None, *, folds=5, step=None, refit=True):
        """Rolling origin: `folds` times, learn from what lies before an origin and forecast the horizon after it.

        Parameters
        ----------
        y, X : as in fit
        folds : origins, the last one horizon before the end of each series
        step : steps from one origin to the next; None: horizon
        refit : learn anew at each origin; else once, at the first, and only the series seen go on

        Returns
        -------
        dict of arrays with an entry for each fold: steps_seen (of the first series); mae, rmse, over all series and steps;
        naive_mae, of the last value repeated; seconds; prediction and truth (folds, series, horizon, S); and with quantiles
        coverage, the share of the truth between the lowest and the highest, and quantiles (folds, series, horizon, S, levels).
        The estimator itself is not changed.
        """
        reader = clone(self)
        series, form = read(reader, y, X, reset=True)
        reader._warn_of_missing(series)
        folds = _arguments.positive_integer("folds", folds)
        step = self.horizon if step is None else _arguments.positive_integer("step", step)
        results, fitted = [], None
        for fold in range(folds):
            left = self.horizon + (folds - 1 - fold) * step  # steps from the origin to the end
            begin = time.perf_counter()
            before = [one.until(max(0, len(one.y) - left)) for one in series]
            if fitted is None or refit:
                fitted = clone(self)
                fitted._check(before)
                fitted._fit_series(before, form)
            ends = [len(one.y) for one in before]
            truth = np.stack([one.y[end : end + self.horizon] for one, end in zip(series, ends)])
            levels = np.stack(
                fitted._forecast(before, [one.X[end : end + self.horizon] for one, end in zip(series, ends)])
            )
            prediction = levels[..., self._middle()]
            naive = np.stack([carry_forward(one.y)[-1:] for one in before])
            result = {
                "steps_seen": ends[0],
                "mae": _mean_of_known(np.abs(prediction - truth)),
                "rmse": np.sqrt(_mean_of_known((prediction - truth) ** 2)),
                "naive_mae": _mean_of_known(np.abs(naive - truth)),
                "seconds": time.perf_counter() - begin,
                "prediction": prediction,
                "truth": truth,
            }
            if self.quantiles is not None:
                is_inside = (levels.min(-1) <= truth) & (truth <= levels.max(-1))
                result |= {
                    "coverage": _mean_of_known(np.where(np.isnan(truth), np.nan, is_inside)),
                    "quantiles": levels,
                }
            results.append(result)
        return {name: np.array([result[name] for result in results]) for name in results[0]}


def _mean_of_known(values):
    known = values[~np.isnan(values)]
    return known.mean() if known.size else np.nan


def _joined(parts):
    """Windows of all series, those without a target left out."""
    x, targets, counts = map(np.concatenate, zip(*parts))
    keep = counts.any(axis=1)
    return (x, targets, counts) if keep.all() else (x[keep], targets[keep], counts[keep])
