"""OptunaPruning: trials receive the monitored loss of each epoch, and stop when the pruner decides so."""

import numpy as np
import optuna
import pytest

from lstm_fast.train import OptunaPruning
from optional import needs
from training_cases import model, run

pytestmark = needs("safetensors")


@pytest.mark.parametrize("validation", [None, 0.2])
def test_each_epoch_is_reported(validation):
    trial = optuna.create_study().ask()
    history = run(model(), callbacks=[OptunaPruning(trial)], validation=validation)
    values = trial.study.trials[0].intermediate_values
    assert values == dict(enumerate(history.validation_loss if validation else history.loss))


def test_pruned_trial_stops_training():
    epochs = []

    class Pruner(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 2

    def objective(trial):
        history = run(model(), epochs=9, callbacks=[lambda m, h: epochs.append(len(h)), OptunaPruning(trial)])
        return history.loss[-1]

    study = optuna.create_study(pruner=Pruner())
    study.optimize(objective, n_trials=2)
    assert epochs == [1, 2, 3] * 2
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.PRUNED] * 2
    assert np.isfinite(study.trials[0].value)


def test_invalid_trial_raises():
    with pytest.raises(TypeError, match="trial must be a trial of Optuna, got .*int"):
        OptunaPruning(3)
