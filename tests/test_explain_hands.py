"""Interactive edits of lf.explain in a headless Chromium: dragging, fixing and training match the library."""

import numpy as np
import pytest

import explain_cases
import lstm_fast as lf
from chromium import needs_browser
from explain_browser import address, heavy, number, set_step, value, values
from lstm_fast.tour import gradients, training
from lstm_fast.tour.unit import company_values, make_unit

pytestmark = needs_browser


# ---- edits -----------------------------------------------------------------------------------------------------------


def test_dragging_a_weight_matches_the_library(show):
    browser, unit, (x, _) = show(), make_unit(), company_values()
    before = values(browser, "c")
    browser.drag(address("weight_hh", k=1, inside="#weights"), dx=60)  # of the forget gate
    weight = browser.evaluate("lstmFast.page.model.layers[0].weight_hh[1]")
    assert weight == pytest.approx(3.3)
    with unit.edit() as p:
        p["weight_hh_l0"][1] = weight
    np.testing.assert_allclose(values(browser, "c")[:, 0], unit.trace(x).c[0, 0, :, 0, 0], atol=1e-12)
    assert np.abs(values(browser, "c") - before).max() > 1e-3
    assert "was 2.700" in browser.text("#weights")
    browser.click("#undo-all")
    np.testing.assert_array_equal(values(browser, "c"), before)


@heavy
def test_dragging_x_changes_only_later_steps(show):
    lstm, x = explain_cases.make("stack")
    browser = show(lstm, x)
    before = values(browser, "c")
    browser.drag(address("x", 2, inside="#charts"), dy=-30)
    x[2, 0, 0] = value(browser, "x", 2)
    assert x[2, 0, 0] != explain_cases.make("stack")[1][2, 0, 0]
    np.testing.assert_allclose(values(browser, "c"), lstm.trace(x).c[0, 0, :, 0], atol=1e-12)
    np.testing.assert_array_equal(values(browser, "c")[:2], before[:2])
    browser.evaluate("lstmFast.choose({layer: 1, direction: 1})")
    np.testing.assert_allclose(values(browser, "h"), lstm.trace(x).h[1, 1, :, 0], atol=1e-12)


@heavy
@pytest.mark.parametrize("name", ["c", "h"])
def test_dragging_c_changes_the_start_of_later_steps(show, name):
    browser, unit, (x, _) = show(), make_unit(), company_values()
    browser.drag(address(name, 1, inside="#charts"), dy=-25)
    first = unit.trace(x[:2, 0])
    state = {n: getattr(first, n)[0, 0, 1, 0] for n in "hc"}
    state[name] = np.array([value(browser, name, 1)])
    if name == "c":
        state["h"] = first.o[0, 0, 1, 0] * np.tanh(state["c"])
    later = unit.trace(x[2:, 0], (state["h"][None], state["c"][None]))
    np.testing.assert_allclose(values(browser, "c")[2:, 0], later.c[0, 0, :, 0, 0], atol=1e-12)
    assert state[name] != getattr(first, name)[0, 0, 1, 0]


@heavy
@pytest.mark.parametrize("action, f", [("#hold-open", 1), ("#forget-all", 0)])
def test_forget_gates_can_be_fixed(show, action, f):
    lstm, x = explain_cases.make("plain")
    browser = show(lstm, x)
    set_step(browser, 2)
    browser.click(action)
    assert browser.evaluate(f"document.querySelector('{action}').getAttribute('aria-pressed')") == "true"
    trace = lstm.trace(x[:2])
    state = trace.h[0, 0, 1:2, :], trace.c[0, 0, 1:2, :]
    held = lf.LSTM(explain_cases.I, explain_cases.H, dtype=np.float64)
    held.load_state_dict(lstm.state_dict())
    with held.edit() as p:  # so far from 0 that the sigmoid is exactly f
        p["bias_ih_l0"][explain_cases.H : 2 * explain_cases.H] = 1e4 if f else -1e4
    n = explain_cases.T - 2 if f else 1
    later = held.trace(x[2 : 2 + n], state)
    np.testing.assert_allclose(values(browser, "c")[2 : 2 + n], later.c[0, 0, :, 0], atol=1e-12)
    browser.click("#edits button")
    np.testing.assert_allclose(values(browser, "c"), lstm.trace(x).c[0, 0, :, 0], atol=1e-12)


