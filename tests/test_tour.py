"""The tour as a user meets it: its numbers are read from what it prints. And the training behind it."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.tour import gradients, sunspots, training

PICTURES = ["1_gradients", "2_activations", "3_unit", "4_companies", "5_training", "6_sunspots"]
NO_EXTRAS = (
    "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'tqdm', 'torch'])); "
    "from lstm_fast.__main__ import main; sys.exit(main(sys.argv[1:]))"
)
ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "error"}


def run(*arguments, python=("-m", "lstm_fast"), **options):
    return subprocess.run(
        [sys.executable, *python, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, **options
    )


def sections(text):
    """Number -> text of the section."""
    parts = re.split(r"^(\d)\. ", text, flags=re.MULTILINE)
    return {int(number): part for number, part in zip(parts[1::2], parts[2::2])}


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """(the finished process, the folder of its pictures)"""
    out = tmp_path_factory.mktemp("tour") / "pictures" / "of the tour"
    process = run("tour", "--quick", "--out", str(out))
    assert process.returncode == 0, process.stderr
    return process, out


@pytest.fixture(scope="module")
def told(tour):
    return sections(tour[0].stdout)


# ---- what is printed ----------------------------------------------------------------------------------------------


def read_spans(text):
    """Name of the unit -> factor, memory, gradient, base and exponent."""
    row = re.compile(
        r"^   (plain RNN, weight \S+|LSTM, forget-gate bias \S+) +(\S+) +(\S+) +(\S+) = (\S+)\^(\d+)$", re.MULTILINE
    )
    return {name: [float(number) for number in numbers] for name, *numbers in row.findall(text)}


@pytest.mark.parametrize("weight, printed", [(2, 1.1259e15), (0.5, 8.8818e-16)])
def test_gradients_of_the_plain_rnn(told, weight, printed):
    assert read_spans(told[1])[f"plain RNN, weight {weight}"] == [weight, printed, printed, weight, 50]
    assert gradients.rnn_span(weight, 50) == (weight, weight**50, weight**50)


def test_gradients_of_the_lstm_follow_the_forget_gate(told):
    rows = [row for name, row in read_spans(told[1]).items() if name.startswith("LSTM")]
    assert [row[0] for row in rows] == [0.5, 0.881, 0.99, 0.999]
    for _, memory, gradient, base, exponent in rows:
        assert exponent == 50
        assert gradient == memory == pytest.approx(base**50, rel=0.01)
    f, memory, gradient = gradients.lstm_span(4.6, 50)
    assert gradient == pytest.approx(f**50, rel=1e-13) and memory == pytest.approx(f**50, rel=1e-13)


def test_activations(told):
    row = re.compile(r"^   (\w+) +\( *(-?\d+)\) = +(\S+), rounded (\S+)$", re.M)
    printed = {(name, int(x)): (float(y), rounded) for name, x, y, rounded in row.findall(told[2])}
    assert {point: rounded for point, (_, rounded) in printed.items()} == {
        ("sigmoid", 10): "0.99995",
        ("sigmoid", -5): "0.01",
        ("tanh", 2): "0.96",
        ("tanh", -5): "-1",
    }
    for (name, x), (y, _) in printed.items():
        assert y == pytest.approx(np.tanh(x) if name == "tanh" else 1 / (1 + np.exp(-x)), abs=1e-7)


@pytest.mark.parametrize(
    "name, arithmetic, pre, letter, curve, value",
    [
        ("forget gate", "1*2.70 + 1*1.63 + 1.62", "5.95", "f", "sigmoid", "0.997"),
        ("input gate", "1*2.00 + 1*1.65 + 0.62", "4.27", "i", "sigmoid", "0.986"),
        ("candidate", "1*1.41 + 1*0.94 - 0.32", "2.03", "g", "tanh", "0.966"),
        ("output gate", "1*4.38 - 1*0.19 + 0.59", "4.78", "o", "sigmoid", "0.992"),
    ],
)
def test_gates_of_the_unit(told, name, arithmetic, pre, letter, curve, value):
    (line,) = (line for line in told[3].splitlines() if line.startswith(f"   {name} "))
    assert line.split() == f"{name} {arithmetic} = {pre} {letter} = {curve}({pre}) = {value}".split()


def test_memories_of_the_unit(told):
    assert "c_prev = 2, short-term memory h_prev = 1, input x = 1" in told[3]
    assert "99.7% of the long-term memory is remembered: 0.997*2 = 1.995" in told[3]
    lines = {line[:25].strip(): line.split(" = ") for line in told[3].splitlines() if line.startswith("   new ")}
    assert lines["new long-term memory"][1:] == ["f*c_prev + i*g", "1.995 + 0.953", "2.95"]
    assert lines["new short-term memory"][1:] == ["o*tanh(c)", "0.992*0.995", "0.986"]


def read_days(text):
    """Company -> letter -> the number of each day."""
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
def test_memories_of_the_companies(told, company, x, c, h):
    days = read_days(told[4])[company]
    assert (days["x"], days["c"], days["h"]) == (x, c, h)
    for letter in "fio":
        assert all(0 < gate < 1 for gate in days[letter])
    assert read_predictions(told[4])[company] == (h[-1], *{"A": ("0", "0"), "B": ("1", "1")}[company])


def test_the_unit_is_seen_to_learn(told):
    losses = [float(loss) for loss in re.findall(r"^   after +\d+ steps: loss (\S+)$", told[5], re.M)]
    assert len(losses) == 6 and losses[0] > 0.1 and losses[-1] < 2 * training.BOUND**2
    (steps,) = re.findall(r"^   Learned after (\d+) steps\.$", told[5], re.M)
    assert f"after {steps:>4} steps: loss {losses[-1]:.4f}" in told[5]
    predictions = read_predictions(told[5])
    assert {name: words for name, (_, *words) in predictions.items()} == {"A": ["0", "0"], "B": ["1", "1"]}
    for company, (predicted, _, truth) in predictions.items():
        assert abs(predicted - float(truth)) <= training.BOUND
        assert read_days(told[5])[company]["h"][-1] == predicted


def test_sunspot_errors(told):
    row = re.compile(r"^   (persistence|AR\(11\)|LSTM, hidden size 16) +(\S+)$", re.M)
    errors = dict(row.findall(told[6]))
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


def test_speed_table_of_the_tour(told):
    check_speed_table(told[7])


def test_lines_fit_a_terminal(tour):
    lines = tour[0].stdout.splitlines()
    assert not [line for line in lines if len(line) > 88 and "picture" not in line]
    assert tour[0].stdout.isascii()


# ---- pictures -----------------------------------------------------------------------------------------------------


def test_pictures_are_there_and_not_blank(tour):
    image = pytest.importorskip("matplotlib.image")
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


# ---- the command line ---------------------------------------------------------------------------------------------


def test_version():
    assert run("--version").stdout == f"lstm-fast {lf.__version__}\n"


def test_info_prints_every_entry():
    printed = dict(line.split(": ", 1) for line in run("info").stdout.splitlines())
    assert list(printed) == list(lf.info())
    assert (printed["version"], printed["isa"]) == (lf.__version__, lf.info()["isa"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seed", "-1"], "must be at least 0, got -1"),
        (["--seed", "x"], "invalid integer value: 'x'"),
        (["bench", "--num-threads", "0"], "must be at least 1, got 0"),
        (["detour"], "invalid choice: 'detour'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    process = run(*arguments)
    assert process.returncode == 2 and message in process.stderr and not process.stdout


def test_pictures_that_cannot_be_written(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "taken").write_text("a file, not a folder")
    process = run("tour", "--out", str(tmp_path / "taken"))
    assert process.returncode == 1 and "taken" in process.stderr
    assert "Traceback" not in process.stderr and not process.stdout


def start_tour():
    """The process and the first line of its output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_fast", "--no-pictures"],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return process, process.stdout.readline()


