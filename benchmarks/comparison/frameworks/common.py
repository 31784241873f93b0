"""Shared by the framework modules: jobs, gate orders."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Job(NamedTuple):
    """One way to run a shape.

    run() is timed. read() is called before any run and returns NumPy results for the check: output (for steps: of each
    step of x in order, from zero states) and, in training, d_x and d_weight_hh.
    """

    run: Callable[[], Any]
    read: Callable[[], dict[str, Any]]


class Unsupported(Exception):
    """The framework does not support something, which the message names."""


def gates(array, order):
    """The rows of the four gates i, f, g, o in another order."""
    blocks = dict(zip("ifgo", np.split(array, 4)))
    return np.ascontiguousarray(np.concatenate([blocks[gate] for gate in order]))


def step_job(x, to_native, step, to_numpy):
    """A Job of single steps: step(x_t), with x_t in the framework's own type, carries the state itself."""
    natives = [to_native(x_t) for x_t in x]
    first = natives[0]
    return Job(
        lambda: step(first),
        lambda: {"output": np.stack([np.array(to_numpy(step(x_t))).reshape(x.shape[1], -1) for x_t in natives])},
    )
