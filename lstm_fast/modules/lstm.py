"""LSTM: layers and directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .trainable_lstm import TrainableLSTM

if TYPE_CHECKING:
    from .._types import Activation, Array, ArrayLike, ComputeDType, DTypeLike, Seed, State, StateLike


class LSTM(TrainableLSTM):
    """Long short-term memory network, with PyTorch's names, shapes and semantics.

    Calling the network, ``lstm(x)``, is inference and stores nothing for backward. Training uses `forward`, which also
    returns a tape, and `backward`::

        output, (h_n, c_n) = lstm(x)                    # inference; x has shape (T, B, input_size)
        output, (h_n, c_n), tape = lstm.forward(x)      # training
        gradients = lstm.backward(tape, d_output)       # gradients["weight_ih_l0"], gradients.d_x, ...

    Every unit computes at every step::

        i = sigmoid(pre_i)         input gate
        f = sigmoid(pre_f)         forget gate
        g = tanh(pre_g)            cell candidate
        o = sigmoid(pre_o)         output gate
        c = f * c_prev + i * g     cell state, the long-term memory
        h = o * tanh(c)            hidden state, the short-term memory

    where pre_i, pre_f, pre_g and pre_o are the four slices of ``pre = x W_ih^T + b_ih + h_prev W_hh^T + b_hh``.

    Parameters
    ----------
    input_size : int
        Number of input features, I.
    hidden_size : int
        Number of units of each layer and direction, H.
    num_layers : int, default 1
        Number of stacked layers, L; each reads the output of the previous one.
    bias : bool, default True
        Whether the cell has biases.
    batch_first : bool, default False
        Sequences have shape (B, T, n) instead of (T, B, n). The shape of the states does not change.
    dropout : float, default 0.0
        Probability of dropout on the output of each layer except the last, in training.
    bidirectional : bool, default False
        A second direction processes each sequence in reverse. Outputs are concatenated, forward direction first.
    proj_size : int, default 0
        Size P of a projection of the hidden state, ``h = (o * tanh(c)) W_hr^T``, as in PyTorch; 0 for none.
    dtype : {float32, float64}, default float32
        Type of parameters and results.
    compute_dtype : {None, "bfloat16", "bfloat16_amx"}, default None
        Format to which the operands of matrix products are rounded, in training and inference; None: dtype. Requires
        dtype float32. "bfloat16_amx" is bfloat16 with the order of sums that is fast on Intel processors with AMX. See
        Notes.
    seed : int, optional
        Seed of the initial parameters, uniform within ``hidden_size ** -0.5`` as in PyTorch, and of the masks of
        dropout and zoneout.

    Other Parameters
    ----------------
    forget_bias : float, optional
        Initial bias of the forget gates (bias_ih; bias_hh is then 0), instead of uniform random values.
    peepholes : bool, default False
        Peephole connections: ``p_i * c_prev`` is added to the pre-activation of i, ``p_f * c_prev`` to that of f, and
        ``p_o * c``, with the new cell state, to that of o (Gers and Schmidhuber 2000, ONNX).
    layer_norm : bool, default False
        Layer normalization of both products over all 4H values and of c over H: ``norm(x W_ih^T) * norm_ih_weight``,
        ``norm(h_prev W_hh^T) * norm_hh_weight`` and ``tanh(norm(c) * norm_c_weight + norm_c_bias)``, with epsilon 1e-5
        (Ba et al. 2016, in the form of haste).
    coupled_gates : bool, default False
        Coupled input and forget gates, f = 1 - i (ONNX's input_forget). The rows of f remain in the parameters, without
        effect or gradient.
    cell_clip : float, optional
        Clip c to [-cell_clip, cell_clip] (TensorFlow, cuDNN).
    gate_clip : float, optional
        Clip the pre-activations of i, f, g and o to [-gate_clip, gate_clip] (ONNX's clip).
    activation : str or tuple, default "tanh"
        Activation of g: a name, (name, alpha) or (name, alpha, beta). The names are ONNX's in lower case: tanh,
        sigmoid, relu, affine, leaky_relu, thresholded_relu, scaled_tanh, hard_sigmoid, elu, softsign, softplus.
    recurrent_activation : str or tuple, default "sigmoid"
        Activation of i, f and o.
    cell_activation : str or tuple, default "tanh"
        Activation of c in ``h = o * tanh(c)``.
    recurrent_dropout : float, default 0.0
        Probability of dropout on h_prev in the product with W_hh, with one mask for all steps, in training (as in
        Keras).
    zoneout : float or (float, float), default 0.0
        Probability that h and c keep their previous value at a step, in training (Krueger et al. 2017); a pair sets
        those of h and c separately. h is computed from c before zoneout. Inference does not scale by the expectation.
    learn_initial_state : bool, default False
        Whether the initial state is a parameter, used where no state is given, and after resets.
    index_input : bool, default False
        Whether x holds symbols, one integer from 0 to input_size - 1 per step: (T, B), or (T,) without batch axis. A
        symbol gives the same bits as a one-hot vector, but columns of weight_ih_l0 are looked up instead of multiplied.
        See Notes.

    See Also
    --------
    RNN : A plain recurrent network.
    LSTMCell : One step.
    lstm_forward : The function for one layer with explicit weights.

    Notes
    -----
    Parameters of layer k: weight_ih_l{k} (4H, I), weight_hh_l{k} (4H, R), bias_ih_l{k}, bias_hh_l{k}
    (4H), and depending on the options weight_hr_l{k} (P, H), weight_peephole_l{k} (3H: i, f, o), norm_ih_weight_l{k},
    norm_hh_weight_l{k} (4H), norm_c_weight_l{k}, norm_c_bias_l{k} (H), h_0_l{k} (R), c_0_l{k} (H); those of the
    reverse direction end in _reverse. R is P with a projection, else H. Gates are in the order i, f, g, o. Norm
    weights are initialized to 1, norm_c_bias and initial states to 0, all others uniformly.

    All options can be combined, except forget_bias with coupled_gates, whose forget gate has no bias.
    `lstm_fast.reference` defines each with one formula. Options are read-only attributes, except batch_first, dropout,
    recurrent_dropout and zoneout, which can be set.

    With a compute_dtype, x, h and the matrices are rounded to bfloat16 (8 bits of precision) in forward, and in
    backward also the gradients that are multiplied; parameters, gradients, states, the tape, sums and the cell stay
    float32. Calls give the same bits as ``lstm.quantized(compute_dtype)``. Which one is faster depends on the
    processor: with batches, "bfloat16_amx" on Intel's with AMX (under Linux), "bfloat16" on AMD's with AVX512_BF16,
    neither on those that lack both.

    With index_input, forward and backward give the same bits as with one-hot vectors, with two exceptions: nothing is
    multiplied by zero, so an infinite weight or gradient of another symbol does not cause NaN; and the sign of a sum
    that is zero or underflows may differ. There is no d_x. Padding may hold any integers.

    Results and gradients are bitwise reproducible: they do not depend on the number of threads, the other sequences
    of a batch, or the split of a sequence into calls. Python threads may share one object; a call during which the
    parameters are changed uses either the old or the new ones, never a mixture.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(input_size=3, hidden_size=16, seed=0)
    >>> x = np.random.default_rng(0).standard_normal((100, 32, 3), np.float32)
    >>> output, (h_n, c_n) = lstm(x)
    >>> output.shape, h_n.shape, c_n.shape
    ((100, 32, 16), (1, 32, 16), (1, 32, 16))

    Training in bfloat16: parameters and gradients are float32.

    >>> lstm = lf.LSTM(3, 16, compute_dtype="bfloat16", seed=0)
    >>> output, _, tape = lstm.forward(x)
    >>> lstm.backward(tape, np.ones_like(output))["weight_hh_l0"].dtype
    dtype('float32')
    >>> bool((output == lstm.quantized("bfloat16")(x)[0]).all())
    True

    Text as symbols, here bytes:

    >>> lstm = lf.LSTM(256, 16, index_input=True, seed=0)
    >>> output, _ = lstm(list(b"one symbol per step"))
    >>> output.shape
    (19, 16)
    """

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
        compute_dtype: ComputeDType | None = None,
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
        index_input: bool = False,
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
            compute_dtype=compute_dtype,
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
            index_input=index_input,
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
        """Run the network for inference: without dropout and zoneout, keeping nothing for `backward`.

        Use `forward` for training. (PyTorch's modules have one call for both.)

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            (B, T, input_size) with batch_first, (T, input_size) for one sequence without batch axis. Any real dtype and
            any strides. T and B may be 0. With index_input, integers of shape (T, B), (B, T) or (T,).
        state : (h_0, c_0), optional
            Initial state, each of shape (num_layers * D, B, H), also with batch_first, or (num_layers * D, H) without
            batch axis; h has size P with a projection. None, for both or one of them: the learned initial state, or
            zero.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence, from 0 to T, in any order; None: all T. Padding beyond each length is neither read
            nor computed, and zero in the output. The last state of a sequence is that after its last step, where the
            reverse direction starts.
        resets : array_like of bool of shape (T, B), optional
            True at the first step of a new episode: before that step, the state is reset to the learned initial state,
            or zero. Axes are those of x: (B, T) with batch_first, (T,) without batch axis. The reverse direction is
            reset at the same boundary.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`. It does not change the bits of the results.

        Returns
        -------
        output : ndarray of shape (T, B, D * R)
            h of the last layer at every step, with the axes of x; R = proj_size or H.
        state : (h_n, c_n)
            Last state, in the shapes of the initial state.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.

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
