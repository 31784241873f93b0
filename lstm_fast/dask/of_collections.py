"""Predictions for Dask collections: arrays, bags and data frames."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments
from .._errors import type_name
from .model_files import Model, read_model, snapshot
from .of_frames import FramePredictor

if TYPE_CHECKING:
    from .._types import Array


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
    """Predict for the sequences of a Dask collection, lazily; order and index are preserved.

    Parameters
    ----------
    model : SequenceModel, QuantizedModel or path
        Model, or its file, which every worker must be able to read. Each process reads a file once; a model is copied,
        and sent to each worker once. Changes of the model after this call have no effect; a file that has changed by
        the time of the computation is a ValueError.
    collection : dask.array.Array, dask.bag.Bag or dask.dataframe.DataFrame
        Sequences: an array (N, T, I), or (T, N, I) unless the network has batch_first, divided along N; a bag of arrays
        (T, I); or a data frame, as in `frames`. Symbols (index_input) have no last axis, or one column per step.
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
        Maximum number of threads of a task. A worker runs as many tasks at a time as it has threads.

    Returns
    -------
    dask.array.Array, dask.bag.Bag or dask.dataframe.DataFrame
        Predictions, in a collection of the same kind and with the same partitions.

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
    kept = snapshot(model)
    read = read_model(kept)
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
    shared: Any = dask.delayed(kept) if isinstance(kept, Model) else kept  # one copy for all tasks
    if isinstance(collection, dask.array.Array):
        return _of_array(read, shared, collection, lengths, options)
    if isinstance(collection, dask.bag.Bag):
        return collection.map_partitions(_of_list, shared, **options)
    if is_frame:
        options |= {"by": by, "columns": columns, "keep": keep}
        meta = _of_frame(collection._meta, kept, **options)
        result = collection.map_partitions(_of_frame, shared, **options, meta=meta)
        return result if by is None or read.readout == "all" else result.clear_divisions()
    raise TypeError(f"collection must be an array, bag or data frame of Dask, got {type_name(collection)}")


def _of_array(model: Model, shared: Any, x: Any, lengths: Any, options: dict[str, Any]) -> Any:
    import dask.array

    lstm, O = model.lstm, model.out_features
    if lstm.index_input and x.ndim != 2:
        raise ValueError(f"collection must have 2 axes for a network with index_input, got {x.shape}")
    if not lstm.index_input and (x.ndim != 3 or x.shape[2] != lstm.input_size):
        raise ValueError(f"collection must have 3 axes, the last of input_size = {lstm.input_size}, got {x.shape}")
    axes = lstm.layout.axes.lower()[: x.ndim]
    steps, rows = axes.index("t"), axes.index("b")
    x = x.rechunk({steps: -1} if lstm.index_input else {steps: -1, 2: -1})
    results = axes[:2] + "o" if model.readout == "all" else "bo"
    pairs: list[Any] = [x, axes]
    if lengths is not None:
        lengths = (
            lengths if isinstance(lengths, dask.array.Array) else _arguments.array_of("lengths", lengths, "integers")
        )
        if lengths.shape != (x.shape[rows],):
            raise ValueError(f"lengths must have shape (N,) = ({x.shape[rows]},), got {lengths.shape}")
        pairs += [dask.array.asarray(lengths).rechunk((x.chunks[rows],)), "b"]
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
    return read_model(model).predict(x, lengths, **options)


def _of_list(sequences: Iterable[Any], model: Any, **options: int) -> list[Array]:
    read, sequences = read_model(model), list(sequences)
    rows = read.predict(sequences, **options)
    return [row[: len(one)] if read.readout == "all" else row for row, one in zip(rows, sequences)]


def _of_frame(frame: Any, model: Any, **options: Any) -> Any:
    return FramePredictor(model, **options).predict(frame)
