"""Heat maps of what happens inside an LSTM."""

import numpy as np

from ._canvas import SMALL, axes, number, part, plain_ticks, points
from ._steps import read_trace

# Both maps run from dark to light, in grey too. The signed one is grey at zero: darker is negative, lighter is positive.
SHARES, SIGNED = "viridis", "cividis"
PANELS = (
    ("i", "input gate i"),
    ("f", "forget gate f"),
    ("o", "output gate o"),
    ("g", "candidate g"),
    ("c", "long-term memory c"),
    ("h", "short-term memory h"),
)


def _limits(name, values):
    """0 to 1 for gates, -1 to 1 for g (wider where other activations go beyond), as far as they go for c and h."""
    if name in "ifo":
        return min(0.0, float(values.min())), max(1.0, float(values.max()))
    most = float(np.abs(values).max())
    if name == "g":
        most = max(1.0, most)
    if most > 0:
        unit = 10.0 ** (np.floor(np.log10(most)) - 1)  # up to two digits, which the colour bar shows
        most = float(np.ceil(most / unit - 1e-9) * unit)
    return (-most, most) if most > 0 else (-1.0, 1.0)


def gates(trace, *, layer=0, direction=0, batch=0, lengths=None, title=None, ax=None):
    """Heat maps of i, f, o (left) and g, c, h (right): steps from left to right, units from top to bottom.

    Parameters
    ----------
    trace : what lstm.trace(x) gives
    layer, direction, batch : which network of a stack, which sequence
    lengths : as given to the trace: the padding is not drawn
    title : str, optional
    ax : Axes, hidden and divided into six maps, each with its colour bar. None: one of a new Figure. The maps are among
        ax.child_axes, labelled "i", "f", "g", "o", "c", "h"

    Returns
    -------
    Axes
    """
    sequence, _ = read_trace(trace, layer, direction, batch, lengths)
    for name, values in sequence.items():
        if not np.isfinite(values).all():
            raise ValueError(f"trace must hold finite numbers to be drawn, {name} does not")
    ax = axes(ax, 10, 6, title, is_area=True)
    for k, (name, words) in enumerate(PANELS):
        _map(ax, k // 3, k % 3, name, words, sequence[name])
    return ax


def _map(ax, column, row, name, words, values):
    em = points(SMALL)
    outer = (4.6 * em, 0, 3.2 * em, 0.2 * em)
    cell = (column / 2, (column + 1) / 2, (2 - row) / 3, (3 - row) / 3)
    panel = part(
        ax,
        name,
        outer,
        cell,
        (2.2 * em * column, 5.4 * em, 0.35 * em, 1.7 * em),
        sharex=ax.child_axes[0] if ax.child_axes else None,
    )
    low, high = _limits(name, values)
    T, H = values.shape
    image = panel.imshow(
        values.T,
        aspect="auto",
        cmap=SHARES if name in "ifo" else SIGNED,
        vmin=low,
        vmax=high,
        extent=(-0.5, T - 0.5, H - 0.5, -0.5),
    )
    panel.grid(False)
    panel.set_title(words, fontsize=SMALL, pad=0.3 * em, loc="left")
    plain_ticks(panel.xaxis, integer=True)
    plain_ticks(panel.yaxis, integer=True)
    panel.tick_params(labelbottom=row == 2)
    if row == 2:
        panel.set_xlabel("step", fontsize=SMALL)
    if column == 0:
        panel.set_ylabel("unit", fontsize=SMALL)
    x1, y0, y1 = cell[1:]
    bar = part(ax, f"colour bar of {name}", outer, (x1, x1, y0, y1), (-4.9 * em, 4.1 * em, 0.35 * em, 1.7 * em))
    ax.figure.colorbar(image, cax=bar)
    bar.set_yticks([low, (low + high) / 2, high], [number(tick) for tick in (low, (low + high) / 2, high)])
    bar.tick_params(labelsize=SMALL)
    bar.grid(False)
