"""Heat maps of the gates and states inside an LSTM."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .. import Trace
from ._canvas import new_or_given_axes, plain_ticks
from ._panels import inset_panel
from ._steps import Array, Choice, read_trace
from ._text import SMALL, font_points, number

# Both color maps increase in lightness, so that they can be read in grayscale. In the signed one zero is mid-gray.
FRACTION_MAP, SIGNED_MAP = "viridis", "cividis"
PANELS = (
    ("i", "input gate i"),
    ("f", "forget gate f"),
    ("o", "output gate o"),
    ("g", "candidate g"),
    ("c", "long-term memory c"),
    ("h", "short-term memory h"),
)


def _limits(name: str, values: Array) -> tuple[float, float]:
    """Return color limits: 0 to 1 for gates, -1 to 1 for g (wider if unbounded), the range of c and of h."""
    if name in "ifo":
        return min(0.0, float(values.min())), max(1.0, float(values.max()))
    largest = float(np.abs(values).max())
    if name == "g":
        largest = max(1.0, largest)
    if largest > 0:
        unit = 10.0 ** (np.floor(np.log10(largest)) - 1)  # rounded up to the two digits that the color bar shows
        largest = float(np.ceil(largest / unit - 1e-9) * unit)
    return (-largest, largest) if largest > 0 else (-1.0, 1.0)


def gates(
    trace: Trace,
    *,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    lengths: ArrayLike | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw heat maps of i, f and o (left) and of g, c and h (right).

    Parameters
    ----------
    trace : Trace
        The result of lstm.trace(x).
    layer, direction, batch : int, default 0
        Which network of the stack and which sequence of the batch; negative values count from the end.
    lengths : array_like of int, shape (B,), optional
        As given to lstm.trace. The padding is not drawn.
    title : str, optional
        Title of the plot.
    ax : Axes, optional
        Hidden and divided into six maps, each with its color bar. By default the Axes of a new Figure.

    Returns
    -------
    Axes
        The maps are among its child_axes, labeled "i", "f", "g", "o", "c" and "h". Steps run from left to right, units
        from top to bottom.

    Raises
    ------
    TypeError
        If trace is not a Trace or ax not an Axes.
    ValueError
        If an index is out of range, lengths are invalid, a sequence has no steps, or numbers are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(1, 8, seed=0)
    >>> ax = lf.plot.gates(lstm.trace(np.sin(np.arange(40.0))[:, None]), title="Inside an LSTM")
    >>> [panel.get_label() for panel in ax.child_axes if not panel.get_label().startswith("color")]
    ['i', 'f', 'o', 'g', 'c', 'h']
    """
    sequence, _ = read_trace(trace, Choice(layer, direction, batch, lengths))
    for name, values in sequence.items():
        if not np.isfinite(values).all():
            raise ValueError(f"trace must hold finite numbers to be drawn, {name} does not")
    ax = new_or_given_axes(ax, 10, 6, title, is_blank=True)
    for k, (name, label) in enumerate(PANELS):
        _map(ax, k // 3, k % 3, name, label, sequence[name])
    return ax


def _map(ax: Axes, column: int, row: int, name: str, label: str, values: Array) -> None:
    em = font_points(SMALL)
    outer = (4.6 * em, 0.0, 3.2 * em, 0.2 * em)
    x0, x1, y0, y1 = column / 2, (column + 1) / 2, (2 - row) / 3, (3 - row) / 3
    shared: Any = ax.child_axes[0] if ax.child_axes else None
    panel = inset_panel(
        ax, name, outer, (x0, x1, y0, y1), (2.2 * em * column, 5.4 * em, 0.35 * em, 1.7 * em), sharex=shared
    )
    low, high = _limits(name, values)
    T, H = values.shape
    image = panel.imshow(
        values.T,
        aspect="auto",
        cmap=FRACTION_MAP if name in "ifo" else SIGNED_MAP,
        vmin=low,
        vmax=high,
        extent=(-0.5, T - 0.5, H - 0.5, -0.5),
    )
    panel.grid(False)
    panel.set_title(label, fontsize=SMALL, pad=0.3 * em, loc="left")
    plain_ticks(panel.xaxis, integer=True)
    plain_ticks(panel.yaxis, integer=True)
    panel.tick_params(labelbottom=row == 2)
    if row == 2:
        panel.set_xlabel("step", fontsize=SMALL)
    if column == 0:
        panel.set_ylabel("unit", fontsize=SMALL)
    bar = inset_panel(ax, f"color bar of {name}", outer, (x1, x1, y0, y1), (-4.9 * em, 4.1 * em, 0.35 * em, 1.7 * em))
    ax.figure.colorbar(image, cax=bar)
    bar.set_yticks([low, (low + high) / 2, high], [number(tick) for tick in (low, (low + high) / 2, high)])
    bar.tick_params(labelsize=SMALL)
    bar.grid(False)
