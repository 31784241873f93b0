"""The layers of the Python package: imports go up the maps in the docstrings, private names stay in their package."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import lstm_fast as lf

ROOT = Path(lf.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
# Packages with a map of all files, in one direction.
FOLDERS = {
    "lstm_fast": ROOT,
    **{f"lstm_fast.{name}": ROOT / name for name in PACKAGES},
    **{f"lstm_fast.train.{name}": ROOT / "train" / name for name in ("fleets", "ranks")},
}
# Lazy imports: the importing class is built from it, or each creates the other.
LATER = {("lstm_fast.train", "predictor", "streaming"), ("lstm_fast", "quantized", "modules")}


@cache
def parsed(path):
    return ast.parse(path.read_text(), str(path))


def entries(folder):
    """Modules and subpackages in the order of the map of a folder."""
    found = []
    for line in ast.get_docstring(parsed(folder / "__init__.py"), clean=False).splitlines():
        match = re.match(r" {4}((?:\w+(?:\.py|/) )*\w+(?:\.py|/)) {2,}\S", line)
        found += match[1].split() if match else []
    return [re.sub(r"(\.py|/)$", "", name) for name in found]


def modules(folder):
    """Modules and subpackages in a folder, and their files."""
    files = {path.stem: [path] for path in folder.glob("*.py") if path.stem != "__init__"}
    return files | {path.parent.name: sorted(path.parent.rglob("*.py")) for path in folder.glob("*/__init__.py")}


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(path, folder):
    """Names of the modules of a folder that a file imports, but for its annotations."""
    module = parsed(path)
    for_types = {inner for node in ast.walk(module) if is_for_types(node) for inner in ast.walk(node)}
    here, target = path.parent.relative_to(ROOT.parent).parts, folder.relative_to(ROOT.parent).parts
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.level and node not in for_types:
            base = (*here[: len(here) + 1 - node.level], *(node.module or "").split(".")[: None if node.module else 0])
            if base == target:
                names |= {alias.name for alias in node.names}
            elif base[: len(target)] == target:
                names.add(base[len(target)])
    return names


@pytest.mark.parametrize("name", FOLDERS)
def test_map_lists_every_module(name):
    folder = FOLDERS[name]
    assert sorted(entries(folder)) == sorted(modules(folder))


@pytest.mark.parametrize("name", FOLDERS)
def test_modules_import_only_those_above_them_in_the_map(name):
    folder = FOLDERS[name]
    order = entries(folder)
    for module, paths in modules(folder).items():
        for path in paths:
            others = (imported(path, folder) & set(order)) - {module}
            below = {other for other in others if order.index(other) > order.index(module)}
            below -= {other for other in below if (name, module, other) in LATER}
            assert not below, f"{path.relative_to(ROOT)} imports {below}"


@cache
def private_names(path):
    """Attributes and functions with a leading underscore that a file defines."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
    return {name for name in names if re.match(r"_[a-z]", name)}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_do_not_use_private_attributes_of_others(package):
    own_files = sorted((ROOT / package).rglob("*.py"))
    others = set(ROOT.rglob("*.py")) - set(own_files)
    foreign = set().union(*map(private_names, others)) - set().union(*map(private_names, own_files))
    for path in own_files:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and node.attr in foreign:
                owner = ast.unparse(node.value)
                # a class may use inherited names
                assert owner in ("self", "cls", "super()"), (
                    f"{path.relative_to(ROOT)}:{node.lineno} {owner}.{node.attr}"
                )


def test_only_the_extension_has_a_stub():
    assert {path.name for path in ROOT.rglob("*.pyi")} == {"_core.pyi"}


def test_only_the_layout_decides_on_batch_first():
    converts_nodes_of_a_graph = ROOT / "onnx" / "saving.py"
    for path in set(ROOT.rglob("*.py")) - {ROOT / "_layout.py", converts_nodes_of_a_graph}:
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.If, ast.IfExp)):
                for inner in ast.walk(node.test):
                    name = getattr(inner, "attr", getattr(inner, "id", ""))
                    assert name.strip("_") != "batch_first", f"{path.relative_to(ROOT)}:{inner.lineno}"
