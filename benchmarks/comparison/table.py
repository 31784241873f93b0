"""The results as text."""

import re
from collections import Counter

from .shapes import REGIMES
from .verdict import bars, best_peer, flops_per_s, needed_share, ours, ratio, seconds, share_of_limit, spread

SHORT = {"onnxruntime": "ORT", "openvino": "OpenVINO"}
LEGEND = """\
ours: lstm_fast in the regime above; baseline: another run of lstm_fast; best peer: its time relative to ours; limit:
fraction of what this hardware allows by arithmetic (flops) or by reading the weights (reads); wrong: differs from the
reference by more than 1e-4; -: unsupported or not installed. Medians of interleaved rounds. Absolute times drift:
compare within a row."""
SIGNS = {"peers": "x", "own": "x baseline", "torch": "x torch", "sgemm": " sgemm", "us": " us"}


def time_text(value):
    """Seconds as text with a unit."""
    if value is None:
        return "-"
    us = value * 1e6
    if us < 1e4:
        return f"{us:.2f} us" if us < 10 else f"{us:.1f} us" if us < 100 else f"{us:.0f} us"
    return f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def _missing_text(problem):
    return "wrong" if "wrong by" in problem else "-" if _is_refusal(problem) else "failed"


def _is_refusal(problem):
    return problem.startswith(("no ", "not ", "its LSTM has no", "takes no"))


def _cell(row, name):
    value = seconds(row, name)
    return time_text(value) if value else _missing_text(row["times"].get(name, {}).get("problem", "not installed"))


def bar_text(what, bar, reached, is_met):
    """A bar with its verdict and what was reached."""

    def number(value):
        return f"{value:.0%}" if what == "sgemm" else f"{value:.{2 if what in ('us', 'own') or value < 2 else 1}f}"

    verdict = {True: "met", False: "missed", None: "not measured"}[is_met]
    text = f"{'<=' if what == 'us' else '>='}{number(bar)}{SIGNS[what]} {verdict}"
    return text if reached is None or what == "peers" else f"{text} ({number(reached)})"


def heading(regime, peers):
    """The lines above the rows of a regime."""
    yield ""
    yield f"{regime}: {REGIMES[regime]}"
    columns = "".join(f"{SHORT.get(peer, peer):>10}" for peer in peers)
    yield (
        f"{'':9} T    B    I    H {'ours':>9} {'baseline':>9} {columns} "
        f"{'best peer':>15} {'GF/s':>6} {'limit':>11}  bars"
    )


def line(row, peers):
    """A row of the table."""
    peer, time = best_peer(row)
    best = f"{SHORT.get(peer, peer)} {ratio(time, ours(row)):5.2f}x" if peer and ours(row) else "-"
    share, what = share_of_limit(row)
    limit = f"{share:4.0%} {what}" if share else "-"
    rate = f"{flops_per_s(row) / 1e9:.1f}" if ours(row) else "-"
    cells = "".join(f"{_cell(row, row['peers'][p]) if p in row['peers'] else '':>10}" for p in peers)
    own = _cell(row, row["own"]) if row["own"] else ""
    shape = f"{row['kind']:8}{row['T']:4}{row['B']:5}{row['I']:5}{row['H']:5}"
    return f"{shape} {_cell(row, row['ours']):>9} {own:>9} {cells} {best:>15} {rate:>6} {limit:>11}  " + "; ".join(
        bar_text(*bar) for bar in bars(row)
    )


def markdown(results, regimes=("step", "sequence", "batch", "training-1", "training")):
    """The rows of the tables in docs/performance.md."""
    names = {"onnxruntime": "ONNX Runtime", "torch": "PyTorch", "jax": "JAX", "openvino": "OpenVINO", "keras": "Keras"}
    kinds = {"step": "one `step` of a `stream`", "training": "forward and backward"}
    for row in (row for row in results["rows"] if row["regime"] in regimes and ours(row)):
        peer, time = best_peer(row)
        share, _ = share_of_limit(row)
        own = time_text(ours(row)).replace("us", "µs")
        yield (
            f"| {row['T']}, {row['B']}, {row['I']}, {row['H']} | {kinds.get(row['kind'], row['kind'])} | {own} | "
            f"{ratio(time, ours(row)):.2f} × {names.get(peer, peer)} | "
            f"{ratio(seconds(row, row['peers']['torch']), ours(row)):.2f} × | {share:.0%} | {spread(row):.1%} |"
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
    verdicts = [verdict for row in rows for *_, verdict in bars(row)]
    yield ""
    yield (
        f"Bars: {verdicts.count(True)} met, {verdicts.count(False)} missed, {verdicts.count(None)} not measured. They "
        f"were set for AVX-512; this is {host['cpu']}, {host['isa']}. Missed, with the fraction of the limit required:"
    )
    for row in rows:
        for what, bar, reached, is_met in bars(row):
            if is_met is False:
                got = f" ({reached:.2f})" if what == "peers" else ""
                needed = needed_share(row, what, bar, reached)
                requires = f", requires {needed:.0%}" if needed else ""
                yield (
                    f"  {row['regime']} {row['kind']} T={row['T']} B={row['B']} I={row['I']} H={row['H']}: "
                    f"{bar_text(what, bar, reached, is_met)}{got}{requires}"
                )
    texts = list(problems(rows))
    if texts:
        yield "Without a time:"
        yield from texts
    yield LEGEND


def all_lines(results):
    """The whole table with heading and legend."""
    peers, regime = results["settings"]["peers"], None
    yield from about(results["host"])
    for row in results["rows"]:
        if row["regime"] != regime:
            regime = row["regime"]
            yield from heading(regime, peers)
        yield line(row, peers)
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
    yield versions
