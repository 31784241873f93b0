"""fit of a FleetModel matches a fit of each model bitwise, in edge cases of sums and empty sequences."""

import copy

import numpy as np
import pytest

import lstm_fast as lf


def models(I, H, readout, **options):
    return [
        lf.train.SequenceModel(lf.LSTM(I, H, batch_first=True, seed=k, **options), 1, readout=readout, seed=k)
        for k in range(2)
    ]


def assert_fits_as_alone(alone, x, y, lengths=None, **options):
    fleet = lf.train.FleetModel.from_models(alone)
    histories = lf.train.fit(fleet, x, y, lengths=lengths, seed=0, **options)
    for k, model in enumerate(alone):
        own = {"validation": tuple(part[k] for part in options["validation"])} if "validation" in options else {}
        history = lf.train.fit(
            model, x[k], y[k], lengths=None if lengths is None else lengths[k], seed=0, **options | own
        )
        assert histories[k].loss == history.loss and histories[k].validation_loss == history.validation_loss
        assert fleet.flat_parameters[k].tobytes() == model.flat_parameters.tobytes()
        assert np.array_equal(fleet.predict(x)[k], model.predict(x[k]))


def test_batches_of_empty_sequences():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 1))
    lengths = np.array([[0, 5, 2], [0, 3, 1]])
    assert_fits_as_alone(models(1, 4, "all"), x, x, lengths, batch_size=1, epochs=2)


def test_batches_with_padding():
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 1))
    lengths = np.random.default_rng(1).integers(1, 7, (2, 8))
    assert_fits_as_alone(models(1, 4, "all"), x, x, lengths, batch_size=4, epochs=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_means_of_a_single_unit(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 8, 40, 3)), rng.standard_normal((2, 8, 1))
    assert_fits_as_alone(models(3, 1, "mean", dtype=dtype), x, y, epochs=2)


def test_validation_of_every_step():
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, 4, 9, 2)), rng.standard_normal((2, 300, 7, 2))
    y, w = (one.sum(axis=3, keepdims=True) for one in (x, v))
    assert_fits_as_alone(models(2, 3, "all"), x, y, validation=(v, w), epochs=3)


def test_means_of_long_sequences():
    x = np.random.default_rng(0).standard_normal((2, 1, 20_000, 1))
    alone = models(1, 2, "mean")
    fleet = lf.train.FleetModel.from_models(alone)
    assert all(np.array_equal(fleet.predict(x)[k], model.predict(x[k])) for k, model in enumerate(alone))


def test_incompatible_model_changes_nothing():
    fleet = lf.train.FleetModel.from_models(models(1, 4, "last"))
    before = fleet.flat_parameters
    with pytest.raises(ValueError, match="hidden_size"):
        fleet[0] = lf.train.SequenceModel(lf.LSTM(1, 5, batch_first=True), 1)
    assert np.array_equal(fleet.flat_parameters, before)
    copied = copy.copy(fleet)
    lf.train.fit(copied, np.ones((2, 3, 4, 1)), np.ones((2, 3, 1)), epochs=1, seed=0)
    assert np.array_equal(fleet.flat_parameters, before) and not np.array_equal(copied.flat_parameters, before)


def test_validation_without_counted_predictions():
    fleet = lf.train.FleetModel.from_models(models(1, 4, "all"))
    x = np.ones((2, 3, 4, 1))
    with pytest.raises(ValueError, match="got none for model 0"):
        lf.train.fit(fleet, x, x, validation=(x, x, np.zeros((2, 3), int)), epochs=1, seed=0)
