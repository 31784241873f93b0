"""Section 7: this machine's times of lstm_fast, of its NumPy definition and, where it is installed, of PyTorch.

Each library runs in a process of its own, told the same number of threads, so that the waiting threads of one do not
slow the others: python -m lstm_fast.tour.speed LIBRARY N_THREADS SECONDS prints the median times as JSON.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

import lstm_fast as lf

LIBRARIES = {"lstm_fast": "lstm_fast", "numpy": "NumPy", "torch": "PyTorch"}
CASES = [  # T, B, I, H, is it training
    (1, 1, 64, 64, False),
    (100, 1, 64, 64, False),
    (100, 32, 64, 64, False),
    (100, 32, 64, 64, True),
]
SECONDS = 0.4  # of repeated runs, for each case
TIME_LIMIT_S = 120


# ---- in the process of one library --------------------------------------------------------------------------------


def _data(T, B, I, H):
    """x and d_output."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in ((T, B, I), (T, B, H))]


def _lstm_fast_call(T, B, I, H, is_training):
    lstm, (x, d_output) = lf.LSTM(I, H, seed=0), _data(T, B, I, H)

    def train():
        _, _, tape = lstm.forward(x)
        lstm.backward(tape, d_output)

    return train if is_training else lambda: lstm(x)


def _numpy_call(T, B, I, H, is_training):
    (x, d_output), state = _data(T, B, I, H), np.zeros((B, H), np.float32)
    weights = lf.LSTM(I, H, seed=0).parameters().values()

    def forward():
        return lf.reference.lstm_forward(x, state, state, *weights)

    return (lambda: lf.reference.lstm_backward(forward()[-1], d_output)) if is_training else forward


def _torch_call(T, B, I, H, is_training):
    import torch

    lstm, (x, d_output) = torch.nn.LSTM(I, H), (torch.from_numpy(a) for a in _data(T, B, I, H))
    x.requires_grad_(is_training)

    def forward():
        with torch.inference_mode():
            lstm(x)

    def train():
        lstm.zero_grad()
        x.grad = None
        lstm(x)[0].backward(d_output)

    return train if is_training else forward


def _set_threads(library, n):
    lf.set_num_threads(n)
    if library == "torch":
        import torch

        torch.set_num_threads(n)


def _median_seconds(call, seconds):
    """Median of at least three runs, after a few to warm up."""
    end = perf_counter() + seconds / 4
    call()
    while perf_counter() < end:
        call()
    times, end = [], perf_counter() + seconds
    while len(times) < 3 or perf_counter() < end:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def _main(library, n_threads, seconds):
    _set_threads(library, int(n_threads))
    make_call = {"lstm_fast": _lstm_fast_call, "numpy": _numpy_call, "torch": _torch_call}[library]
    print(json.dumps([_median_seconds(make_call(*case), float(seconds)) for case in CASES]))


# ---- in the process of the tour -----------------------------------------------------------------------------------


def _environment(n_threads):
    """The children import the same lstm_fast, wherever they start, and each BLAS gets the same number of threads."""
    package_root = str(Path(lf.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(n_threads))
    return {**os.environ, **threads, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}


def measure(library, n_threads, seconds=SECONDS):
    """Median seconds of each of CASES, or a line that says why there are none."""
    if library == "torch" and importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed, so its column is missing."
    command = [sys.executable, "-P", "-m", __name__, library, str(n_threads), str(seconds)]
    try:
        child = subprocess.run(
            command, env=_environment(n_threads), capture_output=True, text=True, timeout=TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"{LIBRARIES[library]} took more than {TIME_LIMIT_S} seconds and was stopped."
    if child.returncode:
        reason = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        return f"{LIBRARIES[library]} could not be measured: {reason[-1]}"
    return json.loads(child.stdout)


def _time_text(seconds):
    us = seconds * 1e6
    return f"{us:.1f} us" if us < 100 else f"{us:.0f} us" if us < 10_000 else f"{us / 1000:.1f} ms"


def table(n_threads=1, seconds=SECONDS):
    """Yields the lines of the speed table, float32. One thread says most: more of them wait on a busy machine."""
    measured = {library: measure(library, n_threads, seconds) for library in LIBRARIES}
    columns = {library: times for library, times in measured.items() if not isinstance(times, str)}
    own = columns.get("lstm_fast")
    threads = "1 thread" if n_threads == 1 else f"up to {n_threads} threads"
    yield f"float32, {threads}, instruction set {lf.info()['isa']}; T steps, B batch, I input, H hidden"
    yield f"  T   B   I   H{'':10}" + "".join(
        f"{LIBRARIES[library]:>{11 if library == 'lstm_fast' else 18}}" for library in columns
    )
    for k, (T, B, I, H, is_training) in enumerate(CASES):
        cells = []
        for library, times in columns.items():
            ratio = f" {times[k] / own[k]:5.1f}x" if own and library != "lstm_fast" else ""
            cells.append(f"{_time_text(times[k]):>11}{ratio}")
        yield f"{T:3}{B:4}{I:4}{H:4}  {'training' if is_training else 'forward':8}" + "".join(cells)
    yield from (reason for reason in measured.values() if isinstance(reason, str))
    yield "Medians of repeated runs; x: times as long as lstm_fast."
    yield "Absolute times on a busy machine drift: compare within a row, not between days."


if __name__ == "__main__":
    _main(*sys.argv[1:])
