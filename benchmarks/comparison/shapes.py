"""What is timed in float32 and float64: every shape with its regime and the reason for it, in one table."""

from .case import Case, Entrant
from .shapes_formats import format_cases

REGIMES = {
    "step": "one step from Python, batch 1",
    "block": "a block of steps in one call on a stream, batch 1",
    "sequence": "whole sequence, batch 1",
    "batch": "whole sequence, batch 16-64",
    "bfloat16": "bfloat16, inference, baseline: float32",
    "bfloat16-amx": "bfloat16 with the sums of AMX, inference, baseline: float32",
    "int8": "int8, the first layer's x in float32; inference, baseline: float32",
    "int8-inputs16": "int8, the first layer's x in 16 bits; inference, baseline: float32",
    "int8-inputs": "int8, the first layer's x too; inference, baseline: float32",
    "bfloat16-training": "bfloat16, training (forward + backward), baseline: float32",
    "bfloat16-amx-training": "bfloat16 with the sums of AMX, training (forward + backward), baseline: float32",
    "formats-avx2": "formats with AVX2 forced, baseline: float32 with AVX2",
    "stack": "one step of several layers from Python, batch 1",
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
    "benchdnn": "LSTM shapes of oneDNN's benchdnn, inference",
    "odd": "odd sizes, inference",
    "odd-training": "odd sizes, training",
}
LARGEST_FLOPS = 31e9  # per call; larger shapes need --large

OURS, ONE_THREAD, TWO_THREADS = Entrant("lstm_fast"), Entrant("lstm_fast", threads=1), Entrant("lstm_fast", threads=2)
AVX2, FLOAT64 = Entrant("lstm_fast", isa="avx2"), Entrant("lstm_fast", format="float64")
FLOAT16 = Entrant("lstm_fast", format="float16")

QUICK = {
    ("step", 1, 1, 64, 64),
    ("sequence", 100, 1, 64, 64),
    ("batch", 100, 32, 64, 64),
    ("bfloat16", 100, 32, 128, 128),
    ("int8", 100, 1, 256, 256),
    ("bfloat16-training", 100, 32, 64, 64),
    ("stack", 1, 1, 128, 128),
    ("training-1", 100, 1, 64, 64),
    ("training", 100, 32, 64, 64),
    ("float64", 100, 32, 64, 64),
    ("threads", 100, 32, 64, 64),
    ("avx2", 100, 32, 64, 64),
    ("float16", 1, 1, 512, 512),
    ("odd", 50, 3, 7, 20),
}


def _steps():
    for H in (1, 8, 16, 64, 128, 256, 512, 1024):
        yield Case("step", "step", 1, 1, H, H, "a new sample in a served model")
    for H in (8, 16, 32, 64, 128):
        yield Case("block", "block", 1000, 1, 1, H, "a live stream that arrives in blocks", peers=False)


def _sequences():
    for I, H in ((16, 32), (64, 64), (128, 128), (256, 256), (512, 512), (1024, 1024)):
        yield Case("sequence", "forward", 100, 1, I, H, "one sequence at a time")
    for B, Hs in ((16, (64, 256)), (32, (32, 64, 128, 256, 512, 1024)), (64, (64, 128, 512))):
        for H in Hs:
            T = 100 if H <= 128 else 50 if H <= 512 else 20
            yield Case("batch", "forward", T, B, 16 if H == 32 else H, H, "many sequences at once")
    for kind, T, H in (("step", 1, 512), ("step", 1, 1024), ("forward", 50, 512), ("forward", 20, 1024)):
        yield Case("float16", kind, T, 1, H, H, "bound by reading the weights", FLOAT16, OURS)


def _training():
    for H in (32, 64, 128, 256):
        yield Case("training-1", "training", 100, 1, H, H, "online learning, recurrent reinforcement learning")
    for T, B, H in (
        (100, 32, 32),
        (100, 32, 64),
        (100, 32, 128),
        (50, 32, 256),
        (20, 32, 512),
        (8, 64, 1024),
        (50, 256, 128),
    ):
        yield Case("training", "training", T, B, 16 if H == 32 else H, H, "a typical training job")


