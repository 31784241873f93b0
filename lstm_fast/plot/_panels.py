"""Panels that divide the area of an Axes."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.text import Text
from matplotlib.transforms import Bbox, blended_transform_factory

from ._text import SMALL, font_points

Margins: TypeAlias = tuple[float, float, float, float]  # left, right, bottom, top, in points
Cell: TypeAlias = tuple[float, float, float, float]  # x0, x1, y0, y1, fractions of an area, from the lower left


class PanelLocator:
    """axes_locator of a panel: recomputes its position at every draw.

    Parameters
    ----------
    ax : Axes
        Axes to divide.
    outer, inner : tuple of 4 float
        Margins (left, right, bottom, top), in points, of the whole area and of this panel.
    cell : tuple of 4 float
        (x0, x1, y0, y1) as fractions of the area inside the outer margins, from the lower left.
    column : sequence of Axes
        Panels with y labels for which the left margin must leave room.
    """

    def __init__(self, ax: Axes, outer: Margins, cell: Cell, inner: Margins, column: Sequence[Axes]) -> None:
        self.ax, self.outer, self.cell, self.inner, self.column = ax, outer, cell, inner, column

    def __call__(self, panel: Any, renderer: RendererBase | None) -> Bbox:
        scale, whole = panel.figure.dpi / 72, self.ax.bbox
        left, right, bottom, top = (margin * scale for margin in self.outer)
        left += _widest((column.yaxis.label for column in self.column), renderer)
        left += _widest((tick for column in self.column for tick in column.get_yticklabels()), renderer)
        x, y = whole.x0 + left, whole.y0 + bottom
        width, height = max(1, whole.width - left - right), max(1, whole.height - bottom - top)
        x0, x1, y0, y1 = self.cell
        left, right, bottom, top = (margin * scale for margin in self.inner)
        x0, y0 = x + x0 * width + left, y + y0 * height + bottom
        x1, y1 = x + x1 * width - right, y + y1 * height - top
        box = Bbox([[x0, y0], [max(x0 + 1, x1), max(y0 + 1, y1)]])
        return Bbox(box.transformed(panel.figure.transSubfigure.inverted()).get_points())


def _widest(texts: Iterable[Text], renderer: RendererBase | None) -> float:
    """Return the width in pixels of the widest of the texts, 0 if all are empty."""
    return max((text.get_window_extent(renderer).width for text in texts if text.get_text()), default=0)


def inset_panel(
    ax: Axes,
    label: str,
    outer: Margins,
    cell: Cell,
    inner: Margins = (0, 0, 0, 0),
    column: Sequence[Axes] = (),
    **options: Any,
) -> Axes:
    """Add a panel to the Axes, which is hidden except for its title."""
    ax.set_axis_off()
    panel = ax.inset_axes((0, 0, 1, 1), label=label, **options)
    panel.set_axes_locator(PanelLocator(ax, outer, cell, inner, column))
    panel.tick_params(labelsize=SMALL)
    return panel


def stacked_panels(ax: Axes, labels: Sequence[str], shares: Sequence[float] | None = None) -> list[Axes]:
    """Vertically stacked panels with a shared x axis, labeled on the last one; shares: relative heights."""
    shares = shares or [1] * len(labels)
    em, top = font_points(SMALL), 1.0
    panels: list[Axes] = []
    for label, share in zip(labels, shares):
        bottom = top - share / sum(shares)
        panel = inset_panel(
            ax,
            label,
            outer=(1.4 * em, 0.8 * em, 3.4 * em, 0.3 * em),
            cell=(0, 1, max(0.0, bottom), top),
            inner=(0, 0, 0, 1.2 * em if panels else 0),
            column=panels,
            sharex=panels[0] if panels else None,
        )
        panel.yaxis.set_label_coords(0, 0.5, transform=blended_transform_factory(ax.transAxes, panel.transAxes))
        panel.yaxis.label.set_verticalalignment("top")  # the left edge of the rotated label
        panels.append(panel)
        top = bottom
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels
