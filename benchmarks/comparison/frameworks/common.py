"""Shared by the framework modules: jobs, gate orders."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

PARAMETERS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


class Job(NamedTuple):
    """One way to run a shape.

    run() is timed. read() is called before any run and returns NumPy results for the check: output (for steps: of each
    step of x in order, from zero states) and, in training, d_x and d_weight_hh.
    """

    run: Callable[[], Any]
    read: Callable[[], dict[str, Any]]


class Unsupported(Exception):
    """The framework does not support something, which the message names."""


def layer_names(layer):
    """The names of a layer's parameters in the data; those of the first have no number."""
    return [f"{name}_l{layer}" if layer else name for name in PARAMETERS]


def layers(data):
    """The parameters of each layer, a dict with the names of the first layer's."""
    found = []
    while (names := layer_names(len(found)))[0] in data:
        found.append({name: data[full] for name, full in zip(PARAMETERS, names, strict=True)})
    return found


def single_layer(data):
    """Raise Unsupported if the data are of several layers."""
    if len(layers(data)) > 1:
        raise Unsupported("not compared with several layers")


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
