"""Scripts run in separate processes, so that a hang or a crash fails one test only."""

import os
import subprocess
import sys
import textwrap

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
    """The output of the script, which must succeed within the timeout."""
    process = start(script, **environment)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"not finished within {timeout} s: {process.communicate()}") from None
    assert process.returncode == 0, f"exit status {process.returncode}\n{output}\n{errors[-3000:]}"
    return output
