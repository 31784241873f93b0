"""Fixtures of the plot tests; a test file loads them with pytest_plugins = "plot_fixtures"."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


@pytest.fixture
def small():
    """A typical Axes: 6 x 4 inches with matplotlib's margins."""
    return Figure(figsize=(6, 4)).add_subplot()


@pytest.fixture
def drawn(monkeypatch):
    """Draw a figure, or that of an Axes; return (text, box in pixels) for everything written."""

    def draw(artist):
        texts, original = [], Text.draw

        def record(text, renderer):
            if text.get_visible() and text.get_text().strip():
                texts.append(text)
            original(text, renderer)

        figure = artist.figure
        canvas = FigureCanvasAgg(figure)
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", record)
            canvas.draw()
        unique = {id(text): text for text in texts}.values()
        return [(text, text.get_window_extent(canvas.get_renderer())) for text in unique]

    return draw
