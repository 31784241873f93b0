"""Types: mypy --strict passes on the package and on user code; the stub agrees with the extension."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_fast as lf
from optional import needs, require

ROOT = Path(lf.__file__).parent.parent
TESTS = Path(__file__).parent
CORE = "lstm_fast._core"


def mypy(*words):
    command = [sys.executable, "-P", "-m", *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)})
    assert run.returncode == 0, run.stdout + run.stderr


@needs("mypy")
@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the source tree, with its configuration")
def test_package_and_user_code_are_typed():
    mypy("mypy", "--no-incremental")  # the files that pyproject.toml names


def test_user_code_runs(tmp_path):
    require("safetensors")
    import typed_user_code

    typed_user_code.main(tmp_path)


@pytest.mark.parametrize("module", [lf, lf.train], ids=lambda module: module.__name__)
def test_user_code_uses_every_public_name(module):
    code = (TESTS / "typed_user_code.py").read_text()
    missing = [name for name in module.__all__ if not re.search(rf"\b{name}\b", code)]
    assert not missing


# stubtest reads whatever the package imports. Types of other libraries are checked above and take most of the time.
STUBTEST_CONFIG = """
[mypy]
[mypy-torch.*,onnx.*,onnxruntime.*,sklearn.*,keras.*,h5py.*,narwhals.*,matplotlib.*,pandas.*]
follow_imports = skip
[mypy-lstm_fast.*]
ignore_errors = true
"""


@needs("mypy")
def test_stub_agrees_with_the_extension(tmp_path):
    config, allowlist = tmp_path / "mypy.ini", TESTS / "stubtest_allowlist.txt"
    config.write_text(STUBTEST_CONFIG)
    mypy("mypy.stubtest", "--mypy-config-file", config, "--ignore-unused-allowlist", "--allowlist", allowlist, CORE)
