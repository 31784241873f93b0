"""Validation of constructor arguments, options of calls, and sizes beyond the memory of the machine."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lstm_fast
from lstm_fast import LSTM, RNN, _arguments
from module_cases import make
from optional import light
from tolerances import assert_same_bits

T, B, I, H = 4, 2, 3, 5


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers"])
def test_sizes_must_be_positive_integers(name):
    for cls in (LSTM, RNN):
        for wrong in (0, -1, 1.5, 2.0, "3", None, True, np.nan, [3], 1j):
            with pytest.raises((ValueError, TypeError), match=f"^{name} must be a positive integer, got"):
                cls(**{"input_size": I, "hidden_size": H, name: wrong})


def test_largest_size_is_accepted():
    for most in (_arguments.LARGEST_SIZE, 10_000, 1):
        assert _arguments.positive_integer("size", most, most) == most
        with pytest.raises(ValueError, match=f"^size must be at most {most}, got {most + 1}"):
            _arguments.positive_integer("size", most + 1, most)
    assert LSTM(1, 1, 10_000).num_layers == 10_000
    with pytest.raises(ValueError, match="^num_layers must be at most 10000, got 10001"):
        LSTM(1, 1, 10_001)


@pytest.mark.parametrize(
    "name, wrong_values, message",
    [
        ("dropout", (-0.1, 1.1, np.nan, "0.5", None, True, [0.5]), "must be .*, got"),
        ("bias", (None, 1, "yes", 0.0), "must be True or False, got"),
        ("batch_first", (None, 1, "yes", 0.0), "must be True or False, got"),
        ("bidirectional", (None, 1, "yes", 0.0), "must be True or False, got"),
        ("dtype", (np.float16, int, complex, object, "nonsense", 3, [1]), "must be float32 or float64, got"),
        ("forget_bias", ("one", [1.0, 2.0], object(), 1j), "must be"),
        ("seed", (-1, "seed", 1.5), ""),
    ],
)
def test_invalid_option_raises(name, wrong_values, message):
    for wrong in wrong_values:
        with pytest.raises((ValueError, TypeError), match=f"{name} {message}" if message else name):
            LSTM(I, H, 2, **{name: wrong})


def test_invalid_call_and_rnn_options_raise():
    for wrong in ("sigmoid", None, "TANH", np.tanh):
        with pytest.raises((ValueError, TypeError), match="^nonlinearity must be tanh, relu or identity, got"):
            RNN(I, H, nonlinearity=wrong)
        with pytest.raises((ValueError, TypeError), match="^nonlinearity must be tanh, relu or identity, got"):
            lstm_fast.rnn_forward(np.ones((T, B, I)), None, np.ones((H, I)), np.ones((H, H)), None, None, wrong)
    with pytest.raises(TypeError):
        LSTM(I, H, 1, True)  # keyword-only after num_layers: PyTorch's order is easily confused
    with pytest.raises((TypeError, ValueError), match="^training must be"):
        LSTM(I, H).forward(np.ones((T, B, I)), training=1)


def test_largest_sizes_are_allowed():
    assert _arguments.positive_integer("n", 2**40) == 2**40 == _arguments.LARGEST_SIZE
    assert _arguments.positive_integer("n", 5, most=5) == 5
    with pytest.raises(ValueError, match=f"n must be at most {2**40}, got {2**40 + 1}"):
        _arguments.positive_integer("n", 2**40 + 1)
    assert LSTM(1, 1, 10_000).num_layers == 10_000
    with pytest.raises(ValueError, match="num_layers must be at most 10000, got 10001"):
        LSTM(1, 1, 10_001)


def test_num_threads_must_be_a_positive_integer():
    lstm, x = make("lstm", I, H), np.ones((T, B, I))
    *_, tape = lstm.forward(x)
    for wrong in (0, -1, 1.5, "2", True):
        for compute in (
            lambda n: lstm(x, num_threads=n),
            lambda n: lstm.forward(x, num_threads=n),
            lambda n: lstm.backward(tape, None, num_threads=n),
            lambda n: lstm.trace(x, num_threads=n),
        ):
            with pytest.raises((ValueError, TypeError), match="^num_threads must be a positive integer, got"):
                compute(wrong)
        with pytest.raises((ValueError, TypeError), match="must be a positive integer, got"):
            lstm_fast.set_num_threads(wrong)
        with pytest.raises((ValueError, TypeError), match="must be a positive integer, got"):
            lstm_fast.num_threads(wrong).__enter__()
    assert_same_bits(lstm(x, num_threads=10**6)[0], lstm(x)[0])


def assert_fails_cleanly(code):
    """Run code with at most 3 GB: it must raise MemoryError or ValueError and leave the library usable."""
    script = textwrap.dedent("""
        import resource, numpy as np, lstm_fast as lf
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        one = lf.LSTM(1, 1)
        try:
            CODE
        except (MemoryError, ValueError) as error:
            print(type(error).__name__, error)
        else:
            raise SystemExit("no error")
        assert one(np.ones((2, 3, 1)))[0].shape == (2, 3, 1)
    """).replace("CODE", code)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, f"{code}: {run.returncode}\n{run.stdout}{run.stderr[-2000:]}"


@pytest.mark.parametrize(
    "code",
    [
        "one(np.broadcast_to(np.float32(0), (70000, 40000, 1)))",
        "one.forward(np.broadcast_to(np.float32(0), (70000, 40000, 1)))",
        "one(np.broadcast_to(np.float32(0), (2**31, 2**31, 1)))",
        "lf.LSTM(2, 1)(np.broadcast_to(np.float32(0), (2**30, 2**30, 2)))",
        "lf.rnn_forward(np.broadcast_to(np.float32(0), (70000, 40000, 1)), None, [[1.0]], [[1.0]], None, None)",
        *(
            f"lf.{cls}({size}, {other})"
            for cls in light(("LSTM", "RNN", "LSTMCell"), ("LSTM",))
            for size, other in (
                (1, 2**31),
                (1, 2**40),
                (2**40, 1),
                (2**62, 1),
                (1, 2**62),
                (2**70, 1),
                (1, 2**70),
                (2**31, 2**31),
                (1, 2**16),
            )
        ),
    ],
    ids=lambda code: code.replace("np.broadcast_to(np.float32(0), ", ""),
)
def test_sizes_beyond_memory_raise(code):
    assert_fails_cleanly(code)
