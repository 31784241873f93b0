"""RNN: the plain recurrent network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._options import Fixed
from .._recurrent import Recurrent
from .._variants import nonlinearity as _nonlinearity

if TYPE_CHECKING:
    from .._parameter_arrays import Gradients
    from .._tape import Tape
    from .._types import Array, ArrayLike, DTypeLike, Nonlinearity, Seed


class RNN(Recurrent):
    """Plain recurrent network, with PyTorch's names, shapes and semantics.

    Calling the network, ``rnn(x)``, is inference; training uses `forward` and `backward`, as for LSTM. The state is
    only h::

        output, h_n = rnn(x)                          # h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)

    Parameters
    ----------
    input_size : int
        Number of input features, I.
    hidden_size : int
        Number of units of each layer and direction, H.
    num_layers : int, default 1
        Number of stacked layers, L; each reads the output of the previous one.
    nonlinearity : {"tanh", "relu", "identity"}, default "tanh"
        Activation of h.
    bias : bool, default True
        Whether the cell has biases.
    batch_first : bool, default False
        Sequences have shape (B, T, n) instead of (T, B, n). The shape of the states does not change.
    dropout : float, default 0.0
        Probability of dropout on the output of each layer except the last, in training.
    bidirectional : bool, default False
        A second direction processes each sequence in reverse.
    dtype : {float32, float64}, default float32
        Type of parameters and results.
    seed : int, optional
        Seed of the initial parameters and of the masks of dropout and zoneout.

    Other Parameters
    ----------------
    recurrent_dropout : float, default 0.0
        As for LSTM.
    zoneout : float, default 0.0
        As for LSTM, of h.
    learn_initial_state : bool, default False
        As for LSTM.
    index_input : bool, default False
        As for LSTM: x holds symbols, integers of shape (T, B).

    See Also
    --------
    LSTM : Network with a cell state, the usual choice.
    rnn_forward : The function for one layer with explicit weights.

    Notes
    -----
    Parameters of layer k: weight_ih_l{k} (H, I), weight_hh_l{k} (H, H), bias_ih_l{k}, bias_hh_l{k} (H), h_0_l{k} (H);
    those of the reverse direction end in _reverse.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> rnn = lf.RNN(3, 16, nonlinearity="relu", seed=0)
    >>> output, h_n = rnn(np.ones((5, 2, 3)))
    >>> output.shape, h_n.shape
    ((5, 2, 16), (1, 2, 16))
    """

    _n_gates = 1
    _has_c = False

    nonlinearity = Fixed("Activation of h: tanh, relu or identity.", _nonlinearity, "tanh")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        seed: Seed = None,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        learn_initial_state: bool = False,
        index_input: bool = False,
    ) -> None:
        self._set_up(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dtype=dtype,
            seed=seed,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            learn_initial_state=learn_initial_state,
            index_input=index_input,
        )

    def _cell_name(self) -> str:
        return self.nonlinearity

    def __call__(
        self,
        x: ArrayLike,
        state: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, Array]:
        """Run the network for inference: without dropout and zoneout, keeping nothing for `backward`.

        Use `forward` for training.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As for LSTM.
        state : array_like of shape (num_layers * D, B, H), optional
            Initial h; None: the learned one, or zero.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence, as for LSTM.
        resets : array_like of bool of shape (T, B), optional
            True at the first step of a new episode, as for LSTM.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        output : ndarray of shape (T, B, D * H)
            h of the last layer at every step, with the axes of x.
        h_n : ndarray of shape (num_layers * D, B, H)
            Last h.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        return self._infer(x, state, lengths, resets, num_threads)

    def forward(
        self,
        x: ArrayLike,
        state: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        recompute_gates: bool = False,
        rng: np.random.Generator | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, Array, Tape]:
        """Run the network for training: returns a tape for `backward` as well.

        For inference call the network itself, ``rnn(x)``, which is faster.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As for LSTM. Do not modify it before `backward`.
        state : array_like of shape (num_layers * D, B, H), optional
            Initial h; None: the learned one, or zero.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence, as for LSTM.
        resets : array_like of bool of shape (T, B), optional
            True at the first step of a new episode, as for LSTM.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on.
        recompute_gates : bool, default False
            As for LSTM; it saves no memory, because the tape of a plain RNN holds only h.
        rng : numpy.random.Generator, optional
            Generator for the dropout and zoneout masks; None means the generator of the network.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        output : ndarray of shape (T, B, D * H)
            As from a plain call.
        h_n : ndarray of shape (num_layers * D, B, H)
            As from a plain call.
        tape : Tape
            Input of `backward`.
        """
        return self._forward(x, state, lengths, resets, training, recompute_gates, rng, num_threads)

    def backward(
        self,
        tape: Tape,
        d_output: ArrayLike | None,
        d_state: ArrayLike | None = None,
        *,
        compute_d_x: bool | None = None,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Backpropagate through time.

        Parameters
        ----------
        tape : Tape
            From `forward`. It can be used again.
        d_output : array_like of the shape of output, or None
            Gradient of the loss with respect to output; None: zero.
        d_state : array_like of shape (num_layers * D, B, H), optional
            Gradient of the loss with respect to h_n; None: zero.
        compute_d_x : bool, optional
            Whether to compute d_x; None: unless x are symbols.
        record_norms : bool, default False
            Whether to record d_h_norms, as for LSTM.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        Gradients
            Mapping from parameter names to arrays; d_x and d_h_0 are attributes.
        """
        return self._backward(tape, d_output, d_state, compute_d_x, record_norms, num_threads)
