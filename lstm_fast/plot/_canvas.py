"""Axes of our own, parts of an Axes, legends that keep clear of the lines."""

import math

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox, blended_transform_factory

STYLES = (
    ("-", "o"),
    ("--", "s"),
    (":", "v"),
    ("-.", "D"),
    ((0, (5, 1, 1, 1, 1, 1)), "^"),
    ((0, (1, 3)), "P"),
    ((0, (8, 3)), "X"),
    ((0, (3, 1, 1, 1)), "*"),
)
SMALL = "small"  # of the caller's font size


def axes(ax, width, height, title=None, is_area=False):
    """The caller's Axes, or one of a new Figure of so many inches, with this title; is_area: without ticks and labels."""
    if ax is None:
        figure = Figure(figsize=(width, height), layout=None if is_area else "constrained")
        top = 1 - (0.1 if title is None else 0.45) / height
        ax = figure.add_axes((0.01, 0.01, 0.98, top - 0.01)) if is_area else figure.add_subplot()
    elif not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}")
    if title is not None:
        ax.set_title(wrapped(title, rcParams["axes.titlesize"], size_in_points(ax)[0]))
    return ax


def points(size):
    """A font size of matplotlib's ("small") in points."""
    return FontProperties(size=size).get_size_in_points()


def size_in_points(ax):
    """(width, height) of the Axes now."""
    locator = ax.get_axes_locator()
    box = ax.get_window_extent() if locator is None else locator(ax, None).transformed(ax.figure.transSubfigure)
    return box.width * 72 / ax.figure.dpi, box.height * 72 / ax.figure.dpi


def text_width(text, size):
    """Points that the widest line of a text takes."""
    font = FontProperties(size=size)
    return max(
        text_to_path.get_text_width_height_descent(line or " ", font, False)[0] for line in str(text).split("\n")
    )


def shortened(text, size, width):
    """The text, or as much of it as goes into so many points, with an ellipsis."""
    text = str(text)
    if text_width(text, size) <= width:
        return text
    while len(text) > 1 and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text, size, width):
    """The text in its own lines or at most two of so many points, what is longer shortened."""
    lines = str(text).split("\n")
    if len(lines) == 1:
        first, *others = lines[0].split(" ")
        while others and text_width(f"{first} {others[0]}", size) <= width:
            first = f"{first} {others.pop(0)}"
        lines = [first, " ".join(others)] if others else [first]
    return "\n".join(shortened(line, size, width) for line in lines)


def set_labels(ax, xlabel=None, ylabel=None, size=None):
    """Labels of the axes, in two lines where one is too long for them."""
    size, (width, height) = size or rcParams["axes.labelsize"], size_in_points(ax)
    if xlabel is not None:
        ax.set_xlabel(wrapped(xlabel, size, width), fontsize=size)
    if ylabel is not None:
        ax.set_ylabel(wrapped(ylabel, size, height), fontsize=size)


# ---- parts of an Axes ----


class Place:
    """Where a part of an Axes is whenever it is drawn: matplotlib's axes_locator.

    outer, inner : margins (left, right, bottom, top) in points, of the whole and of this part
    cell : (x0, x1, y0, y1), the share of the part within the outer margins, from the lower left
    column : panels whose labels of the y axis must find place in the outer margin on the left
    """

    def __init__(self, ax, outer, cell, inner, column):
        self.ax, self.outer, self.cell, self.inner, self.column = ax, outer, cell, inner, column

    def __call__(self, part, renderer):
        scale, whole = part.figure.dpi / 72, self.ax.bbox
        left, right, bottom, top = (margin * scale for margin in self.outer)
        labels = [panel.yaxis.label for panel in self.column]
        ticks = [tick for panel in self.column for tick in panel.get_yticklabels()]
        for texts in (labels, ticks):
            left += max((text.get_window_extent(renderer).width for text in texts if text.get_text()), default=0)
        x, y = whole.x0 + left, whole.y0 + bottom
        width, height = max(1, whole.width - left - right), max(1, whole.height - bottom - top)
        x0, x1, y0, y1 = self.cell
        left, right, bottom, top = (margin * scale for margin in self.inner)
        x0, y0 = x + x0 * width + left, y + y0 * height + bottom
        x1, y1 = x + x1 * width - right, y + y1 * height - top
        return Bbox([[x0, y0], [max(x0 + 1, x1), max(y0 + 1, y1)]]).transformed(part.figure.transSubfigure.inverted())


