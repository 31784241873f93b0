"""The results as tables of docs/performance.md."""

from .case import FEWER_BITS
from .table import error_text, size_text, time_text
from .verdict import best_peer, error, ours, ratio, seconds, share_of_limit, spread

NAMES = {
    "onnxruntime": "ONNX Runtime",
    "torch": "PyTorch",
    "jax": "JAX",
    "openvino": "OpenVINO",
    "keras": "Keras",
    "ncnn": "ncnn",
}
KINDS = {"step": "one `step` of a `stream`", "training": "forward and backward"}
FLOAT32 = "step", "sequence", "batch", "training-1", "training"
FORMATS = {  # regimes with their heading
    "bfloat16": "bfloat16, inference",
    "bfloat16-amx": "bfloat16_amx, inference",
    "int8": "int8, inference",
    "int8-inputs16": 'int8 with inputs="int16", inference',
    "int8-inputs": 'int8 with inputs="int8", inference',
    "bfloat16-training": "bfloat16, forward and backward",
    "bfloat16-amx-training": "bfloat16_amx, forward and backward",
}


def micro(value):
    """Seconds as text for a page."""
    return time_text(value).replace("us", "µs")


def _shape(row):
    return f"{row['T']}, {row['B']}, {row['I']}, {size_text(row)}"


def _times(value):
    return f"{value:.2f} ×" if value else "-"


def _best(row):
    peer, time = best_peer(row)
    return f"{ratio(time, ours(row)):.2f} × {NAMES.get(peer, peer)}" if peer else "-"


def float32_table(results):
    """The main regimes of float32 compared with the fastest peer and PyTorch."""
    yield "| T, B, I, H | | lstm_fast | best peer | PyTorch 2.13 | of the limit | spread |"
    yield "|---|---|---|---|---|---|---|"
    for row in (row for row in results["rows"] if row["regime"] in FLOAT32 and ours(row)):
        share, _ = share_of_limit(row)
        torch = ratio(seconds(row, row["peers"].get("torch")), ours(row))
        yield (
            f"| {_shape(row)} | {KINDS.get(row['kind'], row['kind'])} | {micro(ours(row))} | {_best(row)} | "
            f"{_times(torch)} | {share:.0%} | {spread(row):.1%} |"
        )


def format_table(results, regime):
    """A format compared with float32 and the fastest peer in the same format, with the errors of both."""
    kind = "gradients" if regime.endswith("-training") else "error"
    yield f"| T, B, I, H | | lstm_fast | float32 | best peer | {kind} | peer's {kind} | spread |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in (row for row in results["rows"] if row["regime"] == regime and ours(row)):
        peer, _ = best_peer(row)
        entrants = row["ours"], row["peers"].get(peer)
        mine, theirs = (error_text(row["times"].get(name, {}).get(kind)) for name in entrants)
        own = _times(ratio(seconds(row, row["own"]), ours(row)))
        yield (
            f"| {_shape(row)} | {KINDS.get(row['kind'], row['kind'])} | {micro(ours(row))} | {own} | {_best(row)} | "
            f"{mine} | {theirs} | {spread(row):.1%} |"
        )


def stack_table(results):
    """One step of several layers: median and 99th percentile."""
    yield "| layers × H | format | lstm_fast | 99th percentile | float32 | best peer | peer's 99th percentile | error |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in (row for row in results["rows"] if row["regime"] == "stack" and ours(row)):
        peer, _ = best_peer(row)
        tails = (row["times"].get(name, {}).get("p99") for name in (row["ours"], row["peers"].get(peer)))
        mine, theirs = map(micro, tails)
        own = _times(ratio(seconds(row, row["own"]), ours(row)))
        wrong = error_text(error(row, row["ours"])) if row["format"] in FEWER_BITS else "-"
        yield (
            f"| {row['layers']} × {row['H']} | {row['format']} | {micro(ours(row))} | {mine} | {own} | {_best(row)} | "
            f"{theirs} | {wrong} |"
        )


def format_sections(results, level="###"):
    """The tables of all formats that a result file has, each with a heading."""
    found = {row["regime"] for row in results["rows"] if ours(row)}
    tables = [(heading, format_table(results, regime)) for regime, heading in FORMATS.items() if regime in found]
    if "stack" in found:
        tables.append(("One step of several layers", stack_table(results)))
    for heading, lines in tables:
        yield from ("", f"{level} {heading}", "", *lines)


def all_tables(results):
    """All tables of a result file."""
    yield from float32_table(results)
    yield from format_sections(results)
