"""Examples that need PyTorch; the twin timed by examples/results.py trains the same model in PyTorch."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_fast as lf
from optional import needs

pytestmark = needs("torch")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("results")


def losses(results, model, x, y, **settings):
    """Losses of the last epoch: ours and the twin's."""
    recorder = results.Recorder()
    recorder(model, x, y, **settings, clip_norm=1.0, seed=0)
    return recorder.call[-1].loss[-1], results.twin(sys.executable, recorder)["loss"]


def test_one_batch_per_epoch_gives_the_same_losses(results):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 7, 3)), rng.standard_normal((20, 2))
    model = lf.train.SequenceModel(lf.LSTM(3, 5, 2, batch_first=True, bidirectional=True, seed=0), 2, seed=0)
    ours, other = losses(
        results, model, x, y, optimizer=lf.train.Adam(lr=1e-2), lr_schedule="cosine", epochs=30, batch_size=20
    )
    assert ours == pytest.approx(other, rel=1e-3)


def test_ragged_sequences_and_per_step_classes_train_alike(results):
    rng = np.random.default_rng(1)
    ragged = [rng.standard_normal((n, 2)) for n in rng.integers(1, 12, 40)]
    model = lf.train.SequenceModel(lf.LSTM(2, 8, batch_first=True, seed=0), 2, seed=0)
    ours, other = losses(
        results,
        model,
        ragged,
        np.array([int(one.sum() > 0) for one in ragged]),
        loss="cross_entropy",
        optimizer=lf.train.Adam(lr=1e-2),
        epochs=30,
        batch_size=8,
    )
    assert ours == pytest.approx(other, rel=0.2) and ours < 0.4
    x = rng.standard_normal((16, 6, 2))
    model = lf.train.SequenceModel(lf.LSTM(2, 8, batch_first=True, seed=0), 2, readout="all", seed=0)
    ours, other = losses(
        results,
        model,
        x,
        (x.sum(axis=2) > 0).astype(int),
        loss="cross_entropy",
        optimizer=lf.train.Adam(lr=1e-2),
        epochs=20,
        batch_size=16,
    )
    assert ours == pytest.approx(other, rel=1e-3)


@needs("sb3_contrib")
def test_accelerated_recurrent_policy_learns_the_same(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("recurrent_ppo")
    n_threads = example.torch.get_num_threads()
    assert example.main(["--steps", "128", "--hidden-size", "8"]) < 1e-5
    example.torch.set_num_threads(n_threads)
    assert "mean reward" in capsys.readouterr().out
