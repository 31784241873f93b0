"""Small real data sets, shipped with the package."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._types import Array

__all__ = ["sunspots"]


def sunspots() -> tuple[Array, Array]:
    """Return yearly mean sunspot numbers, 1700 to 2008.

    A standard benchmark series with a cycle of about eleven years.

    Returns
    -------
    years : ndarray of shape (309,), int64
        1700 to 2008.
    values : ndarray of shape (309,), float64
        Mean sunspot number of each year.

    See Also
    --------
    lstm_fast.sklearn.LSTMForecaster : Time-series forecasting.

    Notes
    -----
    Source: the international sunspot number, version 1.0 (before the recalibration of 2015), of the World Data Center
    SILSO, Royal Observatory of Belgium, Brussels, as published by NOAA's National Geophysical Data Center
    (http://www.ngdc.noaa.gov/stp/solar/solarda3.html) and taken from `statsmodels.datasets.sunspots` 0.15.0.
    Licence: public domain, as that module states ("This data is public domain").

    Examples
    --------
    >>> years, values = sunspots()
    >>> int(years[values.argmax()]), float(values.max())
    (1957, 190.2)
    """
    path = importlib.resources.files("lstm_fast") / "data" / "sunspots.csv"
    with path.open(encoding="ascii") as file:
        years, values = np.loadtxt(file, delimiter=",", skiprows=1, unpack=True)
    return years.astype(np.int64), values
