"""Section 6: one-year-ahead forecasts of yearly sunspot numbers, and the two baselines to beat."""

from typing import NamedTuple

import numpy as np

import lstm_fast as lf

from .progress import progress
from .unit import Array

WINDOW = 11  # input years of a forecast: one solar cycle
LAST_TRAINING_YEAR = 1920
HIDDEN_SIZE = 16
# Early stopping: trained to 1880 and validated on 1881-1920, the forecast gets worse after about a hundred steps, as
# the network starts to memorize its 210 windows.
STEPS = 100


class Examples(NamedTuple):
    """Training examples: windows and the values that follow them."""

    windows: Array  # (N, WINDOW)
    values: Array  # (N,), the value after each window
    years: Array  # (N,), its year


class Forecasts(NamedTuple):
    """One-year-ahead forecasts of the test years, and the losses of the training."""

    years: Array
    truth: Array
    lstm: Array
    ar: Array
    persistence: Array
    losses: list[float]


def examples() -> tuple[Examples, Examples]:
    """Return the training examples and the test examples."""
    years, values = lf.datasets.sunspots()
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW)[:-1]
    both = Examples(windows, values[WINDOW:], years[WINDOW:])
    is_training = both.years <= LAST_TRAINING_YEAR
    return Examples(*(a[is_training] for a in both)), Examples(*(a[~is_training] for a in both))


def rmse(forecast: Array, truth: Array) -> float:
    """Return the root mean squared error."""
    return float(np.sqrt(np.mean((forecast - truth) ** 2)))


class Forecaster:
    """A SequenceModel that predicts the value after a window, scaled by mean and standard deviation of `values`."""

    def __init__(self, values: Array, seed: int) -> None:
        lstm = lf.LSTM(1, HIDDEN_SIZE, batch_first=True, seed=seed)
        self.model = lf.train.SequenceModel(lstm, out_features=1, seed=seed)
        self.mean, self.spread, self.seed = values.mean(), values.std(), seed

    def _scaled(self, values: Array) -> Array:
        scaled: Array = (values - self.mean) / self.spread
        return scaled.astype(np.float32)

    def predict(self, windows: Array) -> Array:
        """Return the value that follows each window."""
        prediction: Array = self.model.predict(self._scaled(windows)[:, :, None])[:, 0] * self.spread + self.mean
        return prediction

    def fit(self, windows: Array, values: Array, steps: int, lr: float = 0.01, max_norm: float = 1.0) -> list[float]:
        """Minimize the mean squared error of all windows at once; return the loss of each step."""
        with progress(steps, "   training") as advance:
            history = lf.train.fit(
                self.model,
                self._scaled(windows)[:, :, None],
                self._scaled(values),
                optimizer=lf.train.Adam(lr),
                epochs=steps,
                batch_size=len(windows),
                clip_norm=max_norm,
                seed=self.seed,
                callbacks=[lambda model, history: advance(history.loss[-1])],
                num_threads=1,  # a step takes 1 ms; on a busy machine, waiting for a second thread takes longer
            )
        return list(history.loss)


def fit_ar(windows: Array, values: Array) -> Array:
    """Return least-squares coefficients of an autoregression on the window, constant first."""
    coefficients: Array = np.linalg.lstsq(np.column_stack([np.ones(len(windows)), windows]), values, rcond=None)[0]
    return coefficients


def forecast(seed: int, steps: int = STEPS) -> Forecasts:
    """Fit all models on the training years; each forecast uses the true values of the preceding years."""
    train, test = examples()
    forecaster = Forecaster(train.values, seed)
    losses = forecaster.fit(train.windows, train.values, steps)
    ar = fit_ar(train.windows, train.values)
    return Forecasts(
        test.years,
        test.values,
        forecaster.predict(test.windows),
        ar[0] + test.windows @ ar[1:],
        test.windows[:, -1],
        losses,
    )
