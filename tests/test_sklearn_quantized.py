"""quantized(format) of the estimators: predictions of a QuantizedModel, by the estimator's own scalings."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from format_cases import FORMATS
from lstm_fast.sklearn import LSTMClassifier, LSTMForecaster, LSTMRegressor
from lstm_fast.train import QuantizedModel, SequenceModel
from tolerances import assert_same_bits

each_format = pytest.mark.parametrize("format, inputs", FORMATS.values(), ids=FORMATS)
rng = np.random.default_rng(0)
X = rng.standard_normal((60, 7, 2))
Y = X[..., 0].sum(axis=1)
SERIES = np.sin(np.arange(200) / 5) + 3


def fitted(kind):
    if kind == "regressor":
        return LSTMRegressor(12, epochs=5, random_state=0).fit(X, Y), lambda m: m.predict(X)
    if kind == "quantiles":
        model = LSTMRegressor(12, epochs=5, quantiles=(0.1, 0.5, 0.9), random_state=0).fit(X, Y)
        return model, lambda m: m.predict_quantiles(X)
    if kind == "classifier":
        model = LSTMClassifier(12, bidirectional=True, epochs=5, random_state=0).fit(X, np.where(Y > 0, "up", "down"))
        return model, lambda m: m.predict_proba(X)
    model = LSTMForecaster(20, 5, hidden_size=12, epochs=5, random_state=0).fit(SERIES)
    return model, lambda m: np.asarray(m.predict())


@each_format
@pytest.mark.parametrize("kind", ["regressor", "quantiles", "classifier", "forecaster"])
def test_quantized_predictions_are_close(kind, format, inputs):
    model, predict = fitted(kind)
    want = predict(model)
    small = model.quantized(format, inputs=inputs)
    got = predict(small)
    assert type(small) is type(model) and isinstance(small.model_, QuantizedModel)
    assert isinstance(model.model_, SequenceModel) and small.get_params() == model.get_params()
    assert 0 < np.abs(got - want).max() < 0.05 * max(1, np.ptp(want))
    assert_same_bits(predict(pickle.loads(pickle.dumps(small))), got)
    assert_same_bits(predict(model), want)


def test_scores_and_labels():
    model, _ = fitted("classifier")
    small = model.quantized("int8")
    assert set(small.predict(X)) <= {"up", "down"}
    y = np.where(Y > 0, "up", "down")
    assert abs(small.score(X, y) - model.score(X, y)) < 0.05


def test_training_a_quantized_copy_raises():
    model, predict = fitted("regressor")
    small = model.quantized("int8")
    with pytest.raises(AttributeError, match="for inference"):
        small.partial_fit(X, Y)
    with pytest.raises(AttributeError, match="for inference"):
        small.quantized("bfloat16")
    with pytest.raises(AttributeError, match="for inference"):
        small.set_params(warm_start=True).fit(X, Y)
    assert_same_bits(predict(small.set_params(warm_start=False).fit(X, Y)), predict(model))
    with pytest.raises(NotFittedError):
        clone(model).quantized("int8")


def test_unquantizable_options_raise():
    model = LSTMRegressor(4, epochs=1, dtype="float64", random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="dtype must be float32"):
        model.quantized("int8")
    model = LSTMRegressor(4, epochs=1, lstm_options={"proj_size": 2}, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="proj_size must be 0"):
        model.quantized("int8")
