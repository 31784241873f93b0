"""Checks of sigmoid and tanh of the core: accuracy in ULP, monotonicity, and the numbers near critical points."""

from functools import partial

import numpy as np

from lstm_fast import _core
from tolerances import ACTIVATION_ULP

FUNCTIONS = {name: partial(_core.testing.activate, (name, 0, 0)) for name in ("sigmoid", "tanh")}
LOWEST = {"sigmoid": 0.0, "tanh": -1.0}


def exact(name, x):
    """In the next wider floating-point format: float64 for float32, extended precision for float64."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    if name == "tanh":
        return np.tanh(wide)
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(wide))
        return np.where(wide < 0, e, 1) / (1 + e)


def has_fma():
    return _core.isa() != "portable"


def assert_accurate(name, x, got=None, want=None):
    """At most ACTIVATION_ULP; where the exact value is no normal number of the dtype, 0 will do; never out of range.

    want: exact(name, x), if it is known.
    """
    got = FUNCTIONS[name](x) if got is None else got
    is_nan = np.isnan(x)
    assert np.isnan(got[is_nan]).all()
    if is_nan.all():
        return
    x, got = x[~is_nan], got[~is_nan]
    want = exact(name, x) if want is None else want[~is_nan]
    info = np.finfo(x.dtype)
    # The ULP of the exact value, not of the rounded one: if that is a power of 2, its ULP is twice as large.
    exponent = np.frexp(np.maximum(np.abs(want), info.tiny))[1] - 1
    error = np.abs(got - want) / np.ldexp(want.dtype.type(info.eps), exponent)
    error[(np.abs(want) < info.tiny) & (got == 0)] = 0
    worst = error.argmax()
    assert error[worst] <= ACTIVATION_ULP[has_fma()], f"{error[worst]:.3f} ULP at {name}({x[worst]!r}) = {got[worst]!r}"
    assert (got >= LOWEST[name]).all() and (got <= 1).all()


def assert_monotone(x, got):
    """Check that the result is monotone in x; without a fused multiply-add it may decrease by one ULP."""
    x, got = x[~np.isnan(x)], got[~np.isnan(x)]
    rising = got[np.argsort(x, kind="stable")]
    allowed = 0 if has_fma() else np.spacing(np.abs(rising[1:]))
    assert (np.diff(rising) >= -allowed).all()


def special_points(dtype):
    """Numbers near critical points: powers of two, multiples of ln(2) / 2, saturation, the extremes."""
    info = np.finfo(dtype)
    points = [2.0**k for k in range(-30, 11)] + [k * np.log(2) / 2 for k in range(1, 300)]
    points += [
        info.tiny,
        info.max,
        0.58158,
        9.01,
        18.02,
        17.33,
        36.74,
        87.34,
        87.9,
        88,
        88.72,
        103.97,
        708.4,
        709,
        745.13,
    ]
    bits = np.array(points, dtype).view(f"i{info.dtype.itemsize}")[:, None] + np.arange(-200, 201)
    near = bits.ravel().view(dtype)
    near = np.concatenate([near[np.isfinite(near)], np.array([0, np.inf], dtype)])
    return np.concatenate([near, -near])


def nearest_of_range(name, x):
    """The float32 numbers nearest to the exact values, for x in the order of bits that are all tiny or all large."""
    least, largest = abs(x[[0, -1]])
    if np.signbit(x[0]) == np.signbit(x[-1]):
        if least >= 128:  # exp(-128) is not a normal float32
            return np.float32(max(LOWEST[name], np.sign(x[0])))
        if largest < 2.0**-30:
            return np.float32(0.5) if name == "sigmoid" else x
    return None


def is_clearly_accurate(name, got, want):
    """A cheap sufficient condition for assert_accurate; False is inconclusive."""
    exponents = want.view(np.int64) & np.float64(np.inf).view(np.int64)
    ulps = np.maximum(exponents.view(np.float64), np.finfo(np.float32).tiny) * np.finfo(np.float32).eps
    difference = got - want
    np.abs(difference, out=difference)
    within = (difference <= ACTIVATION_ULP[has_fma()] * ulps).all()
    return within and got.min() >= LOWEST[name] and got.max() <= 1


def assert_monotone_neighbors(x, got):
    """Like assert_monotone, for numbers in the order of their bits; return the last one."""
    for before, after in ((0, 1), (1, 0)):
        low, high = slice(before, len(x) - after), slice(after, len(x) - before)
        if (x[high] > x[low]).all() and (got[high] >= got[low]).all():
            return x[-1:], got[-1:]
    x, got = x[~np.isnan(x)], got[~np.isnan(x)]
    steps = np.where(x[1:] > x[:-1], np.diff(got), -np.diff(got))
    allowed = 0 if has_fma() else np.spacing(np.abs(got[1:]))
    assert (steps >= -allowed).all()
    return x[-1:], got[-1:]