def _variants():
    shapes = (
        ("forward", 100, 32, 64),
        ("forward", 100, 32, 128),
        ("forward", 50, 32, 256),
        ("training", 100, 32, 64),
        ("training", 100, 32, 128),
    )
    for kind, T, B, H in shapes:
        yield Case("float64", kind, T, B, H, H, "science", FLOAT64, OURS, ("torch",))
    for kind, T, B, H in shapes:
        yield Case("avx2", kind, T, B, H, H, "processors without AVX-512", AVX2, OURS, False)


def _threads():
    both = TWO_THREADS, ONE_THREAD
    for T, B, H in ((100, 32, 32), (100, 32, 64), (100, 32, 128), (50, 32, 256), (20, 32, 512), (10, 64, 1024)):
        yield Case("threads", "forward", T, B, H, H, "the batch is split", *both)
    for H in (32, 64, 128, 256, 320, 512, 1024):
        yield Case("threads", "forward", 100, 1, H, H, "hidden units are split, or nothing is", *both)
    for H in (128, 256):
        yield Case("threads", "forward", 100, 1, H, H, "two layers, a wavefront over time", *both, layers=2)
    for H in (16, 64, 256, 512):
        yield Case("threads", "step", 1, 1, H, H, "nothing to share, and nothing may be lost", *both)
    for T, B, H in ((100, 1, 64), (100, 32, 64), (50, 32, 256)):
        yield Case("threads", "training", T, B, H, H, "training", *both)
    for kind, T, B, H in (
        ("step", 1, 1, 64),
        ("forward", 100, 1, 64),
        ("forward", 100, 1, 256),
        ("forward", 100, 32, 64),
        ("training", 100, 32, 64),
    ):
        yield Case("busy", kind, T, B, H, H, "oversubscription", *both, False, True)


def _growth():
    for H in (20, 64, 256):
        yield Case("growth", "forward", 1000, 1, H, H, "ten times the steps", OURS, OURS._replace(T=100), False)
    for kind, H in (("forward", 20), ("forward", 128), ("training", 64)):
        yield Case("growth", kind, 20, 256, H, H, "eight times the batch", OURS, OURS._replace(B=32), False)


def _deepbench():
    """All LSTM problems of DeepBench, with the sizes of its code/kernels/rnn_problems.h, where I = H."""
    for H, T in ((256, 150), (512, 25), (1024, 25), (1536, 50), (2048, 25)):
        for B in (1, 2, 4):
            yield Case("deepbench", "forward", T, B, H, H, "published")
    for H, T, Bs in (
        (256, 150, (16, 32, 64)),
        (512, 25, (16, 32, 64, 128)),
        (1024, 25, (16, 32, 64, 128)),
        (1536, 50, (8, 16, 32)),
        (2048, 25, (16, 32, 64, 128)),
        (4096, 25, (16, 32, 64, 128)),
    ):
        for B in Bs:
            yield Case("deepbench-training", "training", T, B, H, H, "published")


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
        yield Case("odd", "forward", T, B, I, H, reason)
    for T, B, I, H, reason in (
        (50, 1, 1, 1, "the teaching example"),
        (20, 5, 10, 20, "a few sequences"),
        (100, 17, 3, 50, ""),
        (365, 256, 5, 64, "hydrology"),
        (30, 8, 100, 200, ""),
        (20, 100, 1, 10, ""),
        (35, 20, 200, 200, "language model, small"),
    ):
        yield Case("odd-training", "training", T, B, I, H, reason)


def cases():
    """All of them, in the order of REGIMES."""
    listed = [_steps, _sequences, _training, _variants, _threads, _growth, _deepbench, _odd, format_cases]
    found = [case for part in listed for case in part()]
    return sorted(found, key=lambda case: list(REGIMES).index(case.regime))


def quick_cases():
    return [
        case
        for case in cases()
        if (case.regime, case.T, case.B, case.I, case.H) in QUICK
        and (case.kind != "training" or "training" in case.regime)
    ]
