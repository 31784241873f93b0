"""What is timed in formats of fewer bits, and the stacks that are stepped in each format."""

from .case import FEWER_BITS, Case, Entrant

OURS, AVX2 = Entrant("lstm_fast"), Entrant("lstm_fast", isa="avx2")
INFERENCE_PEERS = {
    "bfloat16": ("torch", "openvino", "jax", "onnxruntime"),
    "int8": ("torch", "onnxruntime", "openvino"),
}
INFERENCE_PEERS["bfloat16-amx"] = INFERENCE_PEERS["bfloat16"]
INFERENCE_PEERS["int8-inputs16"] = INFERENCE_PEERS["int8-inputs"] = INFERENCE_PEERS["int8"]
SIZES = 64, 128, 256, 512, 1024
BENCHDNN = (  # tests/benchdnn/inputs/rnn/ of oneDNN: shapes_inference, option_set_rnnt, perf_rnn_inference_lb
    (30, 1, 512, 512, "GNMT encoder"),
    (30, 1, 1024, 1024, "GNMT encoder"),
    (30, 64, 1024, 1024, "GNMT encoder, large batch"),
    (1, 1, 2048, 1024, "GNMT decoder"),
    (1, 640, 2048, 1024, "GNMT decoder, beams"),
    (100, 1, 760, 760, "DeepSpeech 2"),
    (50, 1, 1760, 1760, "DeepSpeech 2"),
    (50, 1, 500, 500, "a PyTorch test case"),
    (629, 1, 128, 128, "a Paddle test case"),
    (10, 1, 512, 128, "exp-0"),
    (1, 1, 320, 320, "RNN-T prediction network"),
    (1, 1, 1344, 128, "RNN-T, lstm_6"),
    (1, 256, 240, 1024, "RNN-T encoder, first layer"),
)
BATCHES = (
    (100, 16, 64),
    (50, 16, 256),
    (100, 32, 64),
    (100, 32, 128),
    (100, 32, 256),
    (100, 32, 512),
    (20, 32, 1024),
    (100, 64, 64),
    (100, 64, 128),
    (50, 64, 512),
)


def _inference(format):
    common = Entrant("lstm_fast", format=format), OURS, INFERENCE_PEERS[format]
    for H in SIZES:
        yield Case(format, "step", 1, 1, H, H, "a new sample in a served model", *common)
    for H in SIZES:
        yield Case(format, "forward", 100, 1, H, H, "one sequence at a time", *common)
    for T, B, H in BATCHES:
        yield Case(format, "forward", T, B, H, H, "many sequences at once", *common)
    for T, B, I, H, reason in BENCHDNN if not format.startswith("int8-inputs") else ():
        yield Case(format, "forward", T, B, I, H, f"benchdnn: {reason}", *common)


def _training(format):
    ours = Entrant("lstm_fast", format=format)
    for T, B, H in (
        (100, 1, 256),
        (100, 16, 64),
        (100, 32, 64),
        (100, 32, 128),
        (50, 32, 256),
        (20, 32, 512),
        (8, 64, 1024),
        (50, 256, 128),
    ):
        yield Case(f"{format}-training", "training", T, B, H, H, "a typical training job", ours, OURS, ("torch", "jax"))


def _without_instructions():
    """AVX2 has neither bfloat16 nor int8 dot products: both formats are emulated there."""
    for format in FEWER_BITS:
        for T, B, H in ((100, 1, 128), (100, 1, 256), (100, 1, 512), (100, 32, 64), (100, 32, 128), (50, 32, 256)):
            entrant = AVX2._replace(format=format)
            yield Case(
                "formats-avx2", "forward", T, B, H, H, "processors without the instructions", entrant, AVX2, False
            )


def _stacks():
    """Two layers, and the stacks that Vollo publishes instead of STAC-ML's LSTM_A to LSTM_C."""
    for layers, H in ((2, 64), (2, 128), (2, 256), (3, 256), (3, 480), (6, 320)):
        for format in ("float32", *FEWER_BITS):
            yield Case(
                "stack",
                "step",
                1,
                1,
                H,
                H,
                "a stream with a deadline",
                Entrant("lstm_fast", format=format),
                None if format == "float32" else OURS,
                INFERENCE_PEERS.get(format, True),
                layers=layers,
            )


def _benchdnn():
    for T, B, I, H, reason in BENCHDNN:
        yield Case("benchdnn", "forward", T, B, I, H, reason)


def format_cases():
    for format in FEWER_BITS:
        yield from _inference(format)
    for format in "bfloat16", "bfloat16-amx":
        yield from _training(format)
    yield from _without_instructions()
    yield from _stacks()
    yield from _benchdnn()
