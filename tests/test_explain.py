"""lf.explain: contents and size of the page, arguments, and its formulas under Node.js."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import explain_cases
import lstm_fast as lf
from checkout import ROOT
from command_line import run
from lstm_fast.explain import _page
from lstm_fast.explain._arrays import encode
from lstm_fast.tour.unit import make_unit

PAGE = ROOT / "lstm_fast" / "explain" / "page"
NODE = shutil.which("node") or shutil.which("nodejs")


def write(tmp_path, lstm, x, **options):
    path = tmp_path / "page.html"
    lf.explain.html(lstm, x, path, **options)
    return path.read_text("utf8")


def written(page):
    """The data inside a page."""
    return json.loads(re.search(r'id="written">(.*?)</script>', page, re.DOTALL)[1])


def array(entry):
    data = base64.b85decode(entry["base85"].replace("/", "<"))
    values = np.frombuffer(data, "<f4" if entry["dtype"] == "float32" else "<f8")
    return values.reshape(entry["shape"])


# ---- the file --------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.ids, self.attributes, self.tags = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]


def test_page_is_one_file_without_requests(tmp_path):
    page = write(tmp_path, make_unit(), np.zeros((4, 1)))
    reader = Reader(page)
    assert not [pair for pair in reader.attributes if pair[0] in ("src", "srcset", "action")]
    assert [value for name, value in reader.attributes if name == "href"] == ["data:,", "#far"]
    assert set(re.findall(r"https?://[\w./]*", page)) == {"http://www.w3.org/2000/svg"}, "the name of SVG, no address"
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\s*\(|@import|url\(\s*['\"]?http", page)
    assert "default-src 'none'" in page
    assert len(page.encode()) < 120_000, "a small unit has a small page"


def test_ids_are_unique_and_referenced_ids_exist(tmp_path):
    ids = Reader(write(tmp_path, make_unit(), np.zeros((4, 1)))).ids
    assert len(ids) == len(set(ids))
    scripts = "".join((PAGE / name).read_text() for name in _page.SCRIPTS)
    wanted = set(re.findall(r'\("#([\w-]+)"', scripts))
    assert wanted and wanted <= set(ids), wanted - set(ids)


def test_scripts_are_included_and_short():
    assert sorted(_page.SCRIPTS) == sorted(path.name for path in PAGE.glob("*.js"))
    assert all(path.read_text().count("\n") < 300 for path in PAGE.iterdir())


@pytest.mark.parametrize("options", [{}, {"dtype": np.float64}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
def test_largest_layers_are_accepted(options, tmp_path):
    T, I = 200, 48 if "num_layers" in options or "bidirectional" in options else 64
    lstm = lf.LSTM(I, 64, seed=0, **options)
    page = write(tmp_path, lstm, np.random.default_rng(0).standard_normal((T, I)))
    data = written(page)
    assert len(page.encode()) < 500_000
    assert data["rounded"] == (lstm.dtype == np.float64), "said in the page"
    assert array(data["recorded"]["c"]).shape[2] == len(range(0, T, data["recorded"]["c"]["every"]))


def test_text_is_escaped(tmp_path):
    evil = "</script><script>alert(1)</script>{{DATA}}"
    page = write(tmp_path, make_unit(), np.zeros((2, 1)), title=evil, text=evil, names=[evil])
    assert page.count("<script") == 2 and "<script>alert" not in page
    assert written(page)["names"] == [evil]


def test_output_is_deterministic(tmp_path):
    assert write(tmp_path, make_unit(), np.ones((2, 1))) == write(tmp_path, make_unit(), np.ones((2, 1)))


def test_parameters_and_x_are_stored_exactly(tmp_path):
    lstm, x = explain_cases.make("all")
    data = written(write(tmp_path, lstm, x))
    for name, value in lstm.parameters().items():
        np.testing.assert_array_equal(array(data["parameters"][name]), value)
    np.testing.assert_array_equal(array(data["x"]), x)


def test_text_contrast_meets_wcag_aa():
    """WCAG AA: 4.5 for text, on both backgrounds, in light and dark."""
    style = (PAGE / "style.css").read_text()

    def luminance(color):
        c = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    themes = re.findall(r"--scheme: \w+;(.*?)\}", style, re.DOTALL)
    assert len(themes) == 4 and themes[1].split() == themes[2].split(), "dark by preference and by choice are the same"
    for theme in themes:  # light, dark twice, print
        colors = {name: luminance(value) for name, value in re.findall(r"--([\w-]+): (#\w{6});", theme)}
        for text in ("ink", "soft", "accent", "minus"):
            for ground in ("paper", "card"):
                light, dark = sorted((colors[text], colors[ground]), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_command_writes_the_page_of_the_tour_unit(tmp_path):
    process = run("explain", "--out", "page.html", cwd=tmp_path)
    assert process.returncode == 0 and str(tmp_path / "page.html") in process.stdout, process.stderr
    data = written((tmp_path / "page.html").read_text("utf8"))
    assert data["names"] == ["Company A", "Company B"]
    np.testing.assert_array_equal(array(data["parameters"]["weight_hh_l0"]), make_unit().parameters()["weight_hh_l0"])
    process = run("explain", "--out", str(tmp_path / "missing" / "page.html"))
    assert process.returncode == 1 and "missing" in process.stderr and "Traceback" not in process.stderr


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="needs the source tree")
def test_code_of_the_documentation_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "explain.md").read_text(), re.DOTALL):
        exec(code, variables)
    assert (tmp_path / "page.html").exists()


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lstm, x, options, error, message",
    [
        ("text", np.zeros((4, 1)), {}, TypeError, "lstm must be a lstm_fast.LSTM, got str"),
        (SimpleNamespace(model_=None), np.zeros((4, 1)), {}, TypeError, r"\(pass its attribute model_.lstm\)"),
        (lf.RNN(1, 1), np.zeros((4, 1)), {}, TypeError, "lstm must be a lstm_fast.LSTM, got RNN"),
        (lf.LSTMCell(1, 1), np.zeros((4, 1)), {}, TypeError, "lstm must be a lstm_fast.LSTM, got LSTMCell"),
        (lf.LSTM(1, 1).quantized("int8"), np.zeros((4, 1)), {}, TypeError, "got lstm_fast.quantized.QuantizedLSTM"),
        (lf.LSTM(1, 65), np.zeros((4, 1)), {}, ValueError, "hidden_size of at most 64, got 65"),
        (
            lf.LSTM(1, 1, compute_dtype="bfloat16"),
            np.zeros((4, 1)),
            {},
            ValueError,
            "compute_dtype=None, got 'bfloat16'",
        ),
        (make_unit(), np.zeros((201, 1)), {}, ValueError, "x must have from 1 to 200 steps, got 201"),
        (make_unit(), np.zeros((0, 1)), {}, ValueError, "x must have from 1 to 200 steps, got 0"),
        (make_unit(), np.zeros((4, 0, 1)), {}, ValueError, r"at least one sequence, got shape \(4, 0, 1\)"),
        (make_unit(), np.zeros((4, 2)), {}, ValueError, r"x must have shape .* got \(4, 2\)"),
        (make_unit(), np.full((4, 1), np.nan), {}, ValueError, "x must be finite"),
        (make_unit(), np.zeros((4, 1)), {"state": 1}, TypeError, r"state must be a pair \(h_0, c_0\) or None, got int"),
        (make_unit(), np.zeros((4, 1)), {"state": (np.zeros(3), None)}, ValueError, "h_0 must have shape"),
        (make_unit(), np.zeros((4, 1)), {"state": ([[np.inf]], None)}, ValueError, "state must be finite.*h_0"),
        (make_unit(), np.zeros((4, 1)), {"names": ["a", "b"]}, ValueError, "names must be 1 strings"),
        (make_unit(), np.zeros((4, 1)), {"names": "a"}, ValueError, "names must be 1 strings"),
        (make_unit(), np.zeros((4, 1)), {"features": ["a", "b"]}, ValueError, "features must be 1 strings"),
        (make_unit(), np.zeros((4, 1)), {"title": None}, TypeError, "title must be a string, got NoneType"),
        (lf.LSTM(64, 64, 3, seed=0), np.ones((200, 64)), {}, ValueError, "less than 500 kB, got .* parameters"),
    ],
)
def test_invalid_arguments_raise_and_write_nothing(lstm, x, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        lf.explain.html(lstm, x, tmp_path / "page.html", **options)
    assert not list(tmp_path.iterdir())


def test_overflowing_activations_raise(tmp_path):
    lstm = lf.LSTM(1, 1, activation="affine", dtype=np.float64)
    with lstm.edit() as p:
        p["weight_ih_l0"][:] = 50
    with pytest.raises(ValueError, match="lstm must keep c below 3.4e\\+38 over x, got larger numbers"):
        lf.explain.html(lstm, np.full((4, 1), 1e38), tmp_path / "page.html")


def test_x_is_read_in_the_dtype_of_the_lstm(tmp_path):
    x = np.full((2, 1), 0.1)
    assert array(written(write(tmp_path, lf.LSTM(1, 1), x))["x"])[0] == np.float32(0.1)
    assert array(written(write(tmp_path, make_unit(), x))["x"])[0] == 0.1


def test_infinite_parameters_raise(tmp_path):
    lstm = lf.LSTM(1, 1)
    with lstm.edit() as p:
        p["bias_ih_l0"][0] = np.inf
    with pytest.raises(ValueError, match="lstm must have finite parameters"):
        lf.explain.html(lstm, np.zeros((4, 1)), tmp_path / "page.html")


# ---- the formulas under Node.js --------------------------------------------------------------------------------------

DRIVER = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const single = (written) => {
  const m = loadModel(written), { data } = decode(written.d_h), T = m.T, [w] = m.layers;
  const steps = layerForward(m.x[0], m.h_0[0][0], m.c_0[0][0], w, m.cell);
  const back = layerBackward(steps, data.slice(0, m.R), data.slice(m.R), w, m.cell);
  return { d_x: back.d_xs.map((d) => [...d]), d_h_0: [...back.d_h_0], d_c_0: [...back.d_c_0],
    d_w: Object.fromEntries(Object.entries(back.d_w).map(([name, d]) => [name, [...d]])) };
};
console.log(JSON.stringify(cases.map((written) => ({
  checked: verify(loadModel(written), written), ...(written.d_h ? single(written) : {}) }))));
"""


