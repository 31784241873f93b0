"""Predictions of a saved model for collections of many machines: Dask, and iterators of frames for Spark and Ray.

    pip install "lstm_fast[dask]"

A task computes on one thread unless told otherwise: engines run one task for each processor, and tasks that each start
a thread for each processor take the processors from one another.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments
from ._errors import type_name
from .train import QuantizedModel, SequenceModel, load

if TYPE_CHECKING:
    from ._types import Array

__all__ = ["predict", "frames", "FramePredictor"]

Model = SequenceModel | QuantizedModel


def _read(model: Any) -> Model:
    """Return a model, or that of a file, which each process reads once until the file changes."""
    if isinstance(model, Model):
        return model
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"model must be a SequenceModel, a QuantizedModel or the path of one, got {type_name(model)}")
    path, status = os.path.abspath(os.fspath(model)), os.stat(model)
    return _read_once(path, (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=8)
def _read_once(path: str, version: tuple[int, ...]) -> Model:
    model = load(path)
    if not isinstance(model, Model):
        raise TypeError(f"model must be a SequenceModel or QuantizedModel, got the {type_name(model)} of {path}")
    return model


class FramePredictor:
    """Predictions for pandas frames; made by `frames`.

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
        _read(model)  # a missing or damaged file is an error here, not on a worker
        self.model, self.by, self.keep = model, by, list(keep)
        self.columns = None if columns is None else list(columns)
        self.batch_size = _arguments.positive_integer("batch_size", batch_size)
        self.num_threads = _arguments.positive_integer("num_threads", num_threads)

    def __call__(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Predict for frames one after the other.

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
        """Predict for one frame.

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

        model, by = _read(self.model), [] if self.by is None else self.by if isinstance(self.by, list) else [self.by]
        columns = self.columns
        if columns is None:
            columns = [name for name in frame.columns if name not in by and name not in self.keep]
        for name in [*columns, *by, *self.keep]:
            if name not in frame.columns:
                raise ValueError(f"frame must have a column {name!r}, got {list(frame.columns)!r:.300}")
        values = _numbers(frame[columns], model.dtype)
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
        """Predictions for rows that are sequences."""
        I, n_columns = model.lstm.input_size, values.shape[1]
        if n_columns % I or model.readout == "all":
            raise ValueError(
                f"frame must have a multiple of input_size = {I} columns, and readout must not be 'all', for rows that "
                f"are sequences, got {n_columns} columns and {model.readout!r}; for rows that are steps, name the "
                "column of their series: by="
            )
        x = values.reshape(len(values), n_columns // I, I)
        x = x if model.lstm.batch_first else x.swapaxes(0, 1)
        return model.predict(x, batch_size=self.batch_size, num_threads=self.num_threads)

    def _of_series(self, model: Model, series: list[Array]) -> Array:
        """Predictions for series: one row of each, or with readout "all" the rows of their steps."""
        if series and series[0].shape[1] != model.lstm.input_size:
            raise ValueError(f"columns must name {model.lstm.input_size} features, got {series[0].shape[1]}")
        rows = model.predict(series, batch_size=self.batch_size, num_threads=self.num_threads)
        if model.readout != "all":
            return rows
        parts = [of_one[: len(one)] for of_one, one in zip(rows, series)]
        return np.concatenate(parts) if parts else np.zeros((0, model.out_features), model.dtype)


def _numbers(frame: Any, dtype: Any) -> Array:
    for name, kind in frame.dtypes.items():
        if kind.kind not in "biuf":
            raise ValueError(f"column {name!r} must be of numbers, got {kind}: name the columns of features: columns=")
    return np.ascontiguousarray(frame.to_numpy(dtype, na_value=np.nan))


def _codes(keys: Any) -> tuple[Array, Any]:
    """Return the number of the series of each row, from 0 in order of appearance, and their keys as an index."""
    import pandas

    if len(keys.columns) == 1:
        codes, index = pandas.factorize(keys.iloc[:, 0], use_na_sentinel=False)
        return codes, pandas.Index(index, name=keys.columns[0])
    index = pandas.MultiIndex.from_frame(keys)
    codes, index = pandas.factorize(index, use_na_sentinel=False)
    return codes, index.set_names(list(keys.columns))


def prediction_columns(model: Model) -> list[str]:
    """Names of the columns of predictions."""
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
    """Return a function of an iterator of pandas frames, for engines that map such functions.

    Spark: ``data.mapInPandas(lf.dask.frames(path, keep=["id"]), schema)``; for series in several rows,
    ``data.groupBy("id").applyInPandas(lf.dask.frames(path, by="id", keep=["id"]).predict, schema)``. Ray:
    ``data.map_batches(lf.dask.frames(path, keep=["id"]).predict, batch_format="pandas")``.

    Parameters
    ----------
    model : SequenceModel, QuantizedModel or path
        Model, or its file, which every worker must be able to read; it is read once in each process.
    by : column name or list of column names, optional
        Columns that name the series of a row: rows of one series are its steps, in their order, and have to be in one
        frame. None: each row is a sequence, its columns the features of step 0, then those of step 1, and so on.
    columns : list of column names, optional
        Features; None: all columns but those of `by` and `keep`.
    keep : list of column names, default ()
        Columns to copy to the result; of series, those of the first row.
    batch_size : int, default 256
        Number of sequences to run at a time.
    num_threads : int, default 1
        Maximum number of threads of a task.

    Returns
    -------
    FramePredictor
        Function of an iterator, and `predict`, a function of one frame. It can be pickled. Results have one row for
        each sequence and its index; for series with readout "all" one row for each step, else the keys as the index.

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
    return FramePredictor(model, by=by, columns=columns, keep=keep, batch_size=batch_size, num_threads=num_threads)


def predict(
    model: Model | str | os.PathLike[str],
    collection: Any,
    *,
    lengths: Any = None,
    by: Hashable | list[Hashable] | None = None,
    columns: Sequence[Hashable] | None = None,
    keep: Sequence[Hashable] = (),
    batch_size: int = 256,
    num_threads: int = 1,
) -> Any:
    """Predict for the sequences of a Dask collection, lazily; order and index are kept.

    Parameters
    ----------
    model : SequenceModel, QuantizedModel or path
        Model, or its file, which every worker must be able to read. A file is read once in each process, a model sent
        to each worker once.
    collection : dask.array.Array, dask.bag.Bag or dask.dataframe.DataFrame
        Sequences: an array (N, T, I) or (T, N, I), as the network's batch_first says, divided along N; a bag of arrays
        (T, I); a frame, as in `frames`.
    lengths : array_like or dask.array.Array of int of shape (N,), optional
        For an array: length of each sequence.
    by : column name or list of column names, optional
        For a frame, as in `frames`: the rows of one series have to be in one partition.
    columns : list of column names, optional
        For a frame, as in `frames`.
    keep : list of column names, default ()
        For a frame, as in `frames`.
    batch_size : int, default 256
        Number of sequences to run at a time.
    num_threads : int, default 1
        Maximum number of threads of a task. A worker runs as many tasks at a time as it has threads of its own.

    Returns
    -------
    dask.array.Array, dask.bag.Bag or dask.dataframe.DataFrame
        Predictions, of the kind of the collection and in its partitions.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; the message names it.

    Examples
    --------
    >>> import dask.array as da
    >>> import lstm_fast as lf
    >>> model = lf.train.SequenceModel(lf.LSTM(1, 8, batch_first=True, seed=0), out_features=2, seed=0)
    >>> x = da.ones((100, 20, 1), chunks=(25, 20, 1))
    >>> lf.dask.predict(model, x).compute().shape
    (100, 2)
    """
    try:
        import dask.array
        import dask.bag
    except ImportError:
        raise ImportError('lstm_fast.dask.predict needs Dask: pip install "lstm_fast[dask]"') from None
    read = _read(model)
    options: dict[str, Any] = {
        "batch_size": _arguments.positive_integer("batch_size", batch_size),
        "num_threads": _arguments.positive_integer("num_threads", num_threads),
    }
    is_frame = callable(getattr(collection, "map_partitions", None)) and hasattr(collection, "columns")
    for name, value in {} if is_frame else {"by": by, "columns": columns, "keep": list(keep) or None}.items():
        if value is not None:
            raise ValueError(f"{name} must be left out unless collection is a frame, got {type_name(collection)}")
    if lengths is not None and not isinstance(collection, dask.array.Array):
        raise ValueError(f"lengths must be None unless collection is an array, got {type_name(collection)}")
    shared: Any = dask.delayed(model) if isinstance(model, Model) else os.path.abspath(model)  # one copy for all tasks
    if isinstance(collection, dask.array.Array):
        return _of_array(read, shared, collection, lengths, options)
    if isinstance(collection, dask.bag.Bag):
        return collection.map_partitions(_of_list, shared, **options)
    if is_frame:
        options |= {"by": by, "columns": columns, "keep": list(keep)}
        meta = _of_frame(collection._meta, model, **options)
        result = collection.map_partitions(_of_frame, shared, **options, meta=meta)
        return result if by is None or read.readout == "all" else result.clear_divisions()
    raise TypeError(f"collection must be an array, bag or data frame of Dask, got {type_name(collection)}")


def _of_array(model: Model, shared: Any, x: Any, lengths: Any, options: dict[str, Any]) -> Any:
    import dask.array

    lstm, O = model.lstm, model.out_features
    if x.ndim != 3 or x.shape[2] != lstm.input_size:
        raise ValueError(f"collection must have 3 axes, the last of input_size = {lstm.input_size}, got {x.shape}")
    axes, steps = ("nti", 1) if lstm.batch_first else ("tni", 0)
    x = x.rechunk({steps: -1, 2: -1})
    results = axes[:2] + "o" if model.readout == "all" else "no"
    pairs: list[Any] = [x, axes]
    if lengths is not None:
        if lengths.shape != x.shape[1 - steps : 2 - steps]:
            raise ValueError(f"lengths must have shape (N,) = ({x.shape[1 - steps]},), got {lengths.shape}")
        pairs += [dask.array.asarray(lengths).rechunk((x.chunks[1 - steps],)), "n"]
    return dask.array.blockwise(
        _of_block,
        results,
        *pairs,
        model=shared,
        **options,
        new_axes={"o": O},
        concatenate=True,
        dtype=model.dtype,
        meta=np.zeros((0,) * len(results), model.dtype),
    )


def _of_block(x: Array, lengths: Any = None, *, model: Any, **options: int) -> Array:
    return _read(model).predict(x, lengths, **options)


def _of_list(sequences: Iterable[Any], model: Any, **options: int) -> list[Array]:
    read, sequences = _read(model), list(sequences)
    rows = read.predict(sequences, **options)
    return [row[: len(one)] if read.readout == "all" else row for row, one in zip(rows, sequences)]


def _of_frame(frame: Any, model: Any, **options: Any) -> Any:
    return FramePredictor(model, **options).predict(frame)
