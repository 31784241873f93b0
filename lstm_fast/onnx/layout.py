"""Orders of gates and names of activations, both ways.

ONNX       W (D, 4H, I), R (D, 4H, H) rows i, o, f, g;  B (D, 8H) = that of W, that of R;  P (D, 3H) i, o, f
lstm_fast  weight_ih (4H, I), weight_hh (4H, H), bias_ih, bias_hh (4H) rows i, f, g, o;  weight_peephole (3H) i, f, o
"""

import numpy as np

FROM_ONNX = {4: (0, 2, 3, 1), 3: (0, 2, 1), 1: (0,)}  # by number of gates: the place in ONNX of each of ours
TO_ONNX = {n: tuple(int(k) for k in np.argsort(places)) for n, places in FROM_ONNX.items()}

# Ours to ONNX's; ONNX Runtime takes any case, and so do we.
ACTIVATIONS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
FROM_ACTIVATION = {theirs.lower(): ours for ours, theirs in ACTIVATIONS.items()}


def rows(array, n_gates, order):
    """The array with its first axis, n_gates blocks of H rows, in this order."""
    blocks = array.reshape(n_gates, len(array) // n_gates, *array.shape[1:])
    return blocks[list(order)].reshape(array.shape)
