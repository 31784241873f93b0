"""Edge cases of fleet training: sequences without steps, diverging models, validation splits, histories."""

import warnings

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, FleetModel, SequenceModel, fit


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
@pytest.mark.parametrize("hidden_size", [1, 2])
def test_sequences_without_steps_have_predictions(readout, hidden_size):
    lstm = lf.LSTM(1, hidden_size, batch_first=True, seed=0)
    model = SequenceModel(lstm, 1, readout, seed=0)
    fleet = FleetModel.from_models([model, model])
    empty, steps = np.zeros((3, 0, 1), np.float32), np.zeros((3, 4, 1), np.float32)
    shape = (3, 0, 1) if readout == "all" else (3, 1)
    assert model.predict(empty).shape == shape
    assert all(own.shape == shape for own in fleet.predict([empty, empty]))
    if readout != "all":
        want = np.repeat(model.parameters()["head.bias"][None], 3, 0)
        assert (model.predict(empty) == want).all()
        assert (model.predict(steps, lengths=[0, 0, 0]) == want).all()
        assert (fleet.predict([steps, steps], lengths=[[0, 0, 0]] * 2)[1] == want).all()


def test_diverging_model_keeps_its_last_parameters():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 24, 6, 1)), rng.standard_normal((2, 24, 1))
    models = [SequenceModel(lf.LSTM(1, 4, batch_first=True, seed=k, dtype="float64"), 1, seed=k) for k in range(2)]
    fleet = FleetModel.from_models(models)
    settings = dict(optimizer=SGD(lr=1e9), epochs=30, early_stopping=20, batch_size=8, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        histories = fit(fleet, x, y, **settings)
    assert set(histories.diverged) == {0, 1}
    for k, model in enumerate(models):
        with pytest.raises(Exception, match="finite"):
            fit(model, x[k], y[k], **settings)
        assert (fleet[k].flat_parameters == model.flat_parameters).all()


@pytest.mark.parametrize("share", [float("nan"), float("inf"), 1.5, 0.0, -1])
def test_validation_split_must_leave_data_on_both_sides(share):
    model = SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)
    with pytest.raises(ValueError, match="validation must leave sequences on both sides"):
        fit(FleetModel.from_models([model]), np.zeros((1, 8, 3, 1)), np.zeros((1, 8, 1)), validation=share, epochs=1)


def test_stacked_lists_its_choices():
    model = SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)
    histories = fit(FleetModel.from_models([model]), np.zeros((1, 8, 3, 1)), np.zeros((1, 8, 1)), epochs=2, seed=0)
    assert histories.stacked("loss").shape == histories.stacked("seconds").shape == (1, 2)
    with pytest.raises(ValueError, match="name must be one of loss, .*got 'best_epoch'"):
        histories.stacked("best_epoch")


def test_data_must_be_a_sequence_per_model():
    fleet = FleetModel.from_models([SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)] * 2)
    x = np.zeros((3, 4, 1))
    with pytest.raises(TypeError, match="x must be an array or a sequence with an entry for each model, got dict"):
        fleet.predict({"a": x, "b": x})
    lengths = np.empty(2, object)
    lengths[:] = [[1, 2, 3], [4, 4, 4]]
    pd = pytest.importorskip("pandas")
    labelled = pd.Series(lengths, index=[5, 6])  # by position, not by label
    for own, want in zip(fleet.predict([x, x], lengths=labelled), fleet.predict([x, x], lengths=list(lengths))):
        assert (own == want).all()
    with pytest.raises(ValueError, match="seed must be an integer"):
        fit(fleet, [x, x], [np.zeros((3, 1))] * 2, epochs=1, seed=[[1, 2]])


def test_predictions_of_many_models_run_in_chunks(monkeypatch):
    from lstm_fast.train.fleets import passes as fleet_passes

    models = [SequenceModel(lf.LSTM(1, 4, batch_first=True, seed=k), 1, seed=k) for k in range(5)]
    x = np.random.default_rng(0).standard_normal((5, 7, 6, 1), np.float32)
    calls, run = [], fleet_passes.predictions
    monkeypatch.setattr(fleet_passes, "predictions", lambda *a: calls.append(len(a[3][0])) or run(*a))
    monkeypatch.setattr(fleet_passes, "OUTPUT_BYTES", 2 * 7 * 6 * (1 + 4) * 4)
    got = FleetModel.from_models(models).predict(x)
    assert calls == [2, 2, 1]
    assert all((own == model.predict(one)).all() for own, model, one in zip(got, models, x))
