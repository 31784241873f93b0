"""resets: episodes within a call, truncated backpropagation through time."""

import numpy as np
import pytest

import lstm_fast as lf
from option_cases import draw, make, train
from tolerances import assert_same_bits


def test_segments_match_separate_sequences():
    module = make("lstm", 3, 7, {"learned"}, num_layers=2)
    x = np.random.default_rng(0).standard_normal((9, 1, 3))
    resets = np.zeros((9, 1), bool)
    resets[[0, 4]] = True
    output, last = module(x, (np.ones((2, 1, 7)), np.ones((2, 1, 7))), resets=resets)
    (first, _), (second, want) = module(x[:4]), module(x[4:])
    assert_same_bits(output, np.concatenate([first, second]))
    for got, state in zip(last, want):
        assert_same_bits(got, state)


def test_chunks_with_carried_state_match_the_whole_bitwise():
    module = make("lstm", 3, 7, {"peepholes", "resets", "learned"}, num_layers=2)
    a = draw(np.random.default_rng(0), module, 12, 4, {"resets"})
    want, last = module(a["x"], resets=a["resets"])
    state, parts = None, []
    for begin in (0, 5, 6):
        end = {0: 5, 5: 6, 6: 12}[begin]
        part, state = module(a["x"][begin:end], state, resets=a["resets"][begin:end])
        parts.append(part)
    assert_same_bits(np.concatenate(parts), want)
    assert_same_bits(state[0], last[0])


def test_no_gradient_crosses_a_reset():
    module = make("lstm", 3, 7, {"given_h_0", "given_c_0"})
    a = draw(np.random.default_rng(0), module, 6, 2, {"given_h_0", "given_c_0"})
    a["resets"] = np.zeros((6, 2), bool)
    a["resets"][3, 0] = True
    a["d_output"][:3] = 0
    got, _ = train(module, a)
    assert (
        not got["d_x"][:3, 0].any()
        and not got["d_h_0"][:, 0].any()
        and got["d_x"][:3, 1].all()
        and got["d_x"][3:].all()
    )


def test_resets_follow_the_layout_of_x():
    for options, turn in ((dict(batch_first=True), lambda a: a.swapaxes(0, 1)), ({}, lambda a: a)):
        module = lf.LSTM(3, 5, seed=0, **options)
        x, resets = np.random.default_rng(0).standard_normal((6, 2, 3)), np.random.default_rng(1).random((6, 2)) < 0.4
        output, _ = module(turn(x), resets=turn(resets))
        assert_same_bits(turn(output), lf.LSTM(3, 5, seed=0)(x, resets=resets)[0])
    unbatched, _ = lf.LSTM(3, 5, seed=0)(x[:, 0], resets=resets[:, 0])
    assert_same_bits(unbatched, output[:, 0])


@pytest.mark.parametrize(
    "resets, words",
    [
        (np.zeros((4, 3), int), "resets must be boolean of shape (T, B) = (4, 3), got int64 (4, 3)"),
        (np.zeros((3, 4), bool), "resets must be boolean of shape (T, B) = (4, 3), got bool (3, 4)"),
    ],
)
def test_invalid_resets_raise(resets, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        lf.LSTM(2, 5)(np.zeros((4, 3, 2)), resets=resets)
