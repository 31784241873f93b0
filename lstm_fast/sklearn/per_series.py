"""A network for each series: what LSTMForecaster does with models="per_series"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..train import FleetModel
from ..train.fleets import FleetTrainer
from .series import Series

if TYPE_CHECKING:
    from .series_estimator import SeriesEstimator
    from .series_reader import SeriesReader


def fit(estimator: SeriesEstimator, series: list[Series]) -> None:
    """Set model_ and history_; each series has the windows, seeds and validation of a separate forecaster."""
    models, configs, data, validations = [], [], [], []
    estimator._windowings = [estimator._make_windowing([one]) for one in series]
    estimator._windowing = estimator._windowings[0]
    for k, (one, windowing) in enumerate(zip(series, estimator._windowings)):
        where = f" in series {k if one.id is None else one.id}" if len(series) > 1 else ""
        models.append(estimator._make_forecast_model(windowing))
        train, validation = estimator._training_data(windowing, [one], where)
        config = estimator._config(
            estimator._loss,
            epochs=estimator.epochs,
            early_stopping=estimator.early_stopping,
            lr_schedule=estimator.lr_schedule,
        )
        configs.append(config)
        data.append(train)
        validations.append(validation)
    x, targets, mask = (list(parts) for parts in zip(*data))
    held_out = None if estimator.early_stopping is None else tuple(list(parts) for parts in zip(*validations))
    config = replace(configs[0], seed=[one.seed for one in configs])  # type: ignore[arg-type]
    estimator.model_ = FleetModel.from_models(models)
    trainer = FleetTrainer(estimator.model_, x, targets, config, mask=mask, validation=held_out)
    estimator.history_ = trainer.run(estimator.verbose)
    estimator._progress = None


def forecast(estimator: SeriesEstimator, series: list[Series], future: list[np.ndarray]) -> list[np.ndarray]:
    """Forecast (horizon, S, levels) after each series with its own network."""
    known = indices(estimator)
    steps = estimator.input_size + len(future[0])
    inputs = [np.zeros((0, steps, one.n_inputs), one.dtype) for one in estimator._windowings]
    places, scalings = [], []
    for k, (one, exogenous) in enumerate(zip(series, future)):
        place = index_of(known, k, one)
        inputs[place], by = estimator._windowings[place].forecast_inputs([one], [exogenous])
        places.append(place)
        scalings.append(by)
    p = estimator.model_.predict(inputs, num_threads=estimator.n_jobs)
    return [
        estimator._windowings[place].forecasts(estimator._outputs(p[place]), [one], by)[0]
        for one, place, by in zip(series, places, scalings)
    ]


def indices(estimator: SeriesReader) -> dict[object, int]:
    """Return the index of the network of each series of fit, by its id or position."""
    return {_key(k, one): k for k, one in enumerate(estimator._series)}


def index_of(known: dict[object, int], k: int, one: Series) -> int:
    """Return the index of the network of the k-th series of a call."""
    key = _key(k, one)
    if key not in known:
        raise ValueError(
            f'y must contain only series that were passed to fit, because models="per_series" trains a network for '
            f"each, got {key!r}"
        )
    return known[key]


def _key(k: int, one: Series) -> object:
    return k if one.id is None else one.id
