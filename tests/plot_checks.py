"""Checks that plots are legible, and helpers to inspect plots. The fixtures are in plot_fixtures.py."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from matplotlib.patches import FancyBboxPatch

import lstm_fast as lf

ROOT = Path(__file__).resolve().parent.parent
LONG = "the mean air temperature two metres above the ground, in degrees Celsius, written out at unreasonable length"


def overlap(a, b):
    """Width and height of the overlap of two boxes; negative if they are apart."""
    return min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)


def check_legible(ax, texts, least_points=6.5):
    """No text overlaps another, leaves the figure, is tiny, or crosses the edge of a box."""
    figure, boxes = ax.figure.bbox, [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert texts
    for text, box in texts:
        content = text.get_text()
        assert text.get_fontsize() >= least_points, f"{content!r} has {text.get_fontsize():.1f} points"
        assert box.x0 >= figure.x0 - 1 and box.x1 <= figure.x1 + 1, f"{content!r} is cut off at the side"
        assert box.y0 >= figure.y0 - 1 and box.y1 <= figure.y1 + 1, f"{content!r} is cut off above or below"
        for patch in boxes:
            frame = patch.get_window_extent()
            width, height = overlap(box, frame)
            is_apart, is_inside = min(width, height) <= 0, width > box.width - 1 and height > box.height - 1
            assert is_apart or is_inside, f"{content!r} crosses the edge of a box"
    for (one, a), (other, b) in combinations(texts, 2):
        assert min(overlap(a, b)) <= 1, f"{one.get_text()!r} overlaps {other.get_text()!r}"
    for one, other in combinations(boxes, 2):
        assert min(overlap(one.get_window_extent(), other.get_window_extent())) <= 0, "boxes overlap"


def check_clear(panel, texts):
    """The legend covers no line of data."""
    legend = panel.get_legend().get_window_extent()
    for line in panel.lines:
        x, y = line.get_data()
        if len(x) < 2 or (y[0] == 0 and y[-1] == 1 and x[0] == x[-1]):  # a vertical line across the panel
            continue
        points = line.get_transform().transform(np.column_stack([line.convert_xunits(x), y]).astype(float))
        points = points[np.isfinite(points).all(axis=1)]
        dense = [np.linspace(a, b, 20) for a, b in pairwise(points)]
        assert not any(legend.contains(*point) for part in dense for point in part), line.get_label()
    assert [text for text, _ in texts if text.get_text() == panel.get_legend().get_texts()[0].get_text()]


def contents(texts):
    return [text.get_text() for text, _ in texts]


def line_of(ax, label):
    (line,) = (line for line in ax.lines if line.get_label() == label)
    return line


def panels(ax):
    return {panel.get_label(): panel for panel in ax.child_axes}


def trained(**options):
    model = lf.train.SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)
    x = np.random.default_rng(0).standard_normal((20, 5, 1))
    return lf.train.fit(model, x, x.sum(axis=1), seed=0, **options)
