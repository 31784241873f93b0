"""Scripts that run in processes of their own, so that a hang or a crash is a failure of one test."""

import os
import subprocess
import sys
import textwrap

# What every script begins with. `busy` is a call that several threads share.
PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
import lstm_fast as lf

def same(got, want):
    return got.tobytes() == want.tobytes()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
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
    """What the script prints; it must end well and in time."""
    process = start(script, **environment)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"no end within {timeout} s: {process.communicate()}") from None
    assert process.returncode == 0, f"exit status {process.returncode}\n{output}\n{errors[-3000:]}"
    return output
