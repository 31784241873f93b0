"""
Monitoring a sensor, one sample at a time
=========================================

A model learns to predict the next sample of a healthy machine. In production it runs as a stream: each new sample costs
one step, and an error far above the usual level raises an alarm.
"""

import time

import numpy as np
from matplotlib.figure import Figure

import lstm_fast as lf

rng = np.random.default_rng(0)
steps = np.arange(6000)
healthy = np.sin(steps / 7) + 0.5 * np.sin(steps / 23 + 1)
healthy = (healthy + 0.05 * rng.standard_normal(len(steps))).astype(np.float32)

T = 100
windows = np.lib.stride_tricks.sliding_window_view(healthy[:4000], T + 1)[::10]
lstm = lf.LSTM(1, 24, batch_first=True, seed=0)
model = lf.train.SequenceModel(lstm, 1, readout="all", seed=0)
lf.train.fit(
    model,
    windows[:, :T, None],
    windows[:, 1:, None],
    optimizer=lf.train.Adam(lr=1e-2),
    epochs=20,
    lr_schedule="cosine",
    seed=0,
)

# %%
# The alarm threshold is set on data that the model was not trained on.

live = healthy[4000:].copy()
fault = slice(1400, 1430)
live[fault] += 0.4 * np.sin(np.arange(30) * 1.3)  # a bearing begins to rattle

stream = model.stream()
errors, begin = np.zeros(len(live)), time.perf_counter()
prediction = np.zeros(1, np.float32)
for t, sample in enumerate(live):
    errors[t] = abs(sample - prediction[0])
    prediction = stream.step(live[t : t + 1])
took = (time.perf_counter() - begin) / len(live)

limit = 1.5 * errors[100:1000].max()  # the first hundred steps are warm-up
alarms = 1000 + np.flatnonzero(errors[1000:] > limit)
print(f"threshold {limit:.2f}, fault at step {fault.start}, first alarm at step {alarms[0]}")
print(f"less than {np.ceil(took * 1e5) * 10:.0f} us per sample, including the Python loop")

# %%

figure = Figure(figsize=(7, 3.6), layout="constrained")
above, below = figure.subplots(2, 1, sharex=True)
shown = slice(1300, 1530)
above.plot(np.arange(*shown.indices(len(live))), live[shown], color="black", linewidth=1)
above.set_ylabel("sensor")
below.plot(np.arange(*shown.indices(len(live))), errors[shown], color="black", linewidth=1)
below.axhline(limit, color="tab:red", linestyle="--", linewidth=1, label="threshold")
below.set(xlabel="step", ylabel="prediction\nerror")
below.legend(loc="upper right", frameon=False)
for panel in (above, below):
    panel.axvspan(fault.start, fault.stop, color="tab:orange", alpha=0.2, linewidth=0)
    panel.spines[["top", "right"]].set_visible(False)
