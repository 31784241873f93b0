"""The type stubs say what the modules are: checked by mypy's stubtest."""

import os
import subprocess
import sys
from pathlib import Path

import lstm_fast


def test_stubs_agree_with_the_modules():
    allowlist = Path(__file__).with_name("stubtest_allowlist.txt")
    environment = {**os.environ, "MYPYPATH": str(Path(lstm_fast.__file__).parent.parent)}
    modules = [
        "lstm_fast._core",
        "lstm_fast.modules",
        "lstm_fast.functional",
        "lstm_fast.streaming",
        "lstm_fast.quantized",
        "lstm_fast._recurrent",
        "lstm_fast._parameters",
    ]
    run = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "mypy.stubtest",
            "--ignore-unused-allowlist",
            "--allowlist",
            str(allowlist),
            *modules,
        ],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stdout + run.stderr
