"""
A forecast with prediction intervals
====================================

This example forecasts eleven years of sunspots, one solar cycle, from the previous forty-four years. With the quantile
loss, the network predicts five quantiles for each year, which quantify the uncertainty of the forecast.
"""

import numpy as np

import lstm_fast as lf

years, values = lf.datasets.sunspots()
split = int(np.flatnonzero(years == 1987)[0])  # the first year after the forecast origin
mean, spread = values[:split].mean(), values[:split].std()
scaled = (values - mean) / spread

window, horizon, levels = 44, 11, (0.05, 0.25, 0.5, 0.75, 0.95)
windows = np.lib.stride_tricks.sliding_window_view(scaled[:split], window + horizon)
print(f"{len(windows)} training windows, all before 1987")

# %%
# The head has one output per year and quantile.

model = lf.train.SequenceModel(lf.LSTM(1, 16, batch_first=True, seed=0), horizon * len(levels), seed=0)
lf.train.fit(
    model,
    windows[:, :window, None],
    windows[:, window:],
    loss=("quantile", levels),
    optimizer=lf.train.Adam(lr=5e-3),
    epochs=60,
    batch_size=32,
    clip_norm=1.0,
    seed=0,
)

p = model.predict(scaled[None, split - window : split, None]).reshape(horizon, len(levels))
p = np.maximum(0, np.sort(p, axis=1) * spread + mean)  # quantiles sorted, and no negative sunspot numbers

# %%
# The plot compares the forecast with the true values and, as a baseline, the previous cycle.

past = slice(split - 3 * horizon, split)
truth, one_cycle_before = values[split : split + horizon], values[split - horizon : split]
forecast = lf.plot.forecast(
    values[past],
    p[:, 2],
    truth,
    {0.9: (p[:, 0], p[:, 4]), 0.5: (p[:, 1], p[:, 3])},
    years[split - 3 * horizon : split + horizon],
    baselines={"11 years earlier": one_cycle_before},
    label="LSTM",
    title="Sunspots, one cycle ahead",
    xlabel="year",
    ylabel="sunspots (yearly mean number)",
)

# %%

for name, guess in {"LSTM": p[:, 2], "11 years earlier": one_cycle_before}.items():
    print(f"{name:17} root mean squared error {np.sqrt(np.mean((guess - truth) ** 2)):.1f}")

# %%
# :doc:`/forecast` uses an estimator that scales the data, cuts windows and cross-validates.
