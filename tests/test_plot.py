"""The pictures: what is drawn is what was given, every text can be read, nothing else in the process changes."""
import importlib.util
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

import lstm_fast as lf
from lstm_fast.plot.maps import SHARES, SIGNED
from lstm_fast.tour.unit import make_unit

ROOT = Path(__file__).resolve().parent.parent
LONG = "the mean temperature of the air two metres above the ground, in degrees Celsius, as nobody would write it"


@pytest.fixture
def small():
    """An Axes as users have them: 6 x 4 inches with matplotlib's margins."""
    return Figure(figsize=(6, 4)).add_subplot()


@pytest.fixture
def drawn(monkeypatch):
    """Draws the figure of an Axes, or a figure; gives the (text, box in pixels) of all that was written."""
    def draw(artist):
        texts, original = [], Text.draw

        def record(text, renderer):
            if text.get_visible() and text.get_text().strip():
                texts.append(text)
            original(text, renderer)
        figure = artist.figure
        canvas = FigureCanvasAgg(figure)
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", record)
            canvas.draw()
        unique = {id(text): text for text in texts}.values()
        return [(text, text.get_window_extent(canvas.get_renderer())) for text in unique]
    return draw


def common(a, b):
    """Width and height of what two boxes share."""
    return min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)


def check_legible(ax, texts, least_points=6.5):
    """No text over another, none out of the picture, none tiny, none across the edge of a box."""
    figure, boxes = ax.figure.bbox, [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert texts
    for text, box in texts:
        words = text.get_text()
        assert text.get_fontsize() >= least_points, f"{words!r} has {text.get_fontsize():.1f} points"
        assert box.x0 >= figure.x0 - 1 and box.x1 <= figure.x1 + 1, f"{words!r} is cut off at the side"
        assert box.y0 >= figure.y0 - 1 and box.y1 <= figure.y1 + 1, f"{words!r} is cut off above or below"
        for patch in boxes:
            frame = patch.get_window_extent()
            width, height = common(box, frame)
            is_apart, is_inside = min(width, height) <= 0, width > box.width - 1 and height > box.height - 1
            assert is_apart or is_inside, f"{words!r} crosses the edge of a box"
    for (one, a), (other, b) in combinations(texts, 2):
        assert min(common(a, b)) <= 1, f"{one.get_text()!r} overlaps {other.get_text()!r}"
    for one, other in combinations(boxes, 2):
        assert min(common(one.get_window_extent(), other.get_window_extent())) <= 0, "boxes overlap"


def check_clear(panel, texts):
    """No line of data under the legend."""
    legend = panel.get_legend().get_window_extent()
    for line in panel.lines:
        x, y = line.get_data()
        if len(x) < 2 or y[0] == 0 and y[-1] == 1 and x[0] == x[-1]:  # a vertical line across the panel
            continue
        points = line.get_transform().transform(np.column_stack([line.convert_xunits(x), y]).astype(float))
        points = points[np.isfinite(points).all(axis=1)]
        dense = [np.linspace(a, b, 20) for a, b in zip(points[:-1], points[1:])]
        assert not any(legend.contains(*point) for part in dense for point in part), line.get_label()
    assert [text for text, _ in texts if text.get_text() == panel.get_legend().get_texts()[0].get_text()]


def words_of(texts):
    return [text.get_text() for text, _ in texts]


def line_of(ax, label):
    line, = (line for line in ax.lines if line.get_label() == label)
    return line


def panels(ax):
    return {panel.get_label(): panel for panel in ax.child_axes}


# ---- unit ----------------------------------------------------------------------------------------------------------

def test_unit_shows_what_the_unit_computes(small, drawn):
    assert lf.plot.unit(make_unit(), 1.0, (1.0, 2.0), ax=small) is small
    texts = drawn(small)
    words = " ".join(words_of(texts))
    for expected in ("f = 99.7 %", "i = 98.6 %", "g = 0.966", "o = 99.2 %", "c_prev = 2", "h_prev = 1",
                     "input x = 1", "2.70 h_prev + 1.63 x + 1.62 = 5.95", "− 0.19 x", "f × c_prev = 1.995",
                     "i × g = 0.953", "c = 2.948", "h = 0.986"):
        assert expected in words, expected
    check_legible(small, texts)


def test_unit_of_a_step_follows_from_the_step_before():
    lstm, x = lf.LSTM(1, 1, seed=3, dtype=np.float64), [0.3, -2.0, 1.5]
    trace = lstm.trace(np.reshape(x, (3, 1)))

    def words(*source, **options):
        return [text.get_text() for text in lf.plot.unit(*source, **options).texts + [
            artist for artist in lf.plot.unit(*source, **options).artists if isinstance(artist, Text)]]
    of_lstm, of_trace = words(lstm, x, step=1), words(trace, x, step=1)
    for expected in (f"= {trace.c.flat[0]:.3f}", f"h = {trace.h.flat[1]:.3f}", "input x = -2"):
        expected = expected.replace("-", "−")
        assert expected in of_lstm and expected in of_trace
    assert "sigmoid:" in of_lstm and "sigmoid:" not in of_trace, "a trace does not know the weights"
    assert words(lstm, x) == words(lstm, x, step=2) != of_lstm


def test_sums_of_the_gates_lead_to_their_values():
    lstm = lf.LSTM(1, 1, seed=5, dtype=np.float64)
    from lstm_fast.plot.diagrams import _numbers, _sums
    from lstm_fast.plot._steps import read_steps
    for step in range(4):
        n = _numbers(read_steps(lstm, [0.5, -1, 2, 0.1], (0.3, -0.4), 0, 0, 0, None), step, 0)
        for gate, (_, _, _, pre) in _sums(lstm, n).items():
            assert n[gate] == pytest.approx(np.tanh(pre) if gate == "g" else 1 / (1 + np.exp(-pre)), rel=1e-12)


def test_unit_of_layers_directions_padding_and_states():
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
def test_unit_with_awkward_numbers(small, drawn, x, state):
    lf.plot.unit(make_unit(), x, state, title=LONG, ax=small)
    check_legible(small, drawn(small), least_points=5)


def test_unit_draws_the_plain_cell_alone():
    x = np.ones((3, 1))
    with pytest.raises(ValueError, match="plain cell.* at step 2 h is"):
        lf.plot.unit(lf.LSTM(1, 1, cell_activation="sigmoid", seed=0), x)
    with pytest.raises(ValueError, match="state="):
        lf.plot.unit(make_unit().trace(x, ([[1.0]], [[5.0]])), step=0)
    with pytest.raises(ValueError, match="without projection"):
        lf.plot.unit(lf.LSTM(1, 3, proj_size=2, seed=0), x)
    ax = lf.plot.unit(lf.LSTM(1, 1, coupled_gates=True, seed=0), x)
    assert not [text for text in ax.findobj(Text) if "sigmoid" in text.get_text()], "its forget gate is not that sum"


# ---- unrolled ------------------------------------------------------------------------------------------------------

def test_unrolled_shows_the_states_of_every_day(small, drawn):
    names = [f"day {k}" for k in range(1, 5)]
    assert lf.plot.unrolled(make_unit(), [0, 0.5, 0.25, 1], labels=names, ax=small) is small
    texts = drawn(small)
    for expected in (*names, "−0.201", "−0.202", "−0.325", "0.015", "−0.128", "−0.097", "−0.166", "0.006", "x = 0.25"):
        assert expected in words_of(texts), expected
    check_legible(small, texts)


@pytest.mark.parametrize("T, labels", [(1, None), (2, LONG), (3, None), (9, "Wednesday"), (1000, None), (1000, LONG)])
def test_unrolled_stays_readable_whatever_the_steps(small, drawn, T, labels):
    lstm, x = lf.LSTM(3, 200, seed=0), np.random.default_rng(0).standard_normal((T, 3)) * 50
    lf.plot.unrolled(lstm, x, labels=labels and [labels] * T, unit=199, ax=small)
    texts = drawn(small)
    check_legible(small, texts, least_points=4.5 if labels else 5)
    words = words_of(texts)
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
    assert left[first] < left["step 0"], "the last state leaves on the left"


def test_unrolled_says_what_does_not_fit():
    with pytest.raises(ValueError, match="labels must be one for each of the 2 steps, got 3"):
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
        image, = panels(small)[name].images
        values = getattr(trace, name)[1, 1, :, 1]
        assert np.array_equal(image.get_array(), values.T)
        low, high = image.get_clim()
        assert (low, high) == (0, 1) if name in "ifo" else low == -high and high >= np.abs(values).max()
        assert panels(small)[f"colour bar of {name}"].get_ylim() == (low, high)


def test_gates_leaves_out_the_padding_and_keeps_the_units_of_a_projection():
    lstm = lf.LSTM(1, 4, proj_size=2, seed=0)
    trace = lstm.trace(np.ones((7, 3, 1)), lengths=[7, 0, 4])
    ax = lf.plot.gates(trace, batch=2, lengths=[7, 0, 4])
    assert panels(ax)["c"].images[0].get_array().shape == (4, 4)
    assert panels(ax)["h"].images[0].get_array().shape == (2, 4)
    with pytest.raises(ValueError, match="at least one step"):
        lf.plot.gates(trace, batch=1, lengths=[7, 0, 4])


@pytest.mark.parametrize("wrong, error, message", [
    (dict(layer=1), ValueError, "layer must be an integer from -1 to 0, got 1"), (dict(direction=2), ValueError, "direction"),
    (dict(batch="a"), ValueError, "batch"), (dict(lengths=[9]), ValueError, "lengths must be integers from 0 to T = 5"),
    (dict(lengths=[1, 2]), ValueError, "lengths"),
    (dict(ax="here"), TypeError, "ax must be a matplotlib Axes or None, got str")])
def test_gates_errors(wrong, error, message):
    trace = lf.LSTM(1, 2, seed=0).trace(np.ones((5, 1)))
    with pytest.raises(error, match=message):
        lf.plot.gates(trace, **wrong)


@pytest.mark.parametrize("wrong", [None, "trace", np.ones((1, 1, 2, 1, 3)), lf.LSTM(1, 1)])
def test_gates_of_what_is_no_trace(wrong):
    with pytest.raises(TypeError, match="trace must be what lstm.trace"):
        lf.plot.gates(wrong)


def test_gates_of_numbers_that_are_not_finite():
    trace = lf.LSTM(1, 2, seed=0).trace([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="trace must hold finite numbers"):
        lf.plot.gates(trace)


@pytest.mark.parametrize("name", [SHARES, SIGNED])
def test_maps_get_lighter_all_the_way_in_grey(name):
    grey = matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) > 0).all() and grey[-1] - grey[0] > 0.5


