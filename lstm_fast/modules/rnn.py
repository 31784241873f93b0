"""RNN: the plain recurrent network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._options import Fixed
from .._recurrent import Recurrent
from .._variants import nonlinearity as _nonlinearity

if TYPE_CHECKING:
    from .._parameters import Gradients
    from .._tape import Tape
    from .._types import Array, ArrayLike, DTypeLike, Nonlinearity, Seed


class RNN(Recurrent):
    """Plain recurrent network, with PyTorch's names, shapes and semantics.

    At every step ``h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)``. Calling it, ``rnn(x)``, is inference;
    training uses `forward` and `backward`, as with LSTM. The state is h alone::

        output, h_n = rnn(x)

    Parameters
    ----------
    input_size : int
        I, the numbers of x at each step.
    hidden_size : int
        H, the number of units of each layer and direction.
    num_layers : int, default 1
        L; each layer reads the outputs of the one before.
    nonlinearity : {"tanh", "relu", "identity"}, default "tanh"
        Activation of h.
    bias : bool, default True
        Whether there are bias_ih and bias_hh.
    batch_first : bool, default False
        Sequences are (B, T, n) instead of (T, B, n); states never are.
    dropout : float, default 0.0
        In training, the share of the outputs of each layer but the last that are set to zero.
    bidirectional : bool, default False
        A second direction reads each sequence from its end.
    dtype : {float32, float64}, default float32
        Type of parameters and results.
    seed : int, optional
        Of the initial parameters and of the masks of dropout and zoneout.

    Other Parameters
    ----------------
    recurrent_dropout : float, default 0.0
        As of LSTM.
    zoneout : float, default 0.0
        As of LSTM, of h.
    learn_initial_state : bool, default False
        As of LSTM.

    See Also
    --------
    LSTM : The same with a long-term memory.
    rnn_forward : The function for one layer with explicit weights.

    Notes
    -----
    Parameters of layer k: weight_ih_l{k} (H, I), weight_hh_l{k} (H, H), bias_ih_l{k}, bias_hh_l{k} (H), h_0_l{k} (H),
    each with _reverse for the second direction.

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

    nonlinearity = Fixed[str]("Activation of h: tanh, relu or identity.", _nonlinearity, "tanh")

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
        """Inference: runs sequences and keeps nothing for backward; dropout and zoneout are off.

        For training call `forward`.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As of LSTM.
        state : array_like of shape (num_layers * D, B, H), optional
            Initial h; None is the learned one, or zero.
        lengths : array_like of int of shape (B,), optional
            Steps of each sequence, as of LSTM.
        resets : array_like of bool of shape (T, B), optional
            True where a new sequence begins, as of LSTM.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`.

        Returns
        -------
        output : ndarray of shape (T, B, D * H)
            h of the last layer at every step, in the layout of x.
        h_n : ndarray of shape (num_layers * D, B, H)
            Last h.

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.
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
        """Training: runs sequences and returns a tape for `backward` as well.

        For inference call the network itself, ``rnn(x)``, which is faster.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As of LSTM. Do not change it before `backward`.
        state : array_like of shape (num_layers * D, B, H), optional
            Initial h; None is the learned one, or zero.
        lengths : array_like of int of shape (B,), optional
            Steps of each sequence, as of LSTM.
        resets : array_like of bool of shape (T, B), optional
            True where a new sequence begins, as of LSTM.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on.
        recompute_gates : bool, default False
            Accepted as that of LSTM; the tape of a plain RNN is small in any case.
        rng : numpy.random.Generator, optional
            Source of the masks of dropout and zoneout; None: the network's own, from its seed.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`.

        Returns
        -------
        output : ndarray of shape (T, B, D * H)
            As of a plain call.
        h_n : ndarray of shape (num_layers * D, B, H)
            As of a plain call.
        tape : Tape
            What `backward` needs.
        """
        return self._forward(x, state, lengths, resets, training, recompute_gates, rng, num_threads)

    def backward(
        self,
        tape: Tape,
        d_output: ArrayLike | None,
        d_state: ArrayLike | None = None,
        *,
        compute_d_x: bool = True,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Backpropagation through time.

        Parameters
        ----------
        tape : Tape
            From `forward`. It can be used again.
        d_output : array_like of the shape of output, or None
            Gradient of the loss with respect to output; None: zero.
        d_state : array_like of shape (num_layers * D, B, H), optional
            Gradient of the loss with respect to h_n; None: zero.
        compute_d_x : bool, default True
            Whether to compute d_x.
        record_norms : bool, default False
            Whether to measure d_h_norms, as of LSTM.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`.

        Returns
        -------
        Gradients
            A mapping from parameter names to arrays; d_x and d_h_0 are attributes.
        """
        return self._backward(tape, d_output, d_state, compute_d_x, record_norms, num_threads)
