"""The pages of the documentation site: their code runs, every public name has its entry, the site builds."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_fast as lf
from optional import heavy, missing, needs

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PACKAGES = {"sklearn": "sklearn", "plot": "matplotlib", "torch": "torch", "onnx": "onnx", "keras": "h5py"}
ELSEWHERE = {"explain.md"}  # test_explain.py runs its code

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the source tree")


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def packages(code):
    """The packages that a page uses, besides NumPy."""
    imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) - {"numpy", "lstm_fast"}
    return imported | {PACKAGES[name] for name in re.findall(r"\blf\.(\w+)", code) if name in PACKAGES}


PAGES = [path.name for path in sorted(DOCS.glob("*.md")) if path.name not in ELSEWHERE and blocks(path.name)]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
def test_code_runs(page, tmp_path, monkeypatch):
    """In order and in one namespace; without a package that is missing, the blocks before the first that uses it."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks(page)):
        if absent := missing(packages(block)):
            pytest.skip(f"the code from block {number + 1} on needs {', '.join(absent)}")
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in lf._SUBMODULES)])
def test_reference_has_every_public_name(module):
    page = DOCS / "reference" / f"{module[1:] or 'lstm_fast'}.rst"
    listed = re.findall(r"^   (\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if module[1:] in PACKAGES and missing([PACKAGES[module[1:]]]):
        pytest.skip(f"needs {PACKAGES[module[1:]]}")
    assert sorted(listed) == sorted(importlib.import_module("lstm_fast" + module).__all__)


@heavy
@needs("sphinx", "myst_parser", "numpydoc", "furo", "sphinx_copybutton", "torch", "onnx", "h5py", "sklearn")
def test_site_builds_without_warnings(tmp_path):
    """Broken links within the site are warnings, and warnings are errors."""
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", "html", str(DOCS), str(tmp_path / "html")]
    subprocess.run([*command, "-d", str(tmp_path / "doctrees")], check=True, cwd=ROOT)
    for page in (tmp_path / "html").rglob("*.html"):
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', page.read_text(encoding="utf-8")), page
