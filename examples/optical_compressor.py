"""A slow audio effect: an optical compressor, whose gain follows the level with a time constant of 10,000 samples.

    python examples/optical_compressor.py [--seeds 0 1 2] [--epochs 6] [--quick]

In the hardware, a lamp shines on a light-dependent resistor, which responds to the light of the last quarter of a
second, so the gain at each sample depends on tens of thousands of previous samples. The model (16 units) sees only the
samples. It is trained by truncated backpropagation, in windows of 256 samples, on one recording of 10^6 samples cut
into 8 streams, each with a burn-in. The score is the error-to-signal ratio (ESR) on another recording.

The gradient of a window ends after 256 samples, so it cannot teach a unit to remember 10,000. But the state is carried
from window to window, and forget biases initialized to time constants from 1 to 10,000 samples (chrono initialization)
keep the level in the state from the start, so the network only has to learn to use it.
"""

import argparse

import numpy as np

import lstm_fast as lf

TIME_CONSTANT, THRESHOLD = 10_000, 0.005
SCALE = 8.0  # of samples, for the network: a standard deviation near one
N_STREAMS, TRUNCATE, BURN_IN = 8, 256, 4096
LR = 5e-3


def recording(rng, n):
    """Bursts of tones and noise at levels from soft to loud, 0.1 to 1 seconds at 44.1 kHz each."""
    x = np.zeros(n)
    begin = 0
    while begin < n:
        end = min(n, begin + int(rng.uniform(4_000, 40_000)))
        t = np.arange(end - begin)
        tone = np.sin(2 * np.pi * t * rng.uniform(0.002, 0.05)) + 0.3 * rng.standard_normal(len(t))
        x[begin:end] = tone * 10 ** rng.uniform(-1.5, 0)
        begin = end
    return np.clip(0.5 * x, -1, 1)


def compress(x):
    """The effect: gain 1 / (1 + level / THRESHOLD) ** 0.5, level the mean of x^2 over the time constant."""
    keep, level = 1 - 1 / TIME_CONSTANT, 0.0
    y, power = np.empty_like(x), x * x
    for t in range(len(x)):
        level = keep * level + (1 - keep) * power[t]
        y[t] = x[t] / (1 + level / THRESHOLD) ** 0.5
    return y


def data(seed, n):
    rng = np.random.default_rng(seed)
    x = recording(rng, n)
    return (SCALE * x).astype(np.float32), (SCALE * compress(x)).astype(np.float32)


def streams(x, n_streams=N_STREAMS):
    """(n_streams, T, 1): pieces of a recording in parallel, each preceded by its burn-in."""
    T = (len(x) - BURN_IN) // n_streams
    return np.stack([x[k * T : (k + 1) * T + BURN_IN, None] for k in range(n_streams)])


def make_model(seed, hidden_size=16):
    lstm, H = lf.LSTM(1, hidden_size, batch_first=True, seed=seed), hidden_size
    bias = np.log(np.geomspace(1, TIME_CONSTANT, H))
    with lstm.edit() as p:
        p["bias_ih_l0"][:] = p["bias_hh_l0"][:] = 0
        p["bias_ih_l0"][:H], p["bias_ih_l0"][H : 2 * H] = -bias, bias  # gate order: i, f, g, o
    return lf.train.SequenceModel(lstm, 1, readout="all", seed=seed)


def esr(model, x, y):
    """Energy of the error over that of the target, after the burn-in."""
    error = model.predict(x[None, :, None])[0, :, 0] - y
    return float((error[BURN_IN:] ** 2).sum() / (y[BURN_IN:] ** 2).sum())


def run(seed, n=1_000_000, epochs=6):
    """(ESR on another recording, seconds of training, model, history)"""
    (x, y), test = data(seed, n), data(1000 + seed, n // 4)
    model = make_model(seed)
    history = lf.train.fit(
        model,
        streams(x),
        streams(y),
        truncate=TRUNCATE,
        burn_in=BURN_IN,
        batch_size=N_STREAMS,
        optimizer=lf.train.Adam(LR),
        epochs=epochs,
        clip_norm=0.1,
        lr_schedule="cosine",
        shuffle=False,
        seed=seed,
    )
    return esr(model, *test), sum(history.seconds), model, history


def constant_gain(seed, n=1_000_000):
    """ESR of the best constant gain, the baseline of a model without memory."""
    (x, y), (x_test, y_test) = data(seed, n), data(1000 + seed, n // 4)
    gain = float((x * y).sum() / (x * x).sum())
    return float(((gain * x_test - y_test)[BURN_IN:] ** 2).sum() / (y_test[BURN_IN:] ** 2).sum())


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="250,000 samples, 8 epochs")
    arguments = parser.parse_args(words)
    n, epochs = (250_000, 8) if arguments.quick else (1_000_000, arguments.epochs)
    worst = 0.0
    for seed in arguments.seeds:
        error, seconds, _, _ = run(seed, n, epochs)
        print(
            f"seed {seed}: ESR {error:.4f}, a constant gain {constant_gain(seed, n):.4f}; {seconds:.1f} s", flush=True
        )
        worst = max(worst, error)
    return worst


if __name__ == "__main__":
    main()
