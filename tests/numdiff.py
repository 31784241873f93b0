"""Numerical gradients of scalar functions, and the relative error of an array."""

import numpy as np


def complex_step(f, x, step=1e-30):
    """Gradient of the analytic, real-valued f at the real array x: Im f(x + i * step) / step, exact up to rounding.

    f must accept complex numbers and use no abs, max or conjugate (Squire & Trapp 1998, SIAM Review 40-1).
    """
    x = np.array(x, dtype=np.complex128)
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        point = x.copy()
        point[index] += 1j * step
        gradient[index] = f(point).imag / step
    return gradient


def complex_step_along(f, x, direction, step=1e-30):
    """Directional derivative of the analytic, real-valued f at the real array x: one number from one call of f."""
    return f(x + 1j * step * direction).imag / step


def central_difference(f, x, step=3e-4):
    """Gradient of f at the real array x by fourth-order central differences: the error is O(step ** 4)."""
    x = np.array(x, dtype=np.float64)
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        values = []
        for distance in (-2, -1, 1, 2):
            point = x.copy()
            point[index] += distance * step
            values.append(f(point))
        gradient[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return gradient


def relative_error(got, want):
    """Largest difference of two arrays of the same shape relative to the largest entry of want; NaN propagates."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    if want.size == 0:
        return 0.0
    return np.abs(got - want).max() / (np.abs(want).max() or 1.0)
