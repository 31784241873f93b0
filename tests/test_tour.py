"""Text and pictures of the tour; the numbers are parsed from its output."""

import re

import numpy as np
import pytest

import lstm_fast as lf
from command_line import run
from lstm_fast.tour import gradients, training
from optional import require

PICTURES = ["1_gradients", "2_activations", "3_unit", "4_companies", "5_training", "6_sunspots"]
NO_EXTRAS = (
    "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'tqdm', 'torch'])); "
    "from lstm_fast.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


def sections(text):
    """The text of each section by its number."""
    parts = re.split(r"^(\d)\. ", text, flags=re.MULTILINE)
    return {int(number): part for number, part in zip(parts[1::2], parts[2::2])}


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """The completed process and the folder of its pictures."""
    out = tmp_path_factory.mktemp("tour") / "pictures" / "of the tour"
    process = run("tour", "--quick", "--out", str(out))
    assert process.returncode == 0, process.stderr
    return process, out


@pytest.fixture(scope="module")
def printed(tour):
    """The sections that the tour prints."""
    return sections(tour[0].stdout)


# ---- text ------------------------------------------------------------------------------------------------------------


def read_spans(text):
    """Factor, memory, gradient, base and exponent by the name of the network."""
    row = re.compile(
        r"^   (plain RNN, weight \S+|LSTM, forget-gate bias \S+) +(\S+) +(\S+) +(\S+) = (\S+)\^(\d+)$", re.MULTILINE
    )
    return {name: [float(number) for number in numbers] for name, *numbers in row.findall(text)}


@pytest.mark.parametrize("weight, power", [(2, 1.1259e15), (0.5, 8.8818e-16)])
def test_gradients_of_the_plain_rnn(printed, weight, power):
    assert read_spans(printed[1])[f"plain RNN, weight {weight}"] == [weight, power, power, weight, 50]
    assert gradients.rnn_span(weight, 50) == (weight, weight**50, weight**50)


def test_gradients_of_the_lstm_follow_the_forget_gate(printed):
    rows = [row for name, row in read_spans(printed[1]).items() if name.startswith("LSTM")]
    assert [row[0] for row in rows] == [0.5, 0.881, 0.99, 0.999]
    for _, memory, gradient, base, exponent in rows:
        assert exponent == 50
        assert gradient == memory == pytest.approx(base**50, rel=0.01)
    f, memory, gradient = gradients.lstm_span(4.6, 50)
    assert gradient == pytest.approx(f**50, rel=1e-13) and memory == pytest.approx(f**50, rel=1e-13)


def test_activations(printed):
    row = re.compile(r"^   (\w+) +\( *(-?\d+)\) = +(\S+), rounded (\S+)$", re.M)
    points = {(name, int(x)): (float(y), rounded) for name, x, y, rounded in row.findall(printed[2])}
    assert {point: rounded for point, (_, rounded) in points.items()} == {
        ("sigmoid", 10): "0.99995",
        ("sigmoid", -5): "0.01",
        ("tanh", 2): "0.96",
        ("tanh", -5): "-1",
    }
    for (name, x), (y, _) in points.items():
        assert y == pytest.approx(np.tanh(x) if name == "tanh" else 1 / (1 + np.exp(-x)), abs=1e-7)


@pytest.mark.parametrize(
    "name, arithmetic, pre, letter, function, value",
    [
        ("forget gate", "1*2.70 + 1*1.63 + 1.62", "5.95", "f", "sigmoid", "0.997"),
        ("input gate", "1*2.00 + 1*1.65 + 0.62", "4.27", "i", "sigmoid", "0.986"),
        ("candidate", "1*1.41 + 1*0.94 - 0.32", "2.03", "g", "tanh", "0.966"),
        ("output gate", "1*4.38 - 1*0.19 + 0.59", "4.78", "o", "sigmoid", "0.992"),
    ],
)
def test_unit_gates(printed, name, arithmetic, pre, letter, function, value):
    lines = printed[3].splitlines()
    (at,) = (k for k, line in enumerate(lines) if line.startswith(f"   {name} "))
    assert lines[at].split() == f"{name} pre_{letter} = {arithmetic} = {pre}".split()
    assert lines[at + 1].strip().startswith(f"{letter} = {function}(pre_{letter}) = {value}: ")


def test_unit_cell_states(printed):
    assert "c_prev = 2, short-term memory h_prev = 1, input x = 1" in printed[3]
    assert "99.7% of the long-term memory is kept" in printed[3]
    assert "c = f * c_prev + i * g = 0.997*2 + 0.986*0.966 = 1.995 + 0.953 = 2.95\n" in printed[3]
    assert "h = o * tanh(c) = 0.992*0.995 = 0.986\n" in printed[3]


def read_days(text):
    """The numbers of each day by company and letter."""
    companies = {}
    for line in text.splitlines():
        words = line.split()
        if line.startswith("   Company") and "x" in words:
            letters, rows = words[2:], []
            companies[words[1]] = rows
        elif line.startswith("   day"):
            rows.append([float(word) for word in words[2:]])
    return {name: dict(zip(letters, zip(*rows))) for name, rows in companies.items()}


def read_predictions(text):
    row = re.compile(r"^   Company (\w), day 5: predicted (\S+), rounded (\S+); truth (\S+)$", re.M)
    return {name: (float(predicted), rounded, truth) for name, predicted, rounded, truth in row.findall(text)}


@pytest.mark.parametrize(
    "company, x, c, h",
    [
        ("A", (0, 0.5, 0.25, 1), (-0.201, -0.202, -0.325, 0.015), (-0.128, -0.097, -0.166, 0.006)),
        ("B", (1, 0.5, 0.25, 1), (0.500, 0.914, 1.481, 2.409), (0.276, 0.612, 0.867, 0.969)),
    ],
)
def test_company_cell_states(printed, company, x, c, h):
    days = read_days(printed[4])[company]
    assert (days["x"], days["c"], days["h"]) == (x, c, h)
    for letter in "fio":
        assert all(0 < gate < 1 for gate in days[letter])
    assert read_predictions(printed[4])[company] == (h[-1], *{"A": ("0", "0"), "B": ("1", "1")}[company])


def test_the_unit_learns(printed):
    losses = [float(loss) for loss in re.findall(r"^   after +\d+ steps: loss (\S+)$", printed[5], re.M)]
    assert len(losses) == 6 and losses[0] > 0.1 and losses[-1] < 2 * training.BOUND**2
    (steps,) = re.findall(r"^   Learned after (\d+) steps\.$", printed[5], re.M)
    assert f"after {steps:>4} steps: loss {losses[-1]:.4f}" in printed[5]
    predictions = read_predictions(printed[5])
    assert {name: words for name, (_, *words) in predictions.items()} == {"A": ["0", "0"], "B": ["1", "1"]}
    for company, (predicted, _, truth) in predictions.items():
        assert abs(predicted - float(truth)) <= training.BOUND
        assert read_days(printed[5])[company]["h"][-1] == predicted


def test_sunspot_errors(printed):
    row = re.compile(r"^   (persistence|AR\(11\)|LSTM, hidden size 16) +(\S+)$", re.M)
    errors = dict(row.findall(printed[6]))
    assert (errors["persistence"], errors["AR(11)"]) == ("30.4", "17.8")
    assert float(errors["LSTM, hidden size 16"]) < 0.8 * 30.4


def check_speed_table(text):
    assert f"float32, 1 thread, instruction set {lf.info()['isa']};" in text
    row = re.compile(r"^ +(\d+) +(\d+) +(\d+) +(\d+)  (\w+) +([\d.]+ [um]s) +([\d.]+ [um]s) +([\d.]+)x", re.M)
    rows = row.findall(text)
    assert [(*map(int, sizes[:2]), what) for *sizes, what, _, _, _ in rows] == [
        (1, 1, "forward"),
        (100, 1, "forward"),
        (100, 32, "forward"),
        (100, 32, "training"),
    ]
    assert all(sizes == ["64", "64"] for _, _, *sizes, _, _, _, _ in rows)
    for *_, own, other, ratio in rows:
        own, other = (float(number) * {"us": 1, "ms": 1000}[unit] for number, unit in (own.split(), other.split()))
        assert own > 0 and float(ratio) == pytest.approx(other / own, rel=0.06, abs=0.1)


def test_speed_table(printed):
    check_speed_table(printed[7])


def test_lines_fit_a_terminal(tour):
    lines = tour[0].stdout.splitlines()
    assert not [line for line in lines if len(line) > 88 and "picture" not in line]
    assert tour[0].stdout.isascii()


# ---- pictures -----------------------------------------------------------------------------------------------------


def test_pictures_are_saved_and_not_blank(tour):
    image = require("matplotlib.image")
    process, out = tour
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in PICTURES]
    for name in PICTURES:
        assert f"   picture: {out / name}.png\n" in process.stdout
        pixels = image.imread(out / f"{name}.png")[..., :3]
        assert pixels.shape[0] > 300 and pixels.shape[1] > 600
        ink = (pixels < 0.7).any(axis=2)
        assert 0.005 < ink.mean() < 0.5
        assert ink.any(axis=0).mean() > 0.5 and ink.any(axis=1).mean() > 0.5


def test_runs_without_matplotlib_and_tqdm(tmp_path):
    process = run("--quick", "--seed", "3", "--out", "pictures", python=("-c", NO_EXTRAS), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert 'No pictures: matplotlib is not installed. To get them: pip install "lstm_fast[tour]"\n' in process.stdout
    assert "PyTorch is not installed" in sections(process.stdout)[7]
    assert re.search(r"training \d+ of at most 1000 steps, loss 0\.0\d+\n", process.stderr)
    assert not list(tmp_path.iterdir())
