"""Properties that make calls cheap: memory, packing, parallel regions. Timings are never asserted."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import lstm_fast
from lstm_fast import _core

CSRC = Path(__file__).resolve().parent.parent / "csrc"
PADDING = 1 << 16  # blocks begin on cache lines, objects have headers


@pytest.fixture(autouse=True)
def no_spare_workspace():
    _core.testing.spare_workspaces.clear()


def peak(function):
    """Return (result, peak memory in bytes that NumPy allocated for the call)."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = function()
        return result, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_weights_are_packed_once_for_forward_and_once_for_backward():
    lstm, x = lstm_fast.LSTM(300, 300), np.zeros((1, 1, 300), np.float32)
    packed = 4 * 300 * 600 * 4
    _, first = peak(lambda: lstm.backward(lstm.forward(x)[2], x))
    assert first > packed, "the first backward packs"
    gradients = lstm.flat_parameters.nbytes
    _, second = peak(lambda: lstm.backward(lstm.forward(x)[2], x))
    assert second < 2 * gradients + PADDING, "later ones make gradients and their packed sums"
    _, call = peak(lambda: lstm(x))
    assert call < PADDING


@pytest.mark.parametrize(
    "options, per_step",
    [
        (dict(), 0),
        (dict(num_layers=3), 0),
        (dict(bidirectional=True), 0),
        (dict(num_layers=2, bidirectional=True), 2 * 2 * 40),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_ragged", [False, True])
def test_inference_memory_does_not_grow_with_steps(options, per_step, is_ragged):
    """Except between bidirectional layers, since the reverse direction starts at the end of the sequence."""
    lstm = lstm_fast.LSTM(3, 40, **options)

    def beyond_output(T):
        x = np.zeros((T, 2, 3), np.float32)
        lengths = [T - 1, T] if is_ragged else None
        _core.testing.spare_workspaces.clear()
        (output, _), most = peak(lambda: lstm(x, lengths=lengths))
        return most - output.nbytes

    growth = beyond_output(4000) - beyond_output(2000)
    assert growth <= 2000 * 2 * per_step * 4 + PADDING


@pytest.mark.parametrize(
    "options, layers", [(dict(), 1), (dict(num_layers=3), 3), (dict(bidirectional=True), 2)], ids=str
)
def test_training_stores_six_values_per_unit_and_step(options, layers):
    T, B, H = 500, 8, 64
    lstm, x = lstm_fast.LSTM(16, H, **options), np.zeros((T, B, 16), np.float32)
    tape = lstm.forward(x)[2]
    assert tape.nbytes <= 6 * H * T * B * 4 * layers + 4 * H * B * 4 * layers + PADDING
    lstm.backward(tape, None)

    def step():
        output, _, tape = lstm.forward(x)
        return lstm.backward(tape, output)

    gradients, most = peak(step)
    outputs = T * B * H * (layers if "bidirectional" in options else 1) * 4 + gradients.d_x.nbytes
    assert most - outputs - tape.nbytes < 8 * gradients.flat.nbytes + (8 << 20), (
        "chunks, which do not grow with the steps"
    )


def test_call_has_one_parallel_region():
    """There is one in the whole core, and each entry point goes there once."""
    sources = {path.relative_to(CSRC).as_posix(): path.read_text() for path in CSRC.rglob("*.[ch]")}
    regions = {name: len(re.findall(r"#\s*pragma omp parallel", text)) for name, text in sources.items()}
    assert {name for name, n in regions.items() if n} == {"threads.c"} and regions["threads.c"] == 1
    for name, function in (("loops/forward.h", "forward"), ("loops/backward.h", "backward")):
        body = re.search(rf"\nstatic enum lstm_status {function}\(.*?\n}}\n", sources[name], re.DOTALL).group()
        assert body.count("lstm_parallel(") == sources[name].count("lstm_parallel(") == 1
