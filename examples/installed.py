"""Data files of installed packages, found by path without importing the package."""

import importlib.util
from pathlib import Path


def folder(package):
    """Directory of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f'the data come with the package {package}: pip install "lstm_fast[examples]"')
    return Path(spec.origin).parent
