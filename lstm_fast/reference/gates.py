"""The gates in the order in which weights, biases and pre-activations stack them: PyTorch's i, f, g, o.

Other formats order their gates differently (Keras i, f, c, o; ONNX i, o, f, c; OpenVINO f, i, c, o, where c is our g);
they are converted when a model is imported or exported. Code that needs a gate's rows takes them from here.
"""

from ._types import Array

GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}


def gate_rows(gate: str, hidden_size: int) -> slice:
    """Return the rows of one gate in weight_ih (4H,I), weight_hh (4H,R), bias_ih (4H,) and bias_hh (4H,).

    Parameters
    ----------
    gate : {"i", "f", "g", "o"}
        A key of GATES.
    hidden_size : int
        H, the number of hidden units.

    Returns
    -------
    slice
        The H rows that belong to the gate.

    Examples
    --------
    Start with open forget gates, as Jozefowicz et al. (2015) recommend:

    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> bias_ih = np.zeros(4 * 3)
    >>> bias_ih[reference.gate_rows("f", 3)] = 1
    >>> bias_ih
    array([0., 0., 0., 1., 1., 1., 0., 0., 0., 0., 0., 0.])
    """
    k = list(GATES).index(gate)
    return slice(k * hidden_size, (k + 1) * hidden_size)


def split_gates(stacked: Array) -> tuple[Array, Array, Array, Array]:
    """Return views of the parts i, f, g, o of an array whose last axis has length 4H."""
    i, f, g, o = (stacked[..., gate_rows(gate, stacked.shape[-1] // len(GATES))] for gate in GATES)
    return i, f, g, o
