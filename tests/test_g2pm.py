"""examples/g2pm.py: a published network gives the same output with lstm_fast instead of its NumPy loop."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from optional import require

# The package leaves its files open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def example():
    require("g2pM")
    path = Path(__file__).resolve().parent.parent / "examples" / "g2pm.py"
    spec = importlib.util.spec_from_file_location("g2pm", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_words_match_one_by_one_and_batched(example, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["g2pm.py", "--sentences", "100"])
    (wanted, readings), (one_by_one, readings_1), (batched, readings_n) = example.main()
    assert wanted[0] == example.PINYIN
    assert len(wanted) == 100 and one_by_one == wanted and batched == wanted
    assert sum(map(len, readings)) > 600  # the network really ran
    for others in (readings_1, readings_n):
        assert all(np.array_equal(a, b) for a, b in zip(readings, others, strict=True))
    assert capsys.readouterr().out.count("100 of 100 sentences the same") == 3


def test_readings_come_from_the_network(example):
    """Without the weights, the readings differ."""
    fast = example.Fast()
    right = fast(example.EXAMPLE)
    with fast.lstm.edit() as p:
        p.flat[...] = 0
    assert right == example.PINYIN != fast(example.EXAMPLE)


def test_sentences_are_reproducible(example):
    model = example.G2pM()
    sentences = example.draw(model, 20)
    assert sentences == example.draw(model, 40)[:20]
    assert all(any(len(model.cedict.get(c, ())) > 1 for c in sentence) for sentence in sentences)
