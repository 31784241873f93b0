"""Optimizers match their documented formulas; the linear layer and the norm of the core."""

import numpy as np
import pytest

from lstm_fast import _core
from lstm_fast.train import SGD, Adam, AdamW
from tolerances import assert_same_bits


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-5)])
@pytest.mark.parametrize(
    "n, I, O", [(0, 3, 4), (1, 1, 1), (5, 3, 2), (3, 70, 130), (700, 17, 9), (1030, 64, 33), (2, 9, 1000)]
)
def test_linear_matches_numpy_on_any_number_of_threads(isa, dtype, tolerance, n, I, O):
    rng = np.random.default_rng(n)
    weight, bias, x, d_y = (rng.standard_normal(shape).astype(dtype) for shape in ((O, I), (O,), (n, I), (n, O)))
    wants = x @ weight.T + bias, d_y @ weight, d_y.T @ x, d_y.sum(axis=0)
    alone = _core.linear(weight, bias, x, 1), *_core.linear_backward(weight, x, d_y, 1)
    for got, want in zip(alone, wants, strict=True):
        assert np.abs(got - want).max(initial=0) <= tolerance * max(1, np.abs(want).max(initial=0))
    shared = _core.linear(weight, bias, x, 3), *_core.linear_backward(weight, x, d_y, 3)
    for got, want in zip(shared, alone, strict=True):
        assert_same_bits(got, want)


def test_norm_is_euclidean():
    x = np.random.default_rng(0).standard_normal(1001)
    assert abs(_core.norm(x) / np.linalg.norm(x) - 1) < 1e-14 and _core.norm(x[:0].copy()) == 0
    assert abs(_core.norm(x.astype(np.float32)) / np.linalg.norm(x) - 1) < 1e-6 and np.isnan(
        _core.norm(np.array([np.nan, 1]))
    )


def written_out(optimizer, p, gradients):
    """The formulas of optimizers.py, step by step in float64."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, d in enumerate(gradients, 1):
        if isinstance(optimizer, SGD):
            s = d + optimizer.weight_decay * p
            m = optimizer.momentum * m + s
            p = p - optimizer.lr * (
                s + optimizer.momentum * m if optimizer.nesterov else m if optimizer.momentum else s
            )
            continue
        (b1, b2), is_w = optimizer.betas, isinstance(optimizer, AdamW)
        g = d if is_w else d + optimizer.weight_decay * p
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p = p * (1 - optimizer.lr * optimizer.weight_decay) if is_w else p
        p = p - optimizer.lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + optimizer.epsilon)
    return p


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1),
        SGD(0.1, momentum=0.9),
        SGD(0.1, 0.9, True, 0.01),
        Adam(0.01),
        Adam(0.01, (0.8, 0.9), 1e-6, 0.1),
        AdamW(0.01),
        AdamW(0.01, weight_decay=0.3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 2e-6)])
def test_steps_match_the_documented_formulas(optimizer, dtype, tolerance):
    rng = np.random.default_rng(6)
    p, gradients = rng.standard_normal(37).astype(dtype), rng.standard_normal((20, 37)).astype(dtype)
    want = written_out(optimizer, p.astype(np.float64), gradients.astype(np.float64))
    moments = optimizer.moments(p)
    for t, d in enumerate(gradients, 1):
        optimizer.step(p, 2 * d, moments, t, optimizer.lr, 0.5)
    np.testing.assert_allclose(p, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SGD(lr=-1), "lr must be"),
        (lambda: SGD(lr=float("nan")), "lr must be"),
        (lambda: SGD(momentum=1.0), "momentum must be"),
        (lambda: SGD(nesterov=True), "nesterov=True requires momentum > 0"),
        (lambda: Adam(betas=0.9), "betas must be a pair"),
        (lambda: Adam(betas=(0.9, 1.0)), "betas must be"),
        (lambda: Adam(epsilon=0), "epsilon must be"),
        (lambda: AdamW(weight_decay=-1), "weight_decay must be"),
    ],
)
def test_invalid_settings_raise(make, words):
    with pytest.raises(ValueError, match=words):
        make()
