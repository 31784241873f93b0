"""Predictions of a saved model for collections of many machines: Dask, and iterators of frames for Spark and Ray.

    model_files.py    models by themselves or by their files, read once in each process
    of_frames.py      pandas frames: rows that are sequences, or steps of series
    of_collections.py  arrays, bags and frames of Dask

    pip install "lstm_fast[dask]"

A task computes on one thread unless told otherwise: engines run one task for each processor, and tasks that each start
a thread for each processor take the processors from one another. Each file uses only those above it.
"""

from .of_collections import predict
from .of_frames import FramePredictor, frames

__all__ = ["predict", "frames", "FramePredictor"]
