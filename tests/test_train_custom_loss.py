"""loss=function: losses of the caller, with weights and masks applied outside."""

import numpy as np
import pytest

import lstm_fast as lf
from optional import require

FIT = dict(epochs=3, batch_size=4, seed=0)


def mse(p, y):
    d = p - y
    return (d * d).mean(axis=1), 2 * d / d.shape[1]


def mse_of_all(p, y):
    d = p - y
    return float((d * d).mean()), 2 * d / d.size


def poisson(p, y):
    return (np.exp(p) - y * p).mean(axis=1), (np.exp(p) - y) / p.shape[1]


def model(readout="last", dtype=np.float64, O=2):
    lstm = lf.LSTM(3, 5, batch_first=True, seed=0, dtype=dtype)
    return lf.train.SequenceModel(lstm, O, readout=readout, seed=0)


def data(readout="last", B=9, T=6, O=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = (B, T, O) if readout == "all" else (B, O)
    return rng.standard_normal((B, T, 3)), rng.standard_normal(shape), rng


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("readout", ["last", "mean", "all"])
def test_custom_mse_trains_like_mse(readout, dtype):
    x, y, rng = data(readout)
    lengths = rng.integers(1, 7, 9)
    lengths[0] = 6
    options = dict(sample_weight=rng.random(9), validation=(x[:3], y[:3], lengths[:3]), lengths=lengths)
    if readout == "all":
        options["mask"] = rng.random((9, 6)) < 0.8
    got, want = (
        (lf.train.fit(m, x, y, loss=loss, **FIT, **options), m.flat_parameters)
        for loss in (mse, "mse")
        for m in [model(readout, dtype)]
    )
    np.testing.assert_allclose(got[0].loss, want[0].loss, rtol=1e-6)
    np.testing.assert_allclose(got[0].validation_loss, want[0].validation_loss, rtol=1e-6)
    np.testing.assert_allclose(got[1], want[1], atol=1e-6)


def test_scalar_loss_uses_only_counted_rows():
    x, y, rng = data("all")
    mask = rng.random((9, 6)) < 0.7
    y[~mask] = np.nan  # which it never sees
    (got, d), (want, e) = (model("all").loss_and_grads(x, y, loss=loss, mask=mask) for loss in (mse_of_all, "mse"))
    assert got == pytest.approx(want, rel=1e-14)
    np.testing.assert_allclose(d.flat, e.flat, rtol=1e-12, atol=1e-15)
    with pytest.raises(ValueError, match=r"one loss per row, shape \(9,\), where rows have different weights"):
        model().loss_and_grads(x, y[:, 0], loss=mse_of_all, sample_weight=np.arange(1.0, 10))


def test_model_gradients_match_finite_differences():
    x, y, rng = data()
    y, m, weight = rng.poisson(2.0, y.shape), model(), rng.random(9)

    def loss():
        return m.loss_and_grads(x, y, loss=poisson, sample_weight=weight)

    _, gradients = loss()
    for name in ("lstm.weight_hh_l0", "head.weight"):
        values = []
        for shift in (1e-6, -2e-6):
            with m.edit() as p:
                p[name].flat[1] += shift
            values.append(loss()[0])
        with m.edit() as p:
            p[name].flat[1] += 1e-6
        assert gradients[name].flat[1] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_targets_may_have_a_different_number_of_columns():
    x, y, _ = data(O=1)
    scale = np.arange(1.0, 10)[:, None]

    def scaled(p, target):
        d = (p - target[:, :1]) / target[:, 1:]
        return (d * d)[:, 0], 2 * d / target[:, 1:]

    got, _ = model(O=1).loss_and_grads(x, np.hstack([y, scale]), loss=scaled)
    p = model(O=1).predict(x)
    assert got == pytest.approx((((p - y) / scale) ** 2).mean(), rel=1e-12)
    one, _ = model(O=1).loss_and_grads(x, y[:, 0], loss=mse)
    assert one == pytest.approx(((p - y) ** 2).mean(), rel=1e-12)


def test_custom_loss_arguments_are_read_only():
    def writes(p, y):
        y[:] = 0
        return mse(p, y)

    x, y, _ = data()
    with pytest.raises(ValueError, match="read-only"):
        lf.train.fit(model(), x, y, loss=writes, **FIT)


@pytest.mark.parametrize(
    "loss, error, words",
    [
        (lambda p, y: 1.0, TypeError, "loss must return the tuple (loss, d_prediction), got float"),
        (lambda p, y: (p, p), ValueError, "loss must return loss as numbers of shape () or (4,), got float64 (4, 2)"),
        (lambda p, y: ("1", p), ValueError, "loss must return loss as numbers of shape () or (4,), got <U1 ()"),
        (
            lambda p, y: (1.0, p[:, 0]),
            ValueError,
            "loss must return d_prediction as numbers of shape (4, 2), got float64 (4,)",
        ),
    ],
)
def test_custom_loss_results_are_validated(loss, error, words):
    x, y, _ = data()
    m = model()
    before = m.flat_parameters.copy()
    with pytest.raises(error) as raised:
        lf.train.fit(m, x, y, loss=loss, **FIT)
    assert str(raised.value) == words and np.array_equal(m.flat_parameters, before)


def test_mismatched_targets_raise():
    x, y, _ = data()
    for wrong in (y[1:], y[:, :, None], y.astype(str)):
        with pytest.raises(ValueError, match=r"y must be numbers of shape \(9,\) or \(9, 'K'\)"):
            lf.train.fit(model(), x, wrong, loss=mse, **FIT)


def test_nonfinite_loss_is_divergence():
    x, y, _ = data()
    with pytest.raises(lf.train.Diverged, match="epoch 0, batch 0"):
        lf.train.fit(model(), x, y, loss=lambda p, y: (np.nan, p), **FIT)


WRONG = {
    "sign": lambda p, y: (mse(p, y)[0], -mse(p, y)[1]),
    "scale": lambda p, y: (mse(p, y)[0], mse(p, y)[1] * 1.01),
    "mean": lambda p, y: (mse(p, y)[0], mse(p, y)[1] / len(p)),
    "one row": lambda p, y: (mse(p, y)[0], mse(p, y)[1] * np.where(np.arange(len(p)) == 2, 0.5, 1)[:, None]),
    "nothing": lambda p, y: (mse(p, y)[0], np.zeros_like(p)),
    "number": lambda p, y: (mse_of_all(p, y)[0], mse(p, y)[1]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradient_is_detected_before_training(name):
    x, y, _ = data()
    m = model()
    before = m.flat_parameters.copy()
    with pytest.raises(ValueError, match="d_prediction that is not the gradient of its loss"):
        lf.train.fit(m, x, y, loss=WRONG[name], check_loss=True, **FIT)
    assert np.array_equal(m.flat_parameters, before)


@pytest.mark.parametrize("loss", [mse, mse_of_all, poisson, "mse", "huber", "bce"])
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_correct_gradient_passes_and_changes_nothing(loss, readout, dtype):
    x, y, rng = data(readout)
    options = dict(mask=rng.random((9, 6)) < 0.7) if readout == "all" else {}
    y = np.abs(y) / np.abs(y).max()  # in the domain of each loss
    got, want = (
        (lf.train.fit(m, x, y, loss=loss, check_loss=check, **FIT, **options), m.flat_parameters)
        for check in (True, False)
        for m in [model(readout, dtype)]
    )
    assert got[0].loss == want[0].loss and np.array_equal(got[1], want[1])


def test_check_loss_is_a_flag():
    x, y, _ = data()
    with pytest.raises((ValueError, TypeError), match="check_loss must be"):
        lf.train.fit(model(), x, y, check_loss="yes", **FIT)


def test_resume_continues_with_a_custom_loss(tmp_path):
    x, y, _ = data()
    whole, parts = model(), model()
    lf.train.fit(whole, x, y, loss=mse, epochs=4, batch_size=4, seed=0)
    for stops in (True, False):
        lf.train.fit(parts, x, y, loss=mse, epochs=4, batch_size=4, seed=0, checkpoint=tmp_path / "c", resume=True,
                     callbacks=[lambda m, history, stops=stops: stops and len(history) == 2])  # fmt: skip
    assert np.array_equal(whole.flat_parameters, parts.flat_parameters)


def test_estimators_accept_a_custom_loss():
    sklearn = require("sklearn.base")
    x, y, _ = data(O=1)
    for loss in (mse, "mse"):
        estimator = sklearn.clone(lf.sklearn.LSTMRegressor(hidden_size=4, epochs=3, random_state=0, loss=loss))
        answer = estimator.fit(x, y[:, 0]).predict(x)
        series = lf.sklearn.LSTMForecaster(5, 2, hidden_size=4, epochs=2, random_state=0, loss=loss).fit(
            np.sin(np.arange(60.0))
        )
        if loss is mse:
            first = answer, series.predict(2)
    np.testing.assert_allclose(first[0], answer, rtol=1e-4)
    np.testing.assert_allclose(first[1], series.predict(2), rtol=1e-4)
