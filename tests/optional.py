"""Optional packages: test modules that import one which is not installed are skipped, with the reason.

The light suite (`.[test]`) has no deep-learning framework; `.[test-all]` has everything. With LSTM_FAST_TEST_ALL=1, as
in .ci/run, a missing package is an error, so that nothing is left out unnoticed.
"""

import ast
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


@cache
def imported(path):
    """Top-level packages that a module of tests/ imports when it is imported, helpers of tests/ included."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    for name in list(names):
        helper = TESTS / f"{name}.py"
        if helper.exists() and helper != path:
            names |= imported(helper)
    return names


def missing(path):
    return sorted(name for name in imported(path) if find_spec(name) is None)


class SkippedModule(pytest.Module):
    """A test module that cannot be imported here."""

    def collect(self):
        names = ", ".join(missing(self.path))
        pytest.skip(f'needs {names}: pip install -e ".[test-all]"', allow_module_level=True)


def make_module(module_path, parent):
    """The hook pytest_pycollect_makemodule: None leaves the module to pytest."""
    if os.environ.get("LSTM_FAST_TEST_ALL") or not missing(module_path):
        return None
    return SkippedModule.from_parent(parent, path=module_path)
