"""How many threads a call may use: num_threads= of the call, the innermost `with num_threads(n)`, the process setting."""

import math
import os
from contextlib import contextmanager
from contextvars import ContextVar

from . import _core
from ._arguments import positive_integer

MOST_THREADS = 1024  # larger values are clamped

_scoped = ContextVar("lstm_fast_num_threads", default=None)
_process = None  # of set_num_threads, or the default once it was asked for
_is_forked_child = False


def _in_child():
    global _is_forked_child
    _is_forked_child = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _container_limit():
    """Processors that the control group (v2, v1) grants, rounded up; no limit: infinity."""
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


def get_num_threads():
    """Threads that a call uses at most when it names no number.

    Unless set: the smallest of OMP_NUM_THREADS, the processors that this process may run on and the limit of the container.
    A call uses fewer where the work is too small to share. In a child made by fork it is always 1.
    """
    global _process
    if _is_forked_child:
        return 1
    scoped = _scoped.get()
    if scoped is not None:
        return scoped
    if _process is None:
        _process = int(min(_core.max_threads(), _container_limit(), MOST_THREADS))
    return _process


def set_num_threads(n):
    """Sets the number of threads for the whole process."""
    global _process
    _process = min(positive_integer("n", n, most=math.inf), MOST_THREADS)


@contextmanager
def num_threads(n):
    """Within the block, and in this Python thread alone, calls use at most n threads."""
    token = _scoped.set(min(positive_integer("n", n, most=math.inf), MOST_THREADS))
    try:
        yield
    finally:
        _scoped.reset(token)


def resolve(value):
    """The num_threads= argument of a call as a number."""
    return (
        get_num_threads() if value is None else min(positive_integer("num_threads", value, most=math.inf), MOST_THREADS)
    )
