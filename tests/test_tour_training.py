"""The training runs of the tour: the unit learns both companies, the LSTM forecasts sunspots."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.tour import sunspots, training


@pytest.mark.parametrize("seed", range(3))
def test_unit_learns_both_companies(seed):
    result = training.train_unit(seed)
    assert result.is_done
    x, truth = training.company_values()
    _, (h_n, _) = result.unit(x)
    assert np.all(np.abs(h_n[0, :, 0] - truth) < training.BOUND)
    assert np.array_equal(h_n[0, :, 0], result.predictions)


def test_training_restarts_on_a_plateau(monkeypatch):
    monkeypatch.setattr(training, "STEPS_PER_DRAW", 100)
    result = training.train_unit(0)
    assert result.is_done and len(result.losses) > 1
    assert [len(losses) for losses in result.losses[:-1]] == [100] * (len(result.losses) - 1)


def test_sunspot_forecasts_of_the_tour_beat_persistence():
    result = sunspots.forecast(seed=1)
    assert np.array_equal(result.years, np.arange(1921, 2009))
    assert result.losses[-1] < 0.2 * result.losses[0]
    assert 15 < sunspots.rmse(result.lstm, result.truth) < 20.5


def test_training_and_test_examples_do_not_overlap():
    years, values = lf.datasets.sunspots()
    train, test = sunspots.examples()
    assert (train.years[0], train.years[-1], test.years[0], test.years[-1]) == (1711, 1920, 1921, 2008)
    for part in (train, test):
        for window, value, year in zip(part.windows, part.values, part.years):
            at = year - years[0]
            assert value == values[at] and np.array_equal(window, values[at - 11 : at])
