"""What a forecaster reads in a call: series, future exogenous variables, and inputs of the network."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._arguments import positive_integer
from .._errors import type_name
from . import per_series
from .base import Estimator
from .future import read_future
from .network_input import NetworkInput
from .series import Form, Series, read, warn_of_missing
from .windows import Windowing

SCALED = {
    "window": ", standardized by their own mean and deviation",
    "series": ", standardized by mean and deviation of the training data",
    None: "",
}


class SeriesReader(Estimator):
    """Base of the forecaster that reads the arguments of its calls."""

    _of_network = (*Estimator._of_network, "input_size", "quantiles", "models")

    input_size: int
    horizon: int
    scale: str | None
    models: str
    freq: Any

    _series: list[Series]  # of fit
    _form: Form
    _targets: list[Any] | None  # columns of a wide frame
    _windowing: Windowing  # shared by all series, or of the first one
    _windowings: list[Windowing]  # one per series, if each has its own network

    def network_input(
        self, y: Any = None, X: Any = None, *, y_X: Any = None, horizon: int | None = None
    ) -> NetworkInput:
        """Return the input of the network for a forecast.

        Parameters
        ----------
        y : optional
            Other series in the form of `fit`'s, as in `predict`. None: the series of `fit`. With "per_series", one
            series of `fit`, whose network is returned.
        X : array_like or data frame, or list of them, optional
            Exogenous variables of the steps to forecast, as in `predict`.
        y_X : optional
            Exogenous variables of y.
        horizon : int, optional
            Steps to forecast; None means the horizon of the constructor.

        Returns
        -------
        NetworkInput
            The network, its scaled input of input_size + horizon steps, and names of features and series, as
            `lstm_fast.explain.html` shows them.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            As in `predict`, or if y are several series with "per_series".

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMForecaster
        >>> forecaster = LSTMForecaster(12, 3, epochs=2, random_state=0).fit(np.sin(np.arange(90.0)))
        >>> found = forecaster.network_input()
        >>> found.x.shape, found.features
        ((1, 15, 2), ['y', 'is forecast'])
        >>> gates = found.lstm.trace(found.x)
        """
        series, _, future = self._read_call(horizon, X, y, y_X, stacklevel=4)
        windowing, lstm = self._windowing, self.model_.lstm if self.models == "shared" else None
        if lstm is None:
            if len(series) > 1:
                raise ValueError(
                    f'y must be one series with models="per_series", which have a network each, got {len(series)}'
                )
            k = per_series.index_of(per_series.indices(self), 0, series[0])
            windowing, lstm = self._windowings[k], self.model_[k].lstm
        x, _ = windowing.forecast_inputs(series, future)
        return NetworkInput(
            lstm,
            x,
            None,
            windowing.feature_names(series[0].columns, getattr(self, "feature_names_in_", None)),
            [f"Series {k + 1}" if one.id is None else str(one.id) for k, one in enumerate(series)],
            f"The network of an {type(self).__name__} reads {self.input_size} steps of a series{SCALED[self.scale]}. "
            f"It then continues over the {len(future[0])} steps to forecast, where y is 0 and “is forecast” is 1.",
        )

    def _read_call(
        self, horizon: int | None, X: Any, y: Any, y_X: Any, *, stacklevel: int
    ) -> tuple[list[Series], Form, list[np.ndarray]]:
        """Series, form and future exogenous variables of a call. `stacklevel`: of warn_of_missing."""
        check_is_fitted(self, "model_")
        self._require_settings_of_fit("input_size", "quantiles", "models")
        if horizon is None:
            horizon = self.horizon
        elif isinstance(horizon, Integral):
            positive_integer("horizon", horizon)
        else:
            raise TypeError(f"horizon must be a positive integer, got {type_name(horizon)} (X=: exogenous variables)")
        series, form = self._series, self._form
        if y is not None:
            known = [one.times.step for one in self._series if one.times is not None]
            series, form = read(self, y, y_X, reset=False, known=known)
            warn_of_missing(series, stacklevel=stacklevel)
            self._require_columns_of_fit(series)
            self._require_steps(series, self.input_size, "input_size")
        return series, form, read_future(self, X, series, form, horizon)

    def _require_columns_of_fit(self, series: list[Series]) -> None:
        expected = (self._windowing.n_targets, self._windowing.n_exogenous)
        for one in series:
            given = (one.y.shape[1], one.X.shape[1])
            if given != expected:
                raise ValueError(f"y and y_X must have {expected} columns as in fit, got {given}")

    def _require_steps(self, series: list[Series], least: int, words: str) -> None:
        for k, one in enumerate(series):
            where = f" in series {k if one.id is None else one.id}" if len(series) > 1 else ""
            if len(one.y) < least:
                raise ValueError(f"y must have at least {words} = {least} steps, got {len(one.y)}{where}")
            if np.isnan(one.y).all(axis=0).any():
                raise ValueError(f"y must have values in each column, got only missing ones{where}")
