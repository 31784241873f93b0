"""Boxes, nodes and arrows on an Axes whose unit is the em, the size of the text: the drawing scales as a whole, so what does
not overlap at one size of the Axes does not at any other."""

from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text

from ._canvas import ink, minus, number, text_width

LINE = 1.25  # ems from one line of text to the next
MIDDLE = 0.36  # ems from the baseline to the middle of capital letters


class Lettering(Text):
    """Text of so many units of the Axes, whatever the size of that on paper."""

    def __init__(self, x, y, text, ems, **options):
        super().__init__(x, y, text, parse_math=False, **options)
        self._ems = ems

    def _resize(self):
        if self.axes is not None:
            (_, low), (_, high) = self.axes.transData.transform([(0, 0), (0, 1)])
            size = self._ems * (high - low) * 72 / self.axes.figure.dpi
            if size > 0 and size != self.get_fontsize():
                self.set_fontsize(size)

    def draw(self, renderer):
        self._resize()
        super().draw(renderer)

    def get_window_extent(self, *arguments, **options):
        self._resize()
        return super().get_window_extent(*arguments, **options)


class Diagram:
    """A sheet of width x height ems. Places are centres."""

    def __init__(self, ax, width, height):
        self.ax, self.ink, self.paper = ax, ink(), ax.get_facecolor()
        ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        ax.set_axis_off()

    def text(self, x, y, text, width=None, ems=1.0, rises=False):
        """Lines about (x, y), or rising from there; a line that would be wider than so many ems is smaller."""
        lines = text.split("\n")
        top = y + (len(lines) - 1) * LINE * (1 if rises else 0.5) - (0 if rises else MIDDLE * ems)
        for k, line in enumerate(lines):  # each for itself: matplotlib's distance depends on the letters of a line
            share = 1.0 if width is None else min(1.0, width / (ems * text_width(line, 100) / 100 * 1.03))
            self.ax.add_artist(
                Lettering(
                    x,
                    top - k * LINE,
                    line,
                    share * ems,
                    ha="center",
                    va="baseline",
                    color=self.ink,
                    zorder=4,
                    clip_on=False,
                )
            )

    def box(self, x, y, width, height, text):
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

    def node(self, x, y, sign, radius=0.85):
        self.ax.add_patch(Circle((x, y), radius, facecolor=self.paper, edgecolor=self.ink, linewidth=1.1, zorder=3))
        self.text(x, y, sign, ems=1.3)

    def line(self, *points, style="-"):
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

    def arrow(self, *points, style="-"):
        """A line through the points with its head at the last."""
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


def decimals(value, digits=3):
    """Three decimals where they say something, else so many digits; whole numbers as such."""
    value = float(value)
    if value == round(value) and abs(value) < 1000:
        value = abs(value) if value == 0 else value  # no minus zero
        return minus(f"{value:.0f}")
    return minus(f"{value:.3f}") if 0.001 <= abs(value) < 100 else number(value, digits)