def test_keyboard_matches_mouse(show):
    browser = show()
    selector = address("weight_ih", k=0, inside="#weights")
    browser.focus(selector)
    browser.key("ArrowUp")
    browser.key("ArrowUp")
    assert browser.evaluate("lstmFast.page.model.layers[0].weight_ih[0]") == pytest.approx(1.75)
    browser.key("Enter")
    assert "weight W i of weight_ih_l0" in browser.text("#sources")
    focused = browser.evaluate("document.activeElement.getAttribute('aria-valuenow')")
    assert float(focused) == pytest.approx(1.75), "the number keeps the focus while the page redraws"
    browser.key("Delete")
    assert browser.evaluate("lstmFast.page.model.layers[0].weight_ih[0]") == 1.65
    browser.evaluate("new Promise((done) => setTimeout(done, 250))")
    assert browser.text("#live"), "said to screen readers"


@heavy
def test_gradient_at_step_1(show):
    lstm, x = explain_cases.make("plain")
    browser = show(lstm, x[:, 0])
    set_step(browser, 0, 2)
    _, _, tape = lstm.forward(x[:, 0])
    d_c = np.eye(explain_cases.H)[2][None]
    browser.evaluate("new Promise((done) => setTimeout(done, 200))")  # it updates when nothing is dragged
    assert number(browser.text("#reach-first")) == pytest.approx(
        lstm.backward(tape, None, (None, d_c)).d_c_0[0, 2], rel=6e-3
    )


# ---- fifty steps, learning -------------------------------------------------------------------------------------------


@heavy
@pytest.mark.parametrize("weight", [2.0, 0.5])
def test_fifty_steps_of_rnn_and_lstm(show, weight):
    browser = show()
    browser.click(f"[data-weight='{weight:g}']")
    assert number(browser.text("#rnn-gradient")) == pytest.approx(gradients.rnn_span(weight, 50).gradient, rel=5e-3)
    span = gradients.lstm_span(4.6, 50)
    assert number(browser.text("#lstm-memory")) == pytest.approx(span.memory, rel=1e-3)
    assert number(browser.text("#lstm-gradient")) == pytest.approx(span.gradient, rel=1e-3)
    assert ("explodes" if weight > 1 else "vanishes") in browser.text("#span-words")
    browser.focus("#rnn-weight")
    browser.key("ArrowRight")
    assert number(browser.text("#rnn-gradient")) == pytest.approx((weight + 0.01) ** 50, rel=5e-3)


def test_unit_learns_as_in_the_tour(show):
    browser, expected = show(), training.train_unit(0)
    for _ in range(20):
        browser.click("#learn-step")
    losses = browser.evaluate("lstmFast.learner.losses")
    np.testing.assert_allclose(losses, expected.losses[0][:21], rtol=1e-9)
    browser.evaluate("(() => { while (!lstmFast.learner.isDone && lstmFast.learner.t < 1000) lstmFast.learn(); })()")
    losses = browser.evaluate("lstmFast.learner.losses")
    assert abs(len(losses) - len(expected.losses[0])) <= 1
    np.testing.assert_allclose(losses[:100], expected.losses[0][:100], rtol=1e-6)
    browser.click("#learn-draw")
    np.testing.assert_allclose(browser.evaluate("lstmFast.learner.losses.length"), 1)


@heavy
def test_training_stops_when_learned_and_updates_the_weights(show):
    browser = show()
    for _ in range(10):
        browser.click("#learn-run")
        browser.evaluate(
            "new Promise((done) => { const wait = () => lstmFast.learner.isRunning ? setTimeout(wait, 20) : done(1);"
            "wait(); })"
        )
        if browser.evaluate("lstmFast.learner.isDone"):
            break
        browser.click("#learn-draw")
    assert "Learned after" in browser.text("#learn-words")
    assert number(browser.text("#predicts-A")) == pytest.approx(0, abs=0.05)
    assert number(browser.text("#predicts-B")) == pytest.approx(1, abs=0.05)
    browser.click("#learn-use")
    assert number(browser.text(address("h", 3, inside="#diagram") + " .value")) == pytest.approx(
        number(browser.text("#predicts-A")), abs=1e-9
    )