# ---- history -------------------------------------------------------------------------------------------------------

def trained(**options):
    model = lf.train.SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)
    x = np.random.default_rng(0).standard_normal((20, 5, 1))
    return lf.train.fit(model, x, x.sum(axis=1), seed=0, **options)


def test_history_draws_what_fit_returned(small, drawn):
    h = trained(epochs=12, validation=0.3, lr_schedule="linear")
    assert lf.plot.history(h, title="A training", ax=small) is small
    texts = drawn(small)
    check_legible(small, texts)
    assert {"gradient\nnorm", "learning\nrate", "loss", "epoch"} <= set(words_of(texts))
    parts = panels(small)
    assert list(parts) == ["loss", "gradient_norm", "learning_rate"]
    check_clear(parts["loss"], texts)
    for panel, label, values in (("loss", "training", h.loss), ("loss", "validation", h.validation_loss),
                                 ("gradient_norm", "gradient_norm", h.gradient_norm),
                                 ("learning_rate", "learning_rate", h.learning_rate)):
        line = line_of(parts[panel], label)
        assert np.array_equal(line.get_ydata(), values) and np.array_equal(line.get_xdata(), range(12))
    best = line_of(parts["loss"], f"best: epoch {h.best_epoch}, {h.validation_loss[h.best_epoch]:.4g}")
    assert (best.get_xdata(), best.get_ydata()) == ([h.best_epoch], [h.validation_loss[h.best_epoch]])


