"""One LSTM unit with its numbers, in the formulas of lstm_fast.reference."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .. import Trace
from ..reference import GATES, gate_rows
from ._canvas import new_or_given_axes
from ._diagram import Diagram
from ._steps import Array, Choice, Network, Steps, read_steps, within
from ._text import decimals, minus_signs, number


class Sum(NamedTuple):
    """The pre-activation of a gate of one unit with one input: pre = weight_hh * h_prev + weight_ih * x + bias."""

    weight_hh: float
    weight_ih: float
    bias: float
    pre: float


Sums: TypeAlias = dict[str, Sum]


class Numbers(NamedTuple):
    """Values of a single unit at a single step."""

    i: float
    f: float
    g: float
    o: float
    c: float
    h: float
    c_prev: float
    h_prev: float
    x: Array | None  # (I,)
    is_reverse: bool


def _numbers(steps: Steps, step: int, unit: int) -> Numbers:
    """Return the numbers of one unit in one step, checked to satisfy the formulas in the diagram."""
    if steps.h.shape != steps.c.shape:
        raise ValueError(f"unit draws a cell without projection, got {steps.h.shape[1]} h for {steps.c.shape[1]} c")
    t, k = within("step", step, len(steps.c)), within("unit", unit, steps.c.shape[1])
    i, f, g, o, c, h, c_prev, h_prev = (float(values[t, k]) for values in steps[:8])
    for name, value, formula, expected in (
        ("c", c, "f * c_prev + i * g", f * c_prev + i * g),
        ("h", h, "o * tanh(c)", o * np.tanh(c)),
    ):
        if not abs(expected - value) <= 2e-3 * max(1, abs(value)):
            raise ValueError(
                f"unit draws the plain cell, but at step {t} {name} is {value:.6g} and {formula} is {expected:.6g}: "
                "the cell is a variant, or the state before the first step is missing (state=)"
            )
    return Numbers(i, f, g, o, c, h, c_prev, h_prev, None if steps.x is None else steps.x[t], steps.is_reverse)


def _sums(lstm: Network | Trace, n: Numbers) -> Sums | None:
    """Return the sum in front of each gate, for a plain LSTM of one unit and one input; None for others."""
    if not isinstance(lstm, Network) or not lstm.has_plain_cell or n.x is None:
        return None
    if (lstm.input_size, lstm.hidden_size, lstm.num_layers) != (1, 1, 1):
        return None
    p, suffix = lstm.parameters(), "_l0" + "_reverse" * n.is_reverse
    sums = {}
    for gate in GATES:
        rows = gate_rows(gate, 1)
        weight_hh, weight_ih = (p[name + suffix][rows].item() for name in ("weight_hh", "weight_ih"))
        bias = (p["bias_ih" + suffix][rows] + p["bias_hh" + suffix][rows]).item() if lstm.bias else 0.0
        sums[gate] = Sum(weight_hh, weight_ih, bias, weight_hh * n.h_prev + weight_ih * float(n.x[0]) + bias)
    return sums


def unit(
    source: Network | Trace,
    x: ArrayLike | None = None,
    state: Any = None,
    *,
    step: int = -1,
    unit: int = 0,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    lengths: ArrayLike | None = None,
    title: str | None = "One step of an LSTM unit",
    ax: Axes | None = None,
) -> Axes:
    """Draw a diagram of one step of one LSTM unit with its numbers, which can be checked by hand.

    Parameters
    ----------
    source : LSTM, QuantizedLSTM or Trace
        An LSTM to run over x, or the result of lstm.trace(x). Its cell must be the plain one: the formulas in the
        diagram must hold.
    x : array_like, optional
        The sequence, as the LSTM takes it; a number or shape (T,) are accepted for an input size of 1. Optional with a
        Trace.
    state : pair of array_like, optional
        (h_0, c_0), the state before the sequence, as the LSTM takes it; with a Trace (H,) each. Numbers are accepted
        for one unit. By default the learned initial state of the LSTM, or zero.
    step : int, default -1
        Which step of the sequence.
    unit : int, default 0
        Which of the H units.
    layer, direction, batch : int, default 0
        Which network of the stack and which sequence of the batch; negative values count from the end.
    lengths : array_like of int, shape (B,), optional
        As given to lstm.trace.
    title : str or None
        Title of the plot.
    ax : Axes, optional
        Hidden except for the diagram, which keeps its proportions. By default the Axes of a new Figure.

    Returns
    -------
    Axes
        Long-term memory runs along the top, short-term memory along the bottom. For a plain LSTM of one unit and one
        input the gates also show their sums.

    Raises
    ------
    TypeError
        If source, state or ax has the wrong type.
    ValueError
        If an index is out of range, a shape is wrong, or the numbers are not those of a plain cell.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> ax = lf.plot.unit(lf.LSTM(1, 1, seed=0), 1.0, (0.5, 2.0))
    >>> ax.get_title()
    'One step of an LSTM unit'
    """
    steps = read_steps(source, x, state, Choice(layer, direction, batch, lengths))
    n, H = _numbers(steps, step, unit), steps.c.shape[1]
    ax = new_or_given_axes(ax, 9, 5.7, title, is_blank=True)
    note = "" if H == 1 else f"unit {within('unit', unit, H)} of {H}: its gates see h_prev of all units"
    _draw_unit(Diagram(ax, 47, 28.2), n, _sums(source, n), note)
    return ax


def _percent(value: float) -> str:
    return minus_signs(f"{100 * value:.1f} %")


def _signed(value: float) -> str:
    return minus_signs("- " if value < 0 else "+ ") + f"{abs(value):.2f}"


def _gate_text(gate: str, value: float, sums: Sums | None) -> str:
    result = f"{gate} = {decimals(value) if gate == 'g' else _percent(value)}"
    if sums is None:
        return f"{GATES[gate]}\n{result}"
    s, function = sums[gate], "tanh" if gate == "g" else "sigmoid"
    pre = f"pre_{gate} = " + (minus_signs(f"{s.pre:.2f}") if abs(s.pre) < 1000 else number(s.pre, 3))
    terms = f"{_signed(s.weight_hh).removeprefix('+ ')} h_prev\n{_signed(s.weight_ih)} x\n{_signed(s.bias)}"
    return f"{GATES[gate]}\n{terms}\n{pre}\n{function}:\n{result}"


def _draw_unit(d: Diagram, n: Numbers, sums: Sums | None, note: str) -> None:
    c_line, h_line, gates, out, left, right = 22.9, 5.2, 12.2, 39.5, 3.4, 43.8
    columns = {"f": 10.7, "i": 18.1, "g": 25.5, "o": 32.9}
    width, height = 7.1, 10.0 if sums else 4.2
    top, add = gates + height / 2, (columns["i"] + columns["g"]) / 2
    times = "\N{MULTIPLICATION SIGN}"

    d.line((left, h_line), (columns["o"], h_line))
    for gate, at in columns.items():
        d.box(at, gates, width, height, _gate_text(gate, getattr(n, gate), sums))
        d.arrow((at, h_line), (at, gates - height / 2))
    d.box(left, h_line, 6.4, 5.6, f"short-term\nmemory\nh_prev\n= {decimals(n.h_prev)}")
    d.text(27.0, 1.0, note, 26.0)
    if n.x is not None:
        d.arrow((8.2, 1.8), (8.2, h_line))
        text = f"input x = {number(float(n.x[0]))}" if len(n.x) == 1 else f"input x: {len(n.x)} numbers"
        d.box(8.2, 1.0, 8.4, 1.6, text)

    d.arrow((left, c_line), (right - 3.1, c_line))
    d.box(left, c_line, 6.4, 5.6, f"long-term\nmemory\nc_prev\n= {decimals(n.c_prev)}")
    d.box(right, c_line, 6.2, 5.6, f"new\nlong-term\nmemory\nc = {decimals(n.c)}")

    d.arrow((columns["f"], top), (columns["f"], c_line - 0.85))
    d.node(columns["f"], c_line, times)
    d.text(columns["f"] + 1.8, c_line + 2.7, f"remembered\nf {times} c_prev = {decimals(n.f * n.c_prev)}", 10.6)

    meet = 19.2
    for gate, side in (("i", -0.85), ("g", 0.85)):
        d.arrow((columns[gate], top), (columns[gate], meet), (add + side, meet))
    d.node(add, meet, times)
    d.arrow((add, meet + 0.85), (add, c_line - 0.85))
    d.node(add, c_line, "+")
    d.text(add + 1.4, c_line + 2.7, f"added\ni {times} g = {decimals(n.i * n.g)}", 10.4)

    d.arrow((out, c_line), (out, gates + 0.85))
    d.box(out, 18.0, 5.0, 3.2, f"tanh(c)\n= {decimals(float(np.tanh(n.c)))}")
    d.arrow((columns["o"] + width / 2, gates), (out - 0.85, gates))
    d.node(out, gates, times)
    d.arrow((out, gates - 0.85), (out, h_line), (right - 3.1, h_line))
    d.box(right, h_line, 6.2, 5.6, f"new\nshort-term\nmemory\nh = {decimals(n.h)}")
