"""Base of the estimators: building the network from their settings, training, low-precision copies."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..modules import LSTM
from ..train import Adam, FitConfig, FleetModel, SequenceModel, Trainer


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

    model_: Any  # SequenceModel; QuantizedModel in a quantized copy; FleetModel with one model per series
    history_: Any  # a History, or a FleetHistory
    n_features_in_: int

    def quantized(
        self,
        format: Literal["float16", "bfloat16", "bfloat16_amx", "int8"] = "float16",
        *,
        inputs: Literal["float32", "int16", "int8"] = "float32",
    ) -> Self:
        """Return a low-precision copy for prediction.

        The copy has the same settings, scaling and history. Its `model_` is a `QuantizedModel`, so `partial_fit` and
        `fit` with warm_start raise an error; `fit` without warm_start trains a new float32 network.

        Parameters
        ----------
        format : {"float16", "bfloat16", "bfloat16_amx", "int8"}, default "float16"
            Format of the network, as in `lstm_fast.LSTM.quantized`.
        inputs : {"float32", "int16", "int8"}, default "float32"
            With "int8": how the first layer multiplies its input.

        Returns
        -------
        estimator
            A fitted estimator of the same class.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If its network does not fit the format: of dtype float64, or for "int8" with a projection.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMRegressor
        >>> X, y = np.random.default_rng(0).standard_normal((30, 5)), np.arange(30.0)
        >>> model = LSTMRegressor(8, epochs=2, random_state=0).fit(X, y)
        >>> small = model.quantized("int8")
        >>> bool(np.abs(small.predict(X) - model.predict(X)).max() < 0.1 * y.std())
        True
        """
        check_is_fitted(self, "model_")
        if isinstance(self.model_, FleetModel):
            raise ValueError('models must be "shared" for quantized, got "per_series"')
        other = copy.copy(self)
        other.model_ = self.model_.quantized(format, inputs=inputs)
        other._progress = None
        return other

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Restore the attributes if the block raises an exception.

        What fit has read before it failed (scalings, classes, columns) would not belong to the network of the previous
        fit, and predictions would be wrong. Ctrl-C keeps the new network, trained so far, and what belongs to it.
        """
        before = dict(self.__dict__)
        try:
            yield
        except Exception:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

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
