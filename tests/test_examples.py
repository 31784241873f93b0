"""The examples reach their scores on several seeds; long ones run in a quick setting.

examples/RESULTS.md has the full ones.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

import lstm_fast as lf
from optional import MUST_HAVE_ALL, light, needs
from rank_cases import on_ranks

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SEEDS = (0, 1, 2) if MUST_HAVE_ALL else (0,)  # one in the light suite


@pytest.fixture
def example(monkeypatch):
    """Import an example by name, with its folder on the path, as when it is run."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def test_unit_separates_companies_with_given_and_learned_weights(example, capsys):
    companies = example("two_companies")
    assert np.round(companies.predict(companies.given_unit()), 2).tolist() == [0.01, 0.97]
    assert companies.main([]) == 1
    assert "learned on 3 of 3 seeds" in capsys.readouterr().out


def test_untrained_unit_is_reported(example, monkeypatch, capsys):
    companies = example("two_companies")
    monkeypatch.setattr(companies, "STEPS", 2)
    assert companies.main(["--seeds", "0"]) == 0 and "not learned" in capsys.readouterr().out


def test_sunspot_forecast_beats_persistence_and_matches_ar(example, capsys):
    sunspots = example("sunspots")
    assert np.round(sunspots.baselines(), 2).tolist() == [30.44, 17.78]
    assert 15 < sunspots.main([]) <= 19
    assert "AR(11) 17.78" in capsys.readouterr().out
    assert sunspots.run(0, epochs=1)[0] > 30  # without training, the error is larger


@needs("aeon")
@pytest.mark.parametrize(
    "words, least", [([], 0.96), (["--bidirectional"], 0.97)], ids=["one direction", "two directions"]
)
def test_speakers_are_classified_by_vowels(example, capsys, words, least):
    assert example("japanese_vowels").main(words) >= least
    assert "on 370 utterances" in capsys.readouterr().out


@needs("vega_datasets")
def test_temperature_forecast_beats_persistence(example, capsys):
    temperatures = example("temperatures")
    baselines = temperatures.baselines()
    assert (
        2.5 * max(temperatures.run(seed, epochs=3, every=4)[0] for seed in SEEDS)
        < baselines["same hour yesterday"]
        < 0.21
    )
    temperatures.main(["--seeds", "0", "--epochs", "1"])
    assert "same hour yesterday 0.2023" in capsys.readouterr().out


def test_fleet_forecast_beats_persistence_for_each_sensor(example, capsys):
    assert example("sensors").main(["--quick"]) < 0.9
    assert "40 sensors: error" in capsys.readouterr().out


