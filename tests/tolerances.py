"""Tolerances, each with its reason, and error measures. Loosening a tolerance requires a reason here."""

import numpy as np

EPSILON_F32 = 2.0**-23
EPSILON_F64 = 2.0**-52

# sigmoid and tanh, in units in the last place of the exact value, without and with a fused multiply-add: the polynomial
# and, for the smallest arguments, the exponential minus 1 round; the residual of the quotient is exact only if fused.
ACTIVATION_ULP = {False: 2.0, True: 1.5}

# Outputs and states, T <= 100 and H <= 256, against float64 on the same weights: rounding of the dot products and of
# the activations, propagated by the recurrence and damped by the gates. Absolute, since outputs lie in [-1, 1]; cell
# states and linear or relu outputs beyond 1 are measured relative to the largest of their array.
FORWARD = {np.float32: 8 * EPSILON_F32, np.float64: 8 * EPSILON_F64}

# Gradients. float64: largest difference relative to the largest entry, against complex steps, which are exact up to
# rounding; the remaining difference is the order of summation. float32: Frobenius norm of the difference relative to
# the norm of the float64 gradient, T <= 100. In an array of at most 8 numbers sums may cancel by chance and rounding
# does not average out: three times as much.
GRADIENT = {np.float32: 1e-6, np.float64: 1e-12}

FEW_GRADIENTS_F32 = 3e-6

# Long sequences accumulate more rounding: T up to 1100, relative Frobenius norm as above.
LONG_GRADIENT_F32 = 2e-6

# Against another float32 implementation, PyTorch's: both sides have the error above.
FROZEN_F32 = 2e-6


def forward_error(got, want):
    got, want = _compared(got, want)
    return np.abs(got - want).max(initial=0) / max(1, np.abs(want).max(initial=0))


def gradient_error(got, want, dtype):
    got, want = _compared(got, want)
    if dtype is np.float64:
        return np.abs(got - want).max(initial=0) / (np.abs(want).max(initial=0) or 1)
    return np.linalg.norm(got - want) / (np.linalg.norm(want) or 1)


def gradient_tolerance(want, dtype):
    return FEW_GRADIENTS_F32 if dtype is np.float32 and want.size <= 8 else GRADIENT[dtype]


def assert_within(error, tolerance, case):
    assert error <= tolerance, f"error {error:.3g}, allowed {tolerance:.3g}: {case}"  # NaN fails too


def assert_same_bits(got, want, case=""):
    """Bitwise equality, except that the sign and payload of NaN are not promised."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype), case
    if got.dtype.kind == "f":
        got, want = (np.where(np.isnan(a), a.dtype.type(np.nan), a) for a in (got, want))
    bits = f"u{got.itemsize}"
    np.testing.assert_array_equal(got.view(bits), want.view(bits), err_msg=str(case))


def _compared(got, want):
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    return got.astype(np.float64), want.astype(np.float64)
