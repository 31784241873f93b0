"""LSTMRegressor and LSTMClassifier: one answer for each sequence."""

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from .base import SETTINGS, Estimator, keep
from .frames import wrap
from .scaling import Scaling
from .sequences import X_SHAPES, read_sequences, steps_of


class _OneAnswer(Estimator):
    """An LSTM and a linear head over whole sequences."""

    def _read(self, X, y, sample_weight, *, reset):
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if self.readout not in ("last", "mean"):
            raise ValueError(
                f'readout must be "last" or "mean", got {self.readout!r}: {type(self).__name__} gives one answer for each sequence. '
                'For an answer at each step use lf.train.SequenceModel(lstm, out_features, readout="all") and lf.train.fit'
            )
        _require_one_answer(y)
        x, lengths = read_sequences(self, X, reset=reset)
        check_consistent_length(x, y)
        return (
            x,
            lengths,
            None if sample_weight is None else _check_sample_weight(sample_weight, x, ensure_non_negative=True),
        )

    def _start(self, x, lengths, weights, n_outputs):
        """A new network, and the scaling of its inputs. Sequences of weight 0 count for nothing."""
        counts = slice(None) if weights is None else weights > 0
        rows = steps_of(x[counts], None if lengths is None else lengths[counts])
        self._x_scaling = Scaling.of(rows) if self.scale and len(rows) else Scaling.none(x.shape[2])
        self.model_ = self._make_model(x.shape[2], n_outputs, self.readout, bidirectional=self.bidirectional)

    def _outputs(self, X):
        """What the head says for each sequence, (N, outputs) float64."""
        check_is_fitted(self, "model_")
        x, lengths = read_sequences(self, X, reset=False)
        return self.model_.predict(self._x_scaling.apply(x), lengths, num_threads=self.n_jobs).astype(np.float64)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


def _require_one_answer(y):
    """Refuses lists of targets for each sequence, and arrays of more than two axes."""
    wrap("y", y)  # refuses lazy frames
    is_list = isinstance(y, (list, tuple)) or (isinstance(y, np.ndarray) and y.dtype == object)
    shapes = {np.shape(one) for one in y} if is_list else set()
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes) or (not is_list and np.asarray(y).ndim > 2):
        raise ValueError(f"y must have one target for each sequence, got several. {SEVERAL}")


SEVERAL = (
    'For targets at each step use lf.train.SequenceModel(lstm, n, readout="all") and lf.train.fit; for several labels of a sequence '
    "sklearn.multioutput.MultiOutputClassifier(LSTMClassifier(...))"
)


