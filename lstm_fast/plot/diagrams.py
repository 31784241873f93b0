"""The LSTM unit with its numbers, and the network unrolled over its steps."""

import numpy as np

from ..modules import LSTM
from ..quantized import QuantizedLSTM
from ._canvas import axes, minus, number, size_in_points, wrapped
from ._diagram import Diagram, decimals
from ._steps import read_steps, within

GATES = {"f": "forget gate", "i": "input gate", "g": "candidate", "o": "output gate"}  # as they stand in the picture
ROWS = "ifgo"  # as they stand in the weights


def _percent(value):
    return minus(f"{100 * value:.1f} %")


def _sums(lstm, n):
    """For each gate of a plain LSTM of one unit and one input (weight_hh, weight_ih, bias, their sum); None for others."""
    if not isinstance(lstm, (LSTM, QuantizedLSTM)) or (lstm.input_size, lstm.hidden_size, lstm.num_layers) != (1, 1, 1):
        return None
    if not lstm.has_plain_cell:
        return None
    p, suffix = lstm.parameters(), "_l0" + "_reverse" * n["is_reverse"]
    sums = {}
    for k, gate in enumerate(ROWS):
        w_h, w_x = (p[name + suffix][k, 0] for name in ("weight_hh", "weight_ih"))
        bias = p["bias_ih" + suffix][k] + p["bias_hh" + suffix][k] if lstm.bias else 0.0
        sums[gate] = w_h, w_x, bias, w_h * n["h_prev"] + w_x * n["x"] + bias
    return sums


def _signed(value):
    return minus("- " if value < 0 else "+ ") + f"{abs(value):.2f}"


def _gate_text(gate, value, sums):
    share = decimals(value) if gate == "g" else _percent(value)
    if sums is None:
        return f"{GATES[gate]}\n{gate} = {share}"
    w_h, w_x, bias, pre = sums[gate]
    function = "tanh" if gate == "g" else "sigmoid"
    pre = minus(f"{pre:.2f}")
    return (
        f"{GATES[gate]}\n{_signed(w_h).removeprefix('+ ')} h_prev\n{_signed(w_x)} x\n{_signed(bias)}\n= {pre}\n"
        f"{function}:\n{gate} = {share}"
    )


def _numbers(steps, step, unit):
    """What one unit does in one step, checked to be a plain cell: the picture shows its formulas."""
    if steps.h.shape != steps.c.shape:
        raise ValueError(f"unit draws a cell without projection, got {steps.h.shape[1]} h for {steps.c.shape[1]} c")
    t, k = within("step", step, len(steps.c)), within("unit", unit, steps.c.shape[1])
    n = {name: float(getattr(steps, name)[t, k]) for name in ("i", "f", "g", "o", "c", "h", "c_prev", "h_prev")}
    for name, text, value in (
        ("c", "f * c_prev + i * g", n["f"] * n["c_prev"] + n["i"] * n["g"]),
        ("h", "o * tanh(c)", n["o"] * np.tanh(n["c"])),
    ):
        if not abs(value - n[name]) <= 2e-3 * max(1, abs(n[name])):
            raise ValueError(
                f"unit draws the plain cell, but at step {t} {name} is {n[name]:.6g} and {text} is {value:.6g}: "
                "another cell, or a state before the first step that must be given (state=)"
            )
    x = None if steps.x is None else steps.x[t]
    return n | {
        "x": None if x is None else float(x[0]) if len(x) == 1 else x,
        "tanh_c": float(np.tanh(n["c"])),
        "is_reverse": steps.is_reverse,
    }


def unit(
    source,
    x=None,
    state=None,
    *,
    step=-1,
    unit=0,
    layer=0,
    direction=0,
    batch=0,
    lengths=None,
    title="One step of an LSTM unit",
    ax=None,
):
    """One step of one LSTM unit as a diagram with its numbers, to be followed by hand.

    Long-term memory runs along the top, short-term memory along the bottom. For an LSTM of one unit and one input the
    gates show their sums too; others show what came out.

    Parameters
    ----------
    source : LSTM, or the Trace of one (lstm.trace(x)). Of a plain cell: the formulas in the picture must hold
    x : the sequence: as the LSTM takes it, or for an input size of 1 a number or (T,); with a Trace it may be left out
    state : (h_0, c_0), what there was before the sequence, as the LSTM takes it, with a Trace (H,) each; numbers will do for
        one unit. None: zero, or what the LSTM has learned
    step, unit : which step of the sequence (the last), and which of the H units
    layer, direction, batch : which network of a stack, which sequence
    lengths : as given to the trace
    title : str or None
    ax : Axes, hidden but for the drawing on it; it keeps its proportions. None: one of a new Figure

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError : for what does not fit; for a trace whose numbers are not those of a plain cell
    """
    steps = read_steps(source, x, state, layer, direction, batch, lengths)
    n = _numbers(steps, step, unit)
    H = steps.c.shape[1]
    ax = axes(ax, 9, 5.7, title, is_area=True)
    which = "" if H == 1 else f"unit {within('unit', unit, H)} of {H}: its gates see h_prev of all units"
    _draw_unit(Diagram(ax, 47, 28.2), n, _sums(source, n), which)
    return ax


