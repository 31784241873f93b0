"""Base class of LSTMRegressor and LSTMClassifier: one target for each sequence."""

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .._arguments import reject_masked
from .base import Estimator
from .frames import wrap
from .network_input import NetworkInput
from .scaling import Scaling
from .sequences import read_sequences, valid_steps

ALTERNATIVES = (
    'For targets at each step use lf.train.SequenceModel(lstm, n, readout="all") and lf.train.fit; for several labels '
    "of a sequence sklearn.multioutput.MultiOutputClassifier(LSTMClassifier(...))"
)


class SequenceEstimator(Estimator):
    """An LSTM and a linear head over whole sequences."""

    _of_network = (*Estimator._of_network, "bidirectional", "readout")

    bidirectional: bool
    readout: str
    scale: bool
    warm_start: bool

    _is_table: bool  # X of fit was (N, T)
    _n_inputs: int
    _x_scaling: Scaling

    def _read(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """(x, lengths, weights), after the checks that both estimators have in common."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if self.readout not in ("last", "mean"):
            raise ValueError(
                f'readout must be "last" or "mean", got {self.readout!r}: {type(self).__name__} predicts one target '
                f"for each sequence. {ALTERNATIVES}"
            )
        if not reset:
            self._require_settings_of_fit()
        reject_masked("y", y)
        reject_masked("sample_weight", sample_weight)
        _require_one_target(y)
        x, lengths = read_sequences(self, X, reset=reset)
        check_consistent_length(x, y)
        if sample_weight is None:
            return x, lengths, None
        return x, lengths, _check_sample_weight(sample_weight, x, ensure_non_negative=True)

    def _start(self, x: np.ndarray, lengths: np.ndarray | None, weights: np.ndarray | None, n_outputs: int) -> None:
        """A new network, and the scaling of its inputs. Sequences of weight 0 do not count."""
        counts = slice(None) if weights is None else weights > 0
        rows = valid_steps(x[counts], None if lengths is None else lengths[counts])
        self._x_scaling = Scaling.of(rows) if self.scale and len(rows) else Scaling.none(x.shape[2])
        self.model_ = self._make_model(x.shape[2], n_outputs, self.readout, bidirectional=self.bidirectional)

    def network_input(self, X: Any) -> NetworkInput:
        """Return the input of the network for a prediction of X.

        Parameters
        ----------
        X : array_like of shape (N, T) or (N, T, F), or list of array_like or data frames
            Sequences, as in `predict`.

        Returns
        -------
        NetworkInput
            The network, its scaled input, and names of features, as `lstm_fast.explain.html` shows them.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from lstm_fast.sklearn import LSTMRegressor
        >>> X, y = np.random.default_rng(0).standard_normal((30, 5)), np.arange(30.0)
        >>> found = LSTMRegressor(8, epochs=2, random_state=0).fit(X, y).network_input(X[:3])
        >>> found.x.shape
        (3, 5, 1)
        >>> gates = found.lstm.trace(found.x)
        """
        check_is_fitted(self, "model_")
        x, lengths = read_sequences(self, X, reset=False)
        features = None
        if not self._is_table and hasattr(self, "feature_names_in_"):
            features = [str(name) for name in self.feature_names_in_]
        text = f"An {type(self).__name__} reads these sequences{', each feature standardized' if self.scale else ''}."
        return NetworkInput(self.model_.lstm, self._x_scaling.apply(x), lengths, features, None, text)

    def _outputs(self, X: Any) -> np.ndarray:
        """Outputs of the head for each sequence, (N, outputs) float64."""
        check_is_fitted(self, "model_")
        x, lengths = read_sequences(self, X, reset=False)
        outputs: np.ndarray = self.model_.predict(self._x_scaling.apply(x), lengths, num_threads=self.n_jobs)
        return outputs.astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


def _require_one_target(y: Any) -> None:
    """Reject lists of targets for each sequence, and arrays of more than two axes."""
    wrap("y", y)  # raises an error for lazy frames
    is_list = isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype == object)
    shapes = {np.shape(one) for one in y} if is_list else set()
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes) or (not is_list and np.asarray(y).ndim > 2):
        raise ValueError(f"y must have one target per sequence, got several. {ALTERNATIVES}")
