"""Scripts run in separate processes, so that a hang or a crash fails one test only."""

import os
import subprocess
import sys
import textwrap


def patience(seconds):
    """A time limit on a machine that has other work, or that is emulated (LSTM_FAST_TEST_PATIENCE)."""
    load = os.getloadavg()[0] / os.cpu_count() if hasattr(os, "getloadavg") else 1
    return seconds * max(1, load) * float(os.environ.get("LSTM_FAST_TEST_PATIENCE", 1))


# The beginning of every script. `busy` is a call that uses several threads.
PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
import lstm_fast as lf

def same(got, want):
    return got.tobytes() == want.tobytes()

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by default in a shell's background jobs
rng = np.random.default_rng(0)
lstm = lf.LSTM(16, 65, bidirectional=True, seed=0)
x = rng.standard_normal((40, 33, 16)).astype(np.float32)
def busy(n=2):
    output, _, tape = lstm.forward(x, num_threads=n)
    return np.concatenate([output.ravel(), lstm.backward(tape, output, num_threads=n).flat])
"""


def start(script, **environment):
    command = [sys.executable, "-u", "-c", PRELUDE + textwrap.dedent(script)]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment
    )


def run(script, timeout=60, **environment):
    """The output of the script, which must succeed within the timeout, or longer if the machine has other work."""
    process, timeout = start(script, **environment), patience(timeout)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"not finished within {timeout:.0f} s: {process.communicate()}") from None
    assert process.returncode == 0, f"exit status {process.returncode}\n{output}\n{errors[-3000:]}"
    return output


def long_call(mode, n_threads=1, hidden_size=512, options=None, duration=1.0):
    """Script that defines `long`, a call of about `duration` seconds here, `short`, and its result `want`."""
    return (
        f"mode, n, H, options, duration = {mode!r}, {n_threads}, {hidden_size}, {options or {}}, {duration}"
        + """
lstm = lf.LSTM(1, H, seed=0, **options)
def call(T):
    x = np.broadcast_to(np.float32(1), (T, 8, 1))
    if mode == "inference":
        return lambda: lstm(x, num_threads=n)[0]
    if mode == "training":
        return lambda: lstm.forward(x, num_threads=n)[0]
    output, _, tape = lstm.forward(x)
    return lambda: lstm.backward(tape, output, num_threads=n).flat
def seconds(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin
call(20)()
T = max(40, int(duration * 200 / seconds(call(200))))
short, long = call(10), call(T)
want = short() if mode != "training" or not lstm.dropout else None
"""
    )
