"""The examples in a quick setting, held to their scores; examples/README.md has the full ones."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import lstm_fast as lf

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("words, least", [([], 0.95), (["--bidirectional"], 0.96)], ids=["one direction", "two directions"])
def test_speakers_are_told_by_their_vowels(monkeypatch, capsys, words, least):
    monkeypatch.setattr("sys.argv", ["japanese_vowels.py", "--seeds", "0", *words])
    assert example("japanese_vowels").main() >= least
    assert "of the 370 told right" in capsys.readouterr().out


def test_an_lstm_adds_over_many_steps_and_a_plain_network_does_not():
    learn = example("adding_problem").learn
    error, _, _ = learn(lf.LSTM(2, 32, batch_first=True, seed=0, forget_bias=1.0), 0, 30, n=4000, epochs=25)
    plain, _, _ = learn(lf.RNN(2, 32, batch_first=True, seed=0), 0, 100, n=1000, epochs=4)
    assert error < 0.01 < 0.1 < plain and np.isfinite(plain)
