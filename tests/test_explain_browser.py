"""lf.explain in a headless Chromium: interaction and appearance; its values are compared with the library's."""

import numpy as np
import pytest

import explain_cases
import lstm_fast as lf
from chromium import needs_browser
from explain_browser import address, heavy, number, set_step, values
from lstm_fast.tour.unit import company_values, make_unit

pytestmark = needs_browser
VIEWS = ("far", "near", "hands", "fifty", "learn")


# ---- the page checks itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["plain", *(pytest.param(n, marks=heavy) for n in ("all", "coupled", "clipped", "learned state", "parameters"))],
)
def test_page_reproduces_every_value(show, name):
    lstm, x = explain_cases.make(name, np.float32)
    browser = show(lstm, x)
    trace = lstm.trace(x)
    assert browser.text("#verified").startswith(f"✓ Checked: this page computed {sum(a.size for a in trace):,} numbers")
    assert browser.evaluate("lstmFast.page.verified.largest") <= 1e-6
    for name in "ifgoch":
        np.testing.assert_allclose(values(browser, name), getattr(trace, name)[0, 0, :, 0], atol=1e-5)


def test_page_reports_mismatched_values(browser, tmp_path):
    path = tmp_path / "page.html"
    lf.explain.companies(path)
    text = path.read_text()
    start = text.index('"base85":"', text.index('"recorded"')) + len('"base85":"')
    path.write_text(text[:start] + "00000" + text[start + 5 :])
    browser.open(path)
    assert browser.text("#verified").startswith("✗ Do not trust this page")


@heavy
def test_given_state_is_the_initial_state(show):
    lstm, x = explain_cases.make("plain")
    state = np.random.default_rng(0).standard_normal((2, 1, 2, 4))
    browser = show(lstm, x, state=tuple(state))
    np.testing.assert_allclose(values(browser, "c"), lstm.trace(x, tuple(state)).c[0, 0, :, 0], atol=1e-12)


def test_features_have_the_names_of_the_caller(show):
    lstm, x = explain_cases.make("plain")
    browser = show(lstm, x, features=["temperature", "wind", "rain"])
    assert browser.text("#feature") == "temperaturewindrain"
    browser.evaluate("lstmFast.choose({feature: 1, focus: {name: 'x', t: 2, k: 1}})")
    assert "input x, step 3, wind" in browser.text("#sources") and "input, wind" in browser.text("#charts")
    assert "rain" in browser.text("#weights")


# ---- from the overview to one multiplication -------------------------------------------------------------------------


def test_click_on_a_map_selects_step_and_unit(show):
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


def test_diagram_shows_library_values(show):
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


def test_every_value_is_traced_to_single_products(show):
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
def test_formulas_of_variants_evaluate_to_the_shown_value(show, name):
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


# ---- accessibility ---------------------------------------------------------------------------------------------------


def test_focusable_elements_have_names(show):
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
def test_page_fits_a_phone(show, name):
    browser = show(*(() if name == "companies" else explain_cases.make(name)))
    browser.resize(360, 740)
    browser.settle()
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360


@heavy
def test_dark_light_and_print_styles(show):
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
def test_sign_is_visible_in_grayscale(show):
    """Hatching: lightness varies along a negative cell, not along a positive one."""
    browser = show(lf.LSTM(1, 1, dtype=np.float64), np.zeros((4, 1)))
    spread = browser.evaluate("""(() => {
      lstmFast.setNumber({name: "c", t: 0, k: 0}, -1);
      lstmFast.setNumber({name: "c", t: 1, k: 0}, 1);
      return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
        const map = document.querySelector("#map-c"), pen = map.getContext("2d"), w = map.width / 4;
        done([0, 1].map((t) => {
          const { data } = pen.getImageData(t * w + 6, 4, 12, 8), gray = [];
          for (let k = 0; k < data.length; k += 4) gray.push(0.3 * data[k] + 0.59 * data[k + 1] + 0.11 * data[k + 2]);
          return Math.max(...gray) - Math.min(...gray);
        }));
      })));
    })()""")
    assert spread[0] > 30 and spread[1] < 2


@heavy
def test_screenshots_show_the_whole_page(show, tmp_path):
    browser = show()
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
    assert all(browser.evaluate(f"document.querySelector('#{view}').offsetHeight") > 150 for view in VIEWS)
