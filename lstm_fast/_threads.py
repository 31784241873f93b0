"""Number of threads of a call: its num_threads=, else the innermost `with num_threads(n)`, else the process setting."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from . import _core
from ._arguments import positive_integer

MOST_THREADS = _core.MOST_THREADS  # larger values are clamped

_scoped: ContextVar[int | None] = ContextVar("lstm_fast_num_threads", default=None)
_process: int | None = None  # set by set_num_threads, or the default once it has been determined
_is_forked_child = False


def _in_child() -> None:
    global _is_forked_child
    _is_forked_child = _core.threads() == "openmp"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def container_limit() -> float:
    """Return the CPU quota of the control group (v2, v1), rounded up; infinity without a limit."""
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            with open(quota_file) as f:
                quota, *period = f.read().split()
            if period_file:
                with open(period_file) as f:
                    period = f.read().split()
            if quota != "max" and int(quota) > 0:
                return max(1, math.ceil(int(quota) / int(period[0])))
        except (OSError, ValueError, IndexError):
            continue
    return math.inf


def get_num_threads() -> int:
    """Return the maximum number of threads for calls without num_threads.

    The default is the number of processors available to the process (CPU affinity) or, if smaller, OMP_NUM_THREADS,
    limited by the CPU quota of the container. A call uses fewer threads if its work is too small to divide. With OpenMP
    (``lstm_fast.info()["threads"]``) it is always 1 in a child process created by fork.

    Returns
    -------
    int
        Number of threads.

    See Also
    --------
    set_num_threads : For the whole process.
    num_threads : For a block of code.
    """
    global _process
    if _is_forked_child:
        return 1
    scoped = _scoped.get()
    if scoped is not None:
        return scoped
    if _process is None:
        _process = int(min(_core.max_threads(), container_limit(), MOST_THREADS))
    return _process


def set_num_threads(n: int) -> None:
    """Set the maximum number of threads for the whole process.

    Parameters
    ----------
    n : int
        At least 1; values over 256 are clamped.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> before = lf.get_num_threads()
    >>> lf.set_num_threads(1)
    >>> lf.get_num_threads()
    1
    >>> lf.set_num_threads(before)
    """
    global _process
    _process = min(positive_integer("n", n, most=math.inf), MOST_THREADS)


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Set the maximum number of threads within a ``with`` block, only for this Python thread.

    Parameters
    ----------
    n : int
        At least 1; values over 256 are clamped.

    Yields
    ------
    None
        Nothing.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> with lf.num_threads(1):
    ...     lf.get_num_threads()
    1
    """
    token = _scoped.set(min(positive_integer("n", n, most=math.inf), MOST_THREADS))
    try:
        yield
    finally:
        _scoped.reset(token)


def resolve(value: int | None) -> int:
    """Convert the num_threads argument of a call to a number."""
    return (
        get_num_threads() if value is None else min(positive_integer("num_threads", value, most=math.inf), MOST_THREADS)
    )
