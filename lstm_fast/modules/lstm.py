"""LSTM: layers and directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from .._lstm import LSTMNetwork, Trace, trace
from .._options import Setting
from .._recurrent import Recurrent
from .._variants import zoneout_of_lstm
from ..quantized import QuantizedLSTM

if TYPE_CHECKING:
    from .._parameters import Gradients
    from .._tape import Tape
    from .._types import Activation, Array, ArrayLike, DTypeLike, Seed, State, StateLike


class LSTM(LSTMNetwork, Recurrent):
    """Long short-term memory network, with PyTorch's names, shapes and semantics.

    Calling the network, ``lstm(x)``, is inference and keeps nothing. Training uses `forward`, which also returns a
    tape, and `backward`::

        output, (h_n, c_n) = lstm(x)                            # inference; x (T, B, input_size)
        output, (h_n, c_n), tape = lstm.forward(x)              # training
        gradients = lstm.backward(tape, d_output)               # gradients["weight_ih_l0"], gradients.d_x, ...

    At every step each unit computes from its input x and its previous output h_prev::

        i, f, o = sigmoid(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)      input, forget, output gate: own rows of W, b
        g       = tanh   (x W_ih^T + b_ih + h_prev W_hh^T + b_hh)      cell candidate
        c       = f * c_prev + i * g                                   long-term memory
        h       = o * tanh(c)                                          short-term memory, the output

    Parameters
    ----------
    input_size : int
        I, the numbers of x at each step.
    hidden_size : int
        H, the number of units of each layer and direction.
    num_layers : int, default 1
        L; each layer reads the outputs of the one before.
    bias : bool, default True
        Whether there are bias_ih and bias_hh.
    batch_first : bool, default False
        Sequences are (B, T, n) instead of (T, B, n); states never are.
    dropout : float, default 0.0
        In training, the share of the outputs of each layer but the last that are set to zero; the others are divided by
        1 - dropout.
    bidirectional : bool, default False
        A second direction reads each sequence from its end. Outputs are concatenated, forward direction first.
    proj_size : int, default 0
        P, with 0 for none: ``h = (o * tanh(c)) W_hr^T``, as in PyTorch. Outputs and h have P numbers instead of H.
    dtype : {float32, float64}, default float32
        Type of parameters and results.
    seed : int, optional
        Of the initial parameters, uniform within ``hidden_size ** -0.5`` as in PyTorch, and of the masks of dropout and
        zoneout.

    Other Parameters
    ----------------
    forget_bias : float, optional
        Initial value of the bias of every forget gate (bias_ih; bias_hh is then 0), instead of a uniform one.
    peepholes : bool, default False
        Gates see the cell state: ``p_i * c_prev`` is added to the argument of i, ``p_f * c_prev`` to that of f and
        ``p_o * c``, of the new state, to that of o (weight_peephole; Gers and Schmidhuber 2000, ONNX).
    layer_norm : bool, default False
        Normalise both products over all 4H numbers and c over H: ``norm(x W_ih^T) * norm_ih_weight``,
        ``norm(h_prev W_hh^T) * norm_hh_weight`` and ``tanh(norm(c) * norm_c_weight + norm_c_bias)``, with 1e-5 added to
        the variance (Ba et al. 2016, in the form of haste).
    coupled_gates : bool, default False
        The forget gate is f = 1 - i (ONNX's input_forget). The rows of f stay in the parameters, without effect or gradient.
    cell_clip : float, optional
        Clip c to [-cell_clip, cell_clip] (TensorFlow, cuDNN).
    gate_clip : float, optional
        Clip the arguments of the activations of i, f, g and o to [-gate_clip, gate_clip] (ONNX's clip).
    activation : str or tuple, default "tanh"
        Activation of g: a name, or (name, alpha) or (name, alpha, beta). Names are ONNX's in lower case: tanh, sigmoid,
        relu, affine, leaky_relu, thresholded_relu, scaled_tanh, hard_sigmoid, elu, softsign, softplus;
        `lstm_fast.reference` has the formulas.
    recurrent_activation : str or tuple, default "sigmoid"
        Activation of i, f and o.
    cell_activation : str or tuple, default "tanh"
        Activation of c in h = o * tanh(c).
    recurrent_dropout : float, default 0.0
        In training, the share of h_prev that is set to zero before the product with W_hh, the same numbers at every
        step; the others are divided by 1 - recurrent_dropout, as in Keras.
    zoneout : float or (float, float), default 0.0
        In training, the share of h and of c that keeps its previous value at each step (Krueger et al. 2017); a pair:
        of h, of c. h is computed from c before its zoneout. In inference zoneout does nothing.
    learn_initial_state : bool, default False
        The initial state is a parameter: of sequences that are given none, and after resets.

    See Also
    --------
    RNN : A plain recurrent network.
    LSTMCell : One step.
    lstm_forward : The function for one layer with explicit weights.

    Notes
    -----
    Parameters of layer k: weight_ih_l{k} (4H, I), weight_hh_l{k} (4H, R), bias_ih_l{k}, bias_hh_l{k} (4H), and
    depending on the options weight_hr_l{k} (P, H), weight_peephole_l{k} (3H: i, f, o), norm_ih_weight_l{k},
    norm_hh_weight_l{k} (4H), norm_c_weight_l{k}, norm_c_bias_l{k} (H), h_0_l{k} (R), c_0_l{k} (H), each with _reverse
    for the second direction. Rows of gates are in the order i, f, g, o; R is P with a projection, else H. Norm weights
    start at 1, norm_c_bias and the initial state at 0, all others uniform.

    All options can be combined, except forget_bias with coupled_gates, whose forget gate has no bias. Options are
    read-only attributes; batch_first, dropout, recurrent_dropout and zoneout can be set.

    Results and gradients have the same bits for any number of threads, any split of the batch (each sequence alone
    gives the same) and any split of a sequence into calls. Python threads may share one object: if its weights are
    changed meanwhile, a call uses the old ones or the new ones, never a mixture.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(input_size=3, hidden_size=16, seed=0)
    >>> x = np.random.default_rng(0).standard_normal((100, 32, 3), np.float32)
    >>> output, (h_n, c_n) = lstm(x)
    >>> output.shape, h_n.shape, c_n.shape
    ((100, 32, 16), (1, 32, 16), (1, 32, 16))
    """

    zoneout = Setting[float | tuple[float, float]]("Zoneout of h, or (of h, of c), in training.", zoneout_of_lstm, 0.0)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: DTypeLike = np.float32,
        seed: Seed = None,
        forget_bias: float | None = None,
        peepholes: bool = False,
        layer_norm: bool = False,
        coupled_gates: bool = False,
        cell_clip: float | None = None,
        gate_clip: float | None = None,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        cell_activation: Activation = "tanh",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        learn_initial_state: bool = False,
    ) -> None:
        self._set_up(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            dtype=dtype,
            seed=seed,
            forget_bias=forget_bias,
            peepholes=peepholes,
            layer_norm=layer_norm,
            coupled_gates=coupled_gates,
            cell_clip=cell_clip,
            gate_clip=gate_clip,
            activation=activation,
            recurrent_activation=recurrent_activation,
            cell_activation=cell_activation,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            learn_initial_state=learn_initial_state,
        )

    def __call__(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, State]:
        """Inference: runs sequences and keeps nothing for backward; dropout and zoneout are off.

        For training call `forward`; in PyTorch's modules both are one.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            (B, T, input_size) with batch_first; (T, input_size) for one sequence without a batch axis. Any real dtype
            and any strides; converted to the dtype of the network. T and B may be 0.
        state : (h_0, c_0), optional
            Initial state, each of shape (num_layers * D, B, H), never batch-first, or (num_layers * D, H) without a
            batch axis; of h with a projection P for H. None, for both or one of them, is the learned initial state, or
            zero.
        lengths : array_like of int of shape (B,), optional
            Steps of each sequence, from 0 to T, in any order; None: all T. Padding past them is neither read nor
            computed, and zero in the output. The last state of a sequence is that after its last step, and the reverse
            direction begins there.
        resets : array_like of bool of shape (T, B), optional
            True where a new sequence begins: before that step the state becomes the learned initial state, or zero. In
            the layout of x: (B, T) with batch_first, (T,) without a batch axis. The reverse direction is reset after
            that step.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`. The bits of the results do not depend on it.

        Returns
        -------
        output : ndarray of shape (T, B, D * R)
            h of the last layer at every step, in the layout of x; R = proj_size or H.
        state : (h_n, c_n)
            Last state, in the form of the initial state.

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.

        Examples
        --------
        >>> import numpy as np
        >>> import lstm_fast as lf
        >>> lstm = lf.LSTM(3, 16, seed=0)
        >>> output, (h_n, c_n) = lstm(np.ones((5, 2, 3)), lengths=[5, 2])
        >>> bool((output[2:, 1] == 0).all())
        True
        """
        return self._infer(x, state, lengths, resets, num_threads)

    def forward(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        recompute_gates: bool = False,
        rng: np.random.Generator | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, State, Tape]:
        """Training: runs sequences and returns a tape for `backward` as well.

        For inference call the network itself, ``lstm(x)``, which is faster.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As in a plain call. Do not change it before `backward`: the tape does not copy it.
        state : (h_0, c_0), optional
            As in a plain call.
        lengths : array_like of int of shape (B,), optional
            As in a plain call.
        resets : array_like of bool of shape (T, B), optional
            As in a plain call.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on.
        recompute_gates : bool, default False
            Keep only h and c, a third of the memory; `backward` recomputes the gates chunk by chunk, with the same
            bits. A training step takes a fifth to a third longer.
        rng : numpy.random.Generator, optional
            Source of the masks of dropout and zoneout; None: the network's own, from its seed.
        num_threads : int, optional
            As in a plain call.

        Returns
        -------
        output : ndarray of shape (T, B, D * R)
            As of a plain call.
        state : (h_n, c_n)
            As of a plain call.
        tape : Tape
            What `backward` needs.

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.

        Examples
        --------
        >>> import numpy as np
        >>> import lstm_fast as lf
        >>> lstm = lf.LSTM(3, 16, seed=0)
        >>> output, (h_n, c_n), tape = lstm.forward(np.ones((5, 2, 3)))
        >>> gradients = lstm.backward(tape, d_output=np.ones_like(output))
        >>> gradients["weight_hh_l0"].shape, gradients.d_x.shape
        ((64, 16), (5, 2, 3))
        """
        return self._forward(x, state, lengths, resets, training, recompute_gates, rng, num_threads)

    def backward(
        self,
        tape: Tape,
        d_output: ArrayLike | None,
        d_state: StateLike | None = None,
        *,
        compute_d_x: bool = True,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Backpropagation through time.

        Parameters
        ----------
        tape : Tape
            From `forward`, with the parameters that it ran with. It can be used again.
        d_output : array_like of the shape of output, or None
            Gradient of the loss with respect to output; None: zero. Padding is not read, and d_x is zero there.
        d_state : (d_h_n, d_c_n), optional
            Gradients of the loss with respect to the last state, in its form; None, for both or one of them: zero.
        compute_d_x : bool, default True
            Whether to compute d_x. Without it a training step is 5 to 15 % shorter.
        record_norms : bool, default False
            Measure how far gradients reach: d_h_norms and d_c_norms of the result are then float64 arrays
            (num_layers, D, T, B), in the order of time. They are the norms of the gradients with respect to h after
            each step, including its share of d_output, and with respect to c as later steps propagate it back.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`.

        Returns
        -------
        Gradients
            A mapping from parameter names to arrays, all in one buffer, `flat`; d_x, d_h_0, d_c_0 are attributes.

        Raises
        ------
        TypeError
            If the tape is not of this network.
        ValueError
            For a shape that does not fit; the message names the argument.
        """
        return self._backward(tape, d_output, d_state, compute_d_x, record_norms, num_threads)

    def trace(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Trace:
        """Gates, cell state and output of every step of a call for inference.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As in a plain call; without a batch axis B is 1.
        state : (h_0, c_0), optional
            As in a plain call.
        lengths : array_like of int of shape (B,), optional
            As in a plain call.
        resets : array_like of bool of shape (T, B), optional
            As in a plain call.
        num_threads : int, optional
            As in a plain call.

        Returns
        -------
        Trace
            Arrays i, f, g, o, c of shape (num_layers, D, T, B, H) and h, with R for H, whatever batch_first is. Steps
            are in the order of time in both directions, and zero in the padding.

        Examples
        --------
        >>> import numpy as np
        >>> import lstm_fast as lf
        >>> trace = lf.LSTM(3, 16, seed=0).trace(np.ones((5, 2, 3)))
        >>> trace.f.shape
        (1, 1, 5, 2, 16)
        """
        return trace(self, x, state, lengths, resets, num_threads)

    def quantized(self, format: Literal["float16"] = "float16") -> QuantizedLSTM:
        """Inference-only copy with fewer bytes per weight.

        Parameters
        ----------
        format : {"float16"}
            Format of the weights; `QuantizedLSTM` says what it costs and gains.

        Returns
        -------
        QuantizedLSTM

        Raises
        ------
        ValueError
            If the dtype is not float32, or a parameter cannot be stored in this format.

        Examples
        --------
        >>> import lstm_fast as lf
        >>> lf.LSTM(3, 16, seed=0).quantized("float16")
        QuantizedLSTM(3, 16)  # weights of float16
        """
        return QuantizedLSTM(self, format)
