"""Estimators that go on after fit: failed and further calls, and settings that were changed in between."""

import copy

import numpy as np
import pytest

import lstm_fast as lf
from optional import needs

pytestmark = needs("sklearn")

X = np.random.default_rng(0).standard_normal((40, 6))
y = X.sum(axis=1)


def regressor(**options):
    return lf.sklearn.LSTMRegressor(4, **dict(epochs=2, random_state=0, batch_size=8) | options)


class Failing:
    """Squared error that fails in call number n after `arm(n)`."""

    def __init__(self):
        self.left = None

    def __call__(self, prediction, target):
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise ZeroDivisionError
        return ((prediction - target) ** 2).sum(axis=1), 2 * (prediction - target)

    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("how", ["partial_fit", "fit"])
def test_failed_training_leaves_the_parameters_unchanged(how):
    loss = Failing()
    model = regressor(loss=loss, warm_start=True).fit(X, y)
    before, prints = model.predict(X), lf.fingerprint(model.model_)
    loss.left = 4
    with pytest.raises(ZeroDivisionError):
        getattr(model, how)(X, y)
    assert np.array_equal(model.predict(X), before) and lf.fingerprint(model.model_) == prints
    assert len(model.history_) == 2


@pytest.mark.parametrize(
    "setting",
    [
        dict(hidden_size=5),
        dict(num_layers=1),
        dict(bidirectional=True),
        dict(readout="mean"),
        dict(dropout=0.5),
        dict(lstm_options=dict(peepholes=True)),
        dict(dtype="float64"),
        dict(scale=False),
        dict(quantiles=(0.1, 0.9)),
    ],
)
def test_continuing_with_changed_network_settings_raises(setting):
    (name,) = setting
    model = regressor(num_layers=2, warm_start=True).fit(X, y).set_params(**setting)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"^{name} must be .*, as it was when the network was created, got"):
            method(X, y)
    model.set_params(warm_start=False).fit(X, y)


def test_training_settings_can_change():
    model = regressor(warm_start=True).fit(X, y).set_params(lr=0.1, epochs=1, loss="mae", dtype=np.dtype("float32"))
    assert len(model.fit(X, y).history_) == 1


def test_predictions_use_the_quantiles_of_fit():
    model = regressor(quantiles=(0.1, 0.5, 0.9)).fit(X, y)
    for quantiles in ((0.9, 0.5, 0.1), (0.5,), None):
        changed = copy.deepcopy(model).set_params(quantiles=quantiles)
        for method in (changed.predict, changed.predict_quantiles)[: 1 if quantiles is None else 2]:
            with pytest.raises(ValueError, match="quantiles must be .0.1, 0.5, 0.9., as it was"):
                method(X)
    assert np.array_equal(model.set_params(quantiles=[0.1, 0.5, 0.9]).predict(X), model.predict(X))


@pytest.mark.parametrize("setting", [dict(input_size=3), dict(quantiles=(0.1, 0.9)), dict(models="per_series")])
def test_forecasts_use_the_settings_of_fit(setting):
    (name,) = setting
    model = lf.sklearn.LSTMForecaster(6, 2, epochs=1, random_state=0).fit(np.sin(np.arange(60.0)))
    with pytest.raises(ValueError, match=f"^{name} must be .*, as it was when the network was created"):
        model.set_params(**setting).predict()
    assert len(model.fit(np.sin(np.arange(60.0))).predict()) == 2


def test_history_after_partial_fit_has_a_value_for_every_epoch():
    model = regressor(early_stopping=2).fit(X, y)
    before = model.history_
    model.partial_fit(X, y)
    history = model.history_
    assert len(history) == len(history.validation_loss) == 3 and np.isnan(history.validation_loss[-1])
    assert history.best_epoch == before.best_epoch
    assert history.fingerprint == lf.fingerprint(model.model_) != before.fingerprint
    plain = regressor(lr=0.01).fit(X, y).partial_fit(X, y).partial_fit(X, y)
    assert plain.history_.best_epoch == int(np.argmin(plain.history_.loss)) and plain.n_iter_ == 4


def test_quantized_copies_keep_their_history():
    model = regressor().fit(X, y)
    small = model.quantized()
    model.partial_fit(X, y)
    assert len(small.history_) == 2 and len(model.history_) == 3
