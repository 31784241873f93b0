"""The docstrings of the bridges to files and formats: numpydoc form, examples that run."""

from importlib.util import find_spec

import pytest

from docstring_checks import check_docstring, check_examples, documented, modules

MODULES = {
    "lstm_fast.weights": "safetensors torch",
    "lstm_fast.keras": "keras h5py",
    "lstm_fast.onnx": "onnx onnxruntime",
}


def all_modules(package):
    """Modules with examples; what lstm_fast.onnx has of networks is in lstm_fast.modules.reverse."""
    if package == "lstm_fast.weights":
        return [package]
    return [*modules(package), *(["lstm_fast.modules.reverse"] if package == "lstm_fast.onnx" else [])]


def cases(names):
    """(what names gives of each package, the package) for those packages whose dependencies are installed."""
    found = []
    for package, needed in MODULES.items():
        if all(find_spec(name) for name in needed.split()):
            found += [(name, package) for name in names(package)]
    return found


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("module, package", cases(all_modules))
def test_examples_run(module, package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    check_examples(module)


@pytest.mark.filterwarnings("ignore")  # numpydoc's own
@pytest.mark.parametrize("name, package", cases(documented))
def test_public_name_is_documented(name, package):
    pytest.importorskip("numpydoc")
    check_docstring(f"{package}.{name}")
