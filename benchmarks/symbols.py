"""Symbols: index_input compared with one-hot vectors in lstm_fast and (if installed) PyTorch; one thread.

    python benchmarks/symbols.py [--symbols 256] [--hidden 128] [--steps 100] [--batch 1]

Median times of a call, of a training step (forward and backward) and of one step of a stream. "and vectors" includes
making the one-hot vectors, as a program with symbols would.
"""

import argparse
import contextlib
import time

import numpy as np

import lstm_fast as lf


def median(function, seconds=1.0):
    """Median time of a call, in microseconds."""
    function()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(times))


def train(lstm, x, d_output):
    lstm.backward(lstm.forward(x)[2], d_output, compute_d_x=False)


def ours(n, H, x):
    """Times of (call, training, step) by row of the table."""
    T, B = x.shape
    eye, d_output = np.eye(n, dtype=np.float32), np.ones((T, B, H), np.float32)
    symbols, vectors = lf.LSTM(n, H, seed=0, index_input=True), lf.LSTM(n, H, seed=0)
    ones, first = eye[x], x[0] if B > 1 else int(x[0, 0])
    of_symbols, of_vectors, step = symbols.stream(B), vectors.stream(B), ones[0] if B > 1 else ones[0, 0]
    assert (symbols(x)[0] == vectors(ones)[0]).all()
    return {
        "one-hot vectors": (
            median(lambda: vectors(ones)),
            median(lambda: train(vectors, ones, d_output)),
            median(lambda: of_vectors.step(step)),
        ),
        "and vectors": (
            median(lambda: vectors(eye[x])),
            median(lambda: train(vectors, eye[x], d_output)),
            median(lambda: of_vectors.step(eye[first])),
        ),
        "index_input": (
            median(lambda: symbols(x)),
            median(lambda: train(symbols, x, d_output)),
            median(lambda: of_symbols.step(first)),
        ),
    }


def pytorch(n, H, x):
    """The same for torch.nn.LSTM on one-hot vectors, which each call creates."""
    import torch

    torch.set_num_threads(1)
    lstm, x = torch.nn.LSTM(n, H), torch.from_numpy(x)

    def vectors(x):
        return torch.nn.functional.one_hot(x, n).float()

    def training():
        lstm.zero_grad()
        lstm(vectors(x))[0].sum().backward()

    with torch.no_grad():
        call = median(lambda: lstm(vectors(x)))
        step = median(lambda: lstm(vectors(x[:1])))
    return call, median(training), step


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("symbols", 256), ("hidden", 128), ("steps", 100), ("batch", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args(words)
    lf.set_num_threads(1)
    x = np.random.default_rng(0).integers(a.symbols, size=(a.steps, a.batch))
    table = ours(a.symbols, a.hidden, x)
    with contextlib.suppress(ImportError):
        table["PyTorch, and vectors"] = pytorch(a.symbols, a.hidden, x)
    print(
        f"{a.symbols} symbols, H = {a.hidden}, T = {a.steps}, B = {a.batch}, {lf.info()['isa']}; us (and times faster)"
    )
    for name, times in table.items():
        cells = [f"{t:9.1f} ({t / own:.2f} x)" for t, own in zip(times, table["index_input"])]
        print(f"{name:22}" + "".join(f"{word}{cell}  " for word, cell in zip(("call", "training", "step"), cells)))


if __name__ == "__main__":
    main()
