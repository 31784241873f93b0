"""Two companies, one LSTM unit: the value of day 1 decides day 5, and days 2 to 4 are the same for both.

    python examples/two_companies.py [--seeds 0 1 2]

The unit reads four days of a share price; its short-term memory after day 4 is the prediction for day 5. The script
first runs it with given weights, day by day, so that it can be checked by hand. It then learns the weights from
scratch by backpropagation through time, using only forward, backward and edit. Because h = o * tanh(c) approaches 1
but never reaches it, two predictions within 0.05 count as learned. A unit this small can get stuck on a plateau: after
1000 steps it is reinitialized, up to ten times.
"""

import argparse
import time

import numpy as np

import lstm_fast as lf

DAYS = np.array([[0.0, 0.5, 0.25, 1.0], [1.0, 0.5, 0.25, 1.0]])  # companies A and B
DAY_5 = np.array([0.0, 1.0])
GIVEN = {  # one row per gate: i, f, g, o
    "weight_hh_l0": [[2.00], [2.70], [1.41], [4.38]],  # of the short-term memory
    "weight_ih_l0": [[1.65], [1.63], [0.94], [-0.19]],  # of the input
    "bias_ih_l0": [0.62, 1.62, -0.32, 0.59],
    "bias_hh_l0": [0.0, 0.0, 0.0, 0.0],
}
BOUND, STEPS, ATTEMPTS = 0.05, 1000, 10


def given_unit():
    unit = lf.LSTM(1, 1, batch_first=True, dtype=np.float64)
    unit.load_state_dict(GIVEN)
    return unit


def predict(unit):
    _, (h_n, _) = unit(DAYS[:, :, None])
    return h_n[0, :, 0]


def train(unit, lr=0.05):
    """Minimize the sum of both squared errors with Adam. Returns the number of steps; None if it did not converge."""
    adam = lf.train.Adam(lr)
    moments = adam.moments(unit.flat_parameters)
    for step in range(STEPS):
        _, (h_n, _), tape = unit.forward(DAYS[:, :, None])
        error = h_n - DAY_5[:, None]
        if (np.abs(error) < BOUND).all():
            return step
        gradients = unit.backward(tape, None, (2 * error, None))  # through all four days
        with unit.edit() as p:
            adam.step(p.flat, gradients.flat, moments, step + 1, lr)
    return None


def run(seed):
    """(larger error of the two predictions, seconds of training, trained unit)"""
    rng, begin = np.random.default_rng(seed), time.perf_counter()
    attempt, steps = 0, None
    while steps is None and attempt < ATTEMPTS:
        attempt += 1
        unit = lf.LSTM(1, 1, batch_first=True, dtype=np.float64, seed=int(rng.integers(2**32)))
        steps = train(unit)
    words = f"learned in {steps} steps" if steps is not None else "not learned"
    print(f"seed {seed}: {words}, attempt {attempt}; predictions {predict(unit).round(3)}")
    return float(np.abs(predict(unit) - DAY_5).max()), time.perf_counter() - begin, unit


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args(words)
    trace = given_unit().trace(DAYS[:, :, None])
    print("the given weights, day by day: share, gates f, i, g, o, long-term memory c, short-term memory h")
    for b, company in enumerate("AB"):
        for day in range(4):
            numbers = (getattr(trace, name)[0, 0, day, b, 0] for name in "figoch")
            print(
                f"   {company} day {day + 1}   {DAYS[b, day]:5.2f}  " + " ".join(f"{number:7.3f}" for number in numbers)
            )
    print(f"   predictions for day 5: {predict(given_unit()).round(3)}, truth {DAY_5}")
    errors = [run(seed)[0] for seed in arguments.seeds]
    learned = sum(error < BOUND for error in errors)
    print(f"both companies learned on {learned} of {len(errors)} seeds; worst error {max(errors):.3f}")
    return learned / len(errors)


if __name__ == "__main__":
    main()
