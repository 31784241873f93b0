"""Estimators in the manner of scikit-learn (pip install "lstm_fast[sklearn]").

base.py        what they share: settings, the network, its training
sequences.py   X as sequences of any lengths; scaling
estimators.py  LSTMRegressor, LSTMClassifier: one answer for a sequence
series.py      y and data frames as series over time; windows of them
forecaster.py  LSTMForecaster: how series go on
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError('lstm_fast.sklearn needs scikit-learn: pip install "lstm_fast[sklearn]"') from None

from .estimators import LSTMClassifier, LSTMRegressor
from .forecaster import LSTMForecaster

__all__ = ["LSTMRegressor", "LSTMClassifier", "LSTMForecaster"]