@pytest.mark.skipif(NODE is None, reason="needs node: apt install nodejs")
def test_core_matches_library_values_and_gradients(tmp_path):
    cases, lstms = [], []
    for name in explain_cases.VARIANTS:
        lstm, x = explain_cases.make(name)
        case = written(write(tmp_path, lstm, x))
        if lstm.num_layers == 1:
            rng = np.random.default_rng(1)
            d_h, d_c = rng.standard_normal(lstm.h_size), rng.standard_normal(lstm.hidden_size)
            case["d_h"] = encode(np.r_[d_h, d_c])
            lstms.append((name, lstm, x[0] if lstm.batch_first else x[:, 0], d_h, d_c))
        else:
            lstms.append((name, None, None, None, None))
        cases.append(case)
    script = "".join((PAGE / name).read_text() for name in ("core.js", "data.js")) + DRIVER
    done = subprocess.run([NODE, "-e", script], input=json.dumps(cases), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for (name, lstm, x, d_h, d_c), result in zip(lstms, json.loads(done.stdout)):
        assert result["checked"]["isRight"] and result["checked"]["largest"] < 1e-7, (name, result["checked"])
        if lstm is None:
            continue
        _, _, tape = lstm.forward(x)
        expected = lstm.backward(tape, None, (d_h[None], d_c[None]))
        np.testing.assert_allclose(result["d_x"], expected.d_x, rtol=1e-9, atol=1e-11, err_msg=name)
        if not lstm.learn_initial_state:
            np.testing.assert_allclose(result["d_c_0"], expected.d_c_0[0], rtol=1e-9, atol=1e-11, err_msg=name)
        for parameter, d in result["d_w"].items():
            want = expected[parameter + "_l0"].ravel()
            np.testing.assert_allclose(d, want, rtol=1e-9, atol=1e-11, err_msg=f"{name} {parameter}")


@pytest.mark.skipif(NODE is None, reason="needs node: apt install nodejs")
def test_scripts_have_no_syntax_errors(tmp_path):
    for name in _page.SCRIPTS:
        done = subprocess.run([NODE, "--check", PAGE / name], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
