"""What is timed: every shape with its regime, its bars and the reason for it, in one table."""

from typing import NamedTuple


class Entrant(NamedTuple):
    """A framework with its settings."""

    framework: str
    threads: int | None = None  # None: --num-threads
    isa: str | None = None  # None: the best one
    dtype: str = "float32"
    T: int | None = None  # where they differ from the shape
    B: int | None = None


class Case(NamedTuple):
    """A row of the table.

    kind: step (one step from Python, the state carried), block (T steps in one call on a stream), forward, or training
    (forward and backward). own: the baseline, another entrant of lstm_fast to compare with. peers: True for all, or
    names. is_busy: another process keeps one core busy.

    bars: pairs of a name and a value. peers 1.2: the best peer takes at least 1.2 times as long. own 1.7: the baseline
    takes at least 1.7 times as long for the same work. torch 3: PyTorch takes at least 3 times as long. sgemm 0.9: at
    least 90 % of the rate of a matrix product. us 1.5: at most 1.5 us (block: per step).
    """

    regime: str
    kind: str
    T: int
    B: int
    I: int
    H: int
    bars: tuple
    reason: str
    entrant: Entrant = Entrant("lstm_fast")
    own: Entrant | None = None
    peers: bool | tuple = True
    is_busy: bool = False


REGIMES = {
    "step": "one step from Python, batch 1",
    "block": "a block of steps in one call on a stream, batch 1 (bars: RTNeural's compiled C++, per step)",
    "sequence": "whole sequence, batch 1",
    "batch": "whole sequence, batch 16-64",
    "float16": "weights stored as float16, baseline: float32",
    "training-1": "training (forward + backward), batch 1",
    "training": "training (forward + backward), batches",
    "float64": "float64, baseline: float32",
    "avx2": "AVX2 forced, baseline: the best instruction set",
    "threads": "two threads, baseline: one thread",
    "busy": "two threads while another process keeps one core busy, baseline: one thread",
    "growth": "scaling with T and B, baseline: a tenth or an eighth of the work, scaled up",
    "deepbench": "DeepBench, LSTM inference (server set), I = H",
    "deepbench-training": "DeepBench, LSTM training set, I = H",
    "odd": "odd sizes, inference",
    "odd-training": "odd sizes, training",
}
CHECKED_STEPS = 5  # steps over which the kind "step" is checked, with the state carried
LARGEST_FLOPS = 31e9  # per call; larger shapes need --large

OURS, ONE_THREAD, TWO_THREADS = Entrant("lstm_fast"), Entrant("lstm_fast", threads=1), Entrant("lstm_fast", threads=2)
AVX2, FLOAT64 = Entrant("lstm_fast", isa="avx2"), Entrant("lstm_fast", dtype="float64")
FLOAT16 = Entrant("lstm_fast", dtype="float16")

QUICK = {
    ("step", 1, 1, 64, 64),
    ("sequence", 100, 1, 64, 64),
    ("batch", 100, 32, 64, 64),
    ("training-1", 100, 1, 64, 64),
    ("training", 100, 32, 64, 64),
    ("float64", 100, 32, 64, 64),
    ("threads", 100, 32, 64, 64),
    ("avx2", 100, 32, 64, 64),
    ("float16", 1, 1, 512, 512),
    ("odd", 50, 3, 7, 20),
}


def _steps():
    for H, ratio in ((1, 8), (8, 8), (16, 8), (64, 7), (128, 4.5), (256, 1.35), (512, 1.15), (1024, 1.05)):
        bars = (("peers", ratio), ("us", 1.5)) if H <= 16 else (("peers", ratio),)
        yield Case("step", "step", 1, 1, H, H, bars, "a new sample in a served model")
    for H, us in ((8, 0.10), (16, 0.15), (32, 0.34), (64, 2.2), (128, 8.2)):
        yield Case("block", "block", 1000, 1, 1, H, (("us", us),), "a live stream that arrives in blocks", peers=False)


