"""Two threads compared with one, on an idle machine and while other processes keep processors busy:

    python benchmarks/threads.py [--neighbors 0 1 2] [--repetitions 10] [--only forward]

A row is a shape. For each number of busy processes it has the speedup of two threads over one: the median of the
repetitions, with minimum and maximum in parentheses. Repetitions of both alternate, so that other load on the machine
affects both."""

import argparse
import os
import subprocess
import sys
import time

import numpy as np

import lstm_fast as lf

# kind, T, B, H, other options of the layer
ROWS = [
    ("forward", 100, 1, 64, dict(num_layers=2)),
    ("forward", 100, 1, 128, dict(num_layers=2)),
    ("forward", 100, 1, 128, dict(bidirectional=True)),
    ("forward", 100, 1, 128, {}),
    ("forward", 100, 1, 192, {}),
    ("forward", 100, 1, 256, {}),
    ("forward", 100, 1, 320, {}),
    ("forward", 100, 1, 512, {}),
    ("forward", 20, 1, 1024, {}),
    ("forward", 100, 16, 64, {}),
    ("forward", 100, 32, 64, {}),
    ("forward", 50, 32, 256, {}),
    ("forward", 20, 32, 512, {}),
    ("forward", 10, 64, 1024, {}),
    ("training", 50, 32, 64, {}),
    ("training", 20, 32, 256, {}),
    ("training", 100, 1, 64, dict(num_layers=2)),
    ("training", 100, 1, 128, dict(num_layers=2)),
    ("training", 100, 1, 128, dict(bidirectional=True)),
    ("step", 1, 1, 256, {}),
    ("step", 1, 1, 512, {}),
    ("step", 1, 1, 1024, {}),
]


def make_call(kind, T, B, H, options):
    lstm = lf.LSTM(H, H, seed=0, **options)
    x = np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32)
    if kind == "forward":
        return lambda: lstm(x)
    if kind == "step":
        stream, row = lstm.stream(B), np.ascontiguousarray(x[0])
        return lambda: stream.step(row)

    def train():
        output, _, tape = lstm.forward(x)
        lstm.backward(tape, output)

    return train


def seconds(call, n_threads, n_calls):
    with lf.num_threads(n_threads):
        begin = time.perf_counter()
        for _ in range(n_calls):
            call()
        return (time.perf_counter() - begin) / n_calls


def measure(call, repetitions, seconds_each=0.04):
    """(median microseconds on one thread, speedups of two)."""
    for n in (1, 2):
        seconds(call, n, 2)
    n_calls = max(1, int(seconds_each / seconds(call, 1, 2)))
    times = [(seconds(call, 1, n_calls), seconds(call, 2, n_calls)) for _ in range(repetitions)]
    return 1e6 * float(np.median([one for one, _ in times])), [one / two for one, two in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neighbors", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--only", choices=["forward", "training", "step"])
    arguments = parser.parse_args()
    info = lf.info()
    print(f"{info['isa']}, {info['threads']}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n")
    titles = [f"{n} neighbor{'s' if n != 1 else ''}" for n in arguments.neighbors]
    print(f"| T, B, H | | one thread | {' | '.join(titles)} |\n|---|---|---{'|---' * len(titles)}|")
    for kind, T, B, H, options in ROWS:
        if arguments.only not in (None, kind):
            continue
        call, cells, one = make_call(kind, T, B, H, options), [], None
        for n in arguments.neighbors:
            busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
            try:
                time.sleep(0.2 if n else 0)
                alone, ratios = measure(call, arguments.repetitions)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            one = one or alone
            cells.append(f"{np.median(ratios):.2f} x ({min(ratios):.2f}-{max(ratios):.2f})")
        name = ", ".join([kind, *(f"{key}={value}" for key, value in options.items())])
        print(f"| {T}, {B}, {H} | {name} | {one:.0f} us | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
