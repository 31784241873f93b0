"""Plots with matplotlib. Every function draws on the Axes `ax` and returns it; by default on the Axes of a new Figure.

    _text.py        text that fits, compact numbers
    _panels.py      panels that divide an Axes
    _canvas.py      axes, labels, ticks, legends
    _diagram.py     boxes, nodes and arrows that scale as a whole
    _steps.py       one sequence out of an LSTM or a trace
    diagrams.py     unit: one step of one LSTM unit with its numbers
    unrolling.py    unrolled: the network step by step, with c and h of one unit
    maps.py         gates: heat maps of i, f, g, o, c, h over steps and units
    curves.py       history: a training run; gradient_flow: norms of the gradient by step
    forecasts.py    forecast: observations, prediction, interval, truth

Each file uses only those above it.

A new Figure is not registered with pyplot, no setting of matplotlib changes and nothing is shown
(`ax.figure.savefig(path)` writes it; a notebook displays `ax.figure`). Plots with several panels (gates, history,
forecast of several series) hide the Axes and divide its area: the panels are `ax.child_axes`, named by
`panel.get_label()`. Lines differ in style and marker, and color maps increase in lightness, so all plots are legible in
grayscale.
"""

try:
    import matplotlib as _  # noqa: F401
except ImportError as error:
    raise ImportError('lstm_fast.plot needs matplotlib: pip install "lstm_fast[plot]"') from error

from .curves import gradient_flow, history
from .diagrams import unit
from .forecasts import forecast
from .maps import gates
from .unrolling import unrolled

__all__ = ["unit", "unrolled", "gates", "history", "forecast", "gradient_flow"]
