"""Write docs/performance.md, the table in README.md and docs/gallery/speed.png from benchmarks/results/:

    python docs/performance.py

No figure is entered by hand: tests/test_readme.py compares the text with the result files.
"""

import json
import sys
from pathlib import Path
from statistics import geometric_mean

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from comparison.case import FEWER_BITS  # noqa: E402
from comparison.markdown import NAMES, float32_table, format_sections, micro  # noqa: E402
from comparison.table import size_text  # noqa: E402
from comparison.verdict import best_peer, ours, ratio, seconds, spread  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
INTEL, INTEL_TWO = "intel-xeon-2026-11-28-one-thread", "intel-xeon-2026-11-28-two-threads"
ZEN5, ZEN3 = "amd-epyc-zen5-2026-11-27-one-thread", "amd-epyc-2026-11-23-one-thread"
PROCESSORS = {"Intel, AVX-512": INTEL, "Zen 5, AVX-512": ZEN5, "Zen 3, AVX2": ZEN3}
HEADLINE = {  # (kind, T, B, I, H) and its description in the table of README.md
    ("step", 1, 1, 8, 8): "one `step` from Python, H = 8",
    ("step", 1, 1, 128, 128): "one `step` from Python, H = 128",
    ("forward", 100, 1, 64, 64): "one sequence of 100 steps, H = 64",
    ("forward", 100, 32, 64, 64): "32 sequences of 100 steps, H = 64",
    ("training", 100, 1, 64, 64): "forward and backward, one sequence, H = 64",
    ("training", 100, 32, 64, 64): "forward and backward, 32 sequences, H = 64",
}

PAGE = """# Performance

This page compares lstm_fast with other libraries, shape by shape. All times are medians of interleaved runs on one
virtual machine per table. Every framework runs in its own process and uses its fastest documented call for that shape.
The figures come from the JSON files named with each table ([benchmarks/README.md](../benchmarks/README.md) has the
commands), and `python docs/performance.py` writes this page.

* **best peer**, **PyTorch**: their time divided by that of lstm_fast; above 1, lstm_fast is faster.
* **of the limit**: the fraction of the hardware limit, measured in the same run: the rate of a large matrix product, or
  reading the weights at the speed of the cache they fit in, whichever takes longer. Small shapes are limited by the
  activations and call overhead, which this limit does not include.
* **spread**: interquartile range of the rounds of lstm_fast divided by their median.

{summary}

## AVX-512 (Intel Xeon with AMX), float32, one thread

`benchmarks/results/{intel}.json`, {intel_date}, commit {intel_commit}; the chart of all its shapes is `{intel}.png`
beside it. The large matrix product of the limit is NumPy's, by OpenBLAS, which reaches 57 % of this processor's fused
multiply-adds: some fractions exceed 100 %. [architecture.md](architecture.md#what-limits-batches) has the limits of
the processor itself.

{intel_table}

## AVX-512 (AMD EPYC, Zen 5), float32, one thread

`benchmarks/results/{zen5}.json`, {zen5_date}, commit {zen5_commit} (an older version); the chart of all its shapes is
`{zen5}.png` beside it.

{zen5_table}

## AVX2 (AMD EPYC, Zen 3), float32, one thread

`benchmarks/results/{zen3}.json`, {zen3_date}, commit {zen3_commit} (an older version). This machine was not idle:
individual ratios vary by ten percent between runs.

{zen3_table}

{formats}## Two threads (Intel Xeon)

`benchmarks/results/{intel_two}.json`, {intel_two_date}, commit {intel_two_commit}. *one thread* is the time of
lstm_fast on one thread divided by its time on two. [architecture.md](architecture.md#threads) explains how
calls are divided and what limits them.

{two_table}

## Where lstm_fast is slower

{losses}
"""


FORMATS = """## Low-precision formats, one thread

bfloat16 and int8 compared with float32 and with the fastest peer in the same format.

* **float32**: the time of lstm_fast in float32 divided by its time in the format.
* **error**: the largest difference of h from float32 with the same random weights, of lstm_fast and of the peer.
* **gradients**: the largest norm of the difference of a gradient from float32, relative to the norm of the gradient.

"""