@pytest.mark.parametrize("loss, scale", [
    ([1.0, 0.5], "linear"), ([100.0, 1.0], "log"), ([100.0, 0.0], "linear"), ([5.0, -3.0], "linear"),
    ([0.25] * 400, "linear"), ([0.0], "linear"), ([-2.0] * 3, "linear"), ([1e-9, 2e-9], "linear"),
    (list(10.0 ** np.arange(40)), "log"), ([123456.7, 123456.8], "linear")])
def test_history_scale_and_awkward_losses(small, drawn, loss, scale):
    h = lf.train.History(loss=loss, gradient_norm=loss, learning_rate=[1e-3] * len(loss), best_epoch=int(np.argmin(loss)))
    lf.plot.history(h, loss=LONG, title=LONG, ax=small)
    texts = drawn(small)
    assert panels(small)["loss"].get_yscale() == scale
    for panel in panels(small).values():
        low, high = sorted(panel.get_ylim())
        ticks = [tick for tick in panel.get_yticks() if low <= tick <= high]
        assert len(ticks) >= 2 or ticks == [0] == [loss[0]] * len(ticks), "a scale that can be read"
    check_legible(small, texts)
    check_clear(panels(small)["loss"], texts)


def test_history_errors():
    with pytest.raises(ValueError, match="at least one epoch"):
        lf.plot.history(lf.train.History())
    with pytest.raises(TypeError, match="history must be a History, got list"):
        lf.plot.history([1.0, 2.0])


