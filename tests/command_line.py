"""Runs the lstm-fast command in a separate process."""

import os
import subprocess
import sys

from scripts import patience

ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "error"}


def run(*arguments, python=("-m", "lstm_fast"), **options):
    """Run `lstm-fast ARGUMENTS`; return the finished process."""
    command, timeout = [sys.executable, *python, *arguments], patience(120)
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, **options)
