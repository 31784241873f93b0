"""Docstrings: examples run, and public names have numpydoc sections."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import lstm_fast as lf
from optional import MUST_HAVE_ALL, NEEDS, missing, require

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = sorted(one.name for one in pkgutil.walk_packages(lf.__path__, "lstm_fast.", onerror=lambda name: None))

# numpydoc's rules that are not ours: the summary begins on the line of the quotes (GL01); extended summaries, "See
# Also" and, for methods, examples are optional (ES01, SA01, EX01); descriptions may begin with a lower-case name (PR08,
# RT04), summaries with a plural noun (SS05), a named return value with its name (RT02).
IGNORED = {"GL01", "ES01", "SA01", "EX01", "PR08", "RT04", "SS05", "RT02"}

# Users receive these but do not create them: their constructors are not public.
RESULTS = {
    "Tape",
    "FleetTape",
    "Gradients",
    "Trace",
    "ModelGradients",
    "NetworkInput",
    "LSTMGradients",
    "RNNGradients",
    "History",
}
DOCUMENTED = [lf, lf.train, lf.datasets, lf.weights, lf.reference, lf.explain]
DOCUMENTED += [getattr(lf, name) for name, package in NEEDS.items() if not missing([package])]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch, tmp_path):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if MUST_HAVE_ALL:
            raise
        pytest.skip(str(error))
    examples = [example.source for test in doctest.DocTestFinder().find(module) for example in test.examples]
    needed = {match[1] for source in examples if (match := re.match(r"(?:import|from) (\w+)", source))}
    needed |= {NEEDS[part] for source in examples for part in re.findall(r"\blf\.(\w+)", source) if part in NEEDS}
    for package in sorted(needed):
        require(package)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(module, optionflags=FLAGS)
    assert not result.failed


def names(module):
    """Names of the functions and classes that a module exports."""
    return [name for name in module.__all__ if callable(getattr(module, name))]


def public(module):
    """Full names of those, and of the public methods and properties of the classes."""
    for name in names(module):
        thing = getattr(module, name)
        yield f"{module.__name__}.{name}"
        if not inspect.isclass(thing) or issubclass(thing, (BaseException, tuple)):
            continue
        for member in sorted(dir(thing)):
            is_ours = any(member in vars(base) and base.__module__.startswith("lstm_fast") for base in thing.__mro__)
            defined = inspect.getattr_static(thing, member)
            is_documented = inspect.isroutine(defined) or inspect.isdatadescriptor(defined)
            if is_ours and is_documented and (member == "__call__" or not member.startswith("_")):
                yield f"{module.__name__}.{name}.{member}"


@pytest.mark.parametrize("name", [name for module in DOCUMENTED for name in public(module)])
@pytest.mark.filterwarnings("ignore")  # numpydoc's own
def test_public_docstring_passes_numpydoc_validation(name):
    ignored = IGNORED | {"PR01"} if name.rpartition(".")[2] in RESULTS else IGNORED
    errors = [error for error in require("numpydoc.validate").validate(name)["errors"] if error[0] not in ignored]
    assert not errors, f"{name}: {errors}"


@pytest.mark.parametrize("name", [f"{m.__name__}.{name}" for m in DOCUMENTED for name in names(m)])
def test_functions_and_classes_have_or_reference_an_example(name):
    module, _, name = name.rpartition(".")
    doc = inspect.getdoc(getattr(importlib.import_module(module), name))
    assert ">>>" in doc or "See Also" in doc or name in RESULTS | {"FormatError", "Diverged"}