# ---- forecast ------------------------------------------------------------------------------------------------------

def band_of(ax, label):
    band, = (collection for collection in ax.collections if collection.get_label() == label)
    return band.get_paths()[0].vertices


def test_forecast_draws_past_prediction_truth_and_interval(small, drawn):
    rng = np.random.default_rng(0)
    past, p, truth = rng.standard_normal(30), rng.standard_normal(7), rng.standard_normal(5)
    days = np.datetime64("2026-02-10") + np.arange(37)
    ax = lf.plot.forecast(past, p, truth, {0.5: (p - 1, p + 1), 0.9: np.stack([p - 2, p + 2], 1)}, days,
                          baselines={"last": [past[-1]] * 7}, ylabel="temperature (°C)", xlabel="date", title="A week ahead",
                          ax=small)
    assert ax is small
    texts = drawn(small)
    check_legible(small, texts)
    check_clear(small, texts)
    for label, index, values in (("known", days[:30], past), ("forecast", days[30:], p), ("truth", days[30:35], truth),
                                 ("last", days[30:], [past[-1]] * 7)):
        line = line_of(small, label)
        assert np.array_equal(line.get_ydata(), values) and np.array_equal(line.get_xdata(orig=True), index), label
    for label, width in (("50 % interval", 1), ("90 % interval", 2)):
        y = band_of(small, label)[:, 1]
        assert y.min() == (p - width).min() and y.max() == (p + width).max()
    assert small.get_ylabel() == "temperature (°C)" and "Mar" in words_of(texts)


def test_forecast_of_the_estimator(drawn):
    y = np.sin(np.arange(120.0) / 4)
    forecaster = lf.sklearn.LSTMForecaster(input_size=12, horizon=6, hidden_size=4, quantiles=(0.1, 0.5, 0.9), epochs=2,
                                           random_state=0)
    forecaster.fit(y[:100])
    p, interval = forecaster.predict(), forecaster.predict_interval()
    ax = lf.plot.forecast(y[:100], p, y[100:106], interval)
    check_legible(ax, drawn(ax))
    assert np.array_equal(line_of(ax, "forecast").get_ydata(), p)
    assert band_of(ax, "interval")[:, 1].max() == interval.max()
    both = np.stack([y, 50 * y], axis=1)
    forecaster.fit(both[:100])
    ax = lf.plot.forecast(both[:100], forecaster.predict(), both[100:106], forecaster.predict_interval(),
                          names=["one", "other"])
    check_legible(ax, drawn(ax))
    assert np.array_equal(line_of(panels(ax)["other"], "forecast").get_ydata(), forecaster.predict()[:, 1])