def part(ax, label, outer, cell, inner=(0, 0, 0, 0), column=(), **options):
    """A panel of the Axes, which is invisible from now on but for its title."""
    ax.set_axis_off()
    panel = ax.inset_axes((0, 0, 1, 1), label=label, **options)
    panel.set_axes_locator(Place(ax, outer, cell, inner, column))
    panel.tick_params(labelsize=SMALL)
    return panel


def rows(ax, labels, shares=None):
    """Panels above each other with one x axis, whose labels the last one shows, and labels of y along the left edge; shares
    of the height."""
    shares = shares or [1] * len(labels)
    em, panels, top = points(SMALL), [], 1.0
    for label, share in zip(labels, shares):
        bottom = top - share / sum(shares)
        panel = part(
            ax,
            label,
            (1.4 * em, 0.8 * em, 3.4 * em, 0.3 * em),
            (0, 1, max(0.0, bottom), top),
            (0, 0, 0, 1.2 * em if panels else 0),
            panels,
            sharex=panels[0] if panels else None,
        )
        panel.yaxis.set_label_coords(0, 0.5, transform=blended_transform_factory(ax.transAxes, panel.transAxes))
        panel.yaxis.label.set_va("top")  # of the turned text: its left edge
        panels.append(panel)
        top = bottom
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels


# ---- scales, legends ----


def minus(text):
    """With the sign that is as wide as a plus."""
    return text.replace("-", "\N{MINUS SIGN}")


def number(value, digits=5):
    """A number in few letters."""
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < min(1e5, 10**digits):
        return minus(f"{value:.{digits}g}")
    mantissa, exponent = f"{value:.{min(digits, 4) - 1}e}".split("e")
    return minus(f"{float(mantissa):g}e{int(exponent)}")


def plain_ticks(axis, integer=False):
    """About as many ticks as have room, with short numbers and nothing factored out of them."""
    width, height = size_in_points(axis.axes)
    n = width / 3.6 if axis.axis_name == "x" else height / 1.9
    n = max(2, min(8 if axis.axis_name == "x" else 6, int(n / points("medium"))))
    steps = (1, 2, 5, 10) if integer else (1, 2, 2.5, 5, 10)
    axis.set_major_locator(MaxNLocator(n, integer=integer, min_n_ticks=1, steps=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def wants_log(values):
    """Whether positive values span so much that a linear scale would hide the small ones."""
    return values.size > 0 and values.min() > 0 and values.max() > 30 * values.min()


def legend(ax):
    """A legend across the top, in as many columns as fit; the upper limit of y rises until it is clear of what is drawn."""
    handles, labels = ax.get_legend_handles_labels()
    em, (width, height) = points(SMALL), size_in_points(ax)
    labels = [shortened(label, em, 0.9 * width - 5 * em) for label in labels]  # layouts may make the Axes narrower
    column = max(text_width(label, em) for label in labels) + 5.2 * em
    n_columns = max(1, min(len(labels), int((width - em) // column)))
    share = min(0.7, (math.ceil(len(labels) / n_columns) * 1.45 + 0.9) * em / height)
    low, high = ax.get_ylim()
    is_log = ax.get_yscale() == "log"
    if is_log:
        low, high = math.log10(low), math.log10(high)
    high = low + (high - low) / (1 - share)
    ax.set_ylim(top=10 ** min(high, 307.0) if is_log else high)
    return ax.legend(
        handles,
        labels,
        loc="upper left",
        ncols=n_columns,
        fontsize=SMALL,
        borderaxespad=0.2,
        borderpad=0.3,
        handlelength=2.8,
        columnspacing=1.2,
        handletextpad=0.6,
        labelspacing=0.3,
        frameon=True,
        framealpha=1,
        edgecolor="none",
        facecolor=ax.get_facecolor(),
    )  # opaque: vertical lines pass behind


def ink():
    """What text is drawn with: black, but on a dark style."""
    return rcParams["text.color"]
