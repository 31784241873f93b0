"""Copies of the checkout contain its sources and no other files of the folder."""

import subprocess

from checkout import ROOT, copy_source, sources

FILES = ("setup.py", "README.md", "lstm_fast/__init__.py", "csrc/kernels/cell.h", "tests/data/bits.txt")
NEW = "lstm_fast/new.py"
OTHER = (
    "env/bin/python",
    "env/lib/python3/site-packages/numpy/setup.py",
    "my venv/pyvenv.cfg",
    "notes.txt",
    "build/a.o",
)


def tree(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_git_checkout_with_virtual_environments(tmp_path):
    root, to = tmp_path / "root", tmp_path / "to"
    tree(root, FILES)
    for words in (("init", "-q"), ("add", ".")):
        subprocess.run(["git", *words], cwd=root, check=True)
    tree(root, (NEW, *OTHER, "lstm_fast/__pycache__/a.pyc"))
    (root / ".gitignore").write_text("__pycache__/\n")
    (root / "README.md").unlink()
    copy_source(to, root)
    assert files(to) == {*FILES, NEW} - {"README.md"}


def test_unpacked_sdist_with_virtual_environments(tmp_path):
    root, to = tmp_path / "root", tmp_path / "to"
    tree(root, (*FILES, *OTHER))
    listed = "lstm_fast.egg-info/SOURCES.txt"
    tree(root, [listed])
    (root / listed).write_text("\n".join([*FILES, listed, "gone.py"]))
    copy_source(to, root)
    assert files(to) == {*FILES, listed}


def test_sources_of_this_checkout():
    names = {str(path) for path in sources()}
    assert {"setup.py", "pyproject.toml", "MANIFEST.in", "lstm_fast/_binding/_core.pyx", "tests/data/bits.txt"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))] and all(
        (ROOT / name).is_file() for name in names
    )