@pytest.mark.parametrize("n, horizon, value", [(0, 1, 0.0), (1, 1, None), (0, 50, -1e-7), (1, 1000, None), (1000, 1, None),
                                               (50, 10, 1234567.0)])
def test_forecast_of_awkward_series(small, drawn, n, horizon, value):
    y = np.random.default_rng(0).standard_normal(n + horizon) if value is None else np.full(n + horizon, value)
    p = y[n:]
    ax = lf.plot.forecast(y[:n], p, p, (p, p), ylabel=LONG, xlabel=LONG, title=LONG, baselines={LONG: p}, ax=small)
    small.figure.set_layout_engine("constrained")
    texts = drawn(ax)
    check_legible(ax, texts)
    assert np.array_equal(line_of(ax, "forecast").get_ydata(), p)


def test_forecast_of_several_series_with_wide_numbers(small, drawn):
    p = np.array([[1e-4, 5e6, -3.0], [2e-4, 7e6, -2.0]])
    ax = lf.plot.forecast(None, p, interval=np.stack([p - abs(p), p + abs(p)], -1), names=["a", "b", "c"],
                          ylabel=["m", "people", "°C"], ax=small)
    check_legible(ax, drawn(ax))
    assert list(panels(ax)) == ["a", "b", "c"]


@pytest.mark.parametrize("change, message", [
    (dict(prediction=np.ones((2, 3, 4))), r"prediction must have shape \(horizon,\)"), (dict(prediction=[]), "prediction"),
    (dict(prediction=np.ones((3, 9))), "at most 8 series"), (dict(y_past=np.ones((5, 2))), r"y_past must have shape \(n,\)"),
    (dict(truth=np.ones(4)), r"truth must have shape \(up to 3,\)"),
    (dict(interval=np.ones((2, 3))), r"interval must be a tuple \(low, high\)"),
    (dict(interval=(np.ones(3), np.zeros(3))), "low must not be above high"),
    (dict(interval={90: (np.zeros(3), np.ones(3))}), "levels"),
    (dict(index=np.arange(3)), r"index must be numbers or datetime64 .* shape \(8,\)"),
    (dict(index=list("abcdefgh")), "index"),
    (dict(baselines={"b": np.ones(2)}), r"baselines\['b'\] must have shape \(3,\)"),
    (dict(names=["a", "b"]), "names must be one for each"),
    (dict(ylabel=["a", "b"]), "ylabel must be one for each")])
def test_forecast_errors(change, message):
    with pytest.raises(ValueError, match=message):
        lf.plot.forecast(**{"y_past": np.ones(5), "prediction": np.ones(3)} | change)


# ---- gradient flow -------------------------------------------------------------------------------------------------

def test_gradient_flow_of_modules_is_the_length_of_the_derivative(small, drawn):
    """Beside the Jacobian of the state, by differences of a run from each step on."""
    T, x = 6, np.random.default_rng(0).standard_normal((6, 1, 2))
    rnn, lstm = (Network(2, 3, seed=0, dtype=np.float64) for Network in (lf.RNN, lf.LSTM))
    lf.plot.gradient_flow({"RNN": rnn, "LSTM": lstm}, x, ax=small)
    texts = drawn(small)
    check_legible(small, texts)
    check_clear(small, texts)
    direction, step = np.full(3, 3 ** -0.5), 1e-6

    def differences(last, state):
        gradient = []
        for k in range(len(state)):
            ahead, behind = (last(state + s * np.eye(len(state))[k]) for s in (step, -step))
            gradient.append((ahead - behind) @ direction / (2 * step))
        return np.linalg.norm(gradient)
    for back in range(1, T):
        before, after = x[:T - back], x[T - back:]
        h = rnn(before)[1]
        expected = differences(lambda s: rnn(after, s.reshape(1, 1, 3))[0][-1, 0], h.ravel())
        assert line_of(small, "RNN").get_ydata()[T - 1 - back] == pytest.approx(expected, rel=1e-6)
        state = np.concatenate([s.ravel() for s in lstm(before)[1]])
        expected = differences(lambda s: lstm(after, (s[:3].reshape(1, 1, 3), s[3:].reshape(1, 1, 3)))[0][-1, 0], state)
        assert line_of(small, "LSTM").get_ydata()[T - 1 - back] == pytest.approx(expected, rel=1e-6)
    assert line_of(small, "LSTM").get_xdata().tolist() == [5, 4, 3, 2, 1, 0]
    assert small.get_yscale() == "log"


