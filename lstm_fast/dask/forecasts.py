"""Forecasts of many series, each with its own network, partition by partition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .. import _arguments

if TYPE_CHECKING:
    from ..sklearn import LSTMForecaster

ID, TIME, TARGET = "unique_id", "ds", "y"


class SeriesForecasts:
    """Fits a forecaster to the series of a pandas frame and forecasts them; a picklable function, also for Spark.

    With Spark: ``data.groupBy("store").applyInPandas(SeriesForecasts(forecaster).forecast, schema)``.

    Parameters
    ----------
    forecaster : LSTMForecaster
        With models="per_series", so that no forecast depends on the other series of the frame; it is not changed.
    horizon : int, optional
        Steps to forecast; None: the horizon of the forecaster.
    num_threads : int, default 1
        Maximum number of threads of a task.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; the message names it.

    See Also
    --------
    forecast : The same for data frames of Dask; with an example.
    """

    def __init__(self, forecaster: LSTMForecaster, horizon: int | None = None, num_threads: int = 1) -> None:
        from sklearn.base import clone

        from ..sklearn import LSTMForecaster

        if not isinstance(forecaster, LSTMForecaster):
            raise TypeError(f"forecaster must be an LSTMForecaster, got {type(forecaster).__name__}")
        if forecaster.models != "per_series":
            raise ValueError(f'forecaster must have models="per_series", got {forecaster.models!r}')
        if forecaster.random_state is not None and not hasattr(forecaster.random_state, "__index__"):
            raise ValueError(
                "random_state of the forecaster must be an integer or None: a generator would be copied to each "
                f"partition, got {type(forecaster.random_state).__name__}"
            )
        self.forecaster, self.horizon = clone(forecaster), horizon  # with the settings of now, not of the computation
        self.num_threads = _arguments.positive_integer("num_threads", num_threads)

    def __call__(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Forecast the series of each data frame.

        Parameters
        ----------
        frames : iterable of pandas.DataFrame
            Each with whole series.

        Yields
        ------
        pandas.DataFrame
            `forecast` of each frame.
        """
        for frame in frames:
            yield self.forecast(frame)

    def forecast(self, frame: Any) -> Any:
        """Forecast the series of one data frame.

        Parameters
        ----------
        frame : pandas.DataFrame
            Whole series in long form, with the columns unique_id, y and optionally ds.

        Returns
        -------
        pandas.DataFrame
            Columns unique_id, ds, prediction and, with quantiles, one for each level.
        """
        from sklearn.base import clone

        return clone(self.forecaster).set_params(n_jobs=self.num_threads).fit(frame).predict(self.horizon)

    def _of_partition(self, frame: Any, empty: Any) -> Any:
        return self.forecast(frame.reset_index(drop=True)) if len(frame) else empty

    def _empty(self, sample: Any) -> Any:
        """Return an empty frame with the columns of forecasts. sample: a frame with the columns of the data."""
        import pandas
        from sklearn.base import clone

        n = self.forecaster.input_size + self.forecaster.horizon
        frame = sample.iloc[[0] * n].reset_index(drop=True)
        frame[TARGET] = [float(k) for k in range(n)]
        stamps: Any = range(n)
        if frame[TIME].dtype.kind not in "iu":
            stamps = pandas.date_range(sample[TIME].iloc[0], periods=n, freq=self.forecaster.freq or "D")
        frame[TIME] = pandas.Series(stamps).astype(frame[TIME].dtype)
        smallest = clone(self.forecaster).set_params(epochs=1, hidden_size=1, lstm_options=None, early_stopping=None)
        return smallest.fit(frame).predict(self.horizon).iloc[:0]


def forecast(data: Any, forecaster: LSTMForecaster, *, horizon: int | None = None, num_threads: int = 1) -> Any:
    """Fit a network to each series of a Dask data frame and forecast it, partition by partition.

    The rows of each series are first brought into one partition. The forecasts of a partition are computed in one task,
    as a fleet, and are bitwise those of a forecaster fitted to each series alone if random_state is an integer.

    Parameters
    ----------
    data : dask.dataframe.DataFrame
        Series in long form, with the columns unique_id, ds (dates, or numbers of steps) and y.
    forecaster : LSTMForecaster
        With models="per_series"; it is not changed.
    horizon : int, optional
        Steps to forecast; None: the horizon of the forecaster.
    num_threads : int, default 1
        Maximum number of threads of a task.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy, with the columns unique_id, ds, prediction and, with quantiles, one for each level.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; the message names it.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import numpy as np
    >>> import pandas as pd
    >>> import lstm_fast as lf
    >>> from lstm_fast.sklearn import LSTMForecaster
    >>> ds = np.tile(pd.date_range("2024-01-01", periods=30), 2)
    >>> sales = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 30), "ds": ds, "y": np.sin(np.arange(60.0))})
    >>> forecaster = LSTMForecaster(8, 3, epochs=2, models="per_series", random_state=0)
    >>> lf.dask.forecast(dd.from_pandas(sales, npartitions=2), forecaster).compute().shape
    (6, 3)
    """
    import dask.dataframe as dd
    from dask.dataframe.dispatch import meta_nonempty

    forecasts = SeriesForecasts(forecaster, horizon, num_threads)
    if not isinstance(data, dd.DataFrame):
        raise TypeError(f"data must be a Dask DataFrame, got {type(data).__name__}")
    if set(data.columns) != {ID, TIME, TARGET}:  # ds: grouping rows by series does not preserve their order
        raise ValueError(f"data must have the columns unique_id, ds and y, got {list(data.columns)!r:.300}")
    empty = forecasts._empty(meta_nonempty(data._meta))
    return data.shuffle(on=ID).map_partitions(forecasts._of_partition, empty, meta=empty)
