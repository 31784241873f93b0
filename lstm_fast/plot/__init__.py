"""Pictures, with matplotlib. Every function draws on the Axes `ax` and returns it; without ax on one of a new Figure.

    diagrams.py    unit: one step of one LSTM unit with its numbers; unrolled: step by step, with c and h on their way
    maps.py        gates: heat maps of i, f, g, o, c, h over steps and units
    curves.py      history: a training; gradient_flow: how far gradients reach
    forecasts.py   forecast: past, prediction, truth, interval
    _steps.py      one sequence out of a trace
    _canvas.py     axes, their parts, legends; _diagram.py: boxes, nodes and arrows that scale as a whole

A new Figure is the caller's alone: pyplot does not know it, no setting of matplotlib is changed and nothing is shown
(`ax.figure.savefig(path)` writes it; a notebook shows `ax.figure`). Pictures of several panels (gates, history, forecast of
several series) divide the area of the one Axes, which itself becomes invisible: `ax.child_axes` are the panels, which
`panel.get_label()` names. Lines differ in style and marker, maps are monotone in lightness: all can be read in grey.
"""

try:
    import matplotlib as _  # noqa: F401
except ImportError as error:
    raise ImportError('lstm_fast.plot needs matplotlib: pip install "lstm_fast[plot]"') from error

from .curves import gradient_flow, history
from .diagrams import unit, unrolled
from .forecasts import forecast
from .maps import gates

__all__ = ["unit", "unrolled", "gates", "history", "forecast", "gradient_flow"]