@pytest.mark.parametrize("options", [dict(batch_first=True), dict(bidirectional=True), dict(num_layers=3), dict(proj_size=2)],
                         ids=str)
def test_gradient_flow_begins_with_one(options):
    lstm = lf.LSTM(2, 4, seed=0, **options)
    x = np.random.default_rng(0).standard_normal((5, 7, 2))
    for direction in range(1 + lstm.bidirectional):
        line, = lf.plot.gradient_flow({"LSTM": lstm}, x, direction=direction).lines
        assert line.get_ydata()[-1] == pytest.approx(1, rel=1e-5) and line.get_xdata()[-1] == 0
        assert len(line.get_ydata()) == (7 if lstm.batch_first else 5)


def test_gradient_flow_of_gradients_norms_and_models(drawn):
    lstm = lf.LSTM(2, 4, seed=0)
    output, _, tape = lstm.forward(np.ones((9, 3, 2)))
    gradients = lstm.backward(tape, output, norms=True)
    model = lf.train.SequenceModel(lf.RNN(2, 4, seed=0), 1, seed=0)
    ax = lf.plot.gradient_flow({"gradients": gradients, "model": model, LONG: 0.5 ** np.arange(2000)}, np.ones((9, 3, 2)))
    check_legible(ax, drawn(ax))
    expected = np.sqrt(gradients.d_h_norms ** 2 + gradients.d_c_norms ** 2)[0, 0].mean(axis=1)
    assert line_of(ax, "gradients").get_ydata() == pytest.approx(expected)


@pytest.mark.parametrize("norms", [[1.0], [0.0, 0.0, 1.0], [1.0] * 50, 1e300 * np.ones(3), 10.0 ** np.arange(-150, 150, 10)],
                         ids=["one", "zeros", "constant", "huge", "wide"])
def test_gradient_flow_of_awkward_norms(small, drawn, norms):
    lf.plot.gradient_flow({"one": norms, "two": norms}, ax=small)
    check_legible(small, drawn(small))


@pytest.mark.parametrize("flows, error, message", [
    ({}, ValueError, "flows must be a dict of 1 to 8"), ([1.0], ValueError, "got list"),
    ({"a": lf.RNN(1, 1)}, ValueError, "x must be given"), ({"a": [0.0, 0.0]}, ValueError, "not all zero"),
    ({"a": [np.nan]}, ValueError, "finite"), ({"a": np.ones((2, 2))}, TypeError, "shape"),
    ({"a": "text"}, TypeError, "'a' must be a module, gradients or norms"), ({"a": None}, TypeError, "NoneType|shape")])
def test_gradient_flow_errors(flows, error, message):
    with pytest.raises(error, match=message):
        lf.plot.gradient_flow(flows)
    lstm = lf.LSTM(1, 1, seed=0)
    with pytest.raises(ValueError, match="norms=True"):
        lf.plot.gradient_flow({"a": lstm.backward(lstm.forward([[1.0]])[2], None)})


# ---- all of them ---------------------------------------------------------------------------------------------------

