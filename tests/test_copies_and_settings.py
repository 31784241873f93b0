"""Copies share no state that training or steps modify; invalid settings of fit raise."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from optional import require

T, B, I = 5, 4, 2
X = np.random.default_rng(0).standard_normal((B, T, I)).astype(np.float32)
Y = X.sum((1, 2))
COPIES = (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)))


def model(seed=0):
    return lf.train.SequenceModel(lf.LSTM(I, 3, batch_first=True, seed=0), 1, seed=seed)


@pytest.mark.parametrize("make_copy", COPIES)
def test_training_a_copy_does_not_change_the_original(make_copy):
    original = model()
    expected, other = original.flat_parameters, make_copy(original)
    lf.train.fit(other, X, Y, epochs=1, seed=0)
    np.testing.assert_array_equal(original.flat_parameters, expected)
    assert (other.flat_parameters != expected).any()


@pytest.mark.parametrize("make_copy", COPIES)
@pytest.mark.parametrize("make", [model, lambda: model().lstm, lambda: model().quantized("int8")])
def test_stepping_a_copied_stream_does_not_change_the_original(make, make_copy):
    stream, expected = make().stream(B), make().stream(B).block(X.swapaxes(0, 1))
    stream.step(X[:, 0])
    other = make_copy(stream)
    other.step(X[:, 4])
    np.testing.assert_array_equal(stream.step(X[:, 1]), expected[1])


def test_resuming_requires_the_same_validation_setting(tmp_path):
    for first, second, words in ((None, 0.25, "None"), (0.25, None, "data"), (None, (X, Y), "None")):
        settings = {"seed": 0, "checkpoint": tmp_path / f"{first}-{type(second)}"}
        lf.train.fit(model(), X, Y, epochs=2, validation=first, **settings)
        with pytest.raises(ValueError, match=f"^validation must be {words}, as in the run of checkpoint"):
            lf.train.fit(model(), X, Y, epochs=3, validation=second, resume=True, **settings)


@pytest.mark.parametrize(
    "name, wrong",
    [
        *(("seed", one) for one in (-1, 1.5, "text")),
        *(("callbacks", one) for one in (None, print, [1])),
        *(("lr_schedule", one) for one in (lambda p: None, lambda p: "fast", lambda p: np.ones(2))),
        *((name, one) for name in ("resume", "progress") for one in ("no", None, 1)),
    ],
)
def test_invalid_settings_raise(name, wrong):
    fleet = lf.train.FleetModel(lf.Fleet([lf.LSTM(I, 3, batch_first=True, seed=0)]), 1, seed=0)
    for one, x, y in ((model(), X, Y), (fleet, X[None], Y[None])):
        with pytest.raises((TypeError, ValueError), match=f"^{name} must "):
            lf.train.fit(one, x, y, epochs=1, **{name: wrong})


def test_invalid_head_seed_raises():
    for wrong in (-1, 1.5, "text"):
        with pytest.raises((TypeError, ValueError), match="^seed must be"):
            model(wrong)


def test_estimators_raise_on_masked_arrays():
    require("sklearn")
    from lstm_fast.sklearn import LSTMClassifier, LSTMRegressor

    labels, weights = (Y > 0).astype(int), np.ones(B)
    for cls in (LSTMRegressor, LSTMClassifier):
        good = {"X": X, "y": labels, "sample_weight": weights}
        estimator = cls(3, epochs=1, random_state=0).fit(**good)
        for name, value in good.items():
            with pytest.raises(TypeError, match=f"^{name} must be a plain array, got a masked array"):
                estimator.fit(**good | {name: np.ma.masked_array(value, mask=value > 0)})
        with pytest.raises(TypeError, match="^X must be a plain array, got a masked array"):
            estimator.predict(np.ma.masked_array(X, mask=X > 0))


def test_failed_fit_leaves_predictions_unchanged():
    require("sklearn")
    import pandas as pd

    from lstm_fast.sklearn import LSTMClassifier, LSTMForecaster, LSTMRegressor

    settings = {"hidden_size": 3, "epochs": 1, "random_state": 0}
    for cls, first, second in ((LSTMRegressor, Y, 1000 * Y), (LSTMClassifier, Y > 0, np.array(list("abcd")))):
        estimator = cls(**settings).fit(X, first)
        expected = estimator.predict(X)
        for method in (estimator.set_params(hidden_size=-1).fit, estimator.set_params(lr=np.nan).partial_fit):
            with pytest.raises(ValueError):
                method(X[..., :1], second)
            np.testing.assert_array_equal(estimator.predict(X), expected)

    past = pd.DataFrame({"a": np.sin(np.arange(9.0)), "b": np.arange(9.0)})
    for models in ("shared", "per_series"):
        forecaster = LSTMForecaster(4, 2, **settings, models=models).fit(past["a"], past)
        expected = forecaster.predict(X=past[:2])
        with pytest.raises(ValueError, match="^y must have at least"):
            forecaster.fit(past["b"][:3], past[["b", "a"]][:3])
        np.testing.assert_array_equal(forecaster.predict(X=past[:2]), expected)
