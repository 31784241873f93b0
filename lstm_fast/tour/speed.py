"""Section 7: times of lstm_fast, of its NumPy definition and, if it is installed, of PyTorch on this machine.

Each library runs in its own process with the same number of threads, so that the waiting threads of one do not slow
down the others: python -m lstm_fast.tour.speed LIBRARY N_THREADS SECONDS prints the median times as JSON.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import lstm_fast as lf
from lstm_fast import reference

LIBRARIES = {"lstm_fast": "lstm_fast", "numpy": "NumPy", "torch": "PyTorch"}
Call: TypeAlias = Callable[[], Any]


class Case(NamedTuple):
    """Benchmark case: steps, batch, input size, hidden size; training includes the backward pass."""

    T: int
    B: int
    I: int
    H: int
    is_training: bool


CASES = [
    Case(1, 1, 64, 64, False),
    Case(100, 1, 64, 64, False),
    Case(100, 32, 64, 64, False),
    Case(100, 32, 64, 64, True),
]
SECONDS = 0.4  # duration of the repeated runs of each case
TIME_LIMIT_S = 120


# ---- in the process of one library -----------------------------------------------------------------------------------


def _data(T: int, B: int, I: int, H: int) -> tuple[Any, Any]:
    """Return x and d_output."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((T, B, I), np.float32), rng.standard_normal((T, B, H), np.float32)


def _lstm_fast_call(T: int, B: int, I: int, H: int, is_training: bool) -> Call:
    lstm, (x, d_output) = lf.LSTM(I, H, seed=0), _data(T, B, I, H)

    def train() -> None:
        _, _, tape = lstm.forward(x)
        lstm.backward(tape, d_output)

    return train if is_training else lambda: lstm(x)


def _numpy_call(T: int, B: int, I: int, H: int, is_training: bool) -> Call:
    (x, d_output), state = _data(T, B, I, H), np.zeros((B, H), np.float32)
    weight_ih, weight_hh, bias_ih, bias_hh = lf.LSTM(I, H, seed=0).parameters().values()

    def forward() -> reference.LSTMTape:
        return reference.lstm_forward(x, state, state, weight_ih, weight_hh, bias_ih, bias_hh)[-1]

    return (lambda: reference.lstm_backward(forward(), d_output)) if is_training else forward


def _torch_call(T: int, B: int, I: int, H: int, is_training: bool) -> Call:
    import torch

    lstm, (x, d_output) = torch.nn.LSTM(I, H), (torch.from_numpy(a) for a in _data(T, B, I, H))
    x.requires_grad_(is_training)

    def forward() -> None:
        with torch.inference_mode():
            lstm(x)

    def train() -> None:
        lstm.zero_grad()
        x.grad = None
        lstm(x)[0].backward(d_output)

    return train if is_training else forward


def _set_threads(library: str, n: int) -> None:
    lf.set_num_threads(n)
    if library == "torch":
        import torch

        torch.set_num_threads(n)


def _median_seconds(call: Call, seconds: float) -> float:
    """Return the median of at least three runs, after a warm-up."""
    end = perf_counter() + seconds / 4
    call()
    while perf_counter() < end:
        call()
    times: list[float] = []
    end = perf_counter() + seconds
    while len(times) < 3 or perf_counter() < end:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def _main(library: str, n_threads: str, seconds: str) -> None:
    _set_threads(library, int(n_threads))
    make_call = {"lstm_fast": _lstm_fast_call, "numpy": _numpy_call, "torch": _torch_call}[library]
    print(json.dumps([_median_seconds(make_call(*case), float(seconds)) for case in CASES]))


# ---- in the process of the tour --------------------------------------------------------------------------------------


def _environment(n_threads: int) -> dict[str, str]:
    """Return an environment in which children import this lstm_fast and every BLAS uses the same number of threads."""
    package_root = str(Path(lf.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(n_threads))
    return {**os.environ, **threads, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}


def measure(library: str, n_threads: int, seconds: float = SECONDS) -> list[float] | str:
    """Return the median seconds of each of CASES, or the reason why there are none."""
    if library == "torch" and importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed: its column is missing."
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
    times: list[float] = json.loads(child.stdout)
    return times


def _time_text(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us:.1f} us" if us < 100 else f"{us:.0f} us" if us < 10_000 else f"{us / 1000:.1f} ms"


def table(n_threads: int = 1, seconds: float = SECONDS) -> Iterator[str]:
    """Yield the lines of the speed table in float32. One thread is most informative: on a busy machine threads wait."""
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
    yield "Medians of repeated runs; x: time relative to lstm_fast."
    yield "Absolute times drift on a busy machine: compare within a row, not between days."


if __name__ == "__main__":
    _main(*sys.argv[1:])