def _sequences():
    for I, H, ratio in (
        (16, 32, 4),
        (64, 64, 2.2),
        (128, 128, 1.6),
        (256, 256, 1.3),
        (512, 512, 1.03),
        (1024, 1024, 1.03),
    ):
        yield Case("sequence", "forward", 100, 1, I, H, (("peers", ratio),), "one sequence at a time")
    for B, Hs in ((16, (64, 256)), (32, (32, 64, 128, 256, 512, 1024)), (64, (64, 128, 512))):
        for H in Hs:
            ratio = {32: 2.3, 64: 1.45, 128: 1.18, 256: 1.08, 512: 1.05, 1024: 1.05}[H]
            bars = (("peers", ratio), ("sgemm", 0.92)) if H >= 128 else (("peers", ratio),)
            T = 100 if H <= 128 else 50 if H <= 512 else 20
            yield Case("batch", "forward", T, B, 16 if H == 32 else H, H, bars, "many sequences at once")
    for kind, T, H in (("step", 1, 512), ("step", 1, 1024), ("forward", 50, 512), ("forward", 20, 1024)):
        yield Case(
            "float16", kind, T, 1, H, H, (("own", 1.7), ("peers", 1.7)), "bound by reading the weights", FLOAT16, OURS
        )


def _training():
    for H, bars in ((32, ()), (64, (("peers", 3),)), (128, ()), (256, (("peers", 1.8),))):
        yield Case("training-1", "training", 100, 1, H, H, bars, "online learning, recurrent reinforcement learning")
    for T, B, H, bars in (
        (100, 32, 32, (("peers", 2.5),)),
        (100, 32, 64, (("peers", 1.8),)),
        (100, 32, 128, (("peers", 1.4),)),
        (50, 32, 256, (("peers", 1.4),)),
        (20, 32, 512, (("peers", 1.2),)),
        (8, 64, 1024, (("peers", 1.15), ("sgemm", 0.8))),
        (50, 256, 128, (("peers", 1.6), ("sgemm", 0.8))),
    ):
        yield Case("training", "training", T, B, 16 if H == 32 else H, H, bars, "a typical training job")


def _variants():
    shapes = (
        ("forward", 100, 32, 64),
        ("forward", 100, 32, 128),
        ("forward", 50, 32, 256),
        ("training", 100, 32, 64),
        ("training", 100, 32, 128),
    )
    for kind, T, B, H in shapes:
        yield Case("float64", kind, T, B, H, H, (("own", 0.45), ("torch", 3)), "science", FLOAT64, OURS, ("torch",))
    for kind, T, B, H in shapes:
        yield Case("avx2", kind, T, B, H, H, (("own", 0.45),), "processors without AVX-512", AVX2, OURS, False)


def _threads():
    ahead, both = ("peers", 1), (TWO_THREADS, ONE_THREAD)
    for T, B, H in ((100, 32, 32), (100, 32, 64), (100, 32, 128), (50, 32, 256), (20, 32, 512), (10, 64, 1024)):
        yield Case("threads", "forward", T, B, H, H, (("own", 1.7), ahead), "the batch is split", *both)
    for H, own in ((32, 0.95), (64, 0.95), (128, 0.95), (256, 1.8), (320, 2.2), (512, 1.5), (1024, 0.95)):
        yield Case(
            "threads", "forward", 100, 1, H, H, (("own", own), ahead), "hidden units are split, or nothing is", *both
        )
    for H in (16, 64, 256, 512):
        yield Case(
            "threads", "step", 1, 1, H, H, (("own", 0.95), ahead), "nothing to share, and nothing may be lost", *both
        )
    for T, B, H in ((100, 1, 64), (100, 32, 64), (50, 32, 256)):
        yield Case("threads", "training", T, B, H, H, (("own", 1.7 if B > 1 else 0.95), ahead), "training", *both)
    for kind, T, B, H in (
        ("step", 1, 1, 64),
        ("forward", 100, 1, 64),
        ("forward", 100, 1, 256),
        ("forward", 100, 32, 64),
        ("training", 100, 32, 64),
    ):
        yield Case("busy", kind, T, B, H, H, (("own", 0.95),), "oversubscription", *both, False, True)


