"""A small model and series of different lengths, for truncated training."""

import numpy as np

import lstm_fast as lf
from lstm_fast.train import Adam, SequenceModel, fit

MASKS = dict(num_layers=2, dropout=0.3, recurrent_dropout=0.2, zoneout=0.1)
OPTIONS = dict(batch_size=3, seed=1, epochs=2, optimizer=Adam(1e-2))
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((8, 20, 3)), rng.standard_normal((8, 20, 1))
LENGTHS = np.array([20, 3, 11, 0, 17, 6, 20, 9])


def model(seed=0, rnn=False, **options):
    network = lf.RNN if rnn else lf.LSTM
    options = dict(batch_first=True, dtype=np.float64) | options
    return SequenceModel(network(3, 5, seed=seed, **options), 1, "all", seed=seed)


def trained(m, x=X, y=Y, **options):
    history = fit(m, x, y, **OPTIONS | options)
    return m.flat_parameters, history
