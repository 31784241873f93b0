"""Hourly temperatures one day ahead: the next 24 hours in Seattle from the 48 hours before.

    pip install "lstm_fast[examples]"
    python examples/temperatures.py [--seeds 0 1 2] [--epochs 10]

The data, 8759 hours of 2010 in degrees Fahrenheit, come with the package vega_datasets. They are averages over many
years and therefore smooth: consecutive days differ by a fifth of a degree. The LSTM beats three baselines: the mean of
each hour in the training data (climatology, useless in another season), the same hour yesterday, and the same plus
yesterday's change. It does not beat a linear autoregression on the same 48 hours, which is 6 % better on a series as
regular as this one.

January to September are for training, October to December for testing: a later period, in a season not seen in
training. The settings were chosen by training on January to June and validating on July to September. The inputs are
the differences from the same hour one day before, and the targets are the differences from the third baseline. Each
training window is also used with its sign flipped; otherwise the network would learn that days get warmer.
"""

import argparse

import numpy as np

import lstm_fast as lf
from installed import folder

WINDOW, DAY = 48, 24


def read():
    """(first hour, hourly temperatures). The hour skipped by daylight saving time in March is interpolated."""
    lines = (folder("vega_datasets") / "_data" / "seattle-temps.csv").read_text().split("\n")[1:]
    dates, values = zip(*(line.split(",") for line in lines if line))
    hours = np.array([date.replace("/", "-").replace(" ", "T") for date in dates], "datetime64[h]")
    steps = (hours - hours[0]).astype(int)
    return hours[0], np.interp(np.arange(steps[-1] + 1), steps, np.array(values, float))


def parts(first_test_day="2010-10-01"):
    """(temperatures, training origins, test origins); the 24 hours of each forecast lie within the same part."""
    first, t = read()
    cut = int((np.datetime64(first_test_day, "h") - first).astype(int))
    return t, np.arange(WINDOW + DAY, cut - DAY + 1), np.arange(cut, len(t) - DAY + 1)


def windows(t, origins, begin, end):
    """Hours begin to end relative to each origin, (n, end - begin)."""
    return t[origins[:, None] + np.arange(begin, end)]


def yesterday_and_its_change(t, origins):
    """The same hours of the day before, plus its mean change from the day before that, (n, 24)."""
    yesterday = windows(t, origins, -DAY, 0)
    return yesterday + (yesterday - windows(t, origins, -2 * DAY, -DAY)).mean(axis=1, keepdims=True)


def mae(forecast, truth):
    return float(np.abs(forecast - truth).mean())


def baselines():
    """Mean absolute errors of the baselines on the test data, in degrees Fahrenheit."""
    t, train, test = parts()
    truth = windows(t, test, 0, DAY)
    climate = t[: test[0]].reshape(-1, DAY).mean(axis=0)

    def ar_inputs(origins):
        level = windows(t, origins, -DAY, 0).mean(axis=1, keepdims=True)
        return np.column_stack([windows(t, origins, -WINDOW, 0) - level, np.ones(len(origins))]), level

    (x, level), (x_test, level_test) = ar_inputs(train), ar_inputs(test)
    weights = np.linalg.lstsq(x, windows(t, train, 0, DAY) - level, rcond=None)[0]
    return {
        "climatology": mae(climate[(test[:, None] + np.arange(DAY)) % DAY], truth),
        "same hour yesterday": mae(windows(t, test, -DAY, 0), truth),
        "yesterday and its change": mae(yesterday_and_its_change(t, test), truth),
        f"AR({WINDOW})": mae(x_test @ weights + level_test, truth),
    }


def run(seed, epochs=10, every=1, hidden_size=32):
    """(mean absolute error in degrees Fahrenheit on October to December, seconds of training)"""
    t, train, test = parts()
    train = train[::every]
    change = t - np.r_[t[:DAY], t[:-DAY]]  # from the same hour one day before
    scale = change[: test[0]].std()
    x = windows(change, train, -WINDOW, 0)[:, :, None] / scale
    y = (windows(t, train, 0, DAY) - yesterday_and_its_change(t, train)) / scale
    lstm = lf.LSTM(1, hidden_size, batch_first=True, seed=seed, forget_bias=1.0)
    model = lf.train.SequenceModel(lstm, DAY, seed=seed)
    history = lf.train.fit(
        model,
        np.concatenate([x, -x]),
        np.concatenate([y, -y]),
        optimizer=lf.train.Adam(lr=5e-3),
        lr_schedule="cosine",
        epochs=epochs,
        batch_size=64,
        clip_norm=1.0,
        seed=seed,
    )
    correction = model.predict(windows(change, test, -WINDOW, 0)[:, :, None] / scale) * scale
    return mae(yesterday_and_its_change(t, test) + correction, windows(t, test, 0, DAY)), sum(history.seconds)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args(words)
    print(
        "mean absolute error of the next 24 hours, October to December, in degrees Fahrenheit: "
        + ", ".join(f"{name} {error:.4f}" for name, error in baselines().items())
    )
    errors = []
    for seed in arguments.seeds:
        error, seconds = run(seed, arguments.epochs)
        errors.append(error)
        print(f"seed {seed}: LSTM {error:.4f} after {seconds:.1f} s of training")
    print(f"worst {max(errors):.4f}, mean {np.mean(errors):.4f}")
    return max(errors)


if __name__ == "__main__":
    main()