class LSTMRegressor(RegressorMixin, _OneAnswer):
    __doc__ = f"""Numbers from sequences: an LSTM, a linear head, Adam.

    {X_SHAPES}

    Parameters
    ----------
    {SETTINGS}
    scale : the network sees numbers of mean 0 and deviation 1; what it says is scaled back
    validation_fraction : of the sequences, drawn by random_state
    warm_start : fit goes on from the network that is there
    bidirectional : of the LSTM
    readout : "last" or "mean", as in lf.train.SequenceModel
    loss : "mse", "mae", "huber", or ("huber", delta) in units of the deviation of y
    quantiles : None, or levels such as (0.1, 0.5, 0.9), which are learned with the quantile loss in place of `loss`. predict
        gives the level nearest to 0.5 and predict_quantiles all of them.

    Attributes
    ----------
    model_ : lf.train.SequenceModel; history_ : lf.train.History; n_iter_ : epochs run; n_features_in_
    """

    def __init__(
        self,
        hidden_size=32,
        num_layers=1,
        *,
        bidirectional=False,
        readout="last",
        loss="mse",
        quantiles=None,
        dropout=0.0,
        lstm_options=None,
        epochs=100,
        batch_size=32,
        lr=1e-2,
        weight_decay=0.0,
        clip_norm=1.0,
        lr_schedule=None,
        early_stopping=None,
        validation_fraction=0.1,
        scale=True,
        dtype="float32",
        random_state=None,
        warm_start=False,
        n_jobs=None,
        verbose=False,
    ):
        keep(self, locals())

    def _read_y(self, y):
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if y.ndim > 2:
            raise ValueError(f"y must have shape (N,) or (N, outputs), got {y.shape}")
        return y.reshape(len(y), -1), y.ndim == 1

    def _loss(self):
        return self.loss if self.quantiles is None else ("quantile", tuple(self.quantiles))

    def fit(self, X, y, sample_weight=None):
        """Trains a new network, or with warm_start the one that is there, on X, y (N,) or (N, outputs)."""
        is_new = not (self.warm_start and hasattr(self, "model_"))
        x, lengths, weights = self._read(X, y, sample_weight, reset=is_new)
        y, is_flat = self._read_y(y)
        self._settle(is_new, x, lengths, weights, y, is_flat)
        self._train(
            self.model_,
            self._x_scaling.apply(x),
            self._y_scaling.apply(y),
            self._loss(),
            lengths=lengths,
            weights=weights,
        )
        self.n_iter_ = len(self.history_)
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """One epoch over these sequences. The first call's sequences, or those of fit, decide the scaling."""
        is_new = not hasattr(self, "model_")
        x, lengths, weights = self._read(X, y, sample_weight, reset=is_new)
        y, is_flat = self._read_y(y)
        self._settle(is_new, x, lengths, weights, y, is_flat)
        self._train_on(
            self.model_,
            self._x_scaling.apply(x),
            self._y_scaling.apply(y),
            self._loss(),
            lengths=lengths,
            weights=weights,
        )
        self.n_iter_ = len(self.history_)
        return self

    def _settle(self, is_new, x, lengths, weights, y, is_flat):
        if is_new:
            self._is_flat, self._y_scaling = is_flat, Scaling.none(y.shape[1])
            if self.scale and (weights is None or weights.any()):
                self._y_scaling = Scaling.of(y, weights)
            self._start(x, lengths, weights, y.shape[1] * len(self.quantiles or (0,)))
        elif y.shape[1] != len(self._y_scaling.mean):
            raise ValueError(f"y must have {len(self._y_scaling.mean)} outputs as before, got {y.shape[1]}")

    def predict(self, X):
        """(N,), or (N, outputs) if y was so."""
        if self.quantiles is not None:
            middle = int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))
            return self.predict_quantiles(X)[..., middle]
        y = self._outputs(X)
        y = self._y_scaling.undo(y)
        return y[:, 0] if self._is_flat else y

    def predict_quantiles(self, X):
        """(N, levels), or (N, outputs, levels): `quantiles` of each answer, rising (levels that cross are sorted)."""
        check_is_fitted(self, "model_")
        if self.quantiles is None:
            raise ValueError("predict_quantiles needs quantiles, levels such as (0.1, 0.5, 0.9), got None")
        p = self._outputs(X)
        p = p.reshape(len(p), -1, len(self.quantiles))
        y = self._y_scaling.undo(p.swapaxes(1, 2)).swapaxes(1, 2)
        order = np.argsort(np.argsort(self.quantiles))  # the place of each level among them
        y = np.sort(y, axis=2)[:, :, order]
        return y[:, 0] if self._is_flat else y

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class LSTMClassifier(ClassifierMixin, _OneAnswer):
    __doc__ = f"""Classes of sequences: an LSTM, a linear head, cross-entropy, Adam.

    {X_SHAPES}

    Parameters
    ----------
    {SETTINGS}
    scale : the network sees numbers of mean 0 and deviation 1
    validation_fraction : of the sequences, drawn by random_state
    warm_start : fit goes on from the network that is there
    bidirectional : of the LSTM
    readout : "last" or "mean", as in lf.train.SequenceModel
    class_weight : None, "balanced" or {{class: weight}}

    Attributes
    ----------
    classes_; model_ : lf.train.SequenceModel; history_ : lf.train.History; n_iter_ : epochs run; n_features_in_
    """

    def __init__(
        self,
        hidden_size=32,
        num_layers=1,
        *,
        bidirectional=False,
        readout="last",
        class_weight=None,
        dropout=0.0,
        lstm_options=None,
        epochs=100,
        batch_size=32,
        lr=1e-2,
        weight_decay=0.0,
        clip_norm=1.0,
        lr_schedule=None,
        early_stopping=None,
        validation_fraction=0.1,
        scale=True,
        dtype="float32",
        random_state=None,
        warm_start=False,
        n_jobs=None,
        verbose=False,
    ):
        keep(self, locals())

    def _read_y(self, y, classes=None):
        """(indices of classes, classes)"""
        shape = np.asarray(y).shape
        if len(shape) == 2 and shape[1] != 1:
            raise ValueError(f"y must have one class for each sequence, shape (N,), got {shape}. {SEVERAL}")
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        if classes is None:
            classes, y = np.unique(y, return_inverse=True)
            return y, classes
        found = np.searchsorted(classes, y)
        if not (classes[np.minimum(found, len(classes) - 1)] == y).all():
            raise ValueError(f"y must be of the classes {classes}, got {np.setdiff1d(y, classes)} besides")
        return found, classes

    def _weights(self, y, weights):
        if self.class_weight is None:
            return weights
        balance = compute_sample_weight(self.class_weight, self.classes_[y])
        return balance if weights is None else weights * balance

    def fit(self, X, y, sample_weight=None):
        """Trains a new network, or with warm_start the one that is there, on X and labels y (N,)."""
        is_new = not (self.warm_start and hasattr(self, "model_"))
        x, lengths, weights = self._read(X, y, sample_weight, reset=is_new)
        y, self.classes_ = self._read_y(y, None if is_new else self.classes_)
        if is_new:
            self._start(x, lengths, weights, len(self.classes_))
        self._train(
            self.model_,
            self._x_scaling.apply(x),
            y,
            "cross_entropy",
            lengths=lengths,
            weights=self._weights(y, weights),
        )
        self.n_iter_ = len(self.history_)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One epoch over these sequences. The first call needs all classes, if it does not see them all, and decides the scaling."""
        is_new = not hasattr(self, "model_")
        x, lengths, weights = self._read(X, y, sample_weight, reset=is_new)
        if is_new:
            y, self.classes_ = self._read_y(y, None if classes is None else np.unique(classes))
            self._start(x, lengths, weights, len(self.classes_))
        else:
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"classes must be {self.classes_} as before, got {np.unique(classes)}")
            y, _ = self._read_y(y, self.classes_)
        self._train_on(
            self.model_,
            self._x_scaling.apply(x),
            y,
            "cross_entropy",
            lengths=lengths,
            weights=self._weights(y, weights),
        )
        self.n_iter_ = len(self.history_)
        return self

    def predict_log_proba(self, X):
        """(N, classes): logarithms of the probabilities."""
        z = self._outputs(X)
        z -= z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def predict_proba(self, X):
        """(N, classes): the probability of each, in the order of classes_."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """(N,): the most probable class."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]
