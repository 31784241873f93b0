"""
Watching the gates of a trained network
=======================================

The adding problem, from the paper that introduced the LSTM: a sequence of forty random numbers, two of which are
marked. The target is the sum of those two. A network of four units learns it, and its gates show how.
"""

import numpy as np

import lstm_fast as lf

T, n = 40, 4000
rng = np.random.default_rng(0)
x = np.zeros((n, T, 2), np.float32)
x[:, :, 0] = rng.random((n, T))
marks = np.stack([rng.integers(0, T // 2, n), rng.integers(T // 2, T, n)], axis=1)
x[np.arange(n)[:, None], marks, 1] = 1
y = (x[:, :, 0] * x[:, :, 1]).sum(axis=1)

model = lf.train.SequenceModel(lf.LSTM(2, 4, batch_first=True, seed=0, forget_bias=2.0), 1, seed=0)
curve = lf.train.fit(
    model,
    x,
    y,
    optimizer=lf.train.AdamW(lr=1e-2, weight_decay=0.1),
    epochs=30,
    batch_size=50,
    validation=0.2,
    clip_norm=1.0,
    early_stopping=10,
    lr_schedule="cosine",
    seed=0,
)

# %%
# At first the error stays at 1/6, that of predicting the mean. Then the network discovers the meaning of the marks.

history = lf.plot.history(curve, loss="squared error\n(no unit)", title="Learning to add two numbers out of forty")

# %%
# The gates on one sequence: the input gates open at the two marked steps, the forget gates stay near 1 in between, and
# the long-term memory changes in two steps.

first, second = marks[0]
gates = lf.plot.gates(
    model.lstm.trace(x[0]),
    title=f"Inside an LSTM that adds two numbers of a sequence, those of steps {first} and {second}",
)
