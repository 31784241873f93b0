"""The LSTM unit drawn with its numbers: long-term memory along the top, short-term memory along the bottom."""
from matplotlib.figure import Figure

from .unit import GATES

C_LINE, H_LINE = 5.6, 0.9  # heights of the two memories
BOXES = {"f": 2.3, "i": 5.2, "g": 7.5, "o": 10.6}  # where each gate stands
BOTTOM, MIDDLE, TOP = 2.15, 2.6, 3.05  # of the gates' boxes
RADIUS = 0.22  # of the round nodes
LINE = {"color": "black", "linewidth": 1.4, "zorder": 1, "solid_capstyle": "projecting"}
ADD, OUT = 6.35, 12.2  # where i * g is added to c, where tanh(c) turns into h


def _arrow(ax, *points):
    """A line through the points with its head at the last."""
    for start, end in zip(points[:-2], points[1:-1]):
        ax.plot(*zip(start, end), **LINE)
    ax.annotate("", points[-1], points[-2], zorder=1, arrowprops={"arrowstyle": "-|>", "color": "black",
                                                                  "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0})


def _box(ax, x, y, text):
    ax.text(x, y, text, ha="center", va="center", zorder=3,
            bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": "black", "linewidth": 1.2})


def _node(ax, x, y, sign):
    ax.plot(x, y, "o", markersize=23, color="black", markerfacecolor="0.9", zorder=2)
    ax.text(x, y, sign, ha="center", va="center_baseline", fontsize=15, zorder=3)


def _gate(ax, gate, n):
    curve = "tanh" if gate == "g" else "sigmoid"
    _box(ax, BOXES[gate], MIDDLE, f"{GATES[gate]}\n{curve}({n['pre_' + gate]:.2f})\n{gate} = {n[gate]:.3f}")
    _arrow(ax, (BOXES[gate], H_LINE), (BOXES[gate], BOTTOM))


def draw_unit(n, x, h_prev, c_prev, tanh_c):
    """n: the numbers of unit.step."""
    figure = Figure(figsize=(12, 6.2))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-0.9, 14.6), ylim=(-0.5, 7.2))
    ax.axis("off")
    ax.set_title("One step of the LSTM unit", y=0.94)
    for gate in BOXES:
        _gate(ax, gate, n)

    _arrow(ax, (0.6, C_LINE), (13.15, C_LINE))
    _box(ax, 0, C_LINE, f"long-term\nmemory\nc_prev = {c_prev:g}")
    _box(ax, 13.75, C_LINE, f"new\nlong-term\nmemory\nc = {n['c']:.2f}")

    ax.plot((0.6, BOXES["o"]), (H_LINE, H_LINE), **LINE)
    _box(ax, 0, H_LINE, f"short-term\nmemory\nh_prev = {h_prev:g}")
    _arrow(ax, (1.2, 0.05), (1.2, H_LINE))
    _box(ax, 1.2, -0.1, f"input x = {x:g}")

    _arrow(ax, (BOXES["f"], TOP), (BOXES["f"], C_LINE - RADIUS))
    _node(ax, BOXES["f"], C_LINE, "\N{MULTIPLICATION SIGN}")
    ax.text(BOXES["f"], C_LINE + 0.5, f"remembered\nf*c_prev = {n['f'] * c_prev:.3f}", ha="center", va="bottom")

    for gate in "ig":
        _arrow(ax, (BOXES[gate], TOP), (BOXES[gate], 4.2), (ADD + (-RADIUS if gate == "i" else RADIUS), 4.2))
    _node(ax, ADD, 4.2, "\N{MULTIPLICATION SIGN}")
    _arrow(ax, (ADD, 4.2 + RADIUS), (ADD, C_LINE - RADIUS))
    _node(ax, ADD, C_LINE, "+")
    ax.text(ADD, C_LINE + 0.5, f"added\ni*g = {n['i'] * n['g']:.3f}", ha="center", va="bottom")

    _arrow(ax, (OUT, C_LINE), (OUT, MIDDLE + RADIUS))
    _box(ax, OUT, 4.4, f"tanh(c)\n= {tanh_c:.3f}")
    _arrow(ax, (BOXES["o"] + 0.8, MIDDLE), (OUT - RADIUS, MIDDLE))
    _node(ax, OUT, MIDDLE, "\N{MULTIPLICATION SIGN}")
    _arrow(ax, (OUT, MIDDLE - RADIUS), (OUT, H_LINE), (13.1, H_LINE))
    _box(ax, 13.75, H_LINE, f"new\nshort-term\nmemory\nh = {n['h']:.3f}")
    return figure
