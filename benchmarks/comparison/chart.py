"""The results as a chart: the time of each peer relative to lstm_fast, shape by shape. Legible without color."""

from .shapes import REGIMES
from .table import OF_SEVERAL_FORMATS, SHORT, size_text, time_text
from .verdict import ours, ratio, seconds, verdicts

MARKERS = {
    "torch": "o",
    "onnxruntime": "s",
    "openvino": "^",
    "ncnn": "D",
    "jax": "v",
    "keras": "P",
    "thinc": "X",
    "own": "*",
}
GREYS = {
    "torch": "0",
    "onnxruntime": "1",
    "openvino": "0.6",
    "ncnn": "1",
    "jax": "0.2",
    "keras": "0.6",
    "thinc": "1",
    "own": "0.8",
}
RATIOS = "ahead", "peers", "own"  # bars that are times relative to ours
ROW_INCHES, TITLE_ROWS = 0.21, 2.6


def draw(results, path):
    """Write the PNG; return a line that says where it is, or why there is none."""
    try:
        import matplotlib
    except ImportError:
        return "no chart: matplotlib is not installed"
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    by_regime = {
        regime: [row for row in results["rows"] if row["regime"] == regime and ours(row)] for regime in REGIMES
    }
    panels = [(regime, rows) for regime, rows in by_regime.items() if any(_points(row) for row in rows)]
    if not panels:
        return "no chart: nothing to compare"
    columns = _balanced(panels, 2 if len(panels) > 3 else 1)
    inches = ROW_INCHES * max(_rows(column) for column in columns)
    figure = plt.figure(figsize=(6.4 * len(columns), inches + 1.2))
    host = results["host"]
    figure.suptitle(
        f"Time of each peer relative to lstm_fast: to the right of the line lstm_fast is faster\n{host['cpu']}, "
        f"{host['isa']}, {host['num_threads']} thread(s) unless noted, {host['date'][:10]}",
        fontsize=10,
        y=1 - 0.1 / (inches + 1.2),
        va="top",
    )
    handles = {}
    for k, column in enumerate(columns):
        y = 1 - 0.4 / (inches + 1.2)
        for regime, rows in column:
            unit = ROW_INCHES / (inches + 1.2)
            y -= TITLE_ROWS * unit
            height = len(rows) * unit
            left = k / len(columns)
            axes = figure.add_axes([left + 0.31 / len(columns), y - height + unit, 0.66 / len(columns), height])
            _panel(axes, regime, rows, handles, host)
            y -= height
    handles = {name: handles[name] for name in sorted(handles, key=[*MARKERS, *sorted(handles)].index)}
    names = [{"own": "baseline"}.get(name, SHORT.get(name, name)) for name in handles]
    figure.legend(handles.values(), names, loc="lower center", ncols=5 * len(columns), fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return f"written: {path}"


def _points(row):
    points = {peer: ratio(seconds(row, name), ours(row)) for peer, name in row["peers"].items()}
    own = ratio(seconds(row, row["own"]), ours(row))
    points["own"] = own / row["own_work"] if own else None
    return {name: value for name, value in points.items() if value}


def _rows(column):
    return sum(len(rows) + TITLE_ROWS for _, rows in column) + 1


def _balanced(panels, n):
    """The panels, in order, in n columns of about the same height."""
    columns, total = [[] for _ in range(n)], _rows(panels)
    k = 0
    for panel in panels:
        if k < n - 1 and columns[k] and _rows(columns[k]) + len(panel[1]) / 2 > total / n:
            k += 1
        columns[k].append(panel)
    return [column for column in columns if column]


def _panel(axes, regime, rows, handles, host):
    labels = []
    for y, row in enumerate(rows):
        kind = " train" if row["kind"] == "training" and "training" not in regime else ""
        kind += f" {row['format']}" if regime in OF_SEVERAL_FORMATS else ""
        size = size_text(row) if row["I"] == row["H"] else f"{row['I']}$\\to${size_text(row)}"
        calls = "" if regime == "stack" else f"T{row['T']} B{row['B']} "
        labels.append(f"{calls}H {size}{kind}   {time_text(ours(row))}")
        for name, value in _points(row).items():
            handle = axes.plot(
                value,
                y,
                MARKERS[name],
                ms=8 if name == "own" else 5.5,
                mec="0",
                mew=0.6,
                mfc=GREYS[name],
                ls="",
                clip_on=False,
                zorder=3,
            )[0]
            handles.setdefault(name, handle)
        for what, bar, _, text in verdicts(row, host):
            if what in RATIOS:
                style, name = (":", "bar of the baseline") if what == "own" else ("-", "bar (thick: missed)")
                width = 2.4 if text == "missed" else 1
                handle = axes.plot([bar, bar], [y - 0.42, y + 0.42], "k" + style, lw=width, zorder=2)[0]
                handles.setdefault(name, handle)
    axes.axvline(1, color="0.35", lw=1)
    axes.set_xscale("log")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), labels, fontsize=7, family="monospace")
    values = [value for row in rows for value in _points(row).values()]
    values += [bar for row in rows for what, bar, *_ in verdicts(row, host) if what in RATIOS]
    low, high = min([0.8, *values]) * 0.9, max([2, *values]) * 1.15
    axes.set_xlim(low, high)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=7)
    axes.minorticks_off()
    axes.grid(axis="x", color="0.85", lw=0.6)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(REGIMES[regime], fontsize=8.5, loc="left", x=-0.45, fontweight="bold", pad=4)
