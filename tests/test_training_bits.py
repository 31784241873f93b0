"""Training has the same bits whatever instructions NumPy and its BLAS select: parameters use no result that varies."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import _core
from lstm_fast._sums import step_sums
from lstm_fast.reference import losses as reference
from lstm_fast.train.config import half_cosine
from optional import MUST_HAVE_ALL, needs
from tolerances import assert_same_bits

SCRIPT = Path(__file__).with_name("bits_of_trainings.py")
NO_AVX512 = "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
# Prescott: OpenBLAS without AVX. (Elsewhere than on x86 the names have no effect.)
PROCESSES = [
    {"OMP_NUM_THREADS": "2"},
    {"NPY_DISABLE_CPU_FEATURES": f"{NO_AVX512} AVX2 FMA3", "OPENBLAS_CORETYPE": "Prescott", "OMP_NUM_THREADS": "1"},
    {"LSTM_FAST_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "3"},
    {"NPY_DISABLE_CPU_FEATURES": NO_AVX512, "OPENBLAS_CORETYPE": "SkylakeX", "OPENBLAS_NUM_THREADS": "1"},
]


@needs("sklearn")
def test_training_bits_do_not_depend_on_numpy_or_blas_instructions():
    available = set(_core.available_isas())
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", SCRIPT], env=os.environ | change, text=True, stdout=subprocess.PIPE
        )
        for change in (PROCESSES if MUST_HAVE_ALL else PROCESSES[:2])
        if change.get("LSTM_FAST_ISA", "portable") in available
    ]
    first, *others = [(process.communicate(timeout=120)[0], process.returncode) for process in processes]
    assert first[1] == 0
    assert len(first[0].splitlines()) == 9
    for change, other in zip(PROCESSES[1:], others):
        assert other == first, change


@pytest.mark.parametrize("scale", [0.1, 1, 30, 400, 1000])
def test_losses_match_reference_bitwise(scale):
    rng = np.random.default_rng(int(scale))
    for m in (1, 2, 7, 8, 9, 16, 127, 128, 129, 136, 137, 257, 1025):
        p, y = rng.standard_normal((4, m)) * scale, rng.integers(0, m, 4)
        for got, want in zip(_core.cross_entropy(p, y), reference.cross_entropy(p, y)):
            assert_same_bits(got, want)
        log_sums, probabilities = _core.cross_entropy(p)
        assert_same_bits(log_sums - (p[range(4), y] - p.max(axis=1)), _core.cross_entropy(p, y)[0])
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
        y = rng.random((4, m))
        for got, want in zip(_core.binary_cross_entropy(p, y), reference.binary_cross_entropy(p, y)):
            assert_same_bits(got, want)
        assert_same_bits(_core.row_sums(p), reference.row_sums(p))
        np.testing.assert_allclose(_core.row_sums(p), p.sum(axis=1), rtol=1e-12, atol=1e-12 * scale)


def test_exp_and_log_of_losses_are_accurate():
    """Against extended precision: the probability of one of two classes is exp / (1 + exp), the loss is a log."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-599, 0, 20000), -(10.0 ** rng.uniform(-17, 1, 20000)), [0, -599.99]])
    p = np.stack([np.zeros_like(x), x], axis=1)
    e = np.exp(x.astype(np.longdouble))
    log_sum, probabilities = _core.cross_entropy(p)
    np.testing.assert_allclose(log_sum, np.log1p(e).astype(float), rtol=2e-16, atol=2.3e-16)
    np.testing.assert_allclose(probabilities[:, 1], (e / (1 + e)).astype(float), rtol=7e-16)
    loss, d = _core.binary_cross_entropy(p, np.zeros_like(p))
    np.testing.assert_allclose(loss[:, 1], np.log1p(e).astype(float), rtol=5e-16)
    np.testing.assert_allclose(d[:, 1], (e / (1 + e)).astype(float), rtol=7e-16)
    assert _core.cross_entropy(np.array([[0.0, -601.0]]))[1].tolist() == [[1, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_losses_of_nonfinite_values(bad):
    p = np.zeros((2, 11))
    p[0, 5] = bad
    loss, gradient = _core.cross_entropy(p, np.array([3, 3]))
    assert np.isfinite(loss[0]) == (bad == -np.inf)
    assert np.isfinite(gradient[0]).all() == (bad == -np.inf)
    assert np.isclose(loss[1], math.log(11))
    loss, _ = _core.binary_cross_entropy(p, np.full(p.shape, 0.5))
    assert not np.isfinite(loss[0, 5])
    assert np.isfinite(loss[1]).all()


def test_losses_raise_on_out_of_range_targets():
    p = np.zeros((2, 3))
    for y in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="y must be classes 0 to 2, got"):
            _core.cross_entropy(p, np.array(y))
    for wrong in (p[:, :2], p.astype(np.float32), np.zeros(3), None):
        with pytest.raises((ValueError, TypeError), match="p must be|buffer"):
            _core.cross_entropy(wrong, np.array([0, 0]))
    with pytest.raises(ValueError, match="y must be"):
        _core.cross_entropy(p, np.array([0]))
    with pytest.raises(ValueError, match="y must be an"):
        _core.binary_cross_entropy(p, None)
    with pytest.raises(ValueError, match="p must have at least one column"):
        _core.cross_entropy(np.zeros((2, 0)))
    assert _core.cross_entropy(np.zeros((0, 3)), np.zeros(0, np.int64))[1].shape == (0, 3)
    assert _core.binary_cross_entropy(np.zeros((0, 3)), np.zeros((0, 3)))[0].shape == (0, 3)
    assert _core.row_sums(np.zeros((2, 0))).tolist() == [0, 0]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("hidden_size", [1, 2])
def test_mean_over_steps_does_not_depend_on_the_batch(batch_first, hidden_size):
    """NumPy adds the steps of one unit in pairs if they lie side by side in memory, otherwise one after the other."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        lstm = lf.LSTM(2, hidden_size, batch_first=batch_first, seed=seed)
        model = lf.train.SequenceModel(lstm, 1, seed=seed, readout="mean")
        x = rng.standard_normal((3, 50, 2)).astype(np.float32)
        together = model.predict(x if batch_first else x.swapaxes(0, 1))
        for k in range(3):
            alone = model.predict(x[k : k + 1] if batch_first else x[k : k + 1].swapaxes(0, 1))
            assert_same_bits(alone, together[k : k + 1])


def test_steps_are_summed_in_order():
    values = np.random.default_rng(0).standard_normal((30, 2, 4)).astype(np.float32)
    want = np.zeros((2, 4), np.float32)
    for step in values:
        want = want + step
    for one in (values, np.ascontiguousarray(values.swapaxes(0, 1)).swapaxes(0, 1)):
        assert_same_bits(step_sums(one), want)
        assert_same_bits(step_sums(one[:, :, :1]), want[:, :1])
        assert_same_bits(step_sums(one[:, :1, :1]), want[:1, :1])


def test_cosine_schedule_matches_its_formula():
    for progress in np.linspace(0, 1, 1001):
        assert abs(half_cosine(progress) - (1 + math.cos(math.pi * progress)) / 2) < 1e-15
    assert (half_cosine(0), half_cosine(1)) == (1, 0)