def _growth():
    linear = (("own", 0.9),)
    for H in (20, 64, 256):
        yield Case("growth", "forward", 1000, 1, H, H, linear, "ten times the steps", OURS, OURS._replace(T=100), False)
    for kind, H in (("forward", 20), ("forward", 128), ("training", 64)):
        yield Case("growth", kind, 20, 256, H, H, linear, "eight times the batch", OURS, OURS._replace(B=32), False)


def _deepbench():
    """All LSTM problems of DeepBench, with the sizes of its code/kernels/rnn_problems.h, where I = H."""
    for H, T in ((256, 150), (512, 25), (1024, 25), (1536, 50), (2048, 25)):
        for B in (1, 2, 4):
            yield Case("deepbench", "forward", T, B, H, H, (), "published")
    for H, T, Bs in (
        (256, 150, (16, 32, 64)),
        (512, 25, (16, 32, 64, 128)),
        (1024, 25, (16, 32, 64, 128)),
        (1536, 50, (8, 16, 32)),
        (2048, 25, (16, 32, 64, 128)),
        (4096, 25, (16, 32, 64, 128)),
    ):
        for B in Bs:
            yield Case("deepbench-training", "training", T, B, H, H, (), "published")


def _odd():
    for T, B, I, H, reason in (
        (1000, 1, 1, 1, "the teaching example"),
        (100, 1, 3, 10, "a small sensor"),
        (1000, 1, 8, 20, "a long series"),
        (100, 1, 40, 50, "no vector length divides 50"),
        (100, 1, 5, 100, ""),
        (30, 1, 100, 200, "text, small"),
        (20, 1, 650, 650, "a language model of 2014"),
        (10, 1, 1500, 1500, "a larger one"),
        (100, 1, 512, 16, "I >> H"),
        (100, 2, 20, 50, ""),
        (50, 3, 7, 20, ""),
        (100, 5, 10, 100, ""),
        (100, 8, 64, 64, "the smallest even batch"),
        (30, 17, 33, 65, "all sizes one more than a power of two"),
        (35, 20, 650, 650, "language model, its batch"),
        (1, 32, 64, 64, "one step of many streams"),
        (1, 256, 30, 100, ""),
        (10, 100, 1, 10, "many short series"),
        (365, 256, 5, 64, "hydrology: a year of days"),
        (50, 64, 300, 200, "word vectors"),
        (20, 100, 8, 1, "H = 1, batch"),
        (1000, 8, 2, 20, ""),
        (20, 16, 1500, 1500, ""),
        (20, 256, 28, 128, "rows of digits"),
    ):
        yield Case("odd", "forward", T, B, I, H, (), reason)
    for T, B, I, H, reason in (
        (50, 1, 1, 1, "the teaching example"),
        (20, 5, 10, 20, "a few sequences"),
        (100, 17, 3, 50, ""),
        (365, 256, 5, 64, "hydrology"),
        (30, 8, 100, 200, ""),
        (20, 100, 1, 10, ""),
        (35, 20, 200, 200, "language model, small"),
    ):
        yield Case("odd-training", "training", T, B, I, H, (), reason)


def cases():
    return [*_steps(), *_sequences(), *_training(), *_variants(), *_threads(), *_growth(), *_deepbench(), *_odd()]


def quick_cases():
    return [
        case
        for case in cases()
        if (case.regime, case.T, case.B, case.I, case.H) in QUICK
        and (case.kind != "training" or case.regime.startswith("training"))
    ]


def flops(case):
    """Floating-point operations of the matrix products; a training step counts as three forward passes."""
    return 8 * case.H * (case.I + case.H) * case.T * case.B * (3 if case.kind == "training" else 1)


def weight_bytes(case):
    """Bytes of the weights that each step reads, and bytes that a whole call reads at least.

    Over a sequence the products with weight_ih can be computed for many steps at once; those with weight_hh cannot.
    """
    size = {"float16": 2, "float32": 4, "float64": 8}[case.entrant.dtype]
    hh, ih = 4 * case.H * case.H * size, 4 * case.H * case.I * size
    if case.kind == "step":
        return hh + ih, hh + ih
    passes = 2 if case.kind == "training" else 1
    return hh, passes * (hh * case.T + ih)
