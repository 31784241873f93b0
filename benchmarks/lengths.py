"""What sequences of different lengths cost, against their valid steps alone:  python benchmarks/lengths.py [rounds]

Two yardsticks, all interleaved with the calls they measure, medians, one thread:

  share  the padded call's time x the share of its steps that are valid
  steps  the sum over steps of the time of a dense step with as many rows as run then (a step of 1 to 3 rows is dearer
         per row than one of many, because the weights are read for fewer of them; that is not the doing of lengths)
"""
import sys
import time

import numpy as np

import lstm_fast as lf

SHAPES = [(100, 32, 16, 64, 1), (100, 32, 64, 64, 1), (100, 32, 64, 64, 2), (100, 32, 128, 128, 1), (100, 64, 256, 256, 1),
          (100, 256, 32, 128, 1), (29, 270, 12, 64, 1), (29, 32, 12, 64, 2), (100, 8, 64, 64, 1)]


def medians(calls, rounds):
    """Median seconds of each call, the calls taking turns."""
    times = np.empty((rounds, len(calls)))
    for k in range(-1, rounds):  # the first round warms up
        for i, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            times[k, i] = time.perf_counter() - begin
    return np.median(times, axis=0)


def measure(T, B, I, H, D, is_training, rounds):
    """(padded, ragged, share of the valid steps, sum over steps): seconds but for the share."""
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
    counts = np.unique(running[running > 0])
    padded, ragged, *dense = medians([call(), call(lengths=lengths)] + [call(slice(n)) for n in counts], rounds)
    per_step = dict(zip(counts, np.array(dense) / T, strict=True))
    return padded, ragged, lengths.mean() / T, sum(per_step[n] for n in running if n)


def main(rounds=40):
    print(f"lstm_fast {lf.__version__}, {lf.info()['isa']}, one thread, {rounds} rounds; T B I H directions")
    with lf.num_threads(1):
        for shape in SHAPES:
            for is_training in (False, True):
                padded, ragged, share, steps = measure(*shape, is_training, rounds)
                print(f"{str(shape):24} {'training' if is_training else 'forward':8}  padded {padded * 1e3:7.2f} ms  "
                      f"ragged {ragged * 1e3:7.2f} ms  = {ragged / (padded * share):.2f} of share, "
                      f"{ragged / steps:.2f} of steps", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
