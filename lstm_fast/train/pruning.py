"""Pruning: a callback of fit by which Optuna ends unpromising trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import type_name

if TYPE_CHECKING:
    from .history import History
    from .model import SequenceModel


class OptunaPruning:
    """Callback of `fit` that reports each epoch to a trial of Optuna, which may prune it.

    It reports the loss that `fit` monitors, that is, the validation loss if there is one: create the study to minimize.

    Parameters
    ----------
    trial : optuna.Trial
        The trial that calls `fit`.

    Raises
    ------
    TypeError
        If trial is not a trial.

    Examples
    --------
    >>> import numpy as np
    >>> import optuna
    >>> import lstm_fast as lf
    >>> x = np.random.default_rng(0).standard_normal((64, 10, 1))
    >>> def objective(trial):
    ...     model = lf.train.SequenceModel(lf.LSTM(1, 8, batch_first=True, seed=0), 1, seed=0)
    ...     adam = lf.train.Adam(lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True))
    ...     pruning = lf.train.OptunaPruning(trial)
    ...     history = lf.train.fit(
    ...         model, x, x.mean(axis=1), optimizer=adam, epochs=4, validation=0.25, seed=0, callbacks=[pruning]
    ...     )
    ...     return min(history.validation_loss)
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    >>> study.optimize(objective, n_trials=5)
    >>> len(study.trials)
    5
    """

    def __init__(self, trial: Any) -> None:
        if not callable(getattr(trial, "report", None)) or not callable(getattr(trial, "should_prune", None)):
            raise TypeError(f"trial must be a trial of Optuna, got {type_name(trial)}")
        self.trial = trial

    def __call__(self, model: SequenceModel, history: History) -> None:
        """Report the last epoch.

        Parameters
        ----------
        model : SequenceModel
            The model, which is not used.
        history : History
            History so far.

        Raises
        ------
        optuna.TrialPruned
            If the pruner of the study decides to prune the trial.
        """
        epoch = len(history) - 1
        self.trial.report(history.watched()[-1], step=epoch)
        if self.trial.should_prune():
            import optuna

            raise optuna.TrialPruned(f"pruned after epoch {epoch}: {history.watched()[-1]:.6g}")
