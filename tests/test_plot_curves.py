"""history, forecast and gradient_flow: the plots show the given numbers, and every text is legible."""

import numpy as np
import pytest

import lstm_fast as lf
from plot_checks import LONG, check_clear, check_legible, contents, line_of, panels, trained

pytest_plugins = "plot_fixtures"

# ---- history -------------------------------------------------------------------------------------------------------


def test_history_draws_the_result_of_fit(small, drawn):
    h = trained(epochs=12, validation=0.3, lr_schedule="linear")
    assert lf.plot.history(h, title="A training", ax=small) is small
    texts = drawn(small)
    check_legible(small, texts)
    assert {"gradient\nnorm", "learning\nrate", "loss", "epoch"} <= set(contents(texts))
    parts = panels(small)
    assert list(parts) == ["loss", "gradient_norm", "learning_rate"]
    check_clear(parts["loss"], texts)
    for panel, label, values in (
        ("loss", "training", h.loss),
        ("loss", "validation", h.validation_loss),
        ("gradient_norm", "gradient_norm", h.gradient_norm),
        ("learning_rate", "learning_rate", h.learning_rate),
    ):
        line = line_of(parts[panel], label)
        assert np.array_equal(line.get_ydata(), values) and np.array_equal(line.get_xdata(), range(12))
    best = line_of(parts["loss"], f"best: epoch {h.best_epoch}, {h.validation_loss[h.best_epoch]:.4g}")
    assert (best.get_xdata(), best.get_ydata()) == ([h.best_epoch], [h.validation_loss[h.best_epoch]])


@pytest.mark.parametrize(
    "loss, scale",
    [
        ([1.0, 0.5], "linear"),
        ([100.0, 1.0], "log"),
        ([100.0, 0.0], "linear"),
        ([5.0, -3.0], "linear"),
        ([0.25] * 400, "linear"),
        ([0.0], "linear"),
        ([-2.0] * 3, "linear"),
        ([1e-9, 2e-9], "linear"),
        (list(10.0 ** np.arange(40)), "log"),
        ([123456.7, 123456.8], "linear"),
    ],
)
def test_history_is_legible_for_extreme_losses(small, drawn, loss, scale):
    h = lf.train.History(
        loss=loss, gradient_norm=loss, learning_rate=[1e-3] * len(loss), best_epoch=int(np.argmin(loss))
    )
    lf.plot.history(h, loss=LONG, title=LONG, ax=small)
    texts = drawn(small)
    assert panels(small)["loss"].get_yscale() == scale
    for panel in panels(small).values():
        low, high = sorted(panel.get_ylim())
        ticks = [tick for tick in panel.get_yticks() if low <= tick <= high]
        assert len(ticks) >= 2 or ticks == [0] == [loss[0]] * len(ticks), "a scale needs two ticks"
    check_legible(small, texts)
    check_clear(panels(small)["loss"], texts)


def test_history_error_names_the_invalid_argument():
    with pytest.raises(ValueError, match="at least one epoch"):
        lf.plot.history(lf.train.History())
    with pytest.raises(TypeError, match="history must be a History, got list"):
        lf.plot.history([1.0, 2.0])


# ---- forecast ------------------------------------------------------------------------------------------------------


def band_of(ax, label):
    (band,) = (collection for collection in ax.collections if collection.get_label() == label)
    return band.get_paths()[0].vertices


def test_forecast_draws_past_prediction_truth_and_interval(small, drawn):
    rng = np.random.default_rng(0)
    past, p, truth = rng.standard_normal(30), rng.standard_normal(7), rng.standard_normal(5)
    days = np.datetime64("2026-02-10") + np.arange(37)
    ax = lf.plot.forecast(
        past,
        p,
        truth,
        {0.5: (p - 1, p + 1), 0.9: np.stack([p - 2, p + 2], 1)},
        days,
        baselines={"last": [past[-1]] * 7},
        ylabel="temperature (°C)",
        xlabel="date",
        title="A week ahead",
        ax=small,
    )
    assert ax is small
    texts = drawn(small)
    check_legible(small, texts)
    check_clear(small, texts)
    for label, index, values in (
        ("observed", days[:30], past),
        ("forecast", days[30:], p),
        ("truth", days[30:35], truth),
        ("last", days[30:], [past[-1]] * 7),
    ):
        line = line_of(small, label)
        assert np.array_equal(line.get_ydata(), values) and np.array_equal(line.get_xdata(orig=True), index), label
    for label, width in (("50 % interval", 1), ("90 % interval", 2)):
        y = band_of(small, label)[:, 1]
        assert y.min() == (p - width).min() and y.max() == (p + width).max()
    assert small.get_ylabel() == "temperature (°C)" and "Mar" in contents(texts)


