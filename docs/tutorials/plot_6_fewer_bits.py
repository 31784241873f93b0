"""
The cost of low precision
=========================

A trained network can be stored in float16, bfloat16 or int8 for inference. The copy is smaller and, on processors with
the required instructions, faster. The question is how much accuracy *this* model loses on *this* data.
"""

import numpy as np
from matplotlib.figure import Figure

import lstm_fast as lf

years, values = lf.datasets.sunspots()
scaled = ((values - values[:250].mean()) / values[:250].std()).astype(np.float32)
windows = np.lib.stride_tricks.sliding_window_view(scaled, 45)
x, y = windows[:, :44, None], windows[:, 44]
train, test = slice(0, 200), slice(200, None)

model = lf.train.SequenceModel(lf.LSTM(1, 32, batch_first=True, seed=0), 1, seed=0)
lf.train.fit(model, x[train], y[train], optimizer=lf.train.Adam(lr=5e-3), epochs=40, seed=0)

# %%
# ``compare_formats`` compares the hidden states of every format with those of float32, and lists the size of the model.
# With int8 weights, the input may stay float32 or be quantized to 16 or 8 bits.

table = lf.compare_formats(model.lstm, x[test])
names = [row.format if row.inputs == "float32" else f"{row.format}, {row.inputs} inputs" for row in table]
for name, row in zip(names, table):
    print(f"{name:18} {row.nbytes:7,} bytes   largest difference {row.max_error:.1e}")

# %%

figure = Figure(figsize=(7, 2.8), layout="constrained")
size, error = figure.subplots(1, 2, sharey=True)
size.barh(names, [row.nbytes / 1000 for row in table], color="tab:blue")
size.set_xlabel("size (kB)")
size.invert_yaxis()
error.barh(names, [row.max_error for row in table], color="tab:orange")
error.set_xlabel("largest difference in a hidden state")
for panel in (size, error):
    panel.spines[["top", "right"]].set_visible(False)

# %%
# What matters is the accuracy of the forecast, which hardly changes.


def rmse(model):
    return np.sqrt(np.mean((model.predict(x[test])[:, 0] - y[test]) ** 2))


print(f"float32   RMSE {rmse(model):.4f}")
for format in ("float16", "bfloat16", "int8"):
    print(f"{format:9} RMSE {rmse(model.quantized(format)):.4f}")

# %%
# :doc:`/formats` explains which format suits which model and processor.
