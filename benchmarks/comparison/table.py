"""The results as text."""

import re
from collections import Counter
from itertools import groupby

from .case import FEWER_BITS
from .shapes import REGIMES
from .verdict import (
    AT_MOST,
    best_peer,
    error,
    flops_per_s,
    needed_share,
    ours,
    ratio,
    seconds,
    share_of_limit,
    verdicts,
)

SHORT = {"onnxruntime": "ORT", "openvino": "OpenVINO"}
LEGEND = """\
ours: lstm_fast in the regime above; baseline: another run of lstm_fast; best peer: its time relative to ours; limit:
fraction of what this hardware allows by arithmetic (flops) or by reading the weights (reads); wrong: differs from the
reference by more than 1e-4 (bfloat16 0.05, int8 0.2); -: not available. Beside a time in bfloat16 and int8: the largest
difference from float32, of h, or in training of h and the gradients. Stacks: median/99th percentile of single calls.
Medians of interleaved rounds. Absolute times drift: compare within a row."""
SIGNS = {
    "ahead": "x",
    "peers": "x",
    "own": "x baseline",
    "sgemm": " sgemm",
    "limit": " of the limit",
    "us": " us",
    "tail": "x median in p99",
    "gradients": " of a gradient",
}
OF_SEVERAL_FORMATS = "stack", "formats-avx2"
WIDTHS = {
    "stack": 25,
    **dict.fromkeys((*FEWER_BITS, "bfloat16-training", "bfloat16-amx-training", "formats-avx2"), 17),
}  # of a time; else 9


def time_text(value):
    """Seconds as text with a unit."""
    if value is None:
        return "-"
    us = value * 1e6
    if us < 1e4:
        return f"{us:.2f} us" if us < 10 else f"{us:.1f} us" if us < 100 else f"{us:.0f} us"
    return f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def error_text(value):
    """An error as text of two digits."""
    if value is None:
        return "-"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


def _missing_text(problem):
    return "wrong" if "wrong by" in problem else "-" if _is_refusal(problem) else "failed"


def _is_refusal(problem):
    return problem.startswith(("not available", "not installed", "no ", "not ", "its LSTM has no", "takes no"))


def _cell(row, name):
    """A time; with its 99th percentile and its error where the row has them."""
    if not (value := seconds(row, name)):
        return _missing_text(row["times"].get(name, {}).get("problem", "not installed"))
    p99 = row["times"][name].get("p99")
    text = f"{time_text(value)}/{time_text(p99)}" if p99 else time_text(value)
    has_error = row.get("format") in FEWER_BITS and name != row["own"]
    return f"{text} {error_text(error(row, name))}" if has_error else text


def bar_text(verdict):
    """A bar with its verdict and the measured value."""
    what, _, peer = verdict.what.partition("/")

    def number(value):
        if what in ("sgemm", "limit"):
            return f"{value:.0%}"
        if what == "gradients":
            return f"{value:.1%}"
        return f"{value:.{2 if what in ('us', 'own', 'ahead', 'tail', 'error') or value < 2 else 1}f}"

    sign = f"x error of {SHORT.get(peer, peer)}" if peer else SIGNS[what]
    text = f"{'<=' if what in AT_MOST else '>='}{number(verdict.value)}{sign} {verdict.text}"
    return text if verdict.reached is None or what in ("peers", "ahead") else f"{text} ({number(verdict.reached)})"


def columns(rows, peers):
    """The peers that appear in any of these rows."""
    return [peer for peer in peers if any(peer in row["peers"] for row in rows)]


def heading(regime, peers):
    """The lines above the rows of a regime."""
    width = WIDTHS.get(regime, 9)
    yield ""
    yield f"{regime}: {REGIMES[regime]}"
    names = "".join(f"{SHORT.get(peer, peer):>{width + 1}}" for peer in peers)
    last = f"{'x float32':>9}" if regime in WIDTHS else f"{'GF/s':>6} {'limit':>11}"
    sizes = f"{'T':>12}{'B':>5}{'I':>5}{'H':>6}"
    yield f"{sizes} {'ours':>{width}} {'baseline':>{width}} {names} {'best peer':>15} {last}  bars"


def _shape(row):
    """The first columns: the kind of call, or the format in regimes of several formats; the sizes."""
    first = row.get("format", "float32").removesuffix("puts") if row["regime"] in OF_SEVERAL_FORMATS else row["kind"]
    return f"{first:8}{row['T']:4}{row['B']:5}{row['I']:5}{size_text(row):>6}"


