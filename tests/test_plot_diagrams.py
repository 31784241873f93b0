"""unit, unrolled and gates: the plots show the given numbers, and every text is legible."""

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.text import Text

import lstm_fast as lf
from lstm_fast.plot._steps import Choice, read_steps
from lstm_fast.plot.diagrams import _numbers, _sums
from lstm_fast.plot.maps import FRACTION_MAP, SIGNED_MAP
from lstm_fast.tour.unit import make_unit
from plot_checks import LONG, check_legible, contents, panels

pytest_plugins = "plot_fixtures"

CELL_OPTIONS = {
    "peepholes": True,
    "layer_norm": True,
    "coupled_gates": True,
    "cell_clip": 1.0,
    "gate_clip": 1.0,
    "activation": "relu",
    "recurrent_activation": ("hard_sigmoid", 0.2),
    "cell_activation": "softsign",
}

# ---- unit ----------------------------------------------------------------------------------------------------------


def test_unit_shows_the_numbers_of_the_step(small, drawn):
    assert lf.plot.unit(make_unit(), 1.0, (1.0, 2.0), ax=small) is small
    texts = drawn(small)
    words = " ".join(contents(texts))
    for expected in (
        "f = 99.7 %",
        "i = 98.6 %",
        "g = 0.966",
        "o = 99.2 %",
        "c_prev = 2",
        "h_prev = 1",
        "input x = 1",
        "2.70 h_prev + 1.63 x + 1.62 pre_f = 5.95 sigmoid: f = 99.7 %",
        "tanh:",
        "− 0.19 x",
        "f × c_prev = 1.995",
        "i × g = 0.953",
        "c = 2.948",
        "h = 0.986",
    ):
        assert expected in words, expected
    check_legible(small, texts)


@pytest.mark.parametrize("format", ["float16", "bfloat16", "int8"])
def test_unit_and_unrolled_draw_a_quantized_lstm(format):
    small, x = lf.LSTM(1, 1, seed=3).quantized(format), [0.3, -2.0, 1.5]
    trace = small.trace(np.reshape(x, (3, 1)))
    for ax in (lf.plot.unit(small, x), lf.plot.unrolled(small, x)):
        numbers = " ".join(text.get_text() for text in ax.findobj(Text))
        assert f"{trace.c.flat[-1]:.3f}".replace("-", "−") in numbers
        assert f"{trace.h.flat[-1]:.3f}".replace("-", "−") in numbers


def test_unit_takes_the_previous_states_from_the_step_before():
    lstm, x = lf.LSTM(1, 1, seed=3, dtype=np.float64), [0.3, -2.0, 1.5]
    trace = lstm.trace(np.reshape(x, (3, 1)))

    def words(*source, **options):
        return [
            text.get_text()
            for text in lf.plot.unit(*source, **options).texts
            + [artist for artist in lf.plot.unit(*source, **options).artists if isinstance(artist, Text)]
        ]

    of_lstm, of_trace = words(lstm, x, step=1), words(trace, x, step=1)
    for expected in (f"= {trace.c.flat[0]:.3f}", f"h = {trace.h.flat[1]:.3f}", "input x = -2"):
        expected = expected.replace("-", "−")
        assert expected in of_lstm and expected in of_trace
    assert "sigmoid:" in of_lstm and "sigmoid:" not in of_trace, "a trace does not know the weights"
    assert words(lstm, x) == words(lstm, x, step=2) != of_lstm


def test_gates_are_the_activations_of_the_sums_shown():
    lstm = lf.LSTM(1, 1, seed=5, dtype=np.float64)
    for step in range(4):
        n = _numbers(read_steps(lstm, [0.5, -1, 2, 0.1], (0.3, -0.4), Choice(0, 0, 0, None)), step, 0)
        for gate, (_, _, _, pre) in _sums(lstm, n).items():
            want = np.tanh(pre) if gate == "g" else 1 / (1 + np.exp(-pre))
            assert getattr(n, gate) == pytest.approx(want, rel=1e-12)


