"""All plots: every text is legible on any figure and in any style, and nothing else in the process changes."""

import importlib.util
import os
import subprocess
import sys
from itertools import combinations

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import lstm_fast as lf
from lstm_fast.tour.unit import make_unit
from optional import heavy, light
from plot_checks import ROOT, check_legible, overlap, trained

pytest_plugins = "plot_fixtures"


STYLES = [(name, "dark_background") for name in ("unit", "unrolled", "gates", "history", "forecast", "gradient_flow")]
STYLES += [("gates", "ggplot")]


def plots():
    lstm, x = lf.LSTM(1, 3, seed=0), np.random.default_rng(0).standard_normal((20, 1))
    return {
        "unit": lambda ax: lf.plot.unit(make_unit(), 1.0, ax=ax),
        "unrolled": lambda ax: lf.plot.unrolled(lstm, x, ax=ax),
        "gates": lambda ax: lf.plot.gates(lstm.trace(x), ax=ax),
        "history": lambda ax: lf.plot.history(trained(epochs=3), ax=ax),
        "forecast": lambda ax: lf.plot.forecast(x[:15, 0], x[15:, 0], ax=ax),
        "gradient_flow": lambda ax: lf.plot.gradient_flow({"LSTM": lstm}, x, ax=ax),
    }


@pytest.mark.parametrize("name", plots())
@pytest.mark.parametrize("size", light([(12, 8), (5, 9)], [(5, 9)]), ids=str)
def test_plots_are_legible_on_figures_of_any_size(drawn, name, size):
    ax = Figure(figsize=size, layout="constrained").add_subplot()
    assert plots()[name](ax) is ax
    check_legible(ax, drawn(ax), least_points=6)


@pytest.mark.parametrize("names", [("unit", "gates", "history"), ("unrolled", "forecast", "gradient_flow")], ids=str)
def test_plots_are_legible_side_by_side_and_in_subfigures(drawn, names):
    figure = Figure(figsize=(12, 9), layout="constrained")
    above, below = figure.subfigures(2, 1)
    for name, ax in zip(names, [*above.subplots(1, 2), below.subplots()]):
        assert plots()[name](ax) is ax
    texts = drawn(figure)
    for (one, a), (other, b) in combinations(texts, 2):
        assert min(overlap(a, b)) <= 1, f"{one.get_text()!r} overlaps {other.get_text()!r}"


@pytest.mark.parametrize("name, style", light(STYLES, STYLES[2::2]))
def test_plots_follow_the_callers_style(drawn, name, style):
    with matplotlib.style.context(style):
        ax = plots()[name](None)
        check_legible(ax, drawn(ax))
        background = np.array(matplotlib.colors.to_rgb(ax.figure.get_facecolor()))
        for line in ax.findobj(Line2D):
            if line.get_visible() and line.get_color() == matplotlib.rcParams["text.color"]:
                assert np.abs(np.array(matplotlib.colors.to_rgb(line.get_color())) - background).max() > 0.5
        assert not [
            panel for panel in ax.child_axes if panel.images and any(g.get_visible() for g in panel.get_xgridlines())
        ]


@pytest.mark.parametrize("name", plots())
def test_plots_without_axes_create_a_figure_outside_pyplot(drawn, name, tmp_path):
    import matplotlib.pyplot as plt

    settings, figures = dict(matplotlib.rcParams), plt.get_fignums()
    ax = plots()[name](None)
    assert isinstance(ax, Axes)
    check_legible(ax, drawn(ax), least_points=7.5)
    ax.figure.savefig(tmp_path / "plot.png", bbox_inches="tight")
    assert dict(matplotlib.rcParams) == settings and plt.get_fignums() == figures


def python(code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_pyplot_is_not_imported():
    done = python(
        "import sys, lstm_fast as lf; ax = lf.plot.gates(lf.LSTM(1, 2).trace([[1.0], [2.0]])); "
        "ax.figure.savefig('/dev/null', format='png'); print('matplotlib.pyplot' in sys.modules)"
    )
    assert done.stdout == "False\n", done.stderr


def test_without_matplotlib_the_error_says_what_to_install():
    done = python("import sys; sys.modules['matplotlib'] = None; import lstm_fast; lstm_fast.plot")
    assert done.stderr.splitlines()[-1] == 'ImportError: lstm_fast.plot needs matplotlib: pip install "lstm_fast[plot]"'


@heavy
def test_gallery_is_drawn_and_small(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    monkeypatch.setattr(sys, "argv", ["gallery.py", str(tmp_path)])
    gallery.main()
    names = {"unit", "unrolled", "gates", "history", "forecast", "gradient_flow"}
    assert {path.stem for path in tmp_path.glob("*.png")} == names
    for folder in (tmp_path, ROOT / "docs" / "gallery"):
        for name in names:
            assert 5_000 < (folder / f"{name}.png").stat().st_size < 60_000, f"{folder}: {name}"
