"""The network unrolled over its steps."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .. import Trace
from ._canvas import new_or_given_axes, size_in_points
from ._diagram import Diagram
from ._steps import Choice, Network, Steps, read_steps, within
from ._text import decimals, minus_signs, number, wrapped

LEFT, PITCH, CELL = 8.4, 9.4, 5.2  # ems: width of the state before the first step, of a step, and of a step's box
READABLE_POINTS = 7.0  # smallest font size, as long as three steps fit


def unrolled(
    source: Network | Trace,
    x: ArrayLike | None = None,
    state: Any = None,
    *,
    labels: Sequence[str] | None = None,
    unit: int = 0,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    lengths: ArrayLike | None = None,
    max_steps: int | None = None,
    title: str | None = "The network unrolled: the same weights at every step",
    ax: Axes | None = None,
) -> Axes:
    """Draw the unrolled network: inputs from below, c and h of one unit from step to step, gates in percent.

    Parameters
    ----------
    source : LSTM, QuantizedLSTM or Trace
        An LSTM, with any cell, to run over x, or the result of lstm.trace(x).
    x : array_like, optional
        The sequence, as the LSTM takes it; shape (T,) is accepted for an input size of 1. Optional with a Trace.
    state : pair of array_like, optional
        (h_0, c_0), as in unit.
    labels : sequence of str, optional
        A name for each step ("Monday", ...), wrapped and shortened to fit. By default "step 0", ...
    unit : int, default 0
        Unit to show.
    layer, direction, batch : int, default 0
        Which network of the stack and which sequence of the batch; negative values count from the end.
    lengths : array_like of int, shape (B,), optional
        As given to lstm.trace.
    max_steps : int, optional
        At least 3. Of a longer sequence only the first and the last steps are drawn, with the number of those left out.
        By default, as many as remain legible on the Axes; 8 on a new Figure.
    title : str or None
        Title of the plot.
    ax : Axes, optional
        Hidden except for the diagram, which keeps its proportions. By default the Axes of a new Figure.

    Returns
    -------
    Axes
        The reverse direction runs from right to left.

    Raises
    ------
    TypeError
        If source, state or ax has the wrong type.
    ValueError
        If an index is out of range, a shape or the number of labels is wrong, or max_steps is below 3.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> days = ["Monday", "Tuesday", "Wednesday", "Thursday"]
    >>> ax = lf.plot.unrolled(lf.LSTM(1, 1, seed=0), [0.0, 0.5, 0.25, 1.0], labels=days, title="Four days")
    >>> ax.get_title()
    'Four days'
    """
    steps = read_steps(source, x, state, Choice(layer, direction, batch, lengths))
    T = len(steps.c)
    k = within("unit", unit, min(steps.c.shape[1], steps.h.shape[1]))
    if labels is not None and len(labels) != T:
        raise ValueError(f"labels must have one entry for each of the {T} steps, got {len(labels)}")
    labels = [f"step {t}" for t in range(T)] if labels is None else [str(label) for label in labels]
    if max_steps is None:
        max_steps = 8 if ax is None else _most_readable_steps(new_or_given_axes(ax, 0, 0))
    if not isinstance(max_steps, int) or isinstance(max_steps, bool) or max_steps < 3:
        raise ValueError(f"max_steps must be an integer of at least 3, or None, got {max_steps!r}")
    order: list[int | None] = [*range(T)][:: -1 if steps.is_reverse else 1]
    if max_steps < T:
        order = order[: max_steps // 2] + [None] + order[T - (max_steps - 1) // 2 :]
    width, height = max(38.0, LEFT + PITCH * len(order) + 0.8), 21.4
    inches = 0.14 * width
    ax = new_or_given_axes(ax, inches, inches * height / width + 0.5, title, is_blank=True)
    _Unrolled(Diagram(ax, width, height), width, steps, order, k).draw(labels)
    return ax


def _most_readable_steps(ax: Axes) -> int:
    return max(3, int((size_in_points(ax)[0] / READABLE_POINTS - LEFT - 0.8) / PITCH))


class _Unrolled:
    """Draw one column per step in `order`; None marks omitted steps."""

    C_LINE, H_LINE, X_LINE, LABELS = 14.4, 7.2, 1.2, 17.4  # heights in ems

    def __init__(self, d: Diagram, width: float, steps: Steps, order: list[int | None], k: int) -> None:
        self.d, self.width, self.steps, self.order, self.k = d, width, steps, order, k
        self.margin = (width - LEFT - PITCH * len(order) - 0.8) / 2

    def at(self, x: float) -> float:
        """Return the position of a point x ems along the direction of the network."""
        return self.width - self.margin - x if self.steps.is_reverse else self.margin + x

    def value(self, name: str, t: int) -> str:
        return decimals(getattr(self.steps, name)[t, self.k], digits=1)

    def draw(self, labels: Sequence[str]) -> None:
        first, last = self.order[0], len(self.order) - 1
        assert first is not None, "the first step is always drawn"
        for y, name, memory in ((self.C_LINE, "c", "long-term"), (self.H_LINE, "h", "short-term")):
            start = self.value(name + "_prev", first)
            self.d.box(self.at(3.4), y, 6.4, 4.4, f"{memory}\nmemory\n{name} = {start}")
            self.d.arrow((self.at(6.6), y), (self.at(LEFT), y))
        for column, t in enumerate(self.order):
            begin = LEFT + PITCH * column
            following = self.order[column + 1] if column < last else None
            if t is None:
                self.draw_gap(begin)
            else:
                self.draw_step(begin, t, labels[t])
            for y, name, side in ((self.C_LINE, "c", 1.0), (self.H_LINE, "h", -1.0)):
                self.d.arrow((self.at(begin + CELL), y), (self.at(begin + PITCH), y))
                if t is not None:
                    text = self.value(name, t)
                elif following is not None:  # after a gap: the state from which the next step starts
                    text = self.value(name + "_prev", following)
                self.d.text(self.at(begin + (CELL + PITCH) / 2), y + side, text, PITCH - CELL - 0.7)

    def draw_step(self, begin: float, t: int, label: str) -> None:
        at, middle = self.at(begin + CELL / 2), (self.C_LINE + self.H_LINE) / 2
        gates = "\n".join(f"{gate} {100 * float(getattr(self.steps, gate)[t, self.k]):.0f} %" for gate in "fio")
        self.d.box(at, middle, CELL, self.C_LINE - self.H_LINE + 2.6, f"LSTM\n{minus_signs(gates)}")
        self.d.text(at, self.LABELS, wrapped(label, 100, 100 * (PITCH - 0.8)), PITCH - 0.6, rises=True)
        if self.steps.x is not None:
            x = self.steps.x[t]
            self.d.text(at, self.X_LINE, f"x = {number(x[0])}" if len(x) == 1 else f"x: {len(x)} numbers", PITCH - 0.8)
            self.d.arrow((at, self.X_LINE + 1.0), (at, self.H_LINE - 1.3))

    def draw_gap(self, begin: float) -> None:
        n = len(self.steps.c) - len(self.order) + 1
        self.d.text(self.at(begin + CELL / 2), (self.C_LINE + self.H_LINE) / 2, f"{n} steps\nnot shown", CELL + 1.4)
        for y in (self.C_LINE, self.H_LINE):
            self.d.line((self.at(begin + 0.3), y), (self.at(begin + CELL), y), style=":")
