"""The lstm-fast command: arguments, exit codes, Ctrl-C and closed pipes."""

import signal
import subprocess
import sys

import pytest

import lstm_fast as lf
from command_line import ENVIRONMENT, run
from optional import require


def test_version():
    assert run("--version").stdout == f"lstm-fast {lf.__version__}\n"


def test_info_prints_every_entry():
    printed = dict(line.split(": ", 1) for line in run("info").stdout.splitlines())
    assert list(printed) == list(lf.info())
    assert (printed["version"], printed["isa"]) == (lf.__version__, lf.info()["isa"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seed", "-1"], "must be at least 0, got -1"),
        (["--seed", "x"], "invalid integer value: 'x'"),
        (["bench", "--num-threads", "0"], "must be at least 1, got 0"),
        (["detour"], "invalid choice: 'detour'"),
    ],
)
def test_error_on_stderr_names_the_invalid_argument(arguments, message):
    process = run(*arguments)
    assert process.returncode == 2 and message in process.stderr and not process.stdout


def test_unwritable_folder_prints_one_line(tmp_path):
    require("matplotlib")
    (tmp_path / "taken").write_text("a file, not a folder")
    process = run("tour", "--out", str(tmp_path / "taken"))
    assert process.returncode == 1 and "taken" in process.stderr
    assert "Traceback" not in process.stderr and not process.stdout


def start_tour():
    """The process and the first line of its output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_fast", "--no-pictures"],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return process, process.stdout.readline()


def test_ctrl_c_prints_one_line():
    process, first = start_tour()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert first.startswith("lstm_fast ")
    assert process.returncode == 130
    assert errors.endswith("\nInterrupted.\n") and "Traceback" not in errors


def test_closed_pipe_prints_nothing():
    process, _ = start_tour()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert "Error" not in errors and "Traceback" not in errors


def test_library_does_not_import_the_tour():
    code = "import lstm_fast, sys; print([m for m in sys.modules if 'tour' in m or m in ('matplotlib', 'tqdm')])"
    assert run(python=("-c", code)).stdout == "[]\n"
