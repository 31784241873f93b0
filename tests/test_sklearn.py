"""The estimators: scikit-learn's estimator checks, and ragged sequences, which they do not cover."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import lstm_fast as lf
from lstm_fast.sklearn import LSTMClassifier, LSTMForecaster, LSTMRegressor

# As in scikit-learn's own estimators trained on mini-batches: leaving a sequence out changes the batches.
BATCHES = {
    "check_sample_weight_equivalence_on_dense_data": "a sequence of weight 0 still takes its place in a mini-batch"
}


@parametrize_with_checks(
    [LSTMRegressor(random_state=0, epochs=40), LSTMClassifier(random_state=0, epochs=40)],
    expected_failed_checks=lambda _: BATCHES,
)
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)


def test_estimator_checks_that_apply_to_series():
    """A series is not a table of samples, as the forecaster's tags declare, so only one check applies."""
    with pytest.warns(SkipTestWarning, match="one_d_array=True, two_d_array=False"):
        results = check_estimator(LSTMForecaster(random_state=0))
    assert results and all(result["status"] == "passed" for result in results)


def ragged(n=60, seed=0, n_features=2):
    """Sequences of 3 to 12 steps; the sum of the first feature, and whether it is positive."""
    rng = np.random.default_rng(seed)
    X = [
        rng.standard_normal((T, n_features)) * [1, 100][:n_features] + [0, 500][:n_features]
        for T in rng.integers(3, 13, n)
    ]
    sums = np.array([one[:, 0].sum() for one in X])
    return X, sums, np.where(sums > 0, "up", "down")


def test_regressor_learns_scaled_sums_of_ragged_sequences():
    X, y, _ = ragged(300)
    model = LSTMRegressor(16, random_state=0, epochs=60).fit(X, 1000 * y + 5e4)
    X_new, y_new, _ = ragged(100, seed=1)
    assert model.score(X_new, 1000 * y_new + 5e4) > 0.9
    assert model.n_features_in_ == 2 and model.n_iter_ == 60 and len(model.history_) == 60


def test_input_containers_give_the_same_model():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 6)), rng.standard_normal(20)
    objects = np.empty(20, object)
    objects[:] = [row[:, None] for row in x]
    forms = [
        x,
        x[:, :, None],
        list(x[:, :, None]),
        objects,
        x.tolist(),
        pd.DataFrame(x).rename(columns=str),
        [pd.DataFrame({"a": row}) for row in x],
    ]
    predictions = [LSTMRegressor(4, epochs=2, random_state=0).fit(form, y).predict(form) for form in forms]
    assert all(np.array_equal(predictions[0], one) for one in predictions)


def test_classifier_probabilities_follow_classes():
    X, _, y = ragged(300)
    model = LSTMClassifier(16, random_state=0, epochs=30).fit(X, y)
    X_new, _, y_new = ragged(100, seed=1)
    p = model.predict_proba(X_new)
    assert model.score(X_new, y_new) > 0.9 and list(model.classes_) == ["down", "up"]
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert (model.classes_[p.argmax(axis=1)] == model.predict(X_new)).all()
    np.testing.assert_allclose(np.log(p), model.predict_log_proba(X_new), rtol=1e-9, atol=1e-12)
    each = np.concatenate([model.predict_proba([one]) for one in X_new])
    assert np.array_equal(each, p)


def test_bits_depend_on_seed_not_on_threads():
    X, y, _ = ragged()
    one, two = (LSTMRegressor(8, epochs=3, random_state=3, n_jobs=n).fit(X, y).predict(X) for n in (1, 2))
    assert np.array_equal(one, two)


def test_partial_fit_continues():
    X, y, labels = ragged(200)
    model = LSTMRegressor(16, random_state=0)
    for _ in range(40):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9 and len(model.history_) == model.n_iter_ == 40
    classifier = LSTMClassifier(8, random_state=0).partial_fit(X[:1], labels[:1], classes=["down", "up"])
    for _ in range(20):
        classifier.partial_fit(X, labels)
    assert classifier.score(X, labels) > 0.85
    with pytest.raises(ValueError, match="y must contain only the classes"):
        classifier.partial_fit(X[:1], ["sideways"])
    with pytest.raises(ValueError, match="classes must be"):
        classifier.partial_fit(X, labels, classes=["a", "b"])


def test_partial_fit_keeps_optimizer_moments():
    """Two epochs of one batch equal a fit of two epochs; with new moments the second step would differ."""
    X, y, _ = ragged(20)
    model = LSTMRegressor(4, random_state=0, batch_size=20)
    model.partial_fit(X, y).partial_fit(X, y)
    whole = LSTMRegressor(4, random_state=0, batch_size=20, epochs=2).fit(X, y)
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-4, atol=1e-5)


