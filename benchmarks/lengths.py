"""The cost of sequences of different lengths relative to their valid steps.

    python benchmarks/lengths.py [rounds]

Ragged calls are compared with two estimates, measured in the same rounds on one thread; printed are medians of the
ratios:

    share    the time of the padded call times the fraction of its steps that are valid
    steps    the sum over the steps of the time of a dense step with as many rows as are active (a step of 1 to 3 rows
    costs
             more per row than one of many, because fewer rows share the reading of the weights; lengths do not cause
             that)
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
    """Seconds (rounds, calls), in varying order, because a call affects the caches of the next one."""
    times = np.empty((rounds, len(calls)))
    rng = np.random.default_rng(0)
    for k in range(-1, rounds):  # the first round is warm-up
        for i in rng.permutation(len(calls)):
            begin = time.perf_counter()
            calls[i]()
            times[k, i] = time.perf_counter() - begin
    return times


def measure(T, B, I, H, D, is_training, rounds):
    """Medians over rounds: seconds padded and ragged, and the ratio of ragged to both estimates of the same round."""
    rng = np.random.default_rng(0)
    lstm = lf.LSTM(I, H, bidirectional=D == 2, seed=0)
    x, d = rng.standard_normal((T, B, I), np.float32), rng.standard_normal((T, B, D * H), np.float32)
    lengths = rng.integers(T // 10, T + 1, B)

    def call(rows=slice(None), lengths=None):
        part, d_part = x[:, rows].copy(), d[:, rows].copy()
        if is_training:
            return lambda: lstm.backward(lstm.forward(part, lengths=lengths)[2], d_part)
        return lambda: lstm(part, lengths=lengths)

    active = (lengths > np.arange(T)[:, None]).sum(axis=1)  # rows at each step
    active = active[active > 0]
    counts = np.unique(active)  # at most twelve of them are timed, and the times between are interpolated
    counts = counts[np.linspace(0, len(counts) - 1, min(len(counts), 12)).astype(int)]
    times = time_calls([call(), call(lengths=lengths)] + [call(slice(n)) for n in counts], rounds)
    padded, ragged, dense = times[:, 0], times[:, 1], times[:, 2:]
    steps = np.array([np.interp(active, counts, row / T).sum() for row in dense])
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