def load(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def compared(results, format="float32"):
    """The rows in a format that have a peer's time."""
    return [
        row
        for row in results["rows"]
        if ours(row)
        and best_peer(row)[1]
        and row.get("format", "float32") == format
        and row["regime"] not in ("float16", "float64", "avx2")  # files of November 2026 name no format
    ]


def by_shape(results):
    """The float32 rows of a file by the keys of HEADLINE; the first row of each."""
    return {tuple(row[key] for key in ("kind", "T", "B", "I", "H")): row for row in reversed(compared(results))}


def headline(*files):
    """README's table: a pair of columns for each processor."""
    columns = " | ".join(f"{name} | best peer" for name, _ in files)
    yield f"| float32, one thread | {columns} |"
    yield "|---" * (1 + 2 * len(files)) + "|"
    rows = [by_shape(results) for _, results in files]
    for key, words in HEADLINE.items():
        cells = []
        for row in (one[key] for one in rows):
            peer, time = best_peer(row)
            cells.append(f"{micro(ours(row))} | {ratio(time, ours(row)):.1f} × ({NAMES.get(peer, peer)})")
        yield f"| {words} | {' | '.join(cells)} |"


def two_threads(results):
    yield "| T, B, I, H | | lstm_fast | one thread | spread |"
    yield "|---|---|---|---|---|"
    for row in (row for row in results["rows"] if row["regime"] == "threads" and ours(row)):
        own = ratio(seconds(row, row["own"]), ours(row)) / row["own_work"]
        yield (
            f"| {row['T']}, {row['B']}, {row['I']}, {row['H']} | {row['kind']} | "
            f"{micro(ours(row))} | {own:.2f} × | {spread(row):.1%} |"
        )


def losses(name, rows, what):
    """A sentence: those of the rows of a file in which a peer takes less time."""
    ratios = [(ratio(best_peer(row)[1], ours(row)), row) for row in rows]
    slower = sorted(((value, row) for value, row in ratios if value < 1), key=lambda pair: pair[0])
    words = ", ".join(
        f"{row['kind']} T={row['T']} B={row['B']} I={row['I']} H={size_text(row)} "
        f"({value:.2f} × {NAMES.get(best_peer(row)[0], best_peer(row)[0])})"
        for value, row in slower
    )
    return f"* `{name}.json`, {what}{len(slower)} of {len(rows)} shapes: {words or 'none'}."


def all_losses(names, with_formats):
    """losses of float32 in the named files, and of each format in the files that have formats."""
    for name in names:
        yield losses(name, compared(load(name)), "")
    for name in with_formats:
        results = load(name)
        for format in FEWER_BITS:
            if rows := compared(results, format):
                yield losses(name, rows, f"{format}, ")


def formats(names):
    """The section on formats of fewer bits, from those of the files that have them; empty if none has."""
    text = ""
    for name in names:
        results = load(name)
        if lines := list(format_sections(results)):
            host = results["host"]
            entrants = {
                entrant for row in results["rows"] for entrant, one in row["times"].items() if one.get("has_amx")
            }
            amx = f" May have used AMX: {', '.join(sorted(entrants))}." if entrants else ""
            text += (
                f"`benchmarks/results/{name}.json`, {host['date'][:10]}: {host['cpu']} with "
                f"{' '.join(host['instructions'])}, {host['num_threads']} thread(s).{amx}\n"
            )
            text += "\n".join(lines) + "\n\n"
    return text and FORMATS + text


SUMMARIES = {"intel": "Intel Xeon, AVX-512", "zen5": "AMD Zen 5, AVX-512", "zen3": "AMD Zen 3, AVX2"}


def summary_of(key, results):
    """An item of a list: how fast lstm_fast is over all float32 shapes of a file."""
    ratios = [ratio(best_peer(row)[1], ours(row)) for row in compared(results)]
    return (
        f"* {SUMMARIES[key]}: over {len(ratios)} float32 shapes, {geometric_mean(ratios):.2f} times as fast as the "
        "best peer at each shape (geometric mean)."
    )


def page():
    measured = sorted(path.stem for path in RESULTS.glob("*.json") if "quick" not in path.stem)
    files = {"intel": INTEL, "intel_two": INTEL_TWO, "zen5": ZEN5, "zen3": ZEN3}
    loaded = {key: load(name) for key, name in files.items()}
    dates = {f"{key}_date": results["host"]["date"][:10] for key, results in loaded.items()}
    dates |= {f"{key}_commit": results["host"]["commit"][:7] for key, results in loaded.items()}
    summary = "\n".join(summary_of(key, loaded[key]) for key in SUMMARIES)
    return PAGE.format(
        **files,
        **dates,
        summary=summary,
        intel_table="\n".join(float32_table(loaded["intel"])),
        zen5_table="\n".join(float32_table(loaded["zen5"])),
        zen3_table="\n".join(float32_table(loaded["zen3"])),
        two_table="\n".join(two_threads(loaded["intel_two"])),
        formats=formats(measured),
        losses="\n".join(all_losses([INTEL, ZEN5, ZEN3], measured)),
    )


def draw(path):
    """A bar for each row of README's table: how many times as long the best peer and PyTorch take."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    results = load(ZEN5)
    rows = by_shape(results)
    figure, axes = plt.subplots(figsize=(8, 3.4), dpi=110, layout="constrained")
    for k, key in enumerate(HEADLINE):
        peer, time = best_peer(rows[key])
        torch = ratio(seconds(rows[key], rows[key]["peers"]["torch"]), ours(rows[key]))
        bars = [(torch, "0.75", "PyTorch"), (ratio(time, ours(rows[key])), "0.35", NAMES.get(peer, peer))]
        if peer == "torch":
            bars = bars[1:]
        for j, (value, gray, name) in enumerate(bars):
            y = k + 0.2 * (len(bars) - 1) - 0.4 * j
            axes.barh(y, value, 0.36, color=gray)
            axes.text(value * 1.04, y, f"{value:.1f} × {name}", va="center", fontsize=8)
    axes.axvline(1, color="0", lw=1)
    axes.set_yticks(range(len(HEADLINE)), [words.replace("`", "") for words in HEADLINE.values()], fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1, 60)
    axes.set_xticks([1, 2, 5, 10, 20], ["1\nlstm_fast", "2", "5", "10", "20"], fontsize=8)
    axes.minorticks_off()
    axes.set_xlabel("time relative to lstm_fast (lower is faster)", fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path)
    plt.close(figure)


def readme(text):
    """README.md with its table renewed."""
    begin, end = "<!-- written by docs/performance.py -->\n", "<!-- end -->\n"
    before, _, rest = text.partition(begin)
    return (
        before
        + begin
        + "\n".join(headline(*((name, load(file)) for name, file in PROCESSORS.items())))
        + "\n"
        + end
        + rest.partition(end)[2]
    )


if __name__ == "__main__":
    (ROOT / "docs" / "performance.md").write_text(page())
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text()))
    draw(ROOT / "docs" / "gallery" / "speed.png")
