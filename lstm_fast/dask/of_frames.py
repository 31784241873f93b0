"""Predictions for iterators of pandas data frames: for Dask, Spark and Ray."""

from __future__ import annotations

import copy
import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments
from .model_files import Model, read_model

if TYPE_CHECKING:
    from .._types import Array


class FramePredictor:
    """Predictions for pandas data frames, created by `frames`.

    Parameters
    ----------
    model : SequenceModel, QuantizedModel or path
        As in `frames`.
    by : column name or list of column names, optional
        As in `frames`.
    columns : list of column names, optional
        As in `frames`.
    keep : list of column names, default ()
        As in `frames`.
    batch_size : int, default 256
        As in `frames`.
    num_threads : int, default 1
        As in `frames`.

    See Also
    --------
    frames : With an example.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        *,
        by: Hashable | list[Hashable] | None = None,
        columns: Sequence[Hashable] | None = None,
        keep: Sequence[Hashable] = (),
        batch_size: int = 256,
        num_threads: int = 1,
    ) -> None:
        read_model(model)  # a missing or damaged file is an error here, not on a worker
        for name, value in (("columns", columns), ("keep", keep)):
            if isinstance(value, str):
                raise TypeError(f"{name} must be a list of column names, got the string {value!r}")
        self.model, self.by, self.keep = model, by, list(keep)
        self.columns = None if columns is None else list(columns)
        self.batch_size = _arguments.positive_integer("batch_size", batch_size)
        self.num_threads = _arguments.positive_integer("num_threads", num_threads)

    def __call__(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Predict for an iterable of data frames.

        Parameters
        ----------
        frames : iterable of pandas.DataFrame
            As Spark's ``mapInPandas`` passes them.

        Yields
        ------
        pandas.DataFrame
            `predict` of each frame.
        """
        for frame in frames:
            yield self.predict(frame)

    def predict(self, frame: Any) -> Any:
        """Predict for one data frame.

        Parameters
        ----------
        frame : pandas.DataFrame
            Sequences in its rows, as in `frames`.

        Returns
        -------
        pandas.DataFrame
            The kept columns and the predictions, ``prediction`` or ``prediction_0`` and so on.

        Raises
        ------
        ValueError
            If a column is missing or not of numbers, or their number does not fit the model.
        """
        import pandas

        model, by = (
            read_model(self.model),
            [] if self.by is None else self.by if isinstance(self.by, list) else [self.by],
        )
        columns = self.columns
        if columns is None:
            columns = [name for name in frame.columns if name not in by and name not in self.keep]
        for name in [*columns, *by, *self.keep]:
            if name not in frame.columns:
                raise ValueError(f"frame must have a column {name!r}, got {list(frame.columns)!r:.300}")
        values = _numbers(frame[columns], np.dtype(np.int64) if model.lstm.index_input else model.dtype)
        if self.by is None:
            rows, index, kept = self._of_rows(model, values), frame.index, frame[self.keep]
        else:
            codes, keys = _codes(frame[by])
            order = np.argsort(codes, kind="stable")
            starts = np.flatnonzero(np.diff(codes[order], prepend=-1)) if len(order) else np.zeros(0, int)
            rows = self._of_series(model, [values[part] for part in np.split(order, starts[1:])] if len(order) else [])
            if model.readout == "all":
                rows, unsorted = np.empty_like(rows), rows
                rows[order] = unsorted
                index, kept = frame.index, frame[self.keep]
            else:
                index, kept = keys, frame[self.keep].iloc[order[starts]].set_axis(keys)
        predictions = pandas.DataFrame(rows, index=index, columns=prediction_columns(model))
        return pandas.concat([kept, predictions], axis=1) if self.keep else predictions

    def _of_rows(self, model: Model, values: Array) -> Array:
        """Return predictions for rows that are sequences."""
        I, n_columns = _n_features(model), values.shape[1]
        if n_columns % I or model.readout == "all":
            raise ValueError(
                f"frame must have a multiple of {I} columns (input_size), and readout must not be 'all', for rows that "
                f"are sequences, got {n_columns} columns and {model.readout!r}; for rows that are steps, name the "
                "column of their series: by="
            )
        x = values if model.lstm.index_input else values.reshape(len(values), n_columns // I, I)
        x = model.lstm.layout.from_rows(x)
        return model.predict(x, batch_size=self.batch_size, num_threads=self.num_threads)

    def _of_series(self, model: Model, series: list[Array]) -> Array:
        """Return predictions for series: one row per series, or with readout "all" one row per step."""
        if series and series[0].shape[1] != _n_features(model):
            raise ValueError(f"columns must name {_n_features(model)} features, got {series[0].shape[1]}")
        series = [one[:, 0] for one in series] if model.lstm.index_input else series
        rows = model.predict(series, batch_size=self.batch_size, num_threads=self.num_threads)
        if model.readout != "all":
            return rows
        parts = [of_one[: len(one)] for of_one, one in zip(rows, series)]
        return np.concatenate(parts) if parts else np.zeros((0, model.out_features), model.dtype)


def _n_features(model: Model) -> int:
    """Return the number of columns per step: input_size, or one for symbols."""
    n: int = 1 if model.lstm.index_input else model.lstm.input_size
    return n


def _numbers(frame: Any, dtype: Any) -> Array:
    for name, kind in frame.dtypes.items():
        if kind.kind not in ("biu" if dtype.kind == "i" else "biuf"):
            what = "integers" if dtype.kind == "i" else "numbers"
            raise ValueError(
                f"column {name!r} must contain {what}, got {kind}: select the feature columns with columns="
            )
    missing = {} if dtype.kind == "i" else {"na_value": np.nan}
    return np.ascontiguousarray(frame.to_numpy(dtype, **missing))


def _codes(keys: Any) -> tuple[Array, Any]:
    """Return the series number of each row, from 0 in order of appearance, and the keys of the series as an index."""
    import pandas

    if len(keys.columns) == 1:
        codes, index = pandas.factorize(keys.iloc[:, 0], use_na_sentinel=False)
        return codes, pandas.Index(index, name=keys.columns[0])
    index = pandas.MultiIndex.from_frame(keys)
    codes, index = pandas.factorize(index, use_na_sentinel=False)
    return codes, index.set_names(list(keys.columns))


def prediction_columns(model: Model) -> list[str]:
    """Return the names of the columns of predictions."""
    O = model.out_features
    return ["prediction"] if O == 1 else [f"prediction_{k}" for k in range(O)]


def frames(
    model: Model | str | os.PathLike[str],
    *,
    by: Hashable | list[Hashable] | None = None,
    columns: Sequence[Hashable] | None = None,
    keep: Sequence[Hashable] = (),
    batch_size: int = 256,
    num_threads: int = 1,
) -> FramePredictor:
    """Return a picklable function that maps an iterator of pandas data frames, for Spark and Ray.

    Spark: ``data.mapInPandas(lf.dask.frames(path, keep=["id"]), schema)``; for series in several rows,
    ``data.groupBy("id").applyInPandas(lf.dask.frames(path, by="id", keep=["id"]).predict, schema)``. Ray:
    ``data.map_batches(lf.dask.frames(path, keep=["id"]).predict, batch_format="pandas")``.

    Parameters
    ----------
    model : SequenceModel, QuantizedModel or path
        Model, which is copied, or its file, which every worker must be able to read; each process reads it again only
        after it has changed.
    by : column name or list of column names, optional
        Columns that identify the series of a row: the rows of a series are its steps, in order, and must be in one
        frame. None: each row is a sequence, whose columns are the features of step 0, then those of step 1, and so on.
    columns : list of column names, optional
        Features; None: all columns except those of `by` and `keep`.
    keep : list of column names, default ()
        Columns to copy to the result; for a series, from its first row.
    batch_size : int, default 256
        Number of sequences to run at a time.
    num_threads : int, default 1
        Maximum number of threads of a task.

    Returns
    -------
    FramePredictor
        A function of an iterator, with a method `predict` for one frame. Results have one row per sequence, with its
        index. For series they have one row per step with readout "all", else one row per series with its key as index.

    Raises
    ------
    TypeError, FormatError
        If the model is not one.

    Examples
    --------
    >>> import pandas as pd
    >>> import lstm_fast as lf
    >>> model = lf.train.SequenceModel(lf.LSTM(1, 8, batch_first=True, seed=0), out_features=1, seed=0)
    >>> days = pd.DataFrame({"id": ["a", "a", "b"], "load": [0.1, 0.2, 0.3]})
    >>> [result] = lf.dask.frames(model, by="id")(iter([days]))
    >>> list(result.index), list(result.columns)
    (['a', 'b'], ['prediction'])
    """
    model = copy.deepcopy(model) if isinstance(model, Model) else model  # what it is when the function is made
    return FramePredictor(model, by=by, columns=columns, keep=keep, batch_size=batch_size, num_threads=num_threads)
