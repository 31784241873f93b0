"""LSTMClassifier: classes of sequences."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .. import _core
from .sequence_estimator import ALTERNATIVES, SequenceEstimator


class LSTMClassifier(ClassifierMixin, SequenceEstimator):
    """Classification of sequences: an LSTM with a linear head, trained with cross-entropy and Adam.

    Sequences may have different lengths. Features are standardized.

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
    class_weight : dict, "balanced" or None, default None
        Weight of each class in the loss, as in scikit-learn.
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
        Whether features are standardized.
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
    classes_ : ndarray of shape (classes,)
        The classes in ascending order.
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
    LSTMRegressor : Numbers from sequences.
    LSTMForecaster : Time-series forecasting.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast.sklearn import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((length, 2)) for length in rng.integers(3, 9, size=60)]
    >>> y = np.array(["up" if sequence[:, 0].sum() > 0 else "down" for sequence in X])
    >>> model = LSTMClassifier(8, epochs=40, random_state=0).fit(X, y)
    >>> model.classes_
    array(['down', 'up'], dtype='<U4')
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        readout: str = "last",
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight
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
        y : array_like of shape (N,)
            Class of each sequence.
        sample_weight : array_like of shape (N,), optional
            Weight of each sequence in the loss.

        Returns
        -------
        LSTMClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If X, y or a setting is not valid; the message names it.
        """
        with self._unchanged_on_error():
            is_new = not (self.warm_start and hasattr(self, "model_"))
            data = self._prepare(X, y, sample_weight, is_new, None if is_new else self.classes_)
            self._train(self.model_, **data)
            self.n_iter_ = len(self.history_)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch, continuing with the optimizer's state.

        The scaling is determined by the first call, or by `fit`.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.
        y : array_like of shape (N,)
            Class of each sequence.
        classes : array_like, optional
            All classes; needed in the first call unless y contains them all.
        sample_weight : array_like of shape (N,), optional
            Weight of each sequence in the loss.

        Returns
        -------
        LSTMClassifier
            The estimator itself.
        """
        with self._unchanged_on_error():
            is_new = not hasattr(self, "model_")
            if classes is not None:
                classes = np.unique(classes)
                if not is_new and not np.array_equal(classes, self.classes_):
                    raise ValueError(f"classes must be {self.classes_} as before, got {classes}")
            data = self._prepare(X, y, sample_weight, is_new, classes if is_new else self.classes_)
            self._train_one_epoch(self.model_, **data)
            self.n_iter_ = len(self.history_)
        return self

    def _prepare(self, X: Any, y: Any, sample_weight: Any, is_new: bool, classes: np.ndarray | None) -> dict[str, Any]:
        """Scaled training data; a new network and a new scaling if `is_new`."""
        x, lengths, weights = self._read(X, y, sample_weight, reset=is_new)
        indices, self.classes_ = _indices_of_classes(y, classes)
        if is_new:
            self._start(x, lengths, weights, len(self.classes_))
        if self.class_weight is not None:
            balance = compute_sample_weight(self.class_weight, self.classes_[indices])
            weights = balance if weights is None else weights * balance
        return {
            "x": self._x_scaling.apply(x),
            "y": indices,
            "loss": "cross_entropy",
            "lengths": lengths,
            "weights": weights,
        }

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.

        Returns
        -------
        ndarray of shape (N, classes)
            In the order of `classes_`.
        """
        z = self._outputs(X)
        log_sums, _ = _core.cross_entropy(z)
        log_p: np.ndarray = z - z.max(axis=1, keepdims=True) - log_sums[:, None]
        return log_p

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.

        Returns
        -------
        ndarray of shape (N, classes)
            In the order of `classes_`.
        """
        _, p = _core.cross_entropy(self._outputs(X))
        return p

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class of each sequence.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences: a row with one number for each step, an array with F features for each step, or a list of
            (T_i, F) or (T_i,) arrays or data frames of any lengths. Columns of data frames are matched by name.

        Returns
        -------
        ndarray of shape (N,)
            Classes.
        """
        best = self._outputs(X).argmax(axis=1)
        classes: np.ndarray = self.classes_[best]
        return classes


def _indices_of_classes(y: Any, classes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each label of y in classes, and the classes (None: the labels in y)."""
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] != 1:
        raise ValueError(f"y must have one class for each sequence, shape (N,), got {shape}. {ALTERNATIVES}")
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    if classes is None:
        classes, indices = np.unique(y, return_inverse=True)
        return indices, classes
    indices = np.searchsorted(classes, y)
    if not (classes[np.minimum(indices, len(classes) - 1)] == y).all():
        raise ValueError(f"y must be of the classes {classes}, got {np.setdiff1d(y, classes)} as well")
    return indices, classes
