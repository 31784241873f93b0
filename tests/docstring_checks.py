"""Checks of a module's docstrings: every public name is documented in numpydoc form, and every example runs."""

import doctest
import importlib
import pkgutil

# numpydoc's rules that are not ours: the summary begins on the line of the quotes (GL01), extended summaries and "See
# Also" are optional (ES01, SA01), descriptions may begin with a lower-case name (PR08, RT04), summaries with a plural
# noun (SS05).
IGNORED = {"GL01", "ES01", "SA01", "PR08", "RT04", "SS05"}


def modules(package):
    """The names of a package and of all modules in it."""
    path = importlib.import_module(package).__path__
    return [package, *(f"{package}.{module.name}" for module in pkgutil.iter_modules(path))]


def check_examples(module):
    """Runs the examples in a module's docstrings."""
    results = doctest.testmod(importlib.import_module(module), verbose=False)
    assert not results.failed, f"{results.failed} of {results.attempted} examples failed"


def documented(package):
    """The public functions and classes of a package."""
    module = importlib.import_module(package)
    return [name for name in module.__all__ if callable(getattr(module, name))]


def check_docstring(name):
    """The docstring of a public function or class follows numpydoc and has an example."""
    from numpydoc.validate import validate

    result = validate(name)
    errors = [(code, message) for code, message in result["errors"] if code not in IGNORED]
    assert not errors, f"{name}: {errors}"
    assert ">>>" in result["docstring"], f"{name} has no example"
