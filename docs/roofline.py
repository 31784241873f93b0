"""Draw the roofline of a machine from a result file of benchmarks/compare.py.

    python docs/roofline.py [RESULTS.json [PICTURE.png]]

Each shape is a point: its arithmetic per byte of weights that it reads, and the rate that it reaches. The roofs were
measured in the same run: a large matrix product, and reading as many bytes as the weights have from the cache level
that they fit in. Shapes of fewer than 16 units, limited by the call, are left out. By default the committed results of
Zen 5 are drawn, to docs/gallery/roofline.png.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

import matplotlib
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from comparison.verdict import best_peer, flops_per_s, ours  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "amd-epyc-zen5-2026-11-27-one-thread.json"
KINDS = {
    "step": ("one step of a stream", "o"),
    "forward": ("inference", "s"),
    "training": ("forward and backward", "^"),
}
LEAST_UNITS = 16
LEVELS = ("L1", "L2", "L3", "memory")


def intensity(row):
    """FLOP per byte of weights read."""
    return row["flops"] / row["limits"]["bytes"]


def level(row, caches):
    """The smallest cache level that the weights of a shape fit in."""
    fits = [name for name, size in caches.items() if row["limits"]["level_bytes"] <= 1024 * int(size.rstrip("K"))]
    return min(fits, default="memory")


def draw(results):
    """The Figure."""
    rows = [
        row
        for row in results["rows"]
        if "limits" in row and ours(row) and row["kind"] in KINDS and row["H"] >= LEAST_UNITS
    ]
    caches, host = results["host"]["caches"], results["host"]
    peak = max(row["limits"]["flops_per_s"] for row in rows) / 1e9
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    ax = figure.subplots()
    x_range = min(map(intensity, rows)) / 2, max(map(intensity, rows)) * 2
    ax.plot(x_range, [peak, peak], color="black", linewidth=1)
    ax.text(x_range[1], peak * 1.06, f"matrix product: {peak:.0f} GFLOP/s", ha="right", fontsize=8)
    for name in LEVELS:
        rates = [row["limits"]["bytes_per_s"] / 1e9 for row in rows if level(row, caches) == name]
        if not rates:
            continue
        rate = median(rates)
        end = min(peak / rate, x_range[1])
        ax.plot([x_range[0], end], [rate * x_range[0], rate * end], color="0.5", linewidth=1, linestyle="--")
        ax.annotate(
            f"{name}: {rate:.0f} GB/s",
            (x_range[0], rate * x_range[0]),
            (-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            color="0.3",
        )
    for kind, (label, marker) in KINDS.items():
        shown = [row for row in rows if row["kind"] == kind]
        ax.plot(
            [intensity(row) for row in shown],
            [flops_per_s(row) / 1e9 for row in shown],
            marker,
            color="tab:blue",
            markersize=5,
            label=f"lstm_fast, {label}",
        )
        peers = [row for row in shown if best_peer(row)[0]]
        ax.plot(
            [intensity(row) for row in peers],
            [row["flops"] / best_peer(row)[1] / 1e9 for row in peers],
            marker,
            color="tab:orange",
            markersize=5,
            fillstyle="none",
            label=f"best peer, {label}",
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="FLOP per byte of weights read",
        ylabel="GFLOP/s",
        title=f"Roofline: {host['cpu']}, {host['isa']}, {host['num_threads']} thread, float32, {host['date'][:10]}",
    )
    ax.set_xlim(x_range[0] / 5, x_range[1])
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("picture", nargs="?", type=Path, default=ROOT / "docs" / "gallery" / "roofline.png")
    a = parser.parse_args()
    matplotlib.use("Agg")
    draw(json.loads(a.results.read_text())).savefig(a.picture, dpi=100)
    print(f"wrote {a.picture}")


if __name__ == "__main__":
    main()