@needs("vega_datasets")
def test_temperature_forecasts_do_not_use_the_future(example, monkeypatch):
    temperatures = example("temperatures")
    t, train, test = temperatures.parts()
    assert train[-1] + temperatures.DAY == test[0] and test[-1] + temperatures.DAY == len(t)
    before = (
        temperatures.windows(t, test[:1], -temperatures.WINDOW, 0),
        temperatures.yesterday_and_its_change(t, test[:1]),
    )
    t = np.where(np.arange(len(t)) < test[0], t, 1000)
    after = (
        temperatures.windows(t, test[:1], -temperatures.WINDOW, 0),
        temperatures.yesterday_and_its_change(t, test[:1]),
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


@pytest.mark.parametrize("T, seeds", light([(100, SEEDS), (200, SEEDS[:1]), (400, SEEDS[:1])], [(100, SEEDS)]))
def test_lstm_solves_the_adding_problem(example, T, seeds):
    assert max(example("adding_problem").run(seed, T)[0] for seed in seeds) < 0.01


def test_rnn_fails_the_adding_problem(example):
    for seed in SEEDS:
        error = example("adding_problem").run(seed, 100, lf.RNN(2, 32, batch_first=True, seed=seed), n=1000, epochs=8)[
            0
        ]
        assert 0.1 < error < 1


def test_adding_problem_prints_its_result(example, capsys):
    error = example("adding_problem").main(["--steps", "10", "--seeds", "0", "--epochs", "1"])
    assert 0 < error < 0.167 and "10 steps, seed 0, RNN" in capsys.readouterr().out


def test_character_model_beats_n_grams(example):
    characters = example("character_model")
    alphabet, train, held_out = characters.read(60_000)  # each build of Python has its own text
    two = characters.n_gram_bits(train, held_out, len(alphabet), 2)
    for seed in SEEDS:
        bits, _, model, _ = characters.run(seed, epochs=8, hidden_size=64, n_characters=60_000, piece=50)
        assert bits < two - 0.2
    text = characters.write(model, alphabet, 60, 0.7, seed=0)
    assert len(text) == 60 + len(characters.SEED_TEXT) and text == characters.write(model, alphabet, 60, 0.7, seed=0)
    assert text != characters.write(model, alphabet, 60, 0.7, seed=1) and set(text) <= set(alphabet)


def test_n_gram_counts(example):
    characters = example("character_model")
    train = np.array([0, 1] * 500)
    assert abs(characters.n_gram_bits(train, train, 2, 1) - 1) < 1e-9  # half and half
    assert characters.n_gram_bits(train, train, 2, 2) < 0.02  # the one before says all
    assert characters.n_gram_bits(train[:0], train, 4, 3) == 2  # nothing counted: log2(4)


def test_bits_per_text_equal_sum_over_steps(example):
    characters = example("character_model")
    model = lf.train.SequenceModel(lf.LSTM(3, 4, seed=0, index_input=True), 3, readout="all", seed=0)
    text = np.array([0, 2, 1, 1, 0, 2])
    z = model.predict(text[:-1, None])[:, 0].astype(float)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert characters.bits(model, text) == pytest.approx(-np.log2(p[np.arange(5), text[1:]]).mean(), rel=1e-5)


def test_optical_compressor_is_learned_in_windows(example, capsys):
    compressor = example("optical_compressor")
    assert compressor.main(["--quick"]) < 0.2 * compressor.constant_gain(0, 250_000)
    assert "seed 0: ESR" in capsys.readouterr().out


@needs("aeon")
def test_anomalies_are_detected_online(example, capsys):
    anomaly = example("anomaly")
    assert anomaly.main([]) == 1
    out = capsys.readouterr().out
    assert "LSTM found 3 of 3, 3 of 3 alarms true" in out and "moving z-score of samples found 1 of 3" in out


def test_nearby_alarms_are_merged_and_scored(example):
    anomaly = example("anomaly")
    assert anomaly.stretches(np.array([0, 1, 1, 0, 1, 0, 0], bool)) == [(1, 3), (4, 5)]
    assert anomaly.stretches(np.array([0, 1, 1, 0, 1, 0, 0], bool), gap=3) == [(1, 5)]
    assert anomaly.stretches(np.zeros(3, bool)) == []
    labels, live = np.zeros(1000, bool), np.zeros(1000)
    labels[300:320], labels[600:620] = True, True
    live[[310, 330, 900]] = 9
    assert anomaly.judge(np.ones(5), live, labels) == (1, 2, 1, 2)  # 310 and 330 are one alarm, 900 a false one
    assert anomaly.f1(1, 2, 1, 2) == 0.5 and anomaly.f1(0, 2, 0, 0) == 0


def test_results_table_marks_missed_bars(example, monkeypatch, tmp_path):
    results, threads = example("results"), lf.get_num_threads()
    try:
        assert results.main(["--only", "sunspots", "--out", str(tmp_path / "a.md")]) == 0
        monkeypatch.setattr(example("sunspots"), "run", lambda seed: (25.0, 1.0))
        assert results.main(["--only", "sunspots", "--out", str(tmp_path / "b.md")]) == 1
    finally:
        lf.set_num_threads(threads)
    first, second = ((tmp_path / name).read_text(encoding="utf-8") for name in ("a.md", "b.md"))
    assert "| met |" in first and "**missed**" in second


# g2pM leaves its files open.
@needs("aeon", "g2pM")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_quantized_scores_are_close_to_float32(example, tmp_path):
    """bfloat16 within 0.1 %, int8 within half a point, or half a percent of an error."""
    fewer_bits = example("fewer_bits")
    names = ["sunspots", "vowels", "bidirectional", "pinyin"]
    lines = fewer_bits.main(["--only", *names, "--seeds", "0", "--out", str(tmp_path / "f.md")])[2:]
    assert (tmp_path / "f.md").read_text().count("seeds 0") == len(lines) == 4
    for name, line in zip(names, lines, strict=True):
        full, float16, bfloat16, *int8 = map(float, line.split("|")[2:-1])
        most = 0.005 * full if name == "sunspots" else 0.005
        assert max(map(abs, (float16, bfloat16))) <= 0.001 * full and max(map(abs, int8)) <= most, line


def test_missing_data_package_is_named(example):
    with pytest.raises(SystemExit, match="no_such_package.*lstm_fast\\[examples\\]"):
        example("installed").folder("no_such_package")


@needs("optuna", "safetensors")
@pytest.mark.filterwarnings("ignore:.*experimental")
def test_optuna_prunes_trials_and_finds_settings(example, capsys):
    pruning = example("pruning")
    error = pruning.main(["--quick"])
    assert error < 40 and "of 12 trials pruned" in capsys.readouterr().out
    study, n_epochs = pruning.search(10, 10, 0)
    states = [trial.state.name for trial in study.trials]
    assert set(states) == {"PRUNED", "COMPLETE"} and n_epochs < 100
    assert n_epochs == sum(trial.last_step + 1 for trial in study.trials)


def test_ranks_match_one_process(example, capsys):
    parallel = example("data_parallel")
    alone, together = (on_ranks(n, lambda comm: parallel.main(["--quick"], comm)) for n in (1, 3))
    assert "3 processes" in capsys.readouterr().out
    for losses, error in together:
        assert losses == pytest.approx(alone[0][0], rel=1e-4) and error == pytest.approx(alone[0][1], rel=1e-3)
