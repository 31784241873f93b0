"""Distributed predictions and forecasts: Dask collections, and iterators of data frames for Spark and Ray.

    model_files.py    models, or files of models that each process reads once
    of_frames.py      pandas frames: rows that are sequences, or steps of series
    of_collections.py  arrays, bags and frames of Dask
    forecasts.py      a network for each series, fitted and forecast partition by partition

    pip install "lstm_fast[dask]"

By default a task uses one thread: engines run one task per processor, so more threads per task would oversubscribe the
machine. Each file uses only those above it.
"""

from .forecasts import SeriesForecasts, forecast
from .of_collections import predict
from .of_frames import FramePredictor, frames

__all__ = ["predict", "frames", "FramePredictor", "forecast", "SeriesForecasts"]