def pictures():
    lstm, x = lf.LSTM(1, 3, seed=0), np.random.default_rng(0).standard_normal((20, 1))
    return {"unit": lambda ax: lf.plot.unit(make_unit(), 1.0, ax=ax), "unrolled": lambda ax: lf.plot.unrolled(lstm, x, ax=ax),
            "gates": lambda ax: lf.plot.gates(lstm.trace(x), ax=ax),
            "history": lambda ax: lf.plot.history(trained(epochs=3), ax=ax),
            "forecast": lambda ax: lf.plot.forecast(x[:15, 0], x[15:, 0], ax=ax),
            "gradient_flow": lambda ax: lf.plot.gradient_flow({"LSTM": lstm}, x, ax=ax)}


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize("size", [(12, 8), (5, 9)], ids=str)
def test_pictures_on_a_figure_of_any_size(drawn, name, size):
    ax = Figure(figsize=size, layout="constrained").add_subplot()
    assert pictures()[name](ax) is ax
    check_legible(ax, drawn(ax), least_points=6)


@pytest.mark.parametrize("names", [("unit", "gates", "history"), ("unrolled", "forecast", "gradient_flow")], ids=str)
def test_pictures_side_by_side_and_in_subfigures(drawn, names):
    figure = Figure(figsize=(12, 9), layout="constrained")
    above, below = figure.subfigures(2, 1)
    for name, ax in zip(names, [*above.subplots(1, 2), below.subplots()]):
        assert pictures()[name](ax) is ax
    texts = drawn(figure)
    for (one, a), (other, b) in combinations(texts, 2):
        assert min(common(a, b)) <= 1, f"{one.get_text()!r} overlaps {other.get_text()!r}"


@pytest.mark.parametrize("name, style", [*((name, "dark_background") for name in pictures()), ("gates", "ggplot")])
def test_pictures_in_the_callers_style(drawn, name, style):
    with matplotlib.style.context(style):
        ax = pictures()[name](None)
        check_legible(ax, drawn(ax))
        paper = np.array(matplotlib.colors.to_rgb(ax.figure.get_facecolor()))
        for line in ax.findobj(Line2D):
            if line.get_visible() and line.get_color() == matplotlib.rcParams["text.color"]:
                assert np.abs(np.array(matplotlib.colors.to_rgb(line.get_color())) - paper).max() > 0.5
        assert not [panel for panel in ax.child_axes if panel.images and any(g.get_visible() for g in panel.get_xgridlines())]


@pytest.mark.parametrize("name", pictures())
def test_pictures_without_axes_come_on_a_figure_of_their_own(drawn, name, tmp_path):
    import matplotlib.pyplot as plt
    settings, figures = dict(matplotlib.rcParams), plt.get_fignums()
    ax = pictures()[name](None)
    assert isinstance(ax, Axes)
    check_legible(ax, drawn(ax), least_points=7.5)
    ax.figure.savefig(tmp_path / "picture.png", bbox_inches="tight")
    assert dict(matplotlib.rcParams) == settings and plt.get_fignums() == figures


def python(code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_pyplot_is_not_imported():
    done = python("import sys, lstm_fast as lf; ax = lf.plot.gates(lf.LSTM(1, 2).trace([[1.0], [2.0]])); "
                  "ax.figure.savefig('/dev/null', format='png'); print('matplotlib.pyplot' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


def test_without_matplotlib_the_error_says_what_to_install():
    done = python("import sys; sys.modules['matplotlib'] = None; import lstm_fast; lstm_fast.plot")
    assert done.stderr.splitlines()[-1] == 'ImportError: lstm_fast.plot needs matplotlib: pip install "lstm_fast[plot]"'


def test_gallery_is_drawn_and_small(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    monkeypatch.setattr(sys, "argv", ["gallery.py", str(tmp_path)])
    gallery.main()
    names = {"unit", "unrolled", "gates", "history", "forecast", "gradient_flow"}
    for folder in (tmp_path, ROOT / "docs" / "gallery"):
        assert {path.stem for path in folder.glob("*.png")} == names
        for path in folder.glob("*.png"):
            assert 5_000 < path.stat().st_size < 60_000, path
