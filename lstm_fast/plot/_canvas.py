"""Axes on new figures, labels, ticks, and legends that do not cover the data."""

import math
from typing import Any, TypeAlias, cast

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from ._text import SMALL, font_points, number, shortened, text_width, wrapped

LineStyle: TypeAlias = str | tuple[float, tuple[float, ...]]
# Line styles and markers: lines remain distinct without color.
STYLES: tuple[tuple[LineStyle, str], ...] = (
    ("-", "o"),
    ("--", "s"),
    (":", "v"),
    ("-.", "D"),
    ((0, (5, 1, 1, 1, 1, 1)), "^"),
    ((0, (1, 3)), "P"),
    ((0, (8, 3)), "X"),
    ((0, (3, 1, 1, 1)), "*"),
)


def new_or_given_axes(
    ax: Axes | None, width: float, height: float, title: str | None = None, *, is_blank: bool = False
) -> Axes:
    """Return the caller's Axes, or the Axes of a new Figure (size in inches), with the title.

    is_blank: the Axes fills the figure and has no ticks or labels.
    """
    if ax is None:
        figure = Figure(figsize=(width, height), layout=None if is_blank else "constrained")
        top = 1 - (0.1 if title is None else 0.45) / height
        ax = figure.add_axes((0.01, 0.01, 0.98, top - 0.01)) if is_blank else figure.add_subplot()
    elif not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}")
    if title is not None:
        ax.set_title(wrapped(title, rcParams["axes.titlesize"], size_in_points(ax)[0]))
    return ax


def size_in_points(ax: Axes) -> tuple[float, float]:
    """Return current width and height of the Axes."""
    locator = ax.get_axes_locator()
    if locator is None:
        box: Any = ax.get_window_extent()
    else:
        box = locator(ax, cast(Any, None)).transformed(ax.figure.transSubfigure)
    return box.width * 72 / ax.figure.dpi, box.height * 72 / ax.figure.dpi


def set_labels(ax: Axes, xlabel: str | None = None, ylabel: str | None = None, size: float | str | None = None) -> None:
    """Set axis labels; a label longer than the axis is wrapped onto two lines."""
    size, (width, height) = size or rcParams["axes.labelsize"], size_in_points(ax)
    if xlabel is not None:
        ax.set_xlabel(wrapped(xlabel, size, width), fontsize=size)
    if ylabel is not None:
        ax.set_ylabel(wrapped(ylabel, size, height), fontsize=size)


def plain_ticks(axis: XAxis | YAxis, *, integer: bool = False) -> None:
    """Set as many ticks as fit, with short labels and no common factor or offset."""
    width, height = size_in_points(axis.axes)
    n = width / 3.6 if axis.axis_name == "x" else height / 1.9
    n = max(2, min(8 if axis.axis_name == "x" else 6, int(n / font_points("medium"))))
    steps = (1, 2, 5, 10) if integer else (1, 2, 2.5, 5, 10)
    axis.set_major_locator(MaxNLocator(n, integer=integer, min_n_ticks=1, steps=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def needs_log_scale(values: NDArray[Any]) -> bool:
    """Return whether the values are positive and span so wide a range that a linear scale would hide the small ones."""
    return bool(values.size > 0 and np.min(values) > 0 and np.max(values) > 30 * np.min(values))


def legend(ax: Axes) -> Legend:
    """Place a legend at the top in as many columns as fit, and raise the y limit so that it covers no data."""
    handles, labels = ax.get_legend_handles_labels()
    em, (width, height) = font_points(SMALL), size_in_points(ax)
    labels = [shortened(label, em, 0.9 * width - 5 * em) for label in labels]  # a layout may make the Axes narrower
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
        framealpha=1,  # opaque: vertical lines may pass behind
        edgecolor="none",
        facecolor=ax.get_facecolor(),
    )


def ink() -> str:
    """Return the color of text: black, except in a dark style."""
    return str(rcParams["text.color"])
