"""Docstrings: their examples run, and those of public names have numpydoc's form."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re

import pytest

import lstm_fast as lf

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = sorted(one.name for one in pkgutil.walk_packages(lf.__path__, "lstm_fast.", onerror=lambda name: None))

# numpydoc's checks: sections known and in order; a summary that is a sentence; every parameter, in order, with type and
# description; what is returned and yielded.
CHECKS = {
    *("GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10", "SS01", "SS02", "SS03", "SS04"),
    *("PR01", "PR02", "PR03", "PR04", "PR05", "PR07", "PR08", "PR09", "PR10", "RT01", "YD01", "SA02", "SA03", "SA04"),
}

# Users get these, but do not make them: arguments of their constructors are no part of the interface.
RESULTS = {"Tape", "Gradients", "Trace", "ModelGradients", "LSTMGradients", "RNNGradients", "History"}
OPTIONAL = {"sklearn": "sklearn", "onnx": "onnx", "keras": "h5py"}  # modules, and what they need
DOCUMENTED = [lf, lf.train, lf.datasets, lf.weights]
DOCUMENTED += [getattr(lf, name) for name, needed in OPTIONAL.items() if importlib.util.find_spec(needed)]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch, tmp_path):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    examples = [example.source for test in doctest.DocTestFinder().find(module) for example in test.examples]
    needed = {match[1] for source in examples if (match := re.match(r"(?:import|from) (\w+)", source))}
    if missing := [one for one in sorted(needed) if importlib.util.find_spec(one) is None]:
        pytest.skip(f"the examples need {', '.join(missing)}")
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
def test_public_docstring_is_numpydocs(name):
    validate = pytest.importorskip("numpydoc.validate")
    checks = CHECKS - {"PR01"} if name.rpartition(".")[2] in RESULTS else CHECKS
    errors = [error for error in validate.validate(name)["errors"] if error[0] in checks]
    assert not errors, f"{name}: {errors}"


@pytest.mark.parametrize("name", [f"{m.__name__}.{name}" for m in DOCUMENTED for name in names(m)])
def test_functions_and_classes_have_an_example_or_say_where_one_is(name):
    module, _, name = name.rpartition(".")
    doc = inspect.getdoc(getattr(importlib.import_module(module), name))
    assert ">>>" in doc or "See Also" in doc or name in RESULTS | {"FormatError", "Diverged"}
