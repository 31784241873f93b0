"""Section 6: yearly sunspot numbers, one year ahead, and the two forecasts that an LSTM has to beat."""

from collections import namedtuple

import numpy as np

import lstm_fast as lf

from .training import Adam, add_to_parameters, clipped, progress

WINDOW = 11  # years that a forecast sees: one solar cycle
LAST_TRAINING_YEAR = 1920
HIDDEN_SIZE = 16
# Few steps on purpose. Fitted to 1880 and tried on 1881-1920, the forecast gets worse after about a hundred: from
# then on the network learns its 210 windows by heart.
STEPS = 100

# windows (N, WINDOW), values (N,): what follows each window, years (N,): when
Examples = namedtuple("Examples", "windows values years")
Forecasts = namedtuple("Forecasts", "years truth lstm ar persistence losses")


def examples():
    """(Examples to train on, Examples to test on)."""
    years, values = lf.datasets.sunspots()
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW)[:-1]
    both = Examples(windows, values[WINDOW:], years[WINDOW:])
    is_training = both.years <= LAST_TRAINING_YEAR
    return Examples(*(a[is_training] for a in both)), Examples(*(a[~is_training] for a in both))


def rmse(forecast, truth):
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((forecast - truth) ** 2)))


class Forecaster:
    """An LSTM that reads a window, and a linear head on its last h. Scaled by the mean and spread of `values`."""

    def __init__(self, values, seed):
        self.lstm = lf.LSTM(1, HIDDEN_SIZE, seed=seed)
        bound = HIDDEN_SIZE**-0.5
        self.head = np.random.default_rng(seed).uniform(-bound, bound, HIDDEN_SIZE + 1).astype(np.float32)  # bias last
        self.mean, self.spread = values.mean(), values.std()

    def _scaled(self, values):
        return ((values - self.mean) / self.spread).astype(np.float32)

    def _sequences(self, windows):
        return np.ascontiguousarray(self._scaled(windows).T)[:, :, None]  # (T, B, 1)

    def _apply_head(self, h):
        return h @ self.head[:-1] + self.head[-1]

    def predict(self, windows):
        """The value that follows each window."""
        _, (h_n, _) = self.lstm(self._sequences(windows))
        return self._apply_head(h_n[0]) * self.spread + self.mean

    def fit(self, windows, values, steps, lr=0.01, max_norm=1.0):
        """Adam on the mean squared error of all windows at once; returns the loss of each step."""
        x, target = self._sequences(windows), self._scaled(values)
        n_lstm = self.lstm.flat_parameters.size
        adam, losses = Adam(n_lstm + self.head.size, lr), []
        # One thread: a step takes a millisecond, and on a busy machine waiting for a second thread can take longer.
        with lf.num_threads(1), progress(steps, "   training") as advance:
            for _ in range(steps):
                loss, gradient = self._loss_and_gradient(x, target)
                change = adam.step(clipped(gradient, max_norm)).astype(np.float32)
                add_to_parameters(self.lstm, change[:n_lstm])
                self.head += change[n_lstm:]
                losses.append(loss)
                advance(loss)
        return losses

    def _loss_and_gradient(self, x, target):
        """The gradient: the LSTM's parameters, then the head's."""
        _, (h_n, _), tape = self.lstm.forward(x)
        error = self._apply_head(h_n[0]) - target
        d_y = 2 * error / len(error)
        d_h_n = np.outer(d_y, self.head[:-1])[None]
        d_lstm = self.lstm.backward(tape, None, (d_h_n, None)).flat
        return float(np.mean(error**2)), np.concatenate([d_lstm, d_y @ h_n[0], [d_y.sum()]])


def fit_ar(windows, values):
    """Least-squares coefficients of an autoregression on the window, constant first."""
    return np.linalg.lstsq(np.column_stack([np.ones(len(windows)), windows]), values, rcond=None)[0]


def forecast(seed, steps=STEPS):
    """Everything fitted on the training years alone; each forecast sees the true values of the years before it."""
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
