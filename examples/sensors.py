"""One model for each of many sensors, trained in one call.

    python examples/sensors.py [--quick]

Each sensor is a noisy oscillation with its own period and shape; its model forecasts the next value from the previous
24. The fleet trains all models in one call of `fit`, each on its own sensor, with its own early stopping; a loop over
`fit` gives each model the same bits. The score is the mean absolute error on the last fifth of each series, divided by
that of persistence (the last value): below 1 is better.
"""

import argparse
import time

import numpy as np

import lstm_fast as lf

WINDOW = 24


def series(n_sensors, n_steps=260, seed=0):
    """(n_sensors, n_steps) standardized readings."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_steps)
    period, phase, second = (
        rng.uniform(8, 40, (n_sensors, 1)),
        rng.uniform(0, 7, (n_sensors, 1)),
        rng.random((n_sensors, 1)),
    )
    angle = 2 * np.pi * t / period + phase
    values = np.sin(angle) + second * np.sin(2 * angle) + 0.1 * rng.standard_normal((n_sensors, n_steps))
    return (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)


def windows(values):
    """Windows (n_sensors, n, 24, 1) and the value after each, (n_sensors, n, 1)."""
    views = np.lib.stride_tricks.sliding_window_view(values, WINDOW + 1, axis=1)
    return views[..., :-1, None].astype(np.float32), views[..., -1:]


def models(n_sensors, seed=0):
    seeds = range(seed, seed + n_sensors)
    return [lf.train.SequenceModel(lf.LSTM(1, 8, batch_first=True, seed=k), 1, seed=k) for k in seeds]


def run(n_sensors, epochs, seed=0, **stopping):
    """Score of the fleet, seconds of the fleet and of the loop (from some of the sensors)."""
    x, y = windows(series(n_sensors))
    cut = x.shape[1] * 4 // 5
    options = {
        "epochs": epochs,
        "batch_size": 16,
        "optimizer": lf.train.Adam(lr=1e-2),
        "clip_norm": 1.0,
        "seed": seed,
        **(stopping or {"early_stopping": 5, "validation": 0.2}),
    }
    fleet = lf.train.FleetModel.from_models(models(n_sensors, seed))
    begin = time.perf_counter()
    histories = lf.train.fit(fleet, x[:, :cut], y[:, :cut], **options)
    of_fleet, some = time.perf_counter() - begin, max(1, n_sensors // 20)
    begin = time.perf_counter()
    for k, model in enumerate(models(some, seed)):
        alone = lf.train.fit(model, x[k, :cut], y[k, :cut], **options)
        assert alone.fingerprint == histories[k].fingerprint
    of_loop = (time.perf_counter() - begin) * n_sensors / some
    error = np.abs(fleet.predict(x[:, cut:]) - y[:, cut:]).mean()
    persistence = np.abs(x[:, cut:, -1] - y[:, cut:]).mean()
    return float(error / persistence), of_fleet, of_loop


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(words)
    n_sensors, epochs = (40, 6) if arguments.quick else (1000, 20)
    score, fleet, loop = run(n_sensors, epochs)
    print(
        f"{n_sensors} sensors: error {score:.3f} of persistence; {fleet:.1f} s in one call, {loop:.1f} s in a loop "
        f"({loop / fleet:.1f} x)"
    )
    return score


if __name__ == "__main__":
    main()
