"""What sequences of different lengths cost, against their valid steps alone:  python benchmarks/lengths.py [rounds]

Two yardsticks, interleaved with the calls they measure, medians of the rounds' ratios, one thread:

  share  the padded call's time x the share of its steps that are valid
  steps  the sum over steps of the time of a dense step with as many rows as run then (a step of 1 to 3 rows is dearer
         per row than one of many, because the weights are read for fewer of them; that is not the doing of lengths)
"""

import sys
import time

import numpy as np

import lstm_fast as lf

SHAPES = [
    (100, 32, 16, 64, 1),
    (100, 32, 64, 64, 1),
    (100, 32, 64, 64, 2),
    (100, 32, 128, 128, 1),
    (100, 64, 256, 256, 1),
    (100, 256, 32, 128, 1),
    (29, 270, 12, 64, 1),
    (29, 32, 12, 64, 2),
    (100, 8, 64, 64, 1),
]


def time_calls(calls, rounds):
    """Seconds (rounds, calls): the calls take turns in an order that changes, as what one leaves in the caches costs the next."""
    times = np.empty((rounds, len(calls)))
    rng = np.random.default_rng(0)
    for k in range(-1, rounds):  # the first round warms up
        for i in rng.permutation(len(calls)):
            begin = time.perf_counter()
            calls[i]()
            times[k, i] = time.perf_counter() - begin
    return times


def measure(T, B, I, H, D, is_training, rounds):
    """Medians over rounds: seconds padded and ragged, and ragged against both yardsticks, each measured in the same round."""
    rng = np.random.default_rng(0)
    lstm = lf.LSTM(I, H, bidirectional=D == 2, seed=0)
    x, d = rng.standard_normal((T, B, I), np.float32), rng.standard_normal((T, B, D * H), np.float32)
    lengths = rng.integers(T // 10, T + 1, B)

    def call(rows=slice(None), lengths=None):
        part, d_part = x[:, rows].copy(), d[:, rows].copy()
        if is_training:
            return lambda: lstm.backward(lstm.forward(part, lengths=lengths)[2], d_part)
        return lambda: lstm(part, lengths=lengths)

    running = (lengths > np.arange(T)[:, None]).sum(axis=1)  # rows at each step
    running = running[running > 0]
    counts = np.unique(running)
    counts = counts[
        np.linspace(0, len(counts) - 1, min(len(counts), 12)).astype(int)
    ]  # of many, some: between them it is even
    times = time_calls([call(), call(lengths=lengths)] + [call(slice(n)) for n in counts], rounds)
    padded, ragged, dense = times[:, 0], times[:, 1], times[:, 2:]
    steps = np.array([np.interp(running, counts, row / T).sum() for row in dense])
    return [float(np.median(v)) for v in (padded, ragged, ragged / (padded * lengths.mean() / T), ragged / steps)]


def main(rounds=40):
    print(f"lstm_fast {lf.__version__}, {lf.info()['isa']}, one thread, {rounds} rounds; T B I H directions")
    with lf.num_threads(1):
        for shape in SHAPES:
            for is_training in (False, True):
                padded, ragged, of_share, of_steps = measure(*shape, is_training, rounds)
                print(
                    f"{shape!s:24} {'training' if is_training else 'forward':8}  padded {padded * 1e3:7.2f} ms  "
                    f"ragged {ragged * 1e3:7.2f} ms  = {of_share:.2f} of share, {of_steps:.2f} of steps",
                    flush=True,
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
