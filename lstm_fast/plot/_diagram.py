"""Boxes, nodes and arrows on an Axes, in ems (the text size).

The drawing scales as a whole: what does not overlap at one size of the Axes does not overlap at any other.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ._canvas import LineStyle, ink
from ._text import text_width

LINE = 1.25  # ems from one line of text to the next
MIDDLE = 0.36  # ems from the baseline to the middle of capital letters


class ScaledText(Text):
    """Text sized in data units, so that it scales with the Axes."""

    def __init__(self, x: float, y: float, text: str, ems: float, **options: Any) -> None:
        super().__init__(x, y, text, parse_math=False, **options)
        self._ems = ems

    def _resize(self) -> None:
        if self.axes is not None:
            (_, low), (_, high) = self.axes.transData.transform([(0, 0), (0, 1)])
            size = self._ems * (high - low) * 72 / self.axes.figure.dpi
            if size > 0 and size != self.get_fontsize():
                self.set_fontsize(size)

    def draw(self, renderer: RendererBase) -> None:
        """Draw the text at the current size of the Axes."""
        self._resize()
        super().draw(renderer)

    def get_window_extent(self, *arguments: Any, **options: Any) -> Bbox:
        """Return the bounding box in pixels at the current size of the Axes."""
        self._resize()
        return super().get_window_extent(*arguments, **options)


class Diagram:
    """A canvas of width x height ems. Positions refer to centers."""

    def __init__(self, ax: Axes, width: float, height: float) -> None:
        self.ax, self.ink, self.paper = ax, ink(), ax.get_facecolor()
        ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        ax.set_axis_off()

    def text(
        self, x: float, y: float, text: str, width: float | None = None, ems: float = 1.0, *, rises: bool = False
    ) -> None:
        """Draw lines of text, centered on (x, y) or stacked upwards from it; text that is too wide is scaled down."""
        lines = text.split("\n")
        top = y + (len(lines) - 1) * LINE * (1 if rises else 0.5) - (0 if rises else MIDDLE * ems)
        for k, line in enumerate(lines):  # one by one: matplotlib's line spacing depends on the letters of a line
            scale = 1.0 if width is None else min(1.0, width / (ems * text_width(line, 100) / 100 * 1.03))
            self.ax.add_artist(
                ScaledText(
                    x,
                    top - k * LINE,
                    line,
                    scale * ems,
                    ha="center",
                    va="baseline",
                    color=self.ink,
                    zorder=4,
                    clip_on=False,
                )
            )

    def box(self, x: float, y: float, width: float, height: float, text: str) -> None:
        """Draw a rounded box with text."""
        self.ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                facecolor=self.paper,
                zorder=3,
                edgecolor=self.ink,
                linewidth=1.1,
                boxstyle="round,pad=0,rounding_size=0.5",
            )
        )
        self.text(x, y, text, width - 0.7)

    def node(self, x: float, y: float, sign: str, radius: float = 0.85) -> None:
        """Draw a circle with the sign of an operation."""
        self.ax.add_patch(Circle((x, y), radius, facecolor=self.paper, edgecolor=self.ink, linewidth=1.1, zorder=3))
        self.text(x, y, sign, ems=1.3)

    def line(self, *points: tuple[float, float], style: LineStyle = "-") -> None:
        """Draw a line through the points."""
        self.ax.plot(
            *zip(*points),
            color=self.ink,
            linewidth=1.1,
            linestyle=style,
            marker="",
            zorder=1,
            scalex=False,
            scaley=False,
            solid_capstyle="projecting",
            solid_joinstyle="miter",
        )

    def arrow(self, *points: tuple[float, float], style: LineStyle = "-") -> None:
        """Draw a line through the points that ends in an arrowhead."""
        if len(points) > 2:
            self.line(*points[:-1], style=style)
        self.ax.add_patch(
            FancyArrowPatch(
                points[-2],
                points[-1],
                arrowstyle="-|>",
                mutation_scale=8,
                shrinkA=0,
                shrinkB=0,
                color=self.ink,
                linewidth=1.1,
                linestyle=style,
                zorder=2,
            )
        )
