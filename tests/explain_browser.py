"""Opens pages of lf.explain in a headless Chromium, and reads and finds the numbers in them."""

import json

import numpy as np
import pytest

import lstm_fast as lf
from chromium import BROWSER, Browser
from optional import MUST_HAVE_ALL

heavy = pytest.mark.skipif(not MUST_HAVE_ALL, reason="one of many in a browser: set LSTM_FAST_TEST_ALL=1")


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
    """Open a page; after the test, check that it had no errors and made no requests."""

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
    """Values of the page for the layer shown, (T, units)."""
    index = "lstmFast.view.layer * lstmFast.page.model.D + lstmFast.view.direction"
    return np.array(browser.evaluate(f"lstmFast.page.run[{index}].map((s) => [...s[{name!r}]])"))


def address(name, t=None, k=0, inside=""):
    """Selector of a number."""
    a = {"name": name, "k": k} if t is None else {"name": name, "t": t, "k": k}
    return f"{inside} [data-address='{json.dumps(a, separators=(',', ':'))}']"


def number(text):
    """Parse a printed number."""
    text = text.split("=")[-1].replace("−", "-").strip()
    for power in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
        text = text.replace(power, "0123456789-"["⁰¹²³⁴⁵⁶⁷⁸⁹⁻".index(power)])
    return float(text.replace("·10", "e"))


def set_step(browser, step, unit=0):
    browser.evaluate(f"lstmFast.choose({{step: {step}, unit: {unit}}})")
    browser.settle()
