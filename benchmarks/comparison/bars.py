"""The bars: targets for the rows of the table, read by verdict.py."""

from typing import NamedTuple

VNNI, BF16, AVX512, AMX = ("avx512_vnni", "avx_vnni"), ("avx512_bf16",), ("avx512f",), ("amx_bf16",)
ANY, ONE, SEVERAL, BATCHES = range(1, 1 << 20), range(1, 2), range(2, 1 << 20), range(16, 65)
FLOAT32 = (
    "step sequence batch float16 training-1 training float64 deepbench deepbench-training benchdnn odd odd-training"
)


def at_least(n):
    return range(n, 1 << 20)


class Bar(NamedTuple):
    """A value to be reached by the rows of some regimes with the given kinds, formats, batches, hidden sizes, layers.

    what: ahead (the best peer takes `value` times as long, or as long where at least 95 % of the limit is used), peers
    (the best peer takes `value` times as long), own (the baseline does, for the same work), sgemm (share of the rate
    of a matrix product), limit (share of the limit), us (microseconds of a step, at most), tail (99th percentile over
    median, at most), gradients (norm of the difference from float32 over the norm of the gradient, at most), or
    error/PEER (our error over that peer's, at most). A dict gives a value to each hidden size. needs: instructions, one
    of which the processor must have.
    """

    regimes: str
    what: str
    value: float | dict
    B: range = ANY
    H: range = ANY
    T: range = ANY
    kinds: str = "step block forward training"
    formats: str = "float64 float32 float16 bfloat16 bfloat16-amx int8 int8-inputs16 int8-inputs"
    layers: range = ANY
    needs: tuple = ()


INT8 = "int8 int8-inputs16 int8-inputs"
ALONE = {64: 2.5, 128: 2, 256: 1.5, 512: 1.5, 1024: 1.5}
BARS = (
    # int8 and bfloat16, inference
    Bar(INT8, "peers", ALONE, B=ONE, needs=VNNI),
    Bar(INT8, "own", 2.5, B=ONE, H=at_least(256), needs=VNNI),
    Bar(INT8, "peers", 1.25, B=BATCHES, H=range(64, 1025), needs=VNNI),
    Bar(INT8, "own", 2.5, B=BATCHES, H=at_least(128), needs=VNNI),
    Bar(INT8, "error/onnxruntime", 0.5, H=range(64, 513), T=range(100, 101)),
    Bar("bfloat16", "peers", ALONE, B=ONE, needs=BF16),
    Bar("bfloat16", "peers", 1.15, B=BATCHES, H=range(64, 1025), needs=BF16),
    Bar("bfloat16", "own", 1.7, B=BATCHES, H=range(64, 1025), needs=BF16),
    Bar("bfloat16-amx", "peers", 1.15, B=BATCHES, H=range(64, 1025), needs=AMX),
    Bar("bfloat16-amx", "own", 1.7, B=BATCHES, H=range(64, 1025), needs=AMX),
    Bar("bfloat16 bfloat16-amx", "error/openvino", 1, H=range(64, 513), T=range(100, 101)),
    Bar("formats-avx2", "own", 0.98, B=ONE, H=at_least(128)),  # no slower, within the noise
    Bar("formats-avx2", "own", 1.3, B=SEVERAL, formats=INT8),
    # training in bfloat16
    Bar("bfloat16-training", "peers", 1.15, B=at_least(16), H=at_least(64), needs=BF16),
    Bar("bfloat16-training", "own", 1.5, B=at_least(16), H=at_least(64), needs=BF16),
    Bar("bfloat16-amx-training", "peers", 1.15, B=at_least(16), H=at_least(64), needs=AMX),
    Bar("bfloat16-amx-training", "own", 1.5, B=at_least(16), H=at_least(64), needs=AMX),
    Bar("bfloat16-training bfloat16-amx-training", "gradients", 0.01),
    # one step of a stack
    Bar("stack", "us", {128: 3.5}, formats=INT8, layers=range(2, 3), needs=VNNI),
    Bar("stack", "us", {128: 5.5}, formats="bfloat16", layers=range(2, 3), needs=BF16),
    Bar("stack", "tail", 1.3),
    # float32: no shape slower than a peer
    Bar(FLOAT32, "ahead", 1.05),
    Bar("stack", "ahead", 1.05, formats="float32"),
    Bar("step", "us", 1.5, H=range(1, 17)),
    Bar("sequence", "limit", {32: 0.50, 64: 0.79, 128: 0.71}, needs=AVX512),
    Bar("batch", "sgemm", 0.92, H=at_least(128)),
    Bar("training", "sgemm", 0.8, B=at_least(64)),
    # lstm_fast compared with its other formats, instruction sets and sizes
    Bar("float16", "own", 1.7),
    Bar("float64 avx2", "own", 0.45),
    Bar("growth", "own", 0.9),
    # two threads
    Bar("threads", "own", {256: 1.8, 320: 2.2, 512: 1.8, 1024: 1.9}, B=ONE, kinds="forward", layers=ONE),
    Bar("threads", "own", {32: 0.95, 64: 0.95, 128: 0.95}, B=ONE, kinds="forward", layers=ONE),
    Bar("threads", "own", 1.7, B=ONE, kinds="forward", layers=range(2, 3)),
    Bar("threads", "own", 1.85, B=SEVERAL),
    Bar("threads", "own", 0.95, B=ONE, kinds="step training"),
    Bar("threads", "peers", 1),
    Bar("busy", "own", 0.95),
)


def bars_of(row):
    """(what, value, needs) for each bar of a row of the results, a dict."""
    format, layers = row.get("format", "float32"), row.get("layers", 1)
    for bar in BARS:
        value = bar.value.get(row["H"]) if isinstance(bar.value, dict) else bar.value
        if (
            value is not None
            and row["regime"] in bar.regimes.split()
            and row["kind"] in bar.kinds.split()
            and format in bar.formats.split()
            and layers in bar.layers
            and all(row[name] in getattr(bar, name) for name in ("T", "B", "H"))
        ):
            yield bar.what, value, bar.needs