def test_warm_start_continues_and_fit_restarts():
    X, y, _ = ragged()
    model = LSTMRegressor(8, epochs=5, random_state=0, warm_start=True).fit(X, y)
    first = model.history_.loss[0]
    assert model.fit(X, y).history_.loss[0] < first
    assert model.set_params(warm_start=False).fit(X, y).history_.loss[0] == first


def test_sample_and_class_weights():
    X, _, _ = ragged(100)
    y, weights = np.arange(100) % 2, np.where(np.arange(100) % 2, 1.0, 0.0)
    assert (LSTMClassifier(4, epochs=20, random_state=0).fit(X, y, sample_weight=weights).predict(X) == 1).all()
    assert (LSTMClassifier(4, epochs=20, random_state=0, class_weight={0: 1, 1: 0}).fit(X, y).predict(X) == 0).all()
    with pytest.raises(ValueError, match="[Nn]egative"):
        LSTMRegressor().fit(X, y, sample_weight=-weights)


def test_quantiles_have_their_coverage():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 5))
    y = X.sum(axis=1) + rng.standard_normal(600)
    model = LSTMRegressor(16, quantiles=(0.9, 0.1, 0.5), epochs=40, random_state=0).fit(X[:400], y[:400])
    high, low, middle = model.predict_quantiles(X[400:]).T
    assert (low <= middle).all() and (middle <= high).all() and np.array_equal(middle, model.predict(X[400:]))
    assert 0.6 < np.mean((low <= y[400:]) & (y[400:] <= high)) < 0.95
    with pytest.raises(ValueError, match="quantiles"):
        LSTMRegressor(epochs=1).fit(X, y).predict_quantiles(X)


def test_multioutput():
    X, y, _ = ragged(100)
    both = LSTMRegressor(8, epochs=3, random_state=0).fit(X, np.column_stack([y, -y])).predict(X)
    assert both.shape == (100, 2)
    assert LSTMRegressor(8, epochs=3, quantiles=(0.2, 0.8)).fit(X, np.column_stack([y, -y])).predict_quantiles(
        X
    ).shape == (100, 2, 2)


def test_pipelines_searches_and_clones():
    X, y, labels = ragged(60)
    table = np.array([one[:3, 0] for one in X])
    search = GridSearchCV(LSTMClassifier(epochs=3, random_state=0), {"hidden_size": [2, 4]}, n_jobs=2, cv=2).fit(
        X, labels
    )
    assert search.best_params_["hidden_size"] in (2, 4) and len(search.predict(X)) == 60
    scores = cross_val_score(
        make_pipeline(FunctionTransformer(np.tanh), LSTMRegressor(epochs=3, random_state=0)), table, y, cv=3
    )
    assert np.isfinite(scores).all()
    model = LSTMRegressor(4, lstm_options={"layer_norm": True}, epochs=3, random_state=0, early_stopping=2).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X)) and again.model_.lstm.layer_norm
    assert np.array_equal(clone(model).fit(X, y).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "X, words",
    [
        ([np.zeros((3, 2)), np.zeros((2, 3))], "same number of features"),
        ([np.zeros((3, 2)), np.full((2, 2), np.nan)], "NaN"),
        ([np.zeros((0, 2)), np.zeros((0, 2))], "at least one step"),
        (np.zeros((2, 0, 3)), "at least one"),
        (np.zeros((2, 3, 4, 5)), "dim"),
    ],
)
def test_invalid_sequences_raise(X, words):
    with pytest.raises(ValueError, match=words):
        LSTMRegressor(epochs=1).fit(X, [0.0, 1.0])


def test_prediction_requires_the_features_of_training():
    X, y, _ = ragged(10)
    model = LSTMRegressor(4, epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="1 features a step, but LSTMRegressor is expecting 2"):
        model.predict([one[:, :1] for one in X])
    with pytest.raises(NotFittedError):
        LSTMForecaster().predict()


def test_sequence_of_length_zero_is_predicted():
    X, y, _ = ragged(10)
    model = LSTMRegressor(4, epochs=1, random_state=0).fit(X, y)
    assert np.isfinite(model.predict([X[0], np.zeros((0, 2))])).all()


def test_divergence_names_epoch_and_batch():
    with pytest.raises(lf.train.Diverged, match="epoch 0, batch"):
        LSTMRegressor(4, lr=1e38, clip_norm=None, random_state=0).fit(np.ones((4, 3)), [0.0, 1, 2, 3])
