"""The table of docs/features.md: each feature forward, backward, with lengths, as a stream, in formats; a test each.

python tests/test_features.py     # prints the table; its cells are the tests that passed
"""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bfloat16_cases
import format_cases
from lstm_fast import LSTM
from option_cases import PROBABILITIES, draw, expect, make, train
from tolerances import assert_same_bits, gradient_error

FEATURES = {
    "LSTM": (),
    "projection (`proj_size`)": ("projection",),
    "`peepholes`": ("peepholes",),
    "`layer_norm`": ("layer_norm",),
    "`coupled_gates` (f = 1 - i)": ("coupled_gates",),
    "`cell_clip`": ("cell_clip",),
    "`gate_clip`": ("gate_clip",),
    "`activation` of g: ONNX's eleven": ("activation",),
    "`recurrent_activation` of i, f, o": ("recurrent_activation",),
    "`cell_activation` of c": ("cell_activation",),
    "`dropout` between layers": ("dropout",),
    "`recurrent_dropout`": ("recurrent_dropout",),
    "`zoneout` of h": ("zoneout_h",),
    "`zoneout` of c": ("zoneout_c",),
    "`learn_initial_state`": ("learned",),
    "`resets` within a call": ("resets",),
    "`recompute_gates`": ("recompute_gates",),
    "all of these at once": (
        *PROBABILITIES,
        "projection",
        "peepholes",
        "layer_norm",
        "coupled_gates",
        "cell_clip",
        "gate_clip",
        "activation",
        "recurrent_activation",
        "cell_activation",
        "zoneout_h",
        "zoneout_c",
        "learned",
        "resets",
        "recompute_gates",
    ),
    "`index_input`: x are symbols": ("index_input",),
    "plain RNN": ("tanh",),
    "plain RNN, all options": ("tanh", *PROBABILITIES, "zoneout_h", "learned", "resets"),
    "plain RNN, `index_input`": ("tanh", "index_input"),
}
COLUMNS = ("forward", "backward", "lengths", "stream", "float64", "bfloat16 training", "float16", "bfloat16", "int8")
OF_LSTM = COLUMNS[5:]  # columns that a plain RNN does not have
# Cells that are not "yes"; their tests check that everything else raises.
WORDS = {
    ("projection (`proj_size`)", "int8"): "refused",
    ("`recurrent_activation` of i, f, o", "int8"): "bounded",
    ("`cell_activation` of c", "int8"): "bounded",
    ("all of these at once", "int8"): "within these limits",
    **{(name, format): "-" for name in FEATURES if "RNN" in name for format in OF_LSTM},
}
RESULTS = ("output", "h_n", "c_n")


def network(options, dtype, **structure):
    return make("tanh" if "tanh" in options else "lstm", 3, 9, options, dtype=dtype, seed=1, **structure)


def errors(options, dtype, *, with_lengths=False, **structure):
    """The error of each result and gradient of a training call with two layers, relative to its largest number."""
    module = network(options, dtype, num_layers=2, **structure)
    options = {*options, "given_h_0"} | ({"lengths"} if with_lengths else set())
    a = draw(np.random.default_rng(2), module, 6, 4, options)
    got, tape = train(module, a, recompute_gates="recompute_gates" in options)
    return {
        name: gradient_error(got[name], value, np.float64) for name, value in expect(module, a, tape.options).items()
    }


def check_forward(options):
    assert all(errors(options, np.float32)[name] < 1e-5 for name in RESULTS if name != "c_n" or "tanh" not in options)


def check_backward(options):
    for structure in ({}, {"bidirectional": True}):
        assert max(errors(options, np.float32, **structure).values()) < 1e-4


def check_lengths(options):
    for structure in ({}, {"bidirectional": True}):
        assert max(errors(options, np.float32, with_lengths=True, **structure).values()) < 1e-4


def check_stream(options):
    """Steps and blocks are bitwise equal to a call on the whole sequence; resets are equal to reset(mask)."""
    module = network(options, np.float32, num_layers=2)
    x = draw(np.random.default_rng(3), module, 8, 4, ())["x"]
    resets = np.zeros((8, 4), bool)
    if "resets" in options:
        resets[4] = [True, False, True, False]
    want, _ = module(x, resets=resets)
    stream = module.stream(4)
    got = [stream.step(x[0]), *stream.block(x[1:4])]
    stream.reset(resets[4])
    got += [stream.step(x[4]), *stream.block(x[5:])]
    assert_same_bits(np.stack(got), want)


def check_float64(options):
    for with_lengths in (False, True):
        assert max(errors(options, np.float64, with_lengths=with_lengths, bidirectional=True).values()) < 1e-11


