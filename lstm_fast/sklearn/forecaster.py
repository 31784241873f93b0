"""LSTMForecaster: multi-step time-series forecasting."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from .._arguments import positive_integer
from ..train.losses import LossSpec
from . import rolling_origin
from .series import read, warn_of_missing
from .series_estimator import SeriesEstimator


class LSTMForecaster(SeriesEstimator):
    """Multi-step forecasts of one or many series, with prediction intervals and exogenous variables.

    y is an array (T,), or (T, S) with S values per step, a series, a data frame of pandas, polars, pyarrow and others,
    or a list of these. A long frame has the column y and optionally unique_id (the series), ds (the date) and exogenous
    variables; a wide frame has one column for each of the S values and optionally ds. The levels of a pandas index are
    read like columns. Rows are sorted by ds; repeated, missing and skipped dates raise an error. Forecasts have the
    same form as y, with the dates that follow.

    Parameters
    ----------
    input_size : int, default 24
        Number of past steps that the network reads.
    horizon : int, default 1
        Number of steps to forecast.
    hidden_size : int, default 32
        Hidden units of the LSTM.
    num_layers : int, default 1
        Stacked LSTM layers.
    loss : {"mse", "mae", "huber"}, ("huber", delta) or callable, default "mse"
        Training loss. A function is as in `lstm_fast.train.fit`: it takes scaled targets and returns the loss of each
        row.
    quantiles : sequence of float, optional
        Levels such as (0.1, 0.5, 0.9), learned with the quantile loss instead of `loss`. `predict` returns
        the level nearest to 0.5.
    window_step : int, default 1
        Distance between the training windows of a series.
    freq : str, pandas offset or number, optional
        Frequency of the dates of y; None: the frequency of the index, else inferred. A series whose dates do
        not follow it raises an error.
    models : {"shared", "per_series"}, default "shared"
        Whether all series share one network, or each series has its own. Those of "per_series" are trained together
        but independently: seed, scalings, early stopping and forecasts of each series are bitwise those of a
        forecaster fitted to it alone. `predict` then takes only series of `fit`.
    dropout : float, default 0.0
        Dropout between LSTM layers.
    lstm_options : dict, optional
        Further arguments of `lstm_fast.LSTM`, such as proj_size, peepholes, layer_norm, recurrent_dropout
        or zoneout.
    epochs : int, default 50
        Passes over the training data.
    batch_size : int, default 32
        Windows in a mini-batch.
    lr : float, default 5e-3
        Learning rate of Adam.
    weight_decay : float, default 0.0
        L2 penalty of Adam.
    clip_norm : float or None, default 1.0
        Gradients with a larger Euclidean norm are scaled down to this one; None: never.
    lr_schedule : {"cosine", "linear"} or callable, optional
        Factor of the learning rate as a function of the progress from 0 to 1; None: constant.
    early_stopping : int, optional
        Epochs without a better validation loss after which training stops; the best parameters are
        restored. None: all epochs, without validation.
    validation_fraction : float, default 0.1
        Fraction of the windows of each series, the last in time, that early_stopping holds out.
    scale : {"window", "series", None}, default "window"
        Forecasts are scaled back. "window" standardizes each window by its own past, so that forecasts
        follow a changing level; "series" each series by its training data; None nothing.
    dtype : {"float32", "float64"}, default "float32"
        Number format of the network.
    random_state : int, RandomState instance or None, default None
        Seed of the initial parameters, the order of the windows and dropout. An int gives the same bits
        with any number of threads.
    n_jobs : int, optional
        Maximum number of threads; None: `lstm_fast.get_num_threads()`.
    verbose : bool, default False
        Whether to show a progress bar (needs tqdm).

    Attributes
    ----------
    model_ : lstm_fast.train.SequenceModel or lstm_fast.train.FleetModel
        The trained network, or with "per_series" the networks of all series in the order of y.
    history_ : lstm_fast.train.History or lstm_fast.train.FleetHistory
        Loss, gradient norm, learning rate and duration of each epoch; with "per_series" a list of them.
    n_features_in_ : int
        Number of exogenous variables, if there are any.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the exogenous variables, if they came in a data frame and all names are strings.

    See Also
    --------
    LSTMRegressor : Numbers from sequences.
    lstm_fast.plot.forecast : Plot of a forecast.

    Notes
    -----
    Missing values (NaN) in y are supported: such a step is masked as a training target, and the network reads the last
    known value instead. A forecast depends only on the values, not on names or on the order of rows, columns and
    series.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast.sklearn import LSTMForecaster
    >>> days = np.arange(140.0)
    >>> sales = 100 + days / 10 + 20 * np.sin(2 * np.pi * days / 7)
    >>> forecaster = LSTMForecaster(input_size=14, horizon=7, epochs=20, random_state=0).fit(sales[:-7])
    >>> np.abs(forecaster.predict() - sales[-7:]).mean() < 5
    np.True_

    Data frames come back as data frames, with the dates that follow:

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=140), "y": sales})
    >>> forecaster.fit(frame).predict(2)["ds"].tolist()
    [Timestamp('2024-05-20 00:00:00'), Timestamp('2024-05-21 00:00:00')]
    """

    def __init__(
        self,
        input_size: int = 24,
        horizon: int = 1,
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        loss: LossSpec = "mse",
        quantiles: Sequence[float] | None = None,
        window_step: int = 1,
        freq: Any = None,
        models: str = "shared",
        dropout: float = 0.0,
        lstm_options: Mapping[str, Any] | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        lr: float = 5e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        lr_schedule: str | Callable[[float], float] | None = None,
        early_stopping: int | None = None,
        validation_fraction: float = 0.1,
        scale: str | None = "window",
        dtype: str = "float32",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.input_size = input_size
        self.horizon = horizon
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.loss = loss
        self.quantiles = quantiles
        self.window_step = window_step
        self.freq = freq
        self.models = models
        self.dropout = dropout
        self.lstm_options = lstm_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scale = scale
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False  # a series is not a table of samples
        tags.non_deterministic = self.random_state is None
        return tags

    def fit(self, y: Any, X: Any = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        y : array_like of shape (T,) or (T, S), series, data frame, or list of them
            The series; NaN is a missing value.
        X : array_like of shape (T,) or (T, E), data frame, or list of them, optional
            Exogenous variables: known beforehand for each step. In a long frame they are columns of y.

        Returns
        -------
        LSTMForecaster
            The estimator itself.

        Raises
        ------
        ValueError
            If y, X, their dates or a setting is not valid; the message names it.

        Warns
        -----
        UserWarning
            If values are missing in y; the message counts them.
        """
        with self._unchanged_on_error():
            series, form = read(self, y, X, reset=True)
            self._check(series)
            warn_of_missing(series, stacklevel=3)
            self._fit_series(series, form)
        return self

    def cross_validate(
        self, y: Any, X: Any = None, *, folds: int = 5, step: int | None = None, refit: bool = True
    ) -> dict[str, np.ndarray]:
        """Evaluate forecasts from a rolling origin.

        For each forecast origin, a copy of the estimator is fitted to the steps before it and forecasts the horizon
        after it. The estimator itself is not changed.

        Parameters
        ----------
        y, X : as in `fit`
            The series, and exogenous variables.
        folds : int, default 5
            Number of forecast origins; the last is one horizon before the end of each series.
        step : int, optional
            Steps from one origin to the next; None: horizon.
        refit : bool, default True
            Whether to refit at each origin; otherwise the fit at the first one is kept.

        Returns
        -------
        dict of str to ndarray
            With an entry for each fold: steps_seen, the steps before the origin (of the first series); mae and rmse
            over all series and steps; naive_mae, of the last value repeated; seconds; prediction and truth (folds,
            series, horizon, S); and with quantiles coverage, the share of the truth between the lowest and the highest
            level, and quantiles (folds, series, horizon, S, levels). Missing values do not count.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMForecaster
        >>> y = np.sin(np.arange(90.0))
        >>> result = LSTMForecaster(12, 3, epochs=5, random_state=0).cross_validate(y, folds=4)
        >>> result["steps_seen"], result["mae"].shape
        (array([78, 81, 84, 87]), (4,))
        """
        positive_integer("folds", folds)
        if step is None:
            step = self.horizon
        positive_integer("step", step)
        return rolling_origin.cross_validate(self, y, X, folds=folds, step=step, refit=refit)
