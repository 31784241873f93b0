"""What the estimators share: the network made from their settings, and its training."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ..modules import LSTM
from ..train import Adam, FitConfig, History, SequenceModel, Trainer


class Estimator(BaseEstimator):
    """Base of the three estimators; each has all its settings in its own __init__, as scikit-learn requires."""

    hidden_size: int
    num_layers: int
    dropout: float
    lstm_options: Mapping[str, Any] | None
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    clip_norm: float | None
    lr_schedule: Any
    early_stopping: int | None
    validation_fraction: float
    dtype: Any
    random_state: Any
    n_jobs: int | None
    verbose: bool

    _columns: list[Any] | None  # of data frames given as X
    _progress: Any = None  # of partial_fit

    model_: SequenceModel
    history_: History
    n_features_in_: int

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _make_model(self, n_inputs: int, n_outputs: int, readout: str, *, bidirectional: bool = False) -> SequenceModel:
        seed = self._seed()
        lstm = LSTM(
            n_inputs,
            self.hidden_size,
            self.num_layers,
            batch_first=True,
            dropout=self.dropout,
            bidirectional=bidirectional,
            dtype=self.dtype,
            seed=seed,
            **(self.lstm_options or {}),
        )
        return SequenceModel(lstm, n_outputs, readout, seed=seed)

    def _config(self, loss: Any, *, epochs: int, step: int = 0, **settings: Any) -> FitConfig:
        """Settings of a training run. `step`: of the optimizer, when it continues."""
        return FitConfig(
            loss=loss,
            optimizer=Adam(self.lr, weight_decay=self.weight_decay),
            epochs=epochs,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            seed=self._seed() + step,
            num_threads=self.n_jobs,
            **settings,
        )

    def _train(
        self,
        model: SequenceModel,
        x: np.ndarray,
        y: np.ndarray,
        loss: Any,
        *,
        lengths: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        validation: Any = None,
    ) -> None:
        """Trains model and sets history_. `validation`: for early_stopping; None: validation_fraction of the data."""
        if self.early_stopping is not None and validation is None:
            validation = self.validation_fraction
        config = self._config(
            loss, epochs=self.epochs, early_stopping=self.early_stopping, lr_schedule=self.lr_schedule
        )
        trainer = Trainer(model, x, y, config, lengths=lengths, sample_weight=weights, mask=mask, validation=validation)
        self.history_ = trainer.run(self.verbose)
        self._progress = None

    def _train_one_epoch(
        self,
        model: SequenceModel,
        x: np.ndarray,
        y: np.ndarray,
        loss: Any,
        *,
        lengths: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        """One more epoch with the optimizer's moments of the one before; extends history_."""
        before = self._progress
        config = self._config(loss, epochs=1, step=0 if before is None else before.step)
        trainer = Trainer(model, x, y, config, lengths=lengths, sample_weight=weights)
        if before is not None:
            trainer.warm_start(before)
        history = trainer.run(self.verbose)
        self._progress = replace(trainer.now, flat=np.empty(0), best=None, epoch=0)
        if before is None and not hasattr(self, "history_"):
            self.history_ = history
            return
        for name in ("loss", "gradient_norm", "learning_rate", "seconds"):
            getattr(self.history_, name).extend(getattr(history, name))


def index_of_median(quantiles: Any) -> int:
    """Index of the level nearest to 0.5."""
    return int(np.argmin(np.abs(np.asarray(quantiles) - 0.5)))


def sort_levels(values: np.ndarray, quantiles: Any) -> np.ndarray:
    """Values (..., levels) in ascending order of their levels, so that levels cannot cross."""
    rank = np.argsort(np.argsort(quantiles))
    return np.sort(values, axis=-1)[..., rank]