def check_format(options, format):
    """Bitwise equal to the reference, with lengths, resets and states; errors name unsupported options."""
    if "tanh" in options:
        assert not hasattr(network(options, np.float32, num_layers=2), "quantized")
        return
    module = network(options, np.float32, num_layers=2, bidirectional=True)
    if format == "int8":
        module = in_range_of_int8(module, options)
    a = draw(np.random.default_rng(2), module, 6, 4, {*options, "given_h_0", "lengths", "resets"})
    state = a["h_0"].clip(-1, 1), None if a["c_0"] is None else a["c_0"]
    for inputs in ("float32", "int16", "int8") if format == "int8" else ("float32",):
        quantized = module.quantized(format, inputs=inputs)
        output, states = quantized(a["x"], state, lengths=a["lengths"], resets=a["resets"])
        want = format_cases.expect(module, format, a["x"], state, a["lengths"], a["resets"], inputs=inputs)
        for got, expected in zip((output, *states), want, strict=True):
            if format_cases.has_fma():
                assert_same_bits(got, expected)
            else:
                assert np.abs(got - expected).max() < 0.1


def check_bfloat16(options):
    """Both orders of sums."""
    check_format(options, "bfloat16")
    check_format(options, "bfloat16_amx")


def check_bfloat16_training(options):
    """Bits of the reference, forward and backward, with lengths and states; a plain RNN does not have the option."""
    if "tanh" in options:
        with pytest.raises(TypeError, match="compute_dtype"):
            network(options, np.float32, compute_dtype="bfloat16")
        return
    for compute_dtype in ("bfloat16", "bfloat16_amx"):
        module = network(options, np.float32, num_layers=2, bidirectional=True, compute_dtype=compute_dtype)
        a = draw(np.random.default_rng(2), module, 6, 4, {*options, "given_h_0", "lengths"})
        got, tape = train(module, a, recompute_gates="recompute_gates" in options)
        for name, expected in bfloat16_cases.expect(module, a, tape.options).items():
            if format_cases.has_fma():
                assert_same_bits(got[name], expected, name)
            else:
                assert np.linalg.norm(got[name] - expected) <= 0.1 * np.linalg.norm(expected), name


def in_range_of_int8(module, options):
    """The network without the options that int8 does not support, after checking that they raise."""
    config, limits = module.config(), {}
    if "projection" in options:
        limits["proj_size"] = 0
    for name, bounded in (("recurrent_activation", "softsign"), ("cell_activation", ("scaled_tanh", 0.9, 0.7))):
        if name in options:
            limits[name] = bounded
            with pytest.raises(ValueError, match=f"{name} must"):
                plain = {"proj_size": 0, "recurrent_activation": "sigmoid", "cell_activation": "tanh"}
                LSTM(**config | plain | {name: "relu"}).quantized("int8")
    if not limits:
        return clipped(module)
    if "projection" in options:
        with pytest.raises(ValueError, match="proj_size must"):
            module.quantized("int8")
    return clipped(LSTM(**config | limits))


def clipped(module):
    with module.edit() as p:
        for name in p:
            if name.startswith("h_0"):
                p[name].clip(-1, 1, out=p[name])
    return module


CHECKS = {
    **{format: functools.partial(check_format, format=format) for format in ("float16", "int8")},
    "bfloat16": check_bfloat16,
    "forward": check_forward,
    "backward": check_backward,
    "lengths": check_lengths,
    "stream": check_stream,
    "float64": check_float64,
    "bfloat16 training": check_bfloat16_training,
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(some_isa, feature, column):
    CHECKS[column](FEATURES[feature])


def table(cells):
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    return "\n".join(
        lines
        + [
            f"| {feature} | "
            + " | ".join(
                WORDS.get((feature, column), "yes") if (feature, column) in cells else "**no**" for column in COLUMNS
            )
            + " |"
            for feature in FEATURES
        ]
    )


def test_docs_show_the_tested_table():
    page = (Path(__file__).resolve().parent.parent / "docs" / "features.md").read_text()
    assert table({(feature, column) for feature in FEATURES for column in COLUMNS}) in page


class Passed:
    """A pytest plugin that collects the cells for which tests passed and none failed."""

    def __init__(self):
        self.passed, self.failed = set(), set()

    def pytest_runtest_makereport(self, item, call):
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if call.when == "call" and "column" in parameters:
            (self.failed if call.excinfo else self.passed).add((parameters["feature"], parameters["column"]))


if __name__ == "__main__":
    cells = Passed()
    pytest.main(["-q", "--no-header", __file__, "-k", "test_feature"], plugins=[cells])
    print(table(cells.passed - cells.failed))
