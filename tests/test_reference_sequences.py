"""Lengths, resets and learned initial states in the reference, compared with sequences, or segments, run alone.

Their gradients are compared with numerical derivatives in test_reference_gradients.py.
"""

from itertools import pairwise

import numpy as np
import pytest

from lstm_fast import reference
from numdiff import relative_error
from reference_cases import (
    B,
    H,
    T,
    layer_arguments,
    layer_backward,
    layer_forward,
    random_features,
    stack_arguments,
    stack_backward,
    stack_forward,
)

LENGTHS = np.array([3, 0, 5, 1])


def one_sequence(arguments, incoming, options, b, n):
    """Arguments, incoming gradients and options for the first n steps of sequence b alone, without lengths."""

    def cut(name, value):
        has_steps = name in ("x", "d_output", "masks", "zoneout_h_masks", "zoneout_c_masks", "resets")
        return value[:n, b : b + 1] if has_steps else value[:, b : b + 1]

    names = ("x", "h_0", "c_0")
    alone = {name: cut(name, value) if name in names else value for name, value in arguments.items()}
    options_alone = {name: value for name, value in options.items() if name != "lengths"}
    for name in {"masks", "zoneout_h_masks", "zoneout_c_masks"} & set(options):
        options_alone[name] = [cut(name, mask) for mask in options[name]]
    if "recurrent_masks" in options:
        options_alone["recurrent_masks"] = [mask[b : b + 1] for mask in options["recurrent_masks"]]
    if "resets" in options:
        options_alone["resets"] = cut("resets", options["resets"])
    return alone, {name: cut(name, d) for name, d in incoming.items()}, options_alone


# ---- lengths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["lstm", "tanh"])
def test_results_match_each_sequence_alone(kind, seed):
    features = () if seed == 0 else random_features(np.random.default_rng(seed), "lstm" if kind == "lstm" else "rnn")
    arguments, incoming, options = stack_arguments(kind, 1 + seed % 2, True, features, seed=seed)
    options["lengths"] = LENGTHS
    output, *last, tape = stack_forward(arguments, options)
    gradients = stack_backward(tape, incoming)
    total = dict.fromkeys(gradients, 0)
    for b, n in enumerate(LENGTHS):
        alone, incoming_alone, options_alone = one_sequence(arguments, incoming, options, b, n)
        output_alone, *last_alone, tape_alone = stack_forward(alone, options_alone)
        assert relative_error(output[:n, b : b + 1], output_alone) < 1e-13, features
        assert not output[n:, b].any()
        for got, want in zip(last[: len(incoming) - 1], last_alone):
            assert relative_error(got[:, b : b + 1], want) < 1e-13, features
        for name, d in stack_backward(tape_alone, incoming_alone).items():
            if name in ("x", "h_0", "c_0"):
                steps = slice(n) if name == "x" else slice(None)
                assert relative_error(gradients[name][steps, b : b + 1], d) < 1e-13, (name, features)
            else:
                total[name] = total[name] + d
        assert not gradients["x"][n:, b].any()
    for name, d in total.items():
        if name not in ("x", "h_0", "c_0"):
            assert relative_error(gradients[name], d) < 1e-13, (name, features)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["lstm", "relu"])
def test_padding_content_is_ignored(kind, seed):
    rng = np.random.default_rng(seed)
    features = random_features(rng, "lstm" if kind == "lstm" else "rnn")
    arguments, incoming, options = stack_arguments(kind, 2, True, features, seed=seed)
    options["lengths"] = LENGTHS
    *want, tape = stack_forward(arguments, options)
    d_want = stack_backward(tape, incoming)
    padding = np.arange(T)[:, None] >= LENGTHS
    for array in (arguments["x"], incoming["d_output"]):
        array[padding] = rng.choice([np.nan, np.inf, -np.inf], array[padding].shape)
    for array in options.get("masks", ()):
        array[padding] = np.nan
    for array in (*options.get("zoneout_h_masks", ()), *options.get("zoneout_c_masks", ())):
        array[padding] = 1 - array[padding]
    if "resets" in options:
        options["resets"][padding] ^= True
    *got, tape = stack_forward(arguments, options)
    for result, expected in zip(got[: len(incoming)], want):
        np.testing.assert_array_equal(result, expected)
    for name, d in stack_backward(tape, incoming).items():
        np.testing.assert_array_equal(d, d_want[name], err_msg=f"{name}, {features}")


def test_sequence_of_length_0_passes_its_state_through():
    arguments, incoming, options = stack_arguments("lstm", 2, True)
    _, h_n, c_n, tape = stack_forward(arguments, options | {"lengths": LENGTHS})
    gradients = stack_backward(tape, incoming)
    for state, last in (("h", h_n), ("c", c_n)):
        np.testing.assert_array_equal(last[:, 1], arguments[f"{state}_0"][:, 1])
        np.testing.assert_array_equal(gradients[f"{state}_0"][:, 1], incoming[f"d_{state}_n"][:, 1])


@pytest.mark.parametrize("kind", ["lstm", "tanh"])
def test_full_lengths_are_equivalent_to_none(kind):
    arguments, incoming, options = stack_arguments(kind, 2, True)
    *want, tape = stack_forward(arguments, options)
    d_want = stack_backward(tape, incoming)
    for lengths in (np.full(B, T), [T] * B, np.full(B, T, np.uint8)):
        *got, tape = stack_forward(arguments, options | {"lengths": lengths})
        for result, expected in zip(got[: len(incoming)], want):
            np.testing.assert_array_equal(result, expected)
        for name, d in stack_backward(tape, incoming).items():
            np.testing.assert_array_equal(d, d_want[name], err_msg=name)


