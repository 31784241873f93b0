"""LSTMRegressor: regression on sequences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from ..train.losses import LossSpec
from .base import index_of_median, sort_levels
from .scaling import Scaling
from .sequence_estimator import SequenceEstimator


class LSTMRegressor(RegressorMixin, SequenceEstimator):
    """Regression on sequences: an LSTM with a linear head, trained with Adam.

    Sequences may have different lengths. Features and targets are standardized.

    Parameters
    ----------
    hidden_size : int, default 32
        Hidden units of the LSTM.
    num_layers : int, default 1
        Stacked LSTM layers.
    bidirectional : bool, default False
        Whether the LSTM reads each sequence in both directions.
    readout : {"last", "mean"}, default "last"
        Input of the head: the hidden state after the last step, or the mean over all steps.
    loss : {"mse", "mae", "huber"}, ("huber", delta) or callable, default "mse"
        Training loss; delta in units of the standard deviation of y. A function is as in
        `lstm_fast.train.fit`: it takes standardized targets and returns the loss of each row.
    quantiles : sequence of float, optional
        Levels such as (0.1, 0.5, 0.9), learned with the quantile loss instead of `loss`. `predict` returns
        the level nearest to 0.5, `predict_quantiles` all of them.
    dropout : float, default 0.0
        Dropout between LSTM layers.
    lstm_options : dict, optional
        Further arguments of `lstm_fast.LSTM`, such as proj_size, peepholes, layer_norm, recurrent_dropout
        or zoneout.
    epochs : int, default 100
        Passes over the training data.
    batch_size : int, default 32
        Sequences in a mini-batch.
    lr : float, default 1e-2
        Learning rate of Adam.
    weight_decay : float, default 0.0
        L2 penalty of Adam.
    clip_norm : float or None, default 1.0
        Gradients with a larger Euclidean norm are scaled down to this one; None: never.
    lr_schedule : {"cosine", "linear"} or callable, optional
        Factor of the learning rate as a function of the progress from 0 to 1; None: constant.
    early_stopping : int, optional
        Epochs without a better validation loss after which training stops; the best parameters are
        restored. None: all epochs, without validation.
    validation_fraction : float, default 0.1
        Fraction of the sequences, drawn by random_state, that early_stopping holds out.
    scale : bool, default True
        Whether features and targets are standardized.
    dtype : {"float32", "float64"}, default "float32"
        Number format of the network.
    random_state : int, RandomState instance or None, default None
        Seed of the initial parameters, the order of the sequences and dropout. An int gives the same bits
        with any number of threads.
    warm_start : bool, default False
        Whether `fit` continues with the network of the previous call.
    n_jobs : int, optional
        Maximum number of threads; None: `lstm_fast.get_num_threads()`.
    verbose : bool, default False
        Whether to show a progress bar (needs tqdm).

    Attributes
    ----------
    model_ : lstm_fast.train.SequenceModel
        The trained network.
    history_ : lstm_fast.train.History
        Loss, gradient norm, learning rate and duration of each epoch.
    n_iter_ : int
        Epochs run.
    n_features_in_ : int
        T of a table (N, T), else F.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X was a data frame or a list of them and all names are strings.

    See Also
    --------
    LSTMClassifier : Classes of sequences.
    LSTMForecaster : Time-series forecasting.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast.sklearn import LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((length, 2)) for length in rng.integers(3, 9, size=60)]
    >>> y = np.array([sequence[:, 0].sum() for sequence in X])
    >>> model = LSTMRegressor(8, epochs=40, random_state=0).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    >>> model.score(X, y) > 0.8
    True
    """

    _of_network = (*SequenceEstimator._of_network, "quantiles")

    _is_flat: bool
    _y_scaling: Scaling

    def __init__(
        self,
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        readout: str = "last",
        loss: LossSpec = "mse",
        quantiles: Sequence[float] | None = None,
        dropout: float = 0.0,
        lstm_options: Mapping[str, Any] | None = None,
        epochs: int = 100,
        batch_size: int = 32,
        lr: float = 1e-2,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        lr_schedule: str | Callable[[float], float] | None = None,
        early_stopping: int | None = None,
        validation_fraction: float = 0.1,
        scale: bool = True,
        dtype: str = "float32",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.readout = readout
        self.loss = loss
        self.quantiles = quantiles
        self.dropout = dropout
        self.lstm_options = lstm_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scale = scale
        self.dtype = dtype
        self.random_state = random_state
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network, or continue training the current one if warm_start is True.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.
        y : array_like of shape (N,) or (N, outputs)
            Targets.
        sample_weight : array_like of shape (N,), optional
            Weight of each sequence in the loss.

        Returns
        -------
        LSTMRegressor
            The estimator itself.

        Raises
        ------
        ValueError
            If X, y or a setting is not valid; the message names it.
        """
        with self._unchanged_on_error():
            is_new = not (self.warm_start and hasattr(self, "model_"))
            data = self._prepare(X, y, sample_weight, is_new)
            self._train(self.model_, **data)
            self.n_iter_ = len(self.history_)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch, continuing with the optimizer's state.

        The scaling is determined by the first call, or by `fit`.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.
        y : array_like of shape (N,) or (N, outputs)
            Targets.
        sample_weight : array_like of shape (N,), optional
            Weight of each sequence in the loss.

        Returns
        -------
        LSTMRegressor
            The estimator itself.
        """
        with self._unchanged_on_error():
            data = self._prepare(X, y, sample_weight, not hasattr(self, "model_"))
            self._train_one_epoch(self.model_, **data)
            self.n_iter_ = len(self.history_)
        return self

    def _prepare(self, X: Any, y: Any, sample_weight: Any, is_new: bool) -> dict[str, Any]:
        """Scaled training data; a new network and new scalings if `is_new`."""
        x, lengths, weights = self._read(X, y, sample_weight, reset=is_new)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if y.ndim > 2:
            raise ValueError(f"y must have shape (N,) or (N, outputs), got {y.shape}")
        is_flat, y = y.ndim == 1, y.reshape(len(y), -1)
        if is_new:
            self._is_flat, self._y_scaling = is_flat, Scaling.none(y.shape[1])
            if self.scale and (weights is None or weights.any()):
                self._y_scaling = Scaling.of(y, weights)
            self._start(x, lengths, weights, y.shape[1] * (1 if self.quantiles is None else len(self.quantiles)))
        elif y.shape[1] != len(self._y_scaling.mean):
            raise ValueError(f"y must have {len(self._y_scaling.mean)} outputs as before, got {y.shape[1]}")
        return {
            "x": self._x_scaling.apply(x),
            "y": self._y_scaling.apply(y),
            "loss": self.loss if self.quantiles is None else ("quantile", tuple(self.quantiles)),
            "lengths": lengths,
            "weights": weights,
        }

    def predict(self, X: Any) -> np.ndarray:
        """Predict a target for each sequence.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.

        Returns
        -------
        ndarray of shape (N,) or (N, outputs)
            As y was in `fit`.
        """
        self._require_settings_of_fit("quantiles")
        if self.quantiles is not None:
            return self.predict_quantiles(X)[..., index_of_median(self.quantiles)]
        outputs = self._outputs(X)
        y = self._y_scaling.undo(outputs)
        return y[:, 0] if self._is_flat else y

    def predict_quantiles(self, X: Any) -> np.ndarray:
        """Predict all levels of `quantiles` for each sequence.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.

        Returns
        -------
        ndarray of shape (N, levels) or (N, outputs, levels)
            In the order of `quantiles`. Levels that cross are sorted.

        Raises
        ------
        ValueError
            If the estimator has no quantiles.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMRegressor
        >>> X, y = np.ones((8, 5)), np.arange(8.0)
        >>> LSTMRegressor(2, quantiles=(0.1, 0.9), epochs=2, random_state=0).fit(X, y).predict_quantiles(X).shape
        (8, 2)
        """
        check_is_fitted(self, "model_")
        if self.quantiles is None:
            raise ValueError("predict_quantiles needs quantiles, levels such as (0.1, 0.5, 0.9), got None")
        self._require_settings_of_fit("quantiles")
        p = self._outputs(X)
        p = p.reshape(len(p), -1, len(self.quantiles))
        y = sort_levels(self._y_scaling.undo(p.swapaxes(1, 2)).swapaxes(1, 2), self.quantiles)
        return y[:, 0] if self._is_flat else y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
