"""What the framework modules share."""

from collections import namedtuple

import numpy as np

Job = namedtuple("Job", "run read")
Job.__doc__ = """run(): what is timed. read(), called before any run: dict of NumPy results for the check: output (step: of
every step of x, in order, from zero states) and, in training, d_x and d_weight_hh."""


class Unsupported(Exception):
    """This framework cannot do that; the message says what."""


def gates(array, order):
    """Rows of the four gates, i f g o, in another order."""
    blocks = dict(zip("ifgo", np.split(array, 4)))
    return np.ascontiguousarray(np.concatenate([blocks[gate] for gate in order]))


def step_job(x, to_native, step, to_numpy):
    """A Job of single steps: step(native x_t) carries the state itself. x_t is handed over in the framework's own type."""
    natives = [to_native(x_t) for x_t in x]
    first = natives[0]
    return Job(
        lambda: step(first),
        lambda: {"output": np.stack([np.array(to_numpy(step(x_t))).reshape(x.shape[1], -1) for x_t in natives])},
    )