def test_tape_is_0_in_the_padding():
    arguments, _, options = layer_arguments("lstm", ("projection",))
    *_, tape = layer_forward("lstm", arguments, options | {"lengths": LENGTHS})
    valid = np.arange(T)[:, None] < LENGTHS
    for name in "ifgoch":
        assert not getattr(tape, name)[~valid].any() and getattr(tape, name)[valid].all(), name


# ---- resets --------------------------------------------------------------------------------------------------------


def segments(resets):
    """Slices of time between the resets of one sequence."""
    bounds = [0, *(t for t in np.flatnonzero(resets) if t > 0), len(resets)]
    return [slice(begin, end) for begin, end in pairwise(bounds)]


@pytest.mark.parametrize("learned", [(), ("learned_h_0", "learned_c_0")], ids=["zero", "learned"])
@pytest.mark.parametrize("seed", range(6))
def test_segments_between_resets_match_separate_calls(seed, learned):
    arguments, _, options = stack_arguments("lstm", 1, True, ("peepholes", *learned), seed=seed)
    resets = np.random.default_rng(seed).random((T, B)) < 0.4
    output, h_n, c_n, _ = stack_forward(arguments, options | {"resets": resets})
    for b in range(B):
        for k, suffix in enumerate(("", "_reverse")):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole")
            weights = {name: arguments[f"{name}_l0{suffix}"] for name in names}
            restarted = {name: arguments[f"{name}_l0{suffix}"][None] if learned else None for name in ("h_0", "c_0")}
            given = {name: arguments[name][k, b : b + 1] for name in ("h_0", "c_0")}
            parts = segments(resets[:, b])[:: -1 if suffix else 1]
            for number, part in enumerate(parts):
                # The first segment starts from the given state, unless there is a reset before step 0, which the
                # reverse direction never meets.
                state = given if number == 0 and (suffix or not resets[0, b]) else restarted
                x = arguments["x"][part, b : b + 1][:: -1 if suffix else 1]
                want, h, c, _ = reference.lstm_forward(x, **state, **weights)
                got = output[part, b : b + 1, k * H : (k + 1) * H]
                assert relative_error(got, want[:: -1 if suffix else 1]) < 1e-14
            assert relative_error(h_n[k, b : b + 1], h) < 1e-14 and relative_error(c_n[k, b : b + 1], c) < 1e-14


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_no_gradient_flows_back_through_a_reset(kind):
    arguments, incoming, _ = layer_arguments(kind)
    resets = np.zeros((T, B), bool)
    resets[3, 1:] = True
    *_, tape = layer_forward(kind, arguments, {"resets": resets})
    late = {name: d.copy() for name, d in incoming.items()}
    late["d_output"][:3] = 0
    gradients = layer_backward(kind, tape, late)
    assert not gradients["x"][:3, 1:].any() and gradients["x"][:3, 0].all() and gradients["x"][3:].all()
    assert not gradients["h_0"][1:].any() and gradients["h_0"][0].all()


def test_resets_in_padding_and_at_the_end_have_no_effect():
    arguments, _, options = stack_arguments("lstm", 1, True)
    resets = np.arange(T)[:, None] >= LENGTHS
    *want, _ = stack_forward(arguments, options | {"lengths": LENGTHS})
    *got, _ = stack_forward(arguments, options | {"lengths": LENGTHS, "resets": resets})
    for result, expected in zip(got, want):
        np.testing.assert_array_equal(result, expected)
    resets = np.zeros((T, B), bool)
    resets[0] = True  # where the reverse direction ends
    *got, _ = stack_forward(arguments, options | {"lengths": LENGTHS, "resets": resets})
    np.testing.assert_array_equal(got[0][:, :, H:], want[0][:, :, H:])
    np.testing.assert_array_equal(got[1][1], want[1][1])
    assert (got[0][0, [0, 2, 3], :H] != want[0][0, [0, 2, 3], :H]).all()


# ---- learned initial state -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_learned_state_is_equivalent_to_the_same_state_given_to_every_sequence(kind):
    features = ("learned_h_0", "learned_c_0", "zero_h_0", "zero_c_0") if kind == "lstm" else ("learned_h_0", "zero_h_0")
    arguments, incoming, options = layer_arguments(kind, features)
    states = [name for name in arguments if name.startswith("learned")]
    given = {name: value for name, value in arguments.items() if name not in states}
    given |= {name.removeprefix("learned_"): np.tile(arguments[name], (B, 1)) for name in states}
    *got, tape = layer_forward(kind, arguments, options)
    *want, tape_given = layer_forward(kind, given, {})
    for result, expected in zip(got, want):
        np.testing.assert_array_equal(result, expected)
    gradients, d_given = layer_backward(kind, tape, incoming), layer_backward(kind, tape_given, incoming)
    for name in states:
        assert relative_error(gradients[name], d_given[name.removeprefix("learned_")].sum(axis=0)) < 1e-14


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_learned_state_gradient_is_0_with_given_state_and_no_resets(kind):
    arguments, incoming, options = layer_arguments(kind, ("learned_h_0", "learned_c_0")[: 1 + (kind == "lstm")])
    *_, tape = layer_forward(kind, arguments, options)
    gradients = layer_backward(kind, tape, incoming)
    for name in (name for name in arguments if name.startswith("learned")):
        np.testing.assert_array_equal(gradients[name], np.zeros(H))
