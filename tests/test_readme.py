"""README.md and the pages of docs/: the code runs, figures match the result files, links resolve."""

import re
import sys
from pathlib import Path

import pytest

from lstm_fast import _core, reference
from optional import needs

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [*sorted(ROOT.glob("docs/*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]


def examples(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def frameworks(example):
    """The deep-learning frameworks that an example uses."""
    return set(re.findall(r"(?:import |lf\.)(torch|onnx|keras)\b", example))


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/long_series.md"])
@pytest.mark.parametrize(
    "with_frameworks", [False, pytest.param(True, marks=needs("torch", "onnx"))], ids=["light", "all"]
)
def test_examples_run(page, with_frameworks, tmp_path, monkeypatch):
    """In order and in one namespace."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in examples(page):
        if with_frameworks or not frameworks(example):
            exec(compile(example, page, "exec"), names)


def test_first_example_reaches_the_stated_error():
    names = {}
    exec(compile(examples("README.md")[0], "README.md", "exec"), names)
    error = names["model"].predict(names["x"][900:]) - names["y"][900:]
    claimed = float(re.search(r"within ([0-9.]+) of y", README)[1])
    assert claimed - 0.0005 <= (error**2).mean() ** 0.5 < claimed + 0.0005


def test_readme_formulas_match_the_reference():
    formulas = re.search(r"(?: {4}[ifgoch] = .*\n){6}", reference.__doc__).group()
    assert formulas.lstrip().startswith("i = sigmoid(pre_i)") and formulas in README
    assert re.search(r" {4}pre = .*\n", reference.__doc__).group() in README


def test_readme_is_short():
    assert len(README.splitlines()) < 150


@pytest.mark.skipif(not (ROOT / "benchmarks" / "results").exists(), reason="source distributions have no result files")
def test_figures_match_the_result_files(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.setattr(sys, "path", [*sys.path])
    import performance

    assert performance.readme(README) == README
    assert performance.page() == (ROOT / "docs" / "performance.md").read_text()


def test_tables_of_the_formats_are_computed(monkeypatch):
    if _core.isa() == "portable":
        pytest.skip("without fused multiply-add the figures may differ in their last digit")
    monkeypatch.syspath_prepend(ROOT / "docs")
    import formats

    assert formats.page(formats.PAGE.read_text()) == formats.PAGE.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        is_generated = target.startswith("auto_gallery/")  # by sphinx-gallery; the build of the site checks it
        assert target.startswith("https://") or is_generated or (page.parent / target).exists(), target