def _draw_unit(d, n, sums, which):
    c_line, h_line, gates, out, left, right = 22.9, 5.2, 12.2, 39.5, 3.4, 43.8
    columns = {"f": 10.7, "i": 18.1, "g": 25.5, "o": 32.9}
    width, height = 7.1, 10.0 if sums else 4.2
    top, add = gates + height / 2, (columns["i"] + columns["g"]) / 2

    d.line((left, h_line), (columns["o"], h_line))
    for gate, at in columns.items():
        d.box(at, gates, width, height, _gate_text(gate, n[gate], sums))
        d.arrow((at, h_line), (at, gates - height / 2))
    d.box(left, h_line, 6.4, 5.6, f"short-term\nmemory\nh_prev\n= {decimals(n['h_prev'])}")
    d.text(27.0, 1.0, which, 26.0)
    if n["x"] is not None:
        d.arrow((8.2, 1.8), (8.2, h_line))
        text = f"input x = {number(n['x'])}" if isinstance(n["x"], float) else f"input x: {len(n['x'])} numbers"
        d.box(8.2, 1.0, 8.4, 1.6, text)

    d.arrow((left, c_line), (right - 3.1, c_line))
    d.box(left, c_line, 6.4, 5.6, f"long-term\nmemory\nc_prev\n= {decimals(n['c_prev'])}")
    d.box(right, c_line, 6.2, 5.6, f"new\nlong-term\nmemory\nc = {decimals(n['c'])}")

    d.arrow((columns["f"], top), (columns["f"], c_line - 0.85))
    d.node(columns["f"], c_line, "\N{MULTIPLICATION SIGN}")
    kept, added = decimals(n["f"] * n["c_prev"]), decimals(n["i"] * n["g"])
    d.text(columns["f"] + 1.8, c_line + 2.7, f"remembered\nf \N{MULTIPLICATION SIGN} c_prev = {kept}", 10.6)

    meet = 19.2
    for gate, side in (("i", -0.85), ("g", 0.85)):
        d.arrow((columns[gate], top), (columns[gate], meet), (add + side, meet))
    d.node(add, meet, "\N{MULTIPLICATION SIGN}")
    d.arrow((add, meet + 0.85), (add, c_line - 0.85))
    d.node(add, c_line, "+")
    d.text(add + 1.4, c_line + 2.7, f"added\ni \N{MULTIPLICATION SIGN} g = {added}", 10.4)

    d.arrow((out, c_line), (out, gates + 0.85))
    d.box(out, 18.0, 5.0, 3.2, f"tanh(c)\n= {decimals(n['tanh_c'])}")
    d.arrow((columns["o"] + width / 2, gates), (out - 0.85, gates))
    d.node(out, gates, "\N{MULTIPLICATION SIGN}")
    d.arrow((out, gates - 0.85), (out, h_line), (right - 3.1, h_line))
    d.box(right, h_line, 6.2, 5.6, f"new\nshort-term\nmemory\nh = {decimals(n['h'])}")


# ---- unrolled ----

LEFT, PITCH, CELL = 8.4, 9.4, 5.2  # ems: the state before the first step, from step to step, the box of a step
READABLE = 7.0  # points, what the text has at least where there is room for three steps


