"""Runs the lstm-fast command in a separate process."""

import os
import subprocess
import sys

ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "error"}


def run(*arguments, python=("-m", "lstm_fast"), **options):
    """Run `lstm-fast ARGUMENTS`; return the finished process."""
    return subprocess.run(
        [sys.executable, *python, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, **options
    )
