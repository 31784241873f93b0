"""What the network of a fitted estimator reads: scaled inputs, and names for their features and sequences."""

from typing import NamedTuple

import numpy as np

from ..modules import LSTM


class NetworkInput(NamedTuple):
    """Inputs of an estimator's network, as returned by `network_input`.

    Attributes
    ----------
    lstm : LSTM
        The network, whose input these are.
    x : ndarray of shape (N, T, F)
        Scaled inputs.
    lengths : ndarray of int of shape (N,), or None
        Length of each sequence; None if all have T steps.
    features : list of str, or None
        Name of each of the F features, if they have names.
    names : list of str, or None
        Name of each of the N sequences, if they have names.
    text : str
        What the steps are.
    """

    lstm: LSTM
    x: np.ndarray
    lengths: np.ndarray | None
    features: list[str] | None
    names: list[str] | None
    text: str


def numbered(name: str, n: int) -> list[str]:
    """Return the names of n columns that have none."""
    return [name] if n == 1 else [f"{name} {k + 1}" for k in range(n)]
