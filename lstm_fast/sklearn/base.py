"""Base of the estimators: building the network from their settings, training, low-precision copies."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..modules import LSTM
from ..train import Adam, FitConfig, FleetModel, History, SequenceModel, Trainer


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

    # Settings that the network was made with: a later set_params cannot change them without a new fit.
    _of_network: ClassVar[tuple[str, ...]] = ("hidden_size", "num_layers", "dropout", "lstm_options", "dtype", "scale")
    _in_fit: dict[str, Any] | None = None  # their values

    _columns: list[Any] | None  # column names if X is a data frame
    _progress: Any = None  # state kept between calls of partial_fit

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
        before, model = dict(self.__dict__), self.__dict__.get("model_")
        flat = model.flat_parameters if isinstance(model, SequenceModel) else None  # trained in place by warm starts
        try:
            yield
        except Exception:
            self.__dict__.clear()
            self.__dict__.update(before)
            if flat is not None:
                self.model_.load_flat_parameters(flat, copy=False)
            raise

    def _require_settings_of_fit(self, *names: str) -> None:
        """Raise ValueError if one of these settings, by default any of the network's, was changed after fit."""
        for name in names or self._of_network:
            now = getattr(self, name)
            if self._in_fit is not None and not _are_same(now, before := self._in_fit[name]):
                raise ValueError(
                    f"{name} must be {before!r}, as it was when the network was created, got {now!r}: fit a new one"
                )

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _make_model(self, n_inputs: int, n_outputs: int, readout: str, *, bidirectional: bool = False) -> SequenceModel:
        seed = self._seed()
        self._in_fit = {name: copy.deepcopy(getattr(self, name)) for name in self._of_network}
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
        """Return the settings of a training run. `step`: of the optimizer, when it continues."""
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
        """Train for one more epoch with the moments of the previous one; extend history_."""
        before = self._progress
        config = self._config(loss, epochs=1, step=0 if before is None else before.step)
        trainer = Trainer(model, x, y, config, lengths=lengths, sample_weight=weights)
        if before is not None:
            trainer.warm_start(before)
        history = trainer.run(self.verbose)
        self._progress = replace(trainer.now, flat=np.empty(0), best=None, epoch=0)
        self.history_ = joined(self.history_, history) if hasattr(self, "history_") else history


def _are_same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple, np.ndarray)) and isinstance(other, (list, tuple, np.ndarray)):
        return np.array_equal(one, other)
    return bool(one == other)


def joined(before: History, last: History) -> History:
    """Return the history of a run and of one more epoch, which has no validation."""
    names = ("loss", "gradient_norm", "learning_rate", "seconds")
    history = replace(last, **{name: getattr(before, name) + getattr(last, name) for name in names})
    if before.validation_loss:
        history.validation_loss, history.best_epoch = [*before.validation_loss, np.nan], before.best_epoch
    else:
        history.best_epoch = int(np.argmin(history.loss))
    return history


def index_of_median(quantiles: Any) -> int:
    """Return the index of the level nearest to 0.5."""
    return int(np.argmin(np.abs(np.asarray(quantiles) - 0.5)))


def sort_levels(values: np.ndarray, quantiles: Any) -> np.ndarray:
    """Return values (..., levels) in ascending order of their levels, so that levels cannot cross."""
    rank = np.argsort(np.argsort(quantiles))
    return np.sort(values, axis=-1)[..., rank]
