from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._network import Tape

class LSTMGradients(NamedTuple):
    d_x: np.ndarray
    d_h_0: np.ndarray
    d_c_0: np.ndarray
    d_weight_ih: np.ndarray
    d_weight_hh: np.ndarray
    d_bias_ih: np.ndarray | None
    d_bias_hh: np.ndarray | None

class RNNGradients(NamedTuple):
    d_x: np.ndarray
    d_h_0: np.ndarray
    d_weight_ih: np.ndarray
    d_weight_hh: np.ndarray
    d_bias_ih: np.ndarray | None
    d_bias_hh: np.ndarray | None

def lstm_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    lengths: ArrayLike | None = None,
    *,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Tape]: ...
def lstm_backward(
    tape: Tape,
    d_output: ArrayLike | None,
    d_h_n: ArrayLike | None = None,
    d_c_n: ArrayLike | None = None,
    *,
    num_threads: int | None = None,
) -> LSTMGradients: ...
def rnn_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    nonlinearity: str = "tanh",
    lengths: ArrayLike | None = None,
    *,
    num_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, Tape]: ...
def rnn_backward(
    tape: Tape, d_output: ArrayLike | None, d_h_n: ArrayLike | None = None, *, num_threads: int | None = None
) -> RNNGradients: ...
