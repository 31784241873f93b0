"""Reads X as sequences, which may have different lengths."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from .._arguments import array_of, reject_masked
from .._packing import pad
from .frames import numbers_of, order_of_columns, require_columns, wrap

if TYPE_CHECKING:
    from .sequence_estimator import SequenceEstimator


def _listed(estimator: "SequenceEstimator", X: Any, reset: bool) -> list[np.ndarray] | None:
    """Return the sequences of a list (or object array) as arrays; None if X is one regular array or frame."""
    if not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1) and not isinstance(X, list | tuple):
        return None
    frames = [wrap(f"X[{k}]", one) for k, one in enumerate(X)]
    for k, frame in enumerate(frames):
        _require_order_of_steps(f"X[{k}]", frame)
    is_table = [hasattr(frame, "columns") for frame in frames]
    if not any(is_table):
        parts = [array_of(f"X[{k}]", one) for k, one in enumerate(X)]
        n_axes = {part.ndim for part in parts}
        if n_axes == {2} or (n_axes == {1} and len({len(part) for part in parts}) > 1):
            return [part if part.ndim == 2 else part[:, None] for part in parts]
        return None
    if not all(is_table):
        k = is_table.index(False)
        raise ValueError(f"X must be all data frames or all arrays, got {type(X[k]).__name__} as X[{k}]")
    tables = [frame for frame in frames if frame is not None]
    order = order_of_columns(estimator, "X[0]", tables[0].to_native(), reset=reset)
    columns = [tables[0].columns[place] for place in order]
    for k, table in enumerate(tables):
        require_columns(f"X[{k}]", table.columns, columns)
    return [numbers_of(f"X[{k}]", table, columns) for k, table in enumerate(tables)]


def _require_order_of_steps(name: str, frame: Any | None) -> None:
    """Check that an index of dates or numbers ascends, as steps are read row by row."""
    if frame is None:
        return
    import narwhals.stable.v2 as nw

    index = nw.maybe_get_index(frame)
    if index is None or index.inferred_type in ("string", "mixed", "categorical") or index.is_monotonic_increasing:
        return
    raise ValueError(
        f"the index of {name} must ascend, got {', '.join(map(str, index[:4]))}, ...: call sort_index() if the index "
        "is the order of the steps, reset_index(drop=True) if the rows are"
    )


def _padded(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pad sequences with zeros to (N, longest T, F); return them and their lengths (N,)."""
    parts = [
        check_array(part, dtype=np.float64, ensure_min_samples=0, input_name=f"X[{k}]") for k, part in enumerate(parts)
    ]
    if len({part.shape[1] for part in parts}) > 1:
        raise ValueError(
            f"X must have the same number of features in each sequence, got {sorted({part.shape[1] for part in parts})}"
        )
    if not any(len(part) for part in parts):
        raise ValueError(f"X must hold at least one step, got {len(parts)} empty sequences")
    return pad(parts)


def read_sequences(estimator: "SequenceEstimator", X: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return x (N, T, F) in float64, and lengths (N,) or None.

    `reset`: n_features_in_ (T of a table, else F) and feature_names_in_ are set; otherwise X is compared with them, and
    sequences with one feature may come as a table or not.
    """
    reject_masked("X", X)
    wrap("X", X)  # raises an error for lazy frames
    parts, lengths = _listed(estimator, X, reset), None
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
    elif x.shape[2] != estimator._n_inputs:
        raise ValueError(
            f"X has {x.shape[2]} features a step, but {type(estimator).__name__} is expecting {estimator._n_inputs} "
            "features as input"
        )
    if not is_table and not (parts is not None and _are_frames(X)) and (reset or not estimator._is_table):
        order_of_columns(estimator, "X", x.reshape(-1, x.shape[2]), reset=reset)
    return x, lengths


def _are_frames(X: Any) -> bool:
    return hasattr(wrap("X", X[0]), "columns")


def valid_steps(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Return the steps of padded sequences (N, T, F) without the padding, as rows (n, F)."""
    return x.reshape(-1, x.shape[2]) if lengths is None else x[np.arange(x.shape[1]) < lengths[:, None]]