def unrolled(
    source,
    x=None,
    state=None,
    *,
    labels=None,
    unit=0,
    layer=0,
    direction=0,
    batch=0,
    lengths=None,
    max_steps=None,
    title="The network unrolled: the same weights at every step",
    ax=None,
):
    """The network unrolled step by step: inputs from below, c and h of one unit on their way, gates in per cent.

    Parameters
    ----------
    source, x, state, layer, direction, batch, lengths, ax : as in unit; any cell will do
    labels : a name for each step ("Monday", ...), wrapped and shortened to what fits. None: step 0, ...
    unit : whose c, h and gates are shown
    max_steps : from 3: of a longer sequence only the first and the last steps are drawn, and it is said how many are left
        out. None: as many as stay readable on the Axes; 8 on a new Figure
    title : str or None

    Returns
    -------
    Axes
    """
    steps = read_steps(source, x, state, layer, direction, batch, lengths)
    T = len(steps.c)
    k = within("unit", unit, min(steps.c.shape[1], steps.h.shape[1]))
    if labels is not None and len(labels) != T:
        raise ValueError(f"labels must be one for each of the {T} steps, got {len(labels)}")
    labels = [f"step {t}" for t in range(T)] if labels is None else [str(label) for label in labels]
    if max_steps is None:
        max_steps = (
            8 if ax is None else max(3, int((size_in_points(axes(ax, 0, 0))[0] / READABLE - LEFT - 0.8) / PITCH))
        )
    if not isinstance(max_steps, int) or isinstance(max_steps, bool) or max_steps < 3:
        raise ValueError(f"max_steps must be an integer from 3, or None, got {max_steps!r}")
    order = list(range(T))[::-1] if steps.is_reverse else list(range(T))
    if max_steps < T:
        order = order[: max_steps // 2] + [None] + order[T - (max_steps - 1) // 2 :]
    width, height = max(38.0, LEFT + PITCH * len(order) + 0.8), 21.4
    inches = 0.14 * width
    ax = axes(ax, inches, inches * height / width + 0.5, title, is_area=True)
    _Unrolled(Diagram(ax, width, height), width, steps, order, k).draw(labels)
    return ax


class _Unrolled:
    """The drawing: columns of steps, None for those that are left out."""

    C_LINE, H_LINE, X_LINE, LABELS = 14.4, 7.2, 1.2, 17.4  # heights

    def __init__(self, d, width, steps, order, k):
        self.d, self.width, self.steps, self.order, self.k = d, width, steps, order, k
        self.margin = (width - LEFT - PITCH * len(order) - 0.8) / 2

    def at(self, x):
        """From left to right; the reverse direction runs from right to left."""
        return self.width - self.margin - x if self.steps.is_reverse else self.margin + x

    def value(self, name, t):
        return decimals(getattr(self.steps, name)[t, self.k], digits=1)

    def draw(self, labels):
        for y, name, memory in ((self.C_LINE, "c", "long-term"), (self.H_LINE, "h", "short-term")):
            start = self.value(name + "_prev", self.order[0])
            self.d.box(self.at(3.4), y, 6.4, 4.4, f"{memory}\nmemory\n{name} = {start}")
            self.d.arrow((self.at(6.6), y), (self.at(LEFT), y))
        for column, t in enumerate(self.order):
            begin = LEFT + PITCH * column
            if t is None:
                self.draw_gap(begin)
            else:
                self.draw_step(begin, t, labels[t])
            following = self.order[column + 1] if column + 1 < len(self.order) else None
            for y, name, side in ((self.C_LINE, "c", 1.0), (self.H_LINE, "h", -1.0)):
                self.d.arrow((self.at(begin + CELL), y), (self.at(begin + PITCH), y))
                text = self.value(name + "_prev", following) if t is None else self.value(name, t)
                self.d.text(self.at(begin + (CELL + PITCH) / 2), y + side, text, PITCH - CELL - 0.7)

    def draw_step(self, begin, t, label):
        at, middle = self.at(begin + CELL / 2), (self.C_LINE + self.H_LINE) / 2
        shares = "\n".join(minus(f"{gate} {100 * float(getattr(self.steps, gate)[t, self.k]):.0f} %") for gate in "fio")
        self.d.box(at, middle, CELL, self.C_LINE - self.H_LINE + 2.6, f"LSTM\n{shares}")
        self.d.text(at, self.LABELS, wrapped(label, 100, 100 * (PITCH - 0.8)), PITCH - 0.6, rises=True)
        if self.steps.x is not None:
            x = self.steps.x[t]
            self.d.text(at, self.X_LINE, f"x = {number(x[0])}" if len(x) == 1 else f"x: {len(x)} numbers", PITCH - 0.8)
            self.d.arrow((at, self.X_LINE + 1.0), (at, self.H_LINE - 1.3))

    def draw_gap(self, begin):
        n = len(self.steps.c) - len(self.order) + 1
        self.d.text(self.at(begin + CELL / 2), (self.C_LINE + self.H_LINE) / 2, f"{n} steps\nnot shown", CELL + 1.4)
        for y in (self.C_LINE, self.H_LINE):
            self.d.line((self.at(begin + 0.3), y), (self.at(begin + CELL), y), style=":")