def test_forecast_draws_the_prediction_of_an_estimator(drawn):
    y = np.sin(np.arange(120.0) / 4)
    forecaster = lf.sklearn.LSTMForecaster(
        input_size=12, horizon=6, hidden_size=4, quantiles=(0.1, 0.5, 0.9), epochs=2, random_state=0
    )
    forecaster.fit(y[:100])
    p, interval = forecaster.predict(), forecaster.predict_interval()
    ax = lf.plot.forecast(y[:100], p, y[100:106], interval)
    check_legible(ax, drawn(ax))
    assert np.array_equal(line_of(ax, "forecast").get_ydata(), p)
    assert band_of(ax, "interval")[:, 1].max() == interval.max()
    both = np.stack([y, 50 * y], axis=1)
    forecaster.fit(both[:100])
    ax = lf.plot.forecast(
        both[:100], forecaster.predict(), both[100:106], forecaster.predict_interval(), names=["one", "other"]
    )
    check_legible(ax, drawn(ax))
    assert np.array_equal(line_of(panels(ax)["other"], "forecast").get_ydata(), forecaster.predict()[:, 1])


@pytest.mark.parametrize(
    "n, horizon, value",
    [(0, 1, 0.0), (1, 1, None), (0, 50, -1e-7), (1, 1000, None), (1000, 1, None), (50, 10, 1234567.0)],
)
def test_forecast_is_legible_for_extreme_series(small, drawn, n, horizon, value):
    y = np.random.default_rng(0).standard_normal(n + horizon) if value is None else np.full(n + horizon, value)
    p = y[n:]
    ax = lf.plot.forecast(y[:n], p, p, (p, p), ylabel=LONG, xlabel=LONG, title=LONG, baselines={LONG: p}, ax=small)
    small.figure.set_layout_engine("constrained")
    texts = drawn(ax)
    check_legible(ax, texts)
    assert np.array_equal(line_of(ax, "forecast").get_ydata(), p)


def test_forecast_is_legible_for_several_series_with_long_numbers(small, drawn):
    p = np.array([[1e-4, 5e6, -3.0], [2e-4, 7e6, -2.0]])
    ax = lf.plot.forecast(
        None,
        p,
        interval=np.stack([p - abs(p), p + abs(p)], -1),
        names=["a", "b", "c"],
        ylabel=["m", "people", "°C"],
        ax=small,
    )
    check_legible(ax, drawn(ax))
    assert list(panels(ax)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(prediction=np.ones((2, 3, 4))), r"prediction must have shape \(horizon,\)"),
        (dict(prediction=[]), "prediction"),
        (dict(prediction=np.ones((3, 9))), "at most 8 series"),
        (dict(y_past=np.ones((5, 2))), r"y_past must have shape \(n,\)"),
        (dict(truth=np.ones(4)), r"truth must have shape \(up to 3,\)"),
        (dict(interval=np.ones((2, 3))), r"interval must be a tuple \(low, high\)"),
        (dict(interval=(np.ones(3), np.zeros(3))), "low must not be above high"),
        (dict(interval={90: (np.zeros(3), np.ones(3))}), "levels"),
        (dict(index=np.arange(3)), r"index must hold numbers or datetime64 .* shape \(8,\)"),
        (dict(index=list("abcdefgh")), "index"),
        (dict(baselines={"b": np.ones(2)}), r"baselines\['b'\] must have shape \(3,\)"),
        (dict(names=["a", "b"]), "names must have one entry for each"),
        (dict(ylabel=["a", "b"]), "ylabel must have one entry for each"),
    ],
)
def test_forecast_error_names_the_invalid_argument(change, message):
    with pytest.raises(ValueError, match=message):
        lf.plot.forecast(**{"y_past": np.ones(5), "prediction": np.ones(3)} | change)


# ---- gradient flow -------------------------------------------------------------------------------------------------


