"""Base class of the forecaster: training on windows, forecasts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arguments import positive_integer
from ..train import SequenceModel
from ..train.losses import LossSpec
from . import per_series
from .base import index_of_median, sort_levels
from .series import Form, Series, answer
from .series_reader import SeriesReader
from .windows import Batch, Windowing

SCALES = ("series", "window", None)
MODELS = ("shared", "per_series")


class SeriesEstimator(SeriesReader):
    """An LSTM and a linear head over windows of series."""

    loss: LossSpec
    quantiles: Sequence[float] | None
    window_step: int

    # ---- training ----

    def _check(self, series: list[Series]) -> None:
        for name in ("input_size", "horizon", "window_step"):
            positive_integer(name, getattr(self, name))
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, got {self.scale!r}")
        if self.models not in MODELS:
            raise ValueError(f"models must be one of {MODELS}, got {self.models!r}")
        self._require_steps(series, self.input_size + self.horizon, "input_size + horizon")

    def _fit_series(self, series: list[Series], form: Form) -> None:
        self._series, self._form = series, form
        if self.models == "per_series":
            per_series.fit(self, series)
            return
        self._windowing = self._make_windowing(series)
        self.model_ = self._make_forecast_model(self._windowing)
        train, validation = self._training_data(self._windowing, series)
        self._train(self.model_, train.x, train.targets, self._loss, mask=train.mask, validation=validation)

    def _make_windowing(self, series: list[Series]) -> Windowing:
        return Windowing(
            series,
            input_size=self.input_size,
            horizon=self.horizon,
            step=self.window_step,
            scale=self.scale,
            dtype=self.dtype,
        )

    def _make_forecast_model(self, windowing: Windowing) -> SequenceModel:
        n_levels = 1 if self.quantiles is None else len(self.quantiles)
        return self._make_model(windowing.n_inputs, windowing.n_targets * n_levels, "all")

    @property
    def _loss(self) -> Any:
        return self.loss if self.quantiles is None else ("quantile", tuple(self.quantiles))

    def _training_data(self, windowing: Windowing, series: list[Series], where: str = "") -> tuple[Batch, Any]:
        """Return windows to train on, and validation data if early_stopping needs them. `where`: for errors."""
        held_out = 0.0 if self.early_stopping is None else self.validation_fraction
        train, later = windowing.training(series, held_out)
        validation = None
        if self.early_stopping is not None:
            if not len(train.x) or not len(later.x):
                raise ValueError(
                    f"validation_fraction must leave windows on both sides{where}, got {self.validation_fraction!r}: "
                    f"{len(train.x)} to train on, {len(later.x)} to validate"
                )
            validation = (later.x, later.targets, None, later.mask)
        if not len(train.x):
            raise ValueError(
                f"y must have a window of input_size + horizon = {self.input_size + self.horizon} steps with values "
                f"both before and after the forecast origin, got only missing ones{where}"
            )
        return train, validation

    # ---- forecasts ----

    def predict(self, horizon: int | None = None, X: Any = None, *, y: Any = None, y_X: Any = None) -> Any:
        """Forecast the steps after the series.

        Parameters
        ----------
        horizon : int, optional
            Steps to forecast; None means the horizon of the constructor, for which the network was trained; it can run
            beyond it.
        X : array_like or data frame, or list of them, optional
            Exogenous variables of those steps, (horizon, E) for each series; required if `fit` had some. Columns of
            data frames are matched by name, and their dates must be those after y.
        y, y_X : optional
            Other series in the form of `fit`'s, of which the last input_size steps count; they are scaled as those of
            the same position or id, unknown ones by themselves. None: the series of `fit`.

        Returns
        -------
        array, series, data frame or list of them
            In the form of y, with the dates that follow. A long frame has a column prediction and, with quantiles, a
            column for each level.

        Raises
        ------
        ValueError
            If X does not hold the exogenous variables of the steps after y, or y does not fit to that of `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMForecaster
        >>> forecaster = LSTMForecaster(12, 3, epochs=2, random_state=0).fit(np.sin(np.arange(90.0)))
        >>> forecaster.predict().shape, forecaster.predict(5).shape
        ((3,), (5,))
        """
        series, form, levels = self._levels(horizon, X, y, y_X)
        middle = 0 if self.quantiles is None else index_of_median(self.quantiles)
        return answer([one[..., middle] for one in levels], series, form, self.quantiles, levels)

    def predict_quantiles(self, horizon: int | None = None, X: Any = None, *, y: Any = None, y_X: Any = None) -> Any:
        """Forecast all levels of `quantiles`.

        Parameters
        ----------
        horizon : int, optional
            Steps to forecast; None means the horizon of the constructor, for which the network was trained; it can run
            beyond it.
        X : array_like or data frame, or list of them, optional
            Exogenous variables of those steps, (horizon, E) for each series; required if `fit` had some. Columns of
            data frames are matched by name, and their dates must be those after y.
        y, y_X : optional
            Other series in the form of `fit`'s, of which the last input_size steps count; they are scaled as those of
            the same position or id, unknown ones by themselves. None: the series of `fit`.

        Returns
        -------
        ndarray of shape (horizon, levels) or (horizon, S, levels), or list of them
            In the order of `quantiles`; a list for several series. Levels that cross are sorted.

        Raises
        ------
        ValueError
            If the estimator has no quantiles.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMForecaster
        >>> y = np.sin(np.arange(90.0))
        >>> LSTMForecaster(12, 3, quantiles=(0.1, 0.5, 0.9), epochs=2, random_state=0).fit(y).predict_quantiles().shape
        (3, 3)
        """
        self._require_quantiles("predict_quantiles")
        return self._arrays(horizon, X, y, y_X, slice(None))

    def predict_interval(self, horizon: int | None = None, X: Any = None, *, y: Any = None, y_X: Any = None) -> Any:
        """Forecast prediction intervals: the lowest and the highest level of `quantiles`.

        Parameters
        ----------
        horizon : int, optional
            Steps to forecast; None means the horizon of the constructor, for which the network was trained; it can run
            beyond it.
        X : array_like or data frame, or list of them, optional
            Exogenous variables of those steps, (horizon, E) for each series; required if `fit` had some. Columns of
            data frames are matched by name, and their dates must be those after y.
        y, y_X : optional
            Other series in the form of `fit`'s, of which the last input_size steps count; they are scaled as those of
            the same position or id, unknown ones by themselves. None: the series of `fit`.

        Returns
        -------
        ndarray of shape (horizon, 2) or (horizon, S, 2), or list of them
            Lower and upper end; a list for several series.

        Raises
        ------
        ValueError
            If the estimator has no quantiles.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMForecaster
        >>> y = np.sin(np.arange(90.0))
        >>> forecaster = LSTMForecaster(12, 3, quantiles=(0.1, 0.5, 0.9), epochs=2, random_state=0).fit(y)
        >>> low, high = forecaster.predict_interval().T
        >>> (low <= high).all()
        np.True_
        """
        order = np.argsort(self._require_quantiles("predict_interval"))
        return self._arrays(horizon, X, y, y_X, order[[0, -1]])

    def _require_quantiles(self, name: str) -> np.ndarray:
        if self.quantiles is None:
            raise ValueError(f"{name} needs quantiles, levels such as (0.1, 0.5, 0.9), got None")
        return np.asarray(self.quantiles)

    def _arrays(self, horizon: int | None, X: Any, y: Any, y_X: Any, chosen: Any) -> Any:
        _, form, levels = self._levels(horizon, X, y, y_X)
        parts = [one[..., chosen][:, 0] if form.is_flat else one[..., chosen] for one in levels]
        return parts if form.kind == "several" or form.has_ids else parts[0]

    def _levels(self, horizon: int | None, X: Any, y: Any, y_X: Any) -> tuple[list[Series], Form, list[np.ndarray]]:
        """Return series, form and forecasts (horizon, S, levels) of a call of predict."""
        series, form, future = self._read_call(horizon, X, y, y_X, stacklevel=5)
        return series, form, self._forecast(series, future)

    def _forecast(self, series: list[Series], future: list[np.ndarray]) -> list[np.ndarray]:
        """Return (horizon, S, levels) after each series, from the exogenous variables of the steps to forecast."""
        if self.models == "per_series":
            return per_series.forecast(self, series, future)
        x, by = self._windowing.forecast_inputs(series, future)
        p = self._outputs(self.model_.predict(x, num_threads=self.n_jobs))
        return self._windowing.forecasts(p, series, by)

    def _outputs(self, p: np.ndarray) -> np.ndarray:
        """Return (n, horizon, S, levels) from predictions for all steps of windows."""
        p = p[:, self.input_size :].astype(np.float64)
        p = p.reshape(*p.shape[:2], self._windowing.n_targets, -1)
        return p if self.quantiles is None else sort_levels(p, self.quantiles)