def test_interrupt_ends_with_one_line():
    process, first = start_tour()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert first.startswith("lstm_fast ")
    assert process.returncode == 130
    assert errors.endswith("\nInterrupted.\n") and "Traceback" not in errors


def test_closed_pipe_is_quiet():
    process, _ = start_tour()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert "Error" not in errors and "Traceback" not in errors


def test_the_library_does_not_import_the_tour():
    code = "import lstm_fast, sys; print([m for m in sys.modules if 'tour' in m or m in ('matplotlib', 'tqdm')])"
    assert run(python=("-c", code)).stdout == "[]\n"


# ---- training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_unit_learns_both_companies(seed):
    result = training.train_unit(seed)
    assert result.is_done
    x, truth = training.company_values()
    _, (h_n, _) = result.unit(x)
    assert np.all(np.abs(h_n[0, :, 0] - truth) < training.BOUND)
    assert np.array_equal(h_n[0, :, 0], result.predictions)


def test_a_plateau_is_left_by_a_new_draw(monkeypatch):
    monkeypatch.setattr(training, "STEPS_PER_DRAW", 100)
    result = training.train_unit(0)
    assert result.is_done and len(result.losses) > 1
    assert [len(losses) for losses in result.losses[:-1]] == [100] * (len(result.losses) - 1)


def test_the_lstm_forecasts_sunspots():
    result = sunspots.forecast(seed=1)
    assert np.array_equal(result.years, np.arange(1921, 2009))
    assert result.losses[-1] < 0.2 * result.losses[0]
    assert 15 < sunspots.rmse(result.lstm, result.truth) < 20.5


def test_examples_of_sunspots_do_not_overlap():
    years, values = lf.datasets.sunspots()
    train, test = sunspots.examples()
    assert (train.years[0], train.years[-1], test.years[0], test.years[-1]) == (1711, 1920, 1921, 2008)
    for part in (train, test):
        for window, value, year in zip(part.windows, part.values, part.years):
            at = year - years[0]
            assert value == values[at] and np.array_equal(window, values[at - 11 : at])


def test_gradient_of_the_forecaster():
    train, _ = sunspots.examples()
    forecaster = sunspots.Forecaster(train.values, seed=0)
    x, target = forecaster._sequences(train.windows), forecaster._scaled(train.values)
    _, gradient = forecaster._loss_and_gradient(x, target)
    direction = gradient / np.linalg.norm(gradient)
    n = forecaster.lstm.flat_parameters.size

    def loss_after(step):
        training.add_to_parameters(forecaster.lstm, step * direction[:n])
        forecaster.head += step * direction[n:]
        return forecaster._loss_and_gradient(x, target)[0]

    ahead, behind = loss_after(0.01), loss_after(-0.02)
    assert (ahead - behind) / 0.02 == pytest.approx(np.linalg.norm(gradient), rel=1e-2)


def test_adam_steps_by_the_learning_rate_at_first():
    change = training.Adam(3, lr=0.1).step(np.array([3.0, -0.01, 0.0]))
    assert change == pytest.approx([-0.1, 0.1, 0.0], rel=1e-5)


def test_clipping_keeps_the_direction():
    gradient = np.array([3.0, 4.0])
    assert training.clipped(gradient, 1.0) == pytest.approx([0.6, 0.8])
    assert training.clipped(gradient, 10.0) is gradient
