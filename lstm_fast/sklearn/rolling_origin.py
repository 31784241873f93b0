"""Cross-validation over time: forecasts from origins that move forward."""

import time
from typing import Any

import numpy as np
from sklearn.base import clone

from .base import index_of_median
from .series import Series, read, warn_of_missing
from .series_estimator import SeriesEstimator
from .windows import carry_forward


def cross_validate(
    estimator: SeriesEstimator, y: Any, X: Any, *, folds: int, step: int, refit: bool
) -> dict[str, np.ndarray]:
    """Return the result of LSTMForecaster.cross_validate; `estimator` is not changed."""
    series, form = read(clone(estimator), y, X, reset=True)
    warn_of_missing(series, stacklevel=4)
    results: list[dict[str, Any]] = []
    fitted = None
    for fold in range(folds):
        left = estimator.horizon + (folds - 1 - fold) * step  # steps from the origin to the end
        begin = time.perf_counter()
        past = [one.until(max(0, len(one.y) - left)) for one in series]
        if fitted is None or refit:
            fitted = clone(estimator)
            fitted._check(past)
            fitted._fit_series(past, form)
        results.append(_scores(fitted, series, past) | {"seconds": time.perf_counter() - begin})
    return {name: np.array([result[name] for result in results]) for name in results[0]}


def _scores(fitted: SeriesEstimator, series: list[Series], past: list[Series]) -> dict[str, Any]:
    """Return the errors of the forecasts from the end of `past`; missing values are ignored."""
    ends = [(len(one.y), len(one.y) + fitted.horizon) for one in past]
    truth = np.stack([one.y[begin:end] for one, (begin, end) in zip(series, ends)])
    levels = np.stack(fitted._forecast(past, [one.X[begin:end] for one, (begin, end) in zip(series, ends)]))
    prediction = levels[..., 0 if fitted.quantiles is None else index_of_median(fitted.quantiles)]
    naive = np.stack([carry_forward(one.y)[-1:] for one in past])
    result = {
        "steps_seen": ends[0][0],
        "mae": _mean_of_known(np.abs(prediction - truth)),
        "rmse": np.sqrt(_mean_of_known((prediction - truth) ** 2)),
        "naive_mae": _mean_of_known(np.abs(naive - truth)),
        "prediction": prediction,
        "truth": truth,
    }
    if fitted.quantiles is not None:
        is_inside = (levels.min(-1) <= truth) & (truth <= levels.max(-1))
        result |= {"coverage": _mean_of_known(np.where(np.isnan(truth), np.nan, is_inside)), "quantiles": levels}
    return result


def _mean_of_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan
