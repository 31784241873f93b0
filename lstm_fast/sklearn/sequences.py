"""X as sequences, and their scaling."""

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

X_SHAPES = """X is (N, T), each row a sequence of one number a step, or (N, T, F), or a list of (T_i, F) or (T_i,) arrays or data
    frames of any lengths. sample_weight is (N,)."""


def _listed(X):
    """The sequences of a list (or array of objects) as arrays; None if X is one regular array or frame."""
    if (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1) or isinstance(X, (list, tuple)):
        parts = [np.asarray(one) for one in X]
        n_axes = {part.ndim for part in parts}
        if n_axes == {2} or (n_axes == {1} and len({len(part) for part in parts}) > 1):
            return [part if part.ndim == 2 else part[:, None] for part in parts]
    return None


def _padded(parts):
    """(N, longest T, F) with zeros behind the ends, and lengths (N,)."""
    parts = [
        check_array(part, dtype=np.float64, ensure_min_samples=0, input_name=f"X[{k}]") for k, part in enumerate(parts)
    ]
    if len({part.shape[1] for part in parts}) > 1:
        raise ValueError(
            f"X must have as many features in each sequence, got {sorted({part.shape[1] for part in parts})}"
        )
    lengths = np.array([len(part) for part in parts])
    if not lengths.any():
        raise ValueError(f"X must hold at least one step, got {len(parts)} empty sequences")
    x = np.zeros((len(parts), lengths.max(), parts[0].shape[1]))
    for row, part in zip(x, parts):
        row[: len(part)] = part
    return x, lengths


def read_sequences(estimator, X, *, reset):
    """(x (N, T, F) float64, lengths (N,) or None). reset: n_features_in_ is set (T of a table, else F), else it is compared;
    sequences of one feature may come as a table or not."""
    parts, lengths = _listed(X), None
    is_table = parts is None and getattr(X, "ndim", 2) != 3
    if parts is not None:
        x, lengths = _padded(parts)
    elif not is_table:
        x = check_array(X, dtype=np.float64, allow_nd=True, input_name="X")
        if 0 in x.shape:
            raise ValueError(f"X must have shape (N, T, F) with at least one of each, got {x.shape}")
    elif reset or estimator._is_table:
        x = validate_data(estimator, X, dtype=np.float64, reset=reset)[:, :, None]
    else:
        x = check_array(X, dtype=np.float64, input_name="X")[:, :, None]
    if reset:
        estimator._is_table, estimator._n_inputs = is_table, x.shape[2]
        if not is_table:
            estimator.n_features_in_ = x.shape[2]
            vars(estimator).pop("feature_names_in_", None)
    elif x.shape[2] != estimator._n_inputs:
        raise ValueError(
            f"X has {x.shape[2]} features a step, but {type(estimator).__name__} is expecting {estimator._n_inputs} "
            "features as input"
        )
    return x, lengths


class Scaling:
    """Mean and deviation of columns; a column that does not vary is only moved."""

    def __init__(self, mean, deviation):
        self.mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
        self.deviation = np.where(deviation > 1e-12 * np.abs(self.mean), deviation, 1.0)

    @classmethod
    def of(cls, rows, weights=None):
        """Of rows (n, F), each with its weight."""
        share = np.full(len(rows), 1 / len(rows)) if weights is None else weights / np.sum(weights)
        mean = share @ rows
        return cls(mean, np.sqrt(share @ (rows - mean) ** 2))

    @classmethod
    def none(cls, n):
        return cls(np.zeros(n), np.ones(n))

    def apply(self, values):
        return (values - self.mean) / self.deviation

    def undo(self, values):
        return values * self.deviation + self.mean


def steps_of(x, lengths):
    """The valid steps of padded sequences (N, T, F), as rows (n, F)."""
    return x.reshape(-1, x.shape[2]) if lengths is None else x[np.arange(x.shape[1]) < lengths[:, None]]
