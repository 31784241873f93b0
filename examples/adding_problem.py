"""The adding problem (Hochreiter and Schmidhuber 1997): remember two numbers out of hundreds.

    python examples/adding_problem.py [--steps 100] [--seeds 0]

Each step brings a random number and a mark; two steps are marked, one in each half; the target is the sum of their numbers.
Who always answers 1 has a squared error of 0.167. An LSTM learns to carry the first number over hundreds of steps; a plain
network, whose gradient vanishes on the way, does not.
"""
import argparse

import numpy as np

import lstm_fast as lf


def draw(rng, n, T):
    x = np.zeros((n, T, 2), np.float32)
    x[:, :, 0] = rng.random((n, T))
    for half in (rng.integers(0, T // 2, n), rng.integers(T // 2, T, n)):
        x[np.arange(n), half, 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)


def learn(network, seed, T, n=10_000, epochs=20):
    """The mean squared error on sequences that were not learned from."""
    rng = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = draw(rng, n, T), draw(rng, 1000, T)
    model = lf.train.SequenceModel(network, 1, seed=seed)

    def is_solved(model, history):
        return np.mean((model.predict(x_test[:200]) - y_test[:200]) ** 2) < 0.002

    history = lf.train.fit(model, x, y, optimizer=lf.train.Adam(lr=3e-3), epochs=epochs, batch_size=50, clip_norm=1.0, seed=seed,
                           callbacks=[is_solved])
    return np.mean((model.predict(x_test) - y_test) ** 2), len(history), sum(history.seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    for T in arguments.steps:
        for seed in arguments.seeds:
            for name, network in (("LSTM", lf.LSTM(2, 64, batch_first=True, seed=seed, forget_bias=1.0)),
                                  ("RNN", lf.RNN(2, 64, batch_first=True, seed=seed))):
                error, epochs, seconds = learn(network, seed, T)
                print(f"{T} steps, seed {seed}, {name}: squared error {error:.4f} after {epochs} epochs, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