def test_unit_handles_layers_directions_padding_and_states():
    lstm = lf.LSTM(2, 3, num_layers=2, bidirectional=True, seed=0, learn_initial_state=True)
    with lstm.edit() as p:
        p["c_0_l1_reverse"][...] = 0.5
    x = np.random.default_rng(0).standard_normal((6, 2, 2))
    trace = lstm.trace(x, lengths=[6, 4])
    options = dict(layer=1, direction=1, batch=1, lengths=[6, 4])
    for step, previous in ((3, 0.5), (1, trace.c[1, 1, 2, 1, 2])):
        ax = lf.plot.unit(lstm, x, step=step, unit=2, **options)
        words = [artist.get_text() for artist in ax.findobj(Text)]
        assert words[words.index("c_prev") + 1] == f"= {previous:.3f}".replace("-", "−")
        assert "unit 2 of 3: its gates see h_prev of all units" in words and "input x: 2 numbers" in words
    state = tuple(np.random.default_rng(1).standard_normal((2, 4, 2, 3)))
    for layer, direction in ((0, 0), (0, 1), (1, 0), (1, 1)):
        ax = lf.plot.unit(lstm, x, state, step=0 if direction == 0 else 5, unit=1, layer=layer, direction=direction)
        words = [artist.get_text() for artist in ax.findobj(Text)]
        for name, given in zip("hc", state):
            expected = f"= {given[2 * layer + direction, 0, 1]:.3f}".replace("-", "−")
            assert words[words.index(f"{name}_prev") + 1] == expected
    with pytest.raises(ValueError, match="step must be an integer from -4 to 3"):
        lf.plot.unit(lstm, x, step=4, **options)


@pytest.mark.parametrize("x, state", [(-12345.678, (-0.98765, -98765.4321)), (1e-7, (1e-9, 1e-9)), (0, (0, 0))])
def test_unit_is_legible_with_extreme_numbers(small, drawn, x, state):
    lf.plot.unit(make_unit(), x, state, title=LONG, ax=small)
    check_legible(small, drawn(small), least_points=5)


def test_unit_raises_for_cell_variants():
    x = np.ones((3, 1))
    with pytest.raises(ValueError, match="plain cell.* at step 2 h is"):
        lf.plot.unit(lf.LSTM(1, 1, cell_activation="sigmoid", seed=0), x)
    with pytest.raises(ValueError, match="state="):
        lf.plot.unit(make_unit().trace(x, ([[1.0]], [[5.0]])), step=0)
    with pytest.raises(ValueError, match="without projection"):
        lf.plot.unit(lf.LSTM(1, 3, proj_size=2, seed=0), x)
    ax = lf.plot.unit(lf.LSTM(1, 1, coupled_gates=True, seed=0), x)
    assert not [text for text in ax.findobj(Text) if "sigmoid" in text.get_text()], "f is not a function of that sum"


@pytest.mark.parametrize("name, option", CELL_OPTIONS.items())
def test_unit_shows_the_sums_of_a_plain_cell_only(name, option):
    n = _numbers(read_steps(lf.LSTM(1, 1, seed=0), 1.0, None, Choice(0, 0, 0, None)), 0, 0)
    assert _sums(lf.LSTM(1, 1, seed=0), n)
    assert _sums(lf.LSTM(1, 1, seed=0, **{name: option}), n) is None


# ---- unrolled ------------------------------------------------------------------------------------------------------


def test_unrolled_shows_the_states_of_every_step(small, drawn):
    names = [f"day {k}" for k in range(1, 5)]
    assert lf.plot.unrolled(make_unit(), [0, 0.5, 0.25, 1], labels=names, ax=small) is small
    texts = drawn(small)
    for expected in (*names, "−0.201", "−0.202", "−0.325", "0.015", "−0.128", "−0.097", "−0.166", "0.006", "x = 0.25"):
        assert expected in contents(texts), expected
    check_legible(small, texts)


@pytest.mark.parametrize("T, labels", [(1, None), (2, LONG), (3, None), (9, "Wednesday"), (1000, None), (1000, LONG)])
def test_unrolled_is_legible_for_any_number_of_steps(small, drawn, T, labels):
    lstm, x = lf.LSTM(3, 200, seed=0), np.random.default_rng(0).standard_normal((T, 3)) * 50
    lf.plot.unrolled(lstm, x, labels=labels and [labels] * T, unit=199, ax=small)
    texts = drawn(small)
    check_legible(small, texts, least_points=4.5 if labels else 5)
    words = contents(texts)
    if T >= 9:
        at = words.index("not shown")
        assert words[at - 1] == f"{T - 3} steps"
    shown = lstm.trace(x).c[0, 0, -1, 0, 199]
    assert f"{shown:.3f}".replace("-", "−") in words, "the last state"


