"""Models and data frames of the tests of lf.dask."""

import numpy as np
import pandas as pd

import lstm_fast as lf

rng = np.random.default_rng(0)


def make(input_size=2, out=3, readout="last", **options):
    lstm = lf.LSTM(input_size, 8, seed=0, **dict(batch_first=True) | options)
    return lf.train.SequenceModel(lstm, out, readout, seed=0)


def saved(tmp_path, **options):
    path = tmp_path / "model.safetensors"
    make(**options).save(path)
    return path


def wide():
    index = pd.Index([f"r{k}" for k in rng.permutation(20)], name="name")
    frame = pd.DataFrame(rng.standard_normal((20, 6)), index, columns=list("abcdef"))
    return frame.assign(site=[f"s{k % 3}" for k in range(20)])
