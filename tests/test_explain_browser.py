"""lf.explain in a headless Chromium: clicked, dragged, driven by keys; its numbers are compared with the library's."""

import json

import numpy as np
import pytest

import explain_cases
import lstm_fast as lf
from chromium import BROWSER, Browser, needs_browser
from lstm_fast.tour import gradients, training
from lstm_fast.tour.unit import company_values, make_unit
from optional import MUST_HAVE_ALL

pytestmark = needs_browser
heavy = pytest.mark.skipif(not MUST_HAVE_ALL, reason="one of many in a browser: set LSTM_FAST_TEST_ALL=1")
VIEWS = ("far", "near", "hands", "fifty", "learn")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    try:
        browser = Browser(tmp_path_factory.mktemp("browser"))
    except OSError as error:
        pytest.skip(f"{BROWSER} does not start here: {error}")
    yield browser
    browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a page; after the test nothing may have gone wrong in it, nor have been asked for outside it."""

    def open_page(lstm=None, x=None, **options):
        path = tmp_path / "page.html"
        if lstm is None:
            lf.explain.companies(path)
        else:
            lf.explain.html(lstm, x, path, **options)
        browser.media()
        browser.resize(1280, 900)
        browser.open(path)
        return browser

    yield open_page
    assert not browser.errors
    assert all(url.startswith(("file:///", "data:")) for url in browser.requests), browser.requests


def value(browser, name, t, k=0):
    return browser.evaluate(f"lstmFast.valueOf({{name: {name!r}, t: {t}, k: {k}}})")


def values(browser, name):
    """What the page computes for the layer that is shown, (T, units)."""
    index = "lstmFast.view.layer * lstmFast.page.model.D + lstmFast.view.direction"
    return np.array(browser.evaluate(f"lstmFast.page.run[{index}].map((s) => [...s[{name!r}]])"))


def address(name, t=None, k=0, inside=""):
    """Selector of a number."""
    a = {"name": name, "k": k} if t is None else {"name": name, "t": t, "k": k}
    return f"{inside} [data-address='{json.dumps(a, separators=(',', ':'))}']"


def number(text):
    """A printed number."""
    text = text.split("=")[-1].replace("−", "-").strip()
    for power in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
        text = text.replace(power, "0123456789-"["⁰¹²³⁴⁵⁶⁷⁸⁹⁻".index(power)])
    return float(text.replace("·10", "e"))


def set_step(browser, step, unit=0):
    browser.evaluate(f"lstmFast.choose({{step: {step}, unit: {unit}}})")
    browser.settle()


# ---- the page checks itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["plain", *(pytest.param(n, marks=heavy) for n in ("all", "coupled", "clipped", "learned state", "parameters"))],
)
def test_every_number_is_found_again(show, name):
    lstm, x = explain_cases.make(name, np.float32)
    browser = show(lstm, x)
    trace = lstm.trace(x)
    assert browser.text("#verified").startswith(f"✓ Checked: this page computed {sum(a.size for a in trace):,} numbers")
    assert browser.evaluate("lstmFast.page.verified.largest") <= 1e-6
    for name in "ifgoch":
        np.testing.assert_allclose(values(browser, name), getattr(trace, name)[0, 0, :, 0], atol=1e-5)


def test_a_page_with_other_numbers_says_so(browser, tmp_path):
    path = tmp_path / "page.html"
    lf.explain.companies(path)
    text = path.read_text()
    start = text.index('"base85":"', text.index('"recorded"')) + len('"base85":"')
    path.write_text(text[:start] + "00000" + text[start + 5 :])
    browser.open(path)
    assert browser.text("#verified").startswith("✗ Do not trust this page")


@heavy
def test_a_given_state_is_the_first_state(show):
    lstm, x = explain_cases.make("plain")
    state = np.random.default_rng(0).standard_normal((2, 1, 2, 4))
    browser = show(lstm, x, state=tuple(state))
    np.testing.assert_allclose(values(browser, "c"), lstm.trace(x, tuple(state)).c[0, 0, :, 0], atol=1e-12)


# ---- from far to one multiplication ----------------------------------------------------------------------------------


def test_a_click_on_a_map_chooses_step_and_unit(show):
    lstm, x = explain_cases.make("plain")
    browser = show(lstm, x)
    left, top, width, height = browser.evaluate(
        "(() => { const map = document.querySelector('#map-o'); map.scrollIntoView({block: 'center'});"
        "const box = map.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })()"
    )
    browser.click_at(left + width * 2.5 / explain_cases.T, top + height * 1.5 / explain_cases.H)
    assert browser.text("#step-name") == "step 3, unit 2"
    assert number(browser.text("#sources h3")) == pytest.approx(lstm.trace(x).o[0, 0, 2, 0, 1], abs=6e-4)
    browser.focus("#map-o")
    for key in ("ArrowRight", "ArrowDown"):
        browser.key(key)
    assert browser.text("#step-name") == "step 4, unit 3"


def test_the_diagram_shows_the_librarys_numbers(show):
    browser, trace = show(), make_unit().trace(company_values()[0])
    for sequence in (0, 1):
        browser.evaluate(f"lstmFast.choose({{sequence: {sequence}}})")
        for t in range(4):
            set_step(browser, t)
            for name in "ifgoch":
                shown = number(browser.text(address(name, t, inside="#diagram") + " .value"))
                assert shown == pytest.approx(getattr(trace, name)[0, 0, t, sequence, 0], abs=6e-4)
            shown = number(browser.text(address("kept", t, inside="#diagram") + " .value"))
            c_prev = trace.c[0, 0, t - 1, sequence, 0] if t else 0
            assert shown == pytest.approx(trace.f[0, 0, t, sequence, 0] * c_prev, abs=6e-4)


def test_every_number_says_where_it_comes_from_down_to_one_product(show):
    lstm, x = explain_cases.make("plain")
    browser, p = show(lstm, x), lstm.parameters()
    set_step(browser, 3, 1)
    browser.click(address("o", 3, 1, "#diagram"))
    assert "output gate o, step 4, unit 2" in browser.text("#sources")
    browser.click(address("pre_o", 3, 1, "#sources .numbers"))
    products = [
        number(text)
        for text in browser.evaluate("[...document.querySelectorAll('.product')].map((d) => d.textContent)")
    ]
    row = 3 * explain_cases.H + 1
    h_prev = lstm.trace(x).h[0, 0, 2, 0]
    expected = [
        *(p["weight_ih_l0"][row] * x[3, 0]),
        *(p["weight_hh_l0"][row] * h_prev),
        p["bias_ih_l0"][row],
        p["bias_hh_l0"][row],
    ]
    np.testing.assert_allclose(products, expected, atol=6e-4)
    assert number(browser.text(".total")) == pytest.approx(sum(expected), abs=6e-4)
    browser.click(address("h_prev", 3, 2, "#sources"))
    assert "short-term memory h, step 3, unit 3" in browser.text("#sources")
    browser.click(".panel-head button")
    assert "sum of the output gate, step 4" in browser.text("#sources"), "back"


@heavy
@pytest.mark.parametrize("name", ["all", "coupled", "clipped", "projection", "no bias"])
def test_formulas_of_variants_give_what_they_explain(show, name):
    """Each formula and each sum, recomputed from the numbers it shows."""
    lstm, x = explain_cases.make(name)
    browser = show(lstm, x)
    wrong = browser.evaluate(EXPLAINED)
    assert wrong == []


EXPLAINED = """(() => {
  const wrong = [], { page, valueOf, explain } = lstmFast, { cell_clip, gate_clip } = page.model.cell;
  const ofLine = (parts) => { // a sum of products, as in c and h
    let total = 0, factor = 1;
    for (const part of parts) {
      if (part === "+") [total, factor] = [total + factor, 1];
      else if (part !== "×") factor *= valueOf(part);
    }
    return total + factor;
  };
  for (const name of ["c", "h", "kept", "added", "m", "pre_i", "pre_f", "pre_g", "pre_o"])
    for (let k = 0; k < (name === "h" ? page.model.R : page.model.H); k++) {
      if (name === "pre_f" && page.model.cell.coupled_gates) continue;
      const a = { name, t: 2, k }, { line, sum } = explain(a);
      const bound = name === "c" ? cell_clip : name.startsWith("pre_") && gate_clip;
      let v = sum ? sum.reduce((s, p) => s + valueOf(p.weight) * (p.value ? valueOf(p.value) : 1), 0) : ofLine(line);
      if (bound) v = Math.min(bound, Math.max(-bound, v));
      if (!(Math.abs(v - valueOf(a)) < 1e-12)) wrong.push([name, k, v, valueOf(a)]);
    }
  return wrong;
})()"""


# ---- hands on --------------------------------------------------------------------------------------------------------


def test_a_dragged_weight_changes_every_step_as_in_the_library(show):
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
def test_a_dragged_point_of_x_changes_later_steps_alone(show):
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
def test_a_dragged_memory_is_where_later_steps_start(show, name):
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
def test_forget_gates_are_held(show, action, f):
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


def test_keys_do_what_a_mouse_does(show):
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
def test_the_gradient_that_reaches_step_1(show):
    lstm, x = explain_cases.make("plain")
    browser = show(lstm, x[:, 0])
    set_step(browser, 0, 2)
    _, _, tape = lstm.forward(x[:, 0])
    d_c = np.eye(explain_cases.H)[2][None]
    browser.evaluate("new Promise((done) => setTimeout(done, 200))")  # it follows when nothing is dragged
    assert number(browser.text("#reach-first")) == pytest.approx(
        lstm.backward(tape, None, (None, d_c)).d_c_0[0, 2], rel=6e-3
    )


# ---- fifty steps, learning -------------------------------------------------------------------------------------------


@heavy
@pytest.mark.parametrize("weight", [2.0, 0.5])
def test_fifty_steps_of_a_plain_rnn_and_an_lstm(show, weight):
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


def test_the_unit_learns_as_in_the_tour(show):
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
def test_train_runs_until_it_has_learned_and_its_weights_fit_above(show):
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


# ---- everyone --------------------------------------------------------------------------------------------------------


def test_everything_that_can_be_focused_has_a_name(show):
    lstm, x = explain_cases.make("all")
    browser = show(lstm, x)
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "spinbutton", "combobox", "link", "img", "region", "table"}
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles - {"table"}]
    assert len(found) > 50
    assert not [node["role"]["value"] for node in found if not node.get("name", {}).get("value")]
    assert {"main", "heading", "status", "navigation"} <= {node["role"]["value"] for node in nodes}


@heavy
@pytest.mark.parametrize("name", ["companies", "all"])
def test_a_phone_shows_the_whole_width(show, name):
    browser = show(*(() if name == "companies" else explain_cases.make(name)))
    browser.resize(360, 740)
    browser.settle()
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360


@heavy
def test_dark_light_and_print(show):
    browser, seen = show(), []
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        browser.media(media, scheme)
        seen.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert seen == ["rgb(250, 248, 244)", "rgb(20, 23, 27)", "rgb(255, 255, 255)"]
    assert browser.evaluate("getComputedStyle(document.querySelector('#controls')).display") == "none"
    browser.media()
    browser.click("#theme")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"


@heavy
def test_negative_cells_differ_from_positive_ones_in_grey(show):
    """Hatching: along a negative cell lightness varies, along a positive one it does not."""
    browser = show(lf.LSTM(1, 1, dtype=np.float64), np.zeros((4, 1)))
    spread = browser.evaluate("""(() => {
      lstmFast.setNumber({name: "c", t: 0, k: 0}, -1);
      lstmFast.setNumber({name: "c", t: 1, k: 0}, 1);
      return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
        const map = document.querySelector("#map-c"), pen = map.getContext("2d"), w = map.width / 4;
        done([0, 1].map((t) => {
          const { data } = pen.getImageData(t * w + 6, 4, 12, 8), grey = [];
          for (let k = 0; k < data.length; k += 4) grey.push(0.3 * data[k] + 0.59 * data[k + 1] + 0.11 * data[k + 2]);
          return Math.max(...grey) - Math.min(...grey);
        }));
      })));
    })()""")
    assert spread[0] > 30 and spread[1] < 2


@heavy
def test_screenshots_are_of_the_whole_page(show, tmp_path):
    browser = show()
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
    assert all(browser.evaluate(f"document.querySelector('#{view}').offsetHeight") > 150 for view in VIEWS)
