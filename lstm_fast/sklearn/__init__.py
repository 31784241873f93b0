"""scikit-learn estimators for sequences and time series (pip install "lstm_fast[sklearn]").

    network_input.py         the input of the network of a fitted estimator
    times.py                 time stamps: order, gaps, frequencies, the dates that follow
    stamps.py                time stamps from columns and indices of each data frame library, and back
    frames.py                data frames and series: columns by name and by role
    scaling.py               standardization of columns
    templates.py             results in the form of the input: array, series, frame
    exogenous.py             exogenous variables, paired with the steps of y
    series.py                y as series over time, and forecasts in the form of y
    future.py                exogenous variables of the steps to forecast
    windows.py               windows of series as inputs and targets of the network
    sequences.py             reading of X as sequences of any lengths
    base.py                  base class of all estimators: settings, network, training
    sequence_estimator.py    base class of regressor and classifier
    regressor.py             LSTMRegressor: numbers from sequences
    classifier.py            LSTMClassifier: classes of sequences
    per_series.py            a network for each series: models="per_series"
    series_reader.py         series, future exogenous variables and inputs of the network in a call
    series_estimator.py      base class of the forecaster: training on windows, forecasts
    rolling_origin.py        cross-validation over time
    forecaster.py            LSTMForecaster: multi-step time-series forecasting

Each file uses only those above it, and only public names of lstm_fast.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError('lstm_fast.sklearn needs scikit-learn: pip install "lstm_fast[sklearn]"') from None

from .classifier import LSTMClassifier
from .forecaster import LSTMForecaster
from .network_input import NetworkInput
from .regressor import LSTMRegressor

__all__ = ["LSTMRegressor", "LSTMClassifier", "LSTMForecaster", "NetworkInput"]