def test_unrolled_reverse_direction_runs_from_the_right(drawn):
    lstm, x = lf.LSTM(1, 2, bidirectional=True, seed=0), np.arange(3.0)[:, None]
    ax = lf.plot.unrolled(lstm, x, direction=1)
    texts = drawn(ax)
    check_legible(ax, texts)
    left = {text.get_text(): box.x0 for text, box in texts}
    assert left["step 0"] < left["step 1"] < left["step 2"] < left["c = 0"]
    first = f"{lstm.trace(x).c[0, 1, 0, 0, 0]:.3f}".replace("-", "−")
    assert left[first] < left["step 0"], "the final state is at the left end"


def test_unrolled_error_names_the_invalid_argument():
    with pytest.raises(ValueError, match="labels must have one entry for each of the 2 steps, got 3"):
        lf.plot.unrolled(make_unit(), [1, 2], labels="abc")
    for wrong in (2, 3.5, True):
        with pytest.raises(ValueError, match="max_steps"):
            lf.plot.unrolled(make_unit(), [1, 2], max_steps=wrong)
    with pytest.raises(ValueError, match="x must be given"):
        lf.plot.unrolled(make_unit())


# ---- gates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T, H", [(1, 1), (40, 8), (1, 200), (1000, 1), (1000, 200)])
def test_gates_draws_the_trace(small, drawn, T, H):
    lstm = lf.LSTM(3, H, num_layers=2, bidirectional=True, seed=0)
    trace = lstm.trace(np.random.default_rng(0).standard_normal((T, 2, 3)) * 9)
    assert lf.plot.gates(trace, layer=1, direction=1, batch=1, title=LONG, ax=small) is small
    check_legible(small, drawn(small))
    for name in "ifgoch":
        (image,) = panels(small)[name].images
        values = getattr(trace, name)[1, 1, :, 1]
        assert np.array_equal(image.get_array(), values.T)
        low, high = image.get_clim()
        assert (low, high) == (0, 1) if name in "ifo" else low == -high and high >= np.abs(values).max()
        assert panels(small)[f"color bar of {name}"].get_ylim() == (low, high)


def test_gates_omits_padding_and_shows_all_units_of_a_projection():
    lstm = lf.LSTM(1, 4, proj_size=2, seed=0)
    trace = lstm.trace(np.ones((7, 3, 1)), lengths=[7, 0, 4])
    ax = lf.plot.gates(trace, batch=2, lengths=[7, 0, 4])
    assert panels(ax)["c"].images[0].get_array().shape == (4, 4)
    assert panels(ax)["h"].images[0].get_array().shape == (2, 4)
    with pytest.raises(ValueError, match="at least one step"):
        lf.plot.gates(trace, batch=1, lengths=[7, 0, 4])


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        (dict(layer=1), ValueError, "layer must be an integer from -1 to 0, got 1"),
        (dict(direction=2), ValueError, "direction"),
        (dict(batch="a"), ValueError, "batch"),
        (dict(lengths=[9]), ValueError, "lengths must be integers from 0 to T = 5"),
        (dict(lengths=[1, 2]), ValueError, "lengths"),
        (dict(ax="here"), TypeError, "ax must be a matplotlib Axes or None, got str"),
    ],
)
def test_gates_error_names_the_invalid_argument(wrong, error, message):
    trace = lf.LSTM(1, 2, seed=0).trace(np.ones((5, 1)))
    with pytest.raises(error, match=message):
        lf.plot.gates(trace, **wrong)


@pytest.mark.parametrize("wrong", [None, "trace", np.ones((1, 1, 2, 1, 3)), lf.LSTM(1, 1)])
def test_gates_raises_for_other_objects(wrong):
    with pytest.raises(TypeError, match=r"trace must be the result of lstm.trace\(x\)"):
        lf.plot.gates(wrong)


def test_gates_raises_for_nonfinite_values():
    trace = lf.LSTM(1, 2, seed=0).trace([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="trace must hold finite numbers"):
        lf.plot.gates(trace)


@pytest.mark.parametrize("name", [FRACTION_MAP, SIGNED_MAP])
def test_color_maps_increase_in_lightness(name):
    gray = matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(gray) > 0).all() and gray[-1] - gray[0] > 0.5
