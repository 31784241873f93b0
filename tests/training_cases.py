"""A small task for tests of fit: sequences of different lengths, and the mean of each as its target."""

import numpy as np

import lstm_fast as lf
from lstm_fast.train import Adam, SequenceModel, fit


def sums(n=60, seed=0):
    """Sequences of different lengths and the mean of their inputs."""
    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((k, 2)) for k in rng.integers(1, 12, n)]
    return x, np.array([one.sum() / len(one) for one in x])[:, None]


def model(seed=0, readout="last", out=1, **options):
    return SequenceModel(lf.LSTM(2, 8, batch_first=True, seed=seed, **options), out, readout, seed=seed)


def run(m, *, epochs=4, n_threads=1, **options):
    x, y = sums()
    options = dict(optimizer=Adam(1e-2), batch_size=8, seed=3, num_threads=n_threads, clip_norm=1.0) | options
    return fit(m, x, y, epochs=epochs, **options)
