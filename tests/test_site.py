"""The pages of the documentation site: their code runs, every public name has its entry, the site builds."""

import html
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_fast as lf
from chromium import Browser, needs_browser
from once import once_per_run
from optional import NEEDS, heavy, missing, needs

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
ELSEWHERE = {"explain.md"}  # test_explain.py runs its code

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the source tree")


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def packages(code):
    """The packages that a page uses, besides NumPy."""
    imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) - {"numpy", "lstm_fast"}
    return imported | {NEEDS[name] for name in re.findall(r"\blf\.(\w+)", code) if name in NEEDS}


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
        for name, digits in re.findall(r"^(\w+) = .*  # (-?\d+\.\d+)$", block, re.MULTILINE):
            assert f"{names[name]:.{len(digits.partition('.')[2])}f}" == digits, name


def test_front_page_prints_the_stated_value(capsys):
    exec(compile(blocks("index.md")[0], "index.md", "exec"), {})
    printed = float(capsys.readouterr().out)
    assert f"prints {printed:.3f}," in (DOCS / "index.md").read_text(encoding="utf-8")


def test_import_graph_picture_matches_the_sources(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    imports = importlib.import_module("imports")
    data = imports.PICTURE.read_bytes()
    start = data.index(b"tEXtDescription\0")
    length = int.from_bytes(data[start - 4 : start], "big")
    assert json.loads(data[start + 16 : start + 4 + length]) == imports.graph()


def broken_links(site):
    """Links and sources of built pages that lead to no file, to no anchor, or, if a page needs them, off the site."""
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    for path, text in texts.items():
        for tag, kind, link in re.findall(r'<(\w+)[^>]*?\s(href|src)="([^"]*)"', text):
            if re.match(r"(?:https?|data):", link):
                if link.startswith("http") and (kind == "src" or tag == "link"):
                    yield path.name, link
                continue
            file, _, anchor = html.unescape(link).partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.exists() or (anchor and target in texts and f'id="{anchor}"' not in texts[target]):
                yield path.name, link


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in lf._SUBMODULES)])
def test_reference_has_every_public_name(module):
    page = DOCS / "reference" / f"{module[1:] or 'lstm_fast'}.rst"
    listed = re.findall(r"^(?:   |\.\. data:: )(\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if module[1:] in NEEDS and missing([NEEDS[module[1:]]]):
        pytest.skip(f"needs {NEEDS[module[1:]]}")
    assert sorted(listed) == sorted(importlib.import_module("lstm_fast" + module).__all__)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built with warnings as errors, and a broken link within the site is a warning."""

    def build(folder):
        command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "-d", str(folder / "doctrees"), str(DOCS)]
        subprocess.run([*command, str(folder / "html")], check=True, cwd=ROOT)

    return once_per_run(tmp_path_factory, "site", build) / "html"


@heavy
@needs("sphinx", "myst_parser", "numpydoc", "furo", "sphinx_copybutton", "torch", "onnx", "h5py", "sklearn")
def test_site_links_resolve_and_pages_need_no_network(site):
    assert not list(broken_links(site))


@heavy
@needs_browser
@needs("sphinx", "myst_parser", "numpydoc", "furo", "sphinx_copybutton", "torch", "onnx", "h5py", "sklearn")
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_the_window(site, width, tmp_path):
    """Wide tables and code scroll on their own, the page does not; and no script fails."""
    browser = Browser(tmp_path, width, 844)
    try:
        for page in [*sorted(site.glob("*.html")), site / "reference" / "generated" / "lstm_fast.LSTM.html"]:
            browser.open(page)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, page.name
            assert not browser.errors and all(url.startswith(("file:", "data:")) for url in browser.requests), page.name
    finally:
        browser.close()
