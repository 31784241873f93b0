"""Sunspot numbers, one year ahead: 309 years, trained up to 1920, each later year forecast from the eleven before it.

    python examples/sunspots.py [--seeds 0 1 2] [--epochs 100]

The baselines are persistence (next year equals this one) and AR(11), a linear regression on the same eleven years.
Each epoch is one step on all windows. The number of epochs was chosen by training up to 1880 and validating on 1881 to
1920; more epochs overfit, as there are only 210 windows. The years from 1921 on influenced no choice.
"""

import argparse

import numpy as np

import lstm_fast as lf

WINDOW, LAST_TRAINING_YEAR = 11, 1920


def data():
    """((windows, values) of the training years, (windows, values) of the test years)"""
    years, values = lf.datasets.sunspots()
    windows, values, years = (
        np.lib.stride_tricks.sliding_window_view(values, WINDOW)[:-1],
        values[WINDOW:],
        years[WINDOW:],
    )
    early = years <= LAST_TRAINING_YEAR
    return (windows[early], values[early]), (windows[~early], values[~early])


def rmse(forecast, truth):
    return float(np.sqrt(np.mean((forecast - truth) ** 2)))


def baselines():
    """RMSE of persistence and of AR(11), in sunspot numbers."""
    (x, y), (x_test, y_test) = data()
    ar = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
    return rmse(x_test[:, -1], y_test), rmse(ar[0] + x_test @ ar[1:], y_test)


def train(seed, epochs=100):
    """(model, seconds of training)"""
    (x, y), _ = data()
    mean, deviation = y.mean(), y.std()
    model = lf.train.SequenceModel(lf.LSTM(1, 16, batch_first=True, seed=seed), 1, seed=seed)
    history = lf.train.fit(
        model,
        (x[:, :, None] - mean) / deviation,
        (y - mean) / deviation,
        optimizer=lf.train.Adam(lr=1e-2),
        epochs=epochs,
        batch_size=len(x),
        clip_norm=1.0,
        seed=seed,
    )
    return model, sum(history.seconds)


def score(model):
    """RMSE in sunspot numbers on 1921-2008."""
    (_, y), (x_test, y_test) = data()
    forecast = model.predict((x_test[:, :, None] - y.mean()) / y.std())[:, 0] * y.std() + y.mean()
    return rmse(forecast, y_test)


def run(seed, epochs=100):
    """(RMSE in sunspot numbers on 1921-2008, seconds of training)"""
    model, seconds = train(seed, epochs)
    return score(model), seconds


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args(words)
    persistence, ar = baselines()
    print(f"RMSE in sunspot numbers on 1921-2008: persistence {persistence:.2f}, AR({WINDOW}) {ar:.2f}")
    errors = []
    for seed in arguments.seeds:
        error, seconds = run(seed, arguments.epochs)
        errors.append(error)
        print(f"seed {seed}: LSTM {error:.2f} after {seconds:.2f} s of training")
    print(f"worst {max(errors):.2f}, mean {np.mean(errors):.2f}")
    return max(errors)


if __name__ == "__main__":
    main()
