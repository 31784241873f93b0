"""Losses: values computed by hand, gradients by finite differences, rows with weight 0."""

import numpy as np
import pytest

from lstm_fast.train.losses import Loss

LOSSES = ["mse", "mae", ("huber", 0.7), ("quantile", (0.2, 0.5)), "cross_entropy", "bce"]


def targets(rng, loss, shape, n_outputs):
    name = loss if isinstance(loss, str) else loss[0]
    if name == "cross_entropy":
        return rng.integers(0, n_outputs, shape)
    if name == "bce":
        return rng.random((*shape, n_outputs))
    return rng.standard_normal((*shape, Loss(loss).n_targets(n_outputs)))


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_loss_gradient_matches_finite_differences(loss, is_weighted):
    rng = np.random.default_rng(1)
    p, y = rng.standard_normal((7, 4)), targets(rng, loss, (7,), 4)
    weights = rng.integers(0, 3, 7).astype(float) if is_weighted else None
    function = Loss(loss)
    _, gradient = function(p, y, weights)
    for k in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[k] = 1e-6
        quotient = (function(p + step, y, weights)[0] - function(p - step, y, weights)[0]) / 2e-6
        assert abs(quotient - gradient[k]) < 1e-8, k


def test_losses_match_their_formulas():
    p, y = np.array([[1.0, -2.0]]), np.array([[0.0, 0.0]])
    assert Loss("mse")(p, y)[0] == 2.5 and Loss("mae")(p, y)[0] == 1.5 and Loss("huber")(p, y)[0] == (0.5 + 1.5) / 2
    assert Loss(("quantile", (0.25, 0.5)))(p, y[:, :1])[0] == (0.75 * 1 + 0.5 * 2) / 2
    np.testing.assert_allclose(Loss("cross_entropy")(p, np.array([0]))[0], np.log(1 + np.exp(-3)))
    np.testing.assert_allclose(
        Loss("bce")(p, np.array([[1.0, 0.0]]))[0], (np.log1p(np.exp(-1)) + np.log1p(np.exp(-2))) / 2
    )
    big = np.array([[800.0, -800.0]])
    assert Loss("bce")(big, np.array([[1.0, 0.0]]))[0] == 0 and Loss("cross_entropy")(big, np.array([1]))[0] == 1600


def test_rows_with_weight_zero_are_ignored():
    p, y = np.array([[1.0], [np.nan]]), np.array([[0.0], [np.inf]])
    loss, d = Loss("mse")(p, y, np.array([2.0, 0.0]))
    assert loss == 1 and d.tolist() == [[2.0], [0.0]]
    assert Loss("mse")(p, y, np.zeros(2))[0] == 0


def test_gradient_is_zero_where_prediction_equals_target():
    p = np.array([[1.0, 1.0]])
    assert Loss(("quantile", (0.2, 0.7)))(p, p[:, :1])[1].tolist() == [[0, 0]]
    assert Loss("mae")(p, p)[1].tolist() == [[0, 0]]


@pytest.mark.parametrize("spec", [("huber", 1.0, 2.0), ("quantile", (0.5,), 1), ("mse", 1.0)])
def test_unknown_loss_parameters_raise(spec):
    with pytest.raises(ValueError, match="takes no such parameters"):
        Loss(spec)


def test_targets_outside_the_range_of_a_loss_raise():
    p = np.zeros((2, 1))
    for y in ([[0.0], [2.0]], [[-0.5], [1.0]]):
        with pytest.raises(ValueError, match=r"y must be from 0 to 1 for bce, got (2|-0.5)"):
            Loss("bce")(p, np.array(y))
    masked = Loss("bce")(p, np.array([[0.0], [-1.0]]), np.array([1.0, 0.0]))  # a row that does not count
    assert masked[0] == np.log(2)
    with pytest.raises(ValueError, match=r"got int64 \(2,\) from -1 to 3"):
        Loss("cross_entropy").check_targets(np.array([-1, 3]), (2,), 3)