def size_text(row):
    """The hidden size, preceded by the number of layers if there are several."""
    layers = row.get("layers", 1)
    return f"{layers}x{row['H']}" if layers > 1 else str(row["H"])


def line(row, peers, host):
    """A row of the table."""
    width = WIDTHS.get(row["regime"], 9)
    peer, time = best_peer(row)
    best = f"{SHORT.get(peer, peer)} {ratio(time, ours(row)):5.2f}x" if peer and ours(row) else "-"
    cells = "".join(f"{_cell(row, row['peers'][p]) if p in row['peers'] else '':>{width + 1}}" for p in peers)
    own = _cell(row, row["own"]) if row["own"] else ""
    if row["regime"] in WIDTHS:
        over = ratio(seconds(row, row["own"]), ours(row))
        last = f"{f'{over:.2f}x' if over else '-':>9}"
    else:
        share, what = share_of_limit(row)
        rate = f"{flops_per_s(row) / 1e9:.1f}" if ours(row) else "-"
        last = f"{rate:>6} {f'{share:4.0%} {what}' if share else '-':>11}"
    return f"{_shape(row)} {_cell(row, row['ours']):>{width}} {own:>{width}} {cells} {best:>15} {last}  " + "; ".join(
        bar_text(verdict) for verdict in verdicts(row, host)
    )


def problems(rows):
    """The entrants without a time, each reason once."""

    def short(text):
        return re.sub(r"wrong by \S+", "wrong", text)  # the file has the error

    counts = Counter(
        (name, short(result["problem"])) for row in rows for name, result in row["times"].items() if "problem" in result
    )
    partly = Counter(
        (name, f"{short(text)} (another way ran)")
        for row in rows
        for name, result in row["times"].items()
        for text in result.get("problems", ())
    )
    for (name, problem), n in sorted((counts + partly).items()):
        yield f"  {name}: {problem} ({n} {'shape' if n == 1 else 'shapes'})"


def closing(results):
    """The lines below the table: verdicts, missed bars, problems, legend."""
    rows, host = results["rows"], results["host"]
    found = [(row, verdict) for row in rows for verdict in verdicts(row, host)]
    counts = Counter(verdict.text for _, verdict in found)
    told = [f"{counts.pop(text, 0)} {text}" for text in ("met", "missed", "not measured")]
    told += [f"{n} {text.replace('needs', 'need', n > 1)}" for text, n in sorted(counts.items())]
    yield ""
    yield f"Bars: {', '.join(told)}; {host['cpu']}, {host['isa']}. Missed, with the fraction of the limit required:"
    for row, verdict in found:
        if verdict.text == "missed":
            got = f" ({verdict.reached:.2f})" if verdict.what in ("peers", "ahead") else ""
            needed = needed_share(row, verdict)
            requires = f", requires {needed:.0%}" if needed else ""
            regime = f"{row['regime']} {row['format']}" if row["regime"] in OF_SEVERAL_FORMATS else row["regime"]
            yield (
                f"  {regime} {row['kind']} T={row['T']} B={row['B']} I={row['I']} H={size_text(row)}: "
                f"{bar_text(verdict)}{got}{requires}"
            )
    texts = list(problems(rows))
    if texts:
        yield "Without a time:"
        yield from texts
    with_amx = sorted({name for row in rows for name, result in row["times"].items() if result.get("has_amx")})
    if with_amx:
        yield f"May have used AMX: {', '.join(with_amx)}"
    yield LEGEND


def all_lines(results):
    """The whole table with heading and legend."""
    peers, rows = results["settings"]["peers"], results["rows"]
    yield from about(results["host"])
    for regime, group in groupby(rows, key=lambda row: row["regime"]):
        group = list(group)
        shown = columns(group, peers)
        yield from heading(regime, shown)
        yield from (line(row, shown, results["host"]) for row in group)
    yield from closing(results)


def about(host):
    """The host and the versions."""
    versions = ", ".join(
        f"{name} {value}" for name, value in host["versions"].items() if not name.startswith("python of")
    )
    yield (
        f"{host['cpu']}, {host['processors']} processors, {host['num_threads']} thread(s), {host['date']}, "
        f"commit {host['commit']}"
    )
    if host.get("instructions"):
        most = host.get("onednn_max_cpu_isa")
        yield " ".join(host["instructions"]) + (f", ONEDNN_MAX_CPU_ISA={most}" if most else "")
    yield versions