def test_gradient_flow_of_modules_is_the_norm_of_the_derivative(small, drawn):
    """Compared with the Jacobian of the final state, from central differences of runs that start at each step."""
    T, x = 6, np.random.default_rng(0).standard_normal((6, 1, 2))
    rnn, lstm = (Network(2, 3, seed=0, dtype=np.float64) for Network in (lf.RNN, lf.LSTM))
    lf.plot.gradient_flow({"RNN": rnn, "LSTM": lstm}, x, ax=small)
    texts = drawn(small)
    check_legible(small, texts)
    check_clear(small, texts)
    direction, step = np.full(3, 3**-0.5), 1e-6

    def differences(last, state):
        gradient = []
        for k in range(len(state)):
            plus, minus = (last(state + s * np.eye(len(state))[k]) for s in (step, -step))
            gradient.append((plus - minus) @ direction / (2 * step))
        return np.linalg.norm(gradient)

    for back in range(1, T):
        before, after = x[: T - back], x[T - back :]
        h = rnn(before)[1]
        expected = differences(lambda s, x=after: rnn(x, s.reshape(1, 1, 3))[0][-1, 0], h.ravel())
        assert line_of(small, "RNN").get_ydata()[T - 1 - back] == pytest.approx(expected, rel=1e-6)
        state = np.concatenate([s.ravel() for s in lstm(before)[1]])
        expected = differences(
            lambda s, x=after: lstm(x, (s[:3].reshape(1, 1, 3), s[3:].reshape(1, 1, 3)))[0][-1, 0], state
        )
        assert line_of(small, "LSTM").get_ydata()[T - 1 - back] == pytest.approx(expected, rel=1e-6)
    assert line_of(small, "LSTM").get_xdata().tolist() == [5, 4, 3, 2, 1, 0]
    assert small.get_yscale() == "log"


@pytest.mark.parametrize(
    "options", [dict(batch_first=True), dict(bidirectional=True), dict(num_layers=3), dict(proj_size=2)], ids=str
)
def test_gradient_flow_is_1_at_the_last_step(options):
    lstm = lf.LSTM(2, 4, seed=0, **options)
    x = np.random.default_rng(0).standard_normal((5, 7, 2))
    for direction in range(1 + lstm.bidirectional):
        (line,) = lf.plot.gradient_flow({"LSTM": lstm}, x, direction=direction).lines
        assert line.get_ydata()[-1] == pytest.approx(1, rel=1e-5) and line.get_xdata()[-1] == 0
        assert len(line.get_ydata()) == (7 if lstm.batch_first else 5)


def test_gradient_flow_takes_gradients_norms_and_models(drawn):
    lstm = lf.LSTM(2, 4, seed=0)
    output, _, tape = lstm.forward(np.ones((9, 3, 2)))
    gradients = lstm.backward(tape, output, record_norms=True)
    model = lf.train.SequenceModel(lf.RNN(2, 4, seed=0), 1, seed=0)
    ax = lf.plot.gradient_flow(
        {"gradients": gradients, "model": model, LONG: 0.5 ** np.arange(2000)}, np.ones((9, 3, 2))
    )
    check_legible(ax, drawn(ax))
    expected = np.sqrt(gradients.d_h_norms**2 + gradients.d_c_norms**2)[0, 0].mean(axis=1)
    assert line_of(ax, "gradients").get_ydata() == pytest.approx(expected)


@pytest.mark.parametrize(
    "norms",
    [[1.0], [0.0, 0.0, 1.0], [1.0] * 50, 1e300 * np.ones(3), 10.0 ** np.arange(-150, 150, 10)],
    ids=["one", "zeros", "constant", "huge", "wide"],
)
def test_gradient_flow_is_legible_for_extreme_norms(small, drawn, norms):
    lf.plot.gradient_flow({"one": norms, "two": norms}, ax=small)
    check_legible(small, drawn(small))


@pytest.mark.parametrize(
    "flows, error, message",
    [
        ({}, ValueError, "flows must be a dict of 1 to 8"),
        ([1.0], ValueError, "got list"),
        ({"a": lf.RNN(1, 1)}, ValueError, "x must be given"),
        ({"a": [0.0, 0.0]}, ValueError, "not all zero"),
        ({"a": [np.nan]}, ValueError, "finite"),
        ({"a": np.ones((2, 2))}, TypeError, "shape"),
        ({"a": "text"}, TypeError, "'a' must be a module, gradients or norms"),
        ({"a": None}, TypeError, "NoneType|shape"),
    ],
)
def test_gradient_flow_error_names_the_invalid_argument(flows, error, message):
    with pytest.raises(error, match=message):
        lf.plot.gradient_flow(flows)
    lstm = lf.LSTM(1, 1, seed=0)
    with pytest.raises(ValueError, match="record_norms=True"):
        lf.plot.gradient_flow({"a": lstm.backward(lstm.forward([[1.0]])[2], None)})
