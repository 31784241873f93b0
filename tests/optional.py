"""Optional packages: tests that need a missing package are skipped, with the reason.

The light suite (`.[test]`) has no deep-learning framework; `.[test-all]` has everything. With LSTM_FAST_TEST_ALL=1, as
in .ci/run, a missing package is an error, so that nothing is skipped unnoticed.

Modules of tests/ that import a missing package at their top are skipped as a whole. Packages used by single tests are
declared there: `needs(...)` is a mark, `require(...)` imports.
"""

import ast
import importlib
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

# Public subpackages of lstm_fast and the package that each needs.
NEEDS = {"sklearn": "sklearn", "plot": "matplotlib", "torch": "torch", "onnx": "onnx", "keras": "h5py", "dask": "dask"}

TESTS = Path(__file__).resolve().parent
MUST_HAVE_ALL = bool(os.environ.get("LSTM_FAST_TEST_ALL"))

# Mark for slow tests, which the light suite skips.
heavy = pytest.mark.skipif(not MUST_HAVE_ALL, reason="takes long: set LSTM_FAST_TEST_ALL=1")


def light(every, few):
    """Values of a parameter: all of them or, in the light suite, a few."""
    few = list(few)
    assert all(value in every for value in few)
    return list(every) if MUST_HAVE_ALL else few


def missing(names):
    """Return the top-level packages that are not installed; an empty list if all are required."""
    return [] if MUST_HAVE_ALL else sorted(name for name in names if not is_installed(name))


def is_installed(name):
    """Whether a package is installed: not a folder of the checkout, such as build/, taken for a namespace package."""
    spec = find_spec(name)
    folders = [] if spec is None or spec.origin else spec.submodule_search_locations or []
    return spec is not None and not any(Path(folder) == TESTS.parent / name for folder in folders)


def reason(names):
    return f'needs {", ".join(names)}: pip install -e ".[test-all]"'


def needs(*names):
    """Mark for tests, or parameters, that need packages."""
    absent = missing(names)
    return pytest.mark.skipif(bool(absent), reason=reason(absent))


def require(name):
    """Import and return a module; skip the calling test if its package is missing."""
    if absent := missing([name.partition(".")[0]]):
        pytest.skip(reason(absent), allow_module_level=True)
    return importlib.import_module(name)


@cache
def imported(path):
    """Top-level packages that a module of tests/ imports when it is imported, helpers of tests/ included."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    for name in list(names):
        helper = TESTS / f"{name}.py"
        if helper.exists() and helper != path:
            names |= imported(helper)
    return names


class SkippedModule(pytest.Module):
    """A test module that cannot be imported here."""

    def collect(self):
        pytest.skip(reason(missing(imported(self.path))), allow_module_level=True)


def make_module(module_path, parent):
    """The hook pytest_pycollect_makemodule: None leaves the module to pytest."""
    return SkippedModule.from_parent(parent, path=module_path) if missing(imported(module_path)) else None
