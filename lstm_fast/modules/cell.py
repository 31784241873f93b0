"""LSTMCell: one step of an LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _layout
from .._lstm import LSTMNetwork
from .._recurrent import Recurrent

if TYPE_CHECKING:
    from typing import Any

    from .._layout import Layout
    from .._parameter_arrays import Gradients
    from .._tape import Tape
    from .._types import Activation, Array, ArrayLike, ComputeDType, DTypeLike, Seed, State, StateLike


class LSTMCell(LSTMNetwork, Recurrent):
    """One step of an LSTM: ``h, c = cell(x_t, (h, c))``, with PyTorch's names, shapes and semantics.

    Calling the cell is inference; training uses `forward`, which also returns a tape, and `backward`. LSTM is much
    faster for many steps, and `LSTM.stream` for live sequences.

    Parameters
    ----------
    input_size : int
        Number of input features, I.
    hidden_size : int
        Number of units, H.
    bias : bool, default True
        Whether the cell has biases.
    dtype : {float32, float64}, default float32
        Type of parameters and results.
    compute_dtype : {None, "bfloat16", "bfloat16_amx"}, default None
        As for LSTM.
    seed : int, optional
        Seed of the initial parameters.

    Other Parameters
    ----------------
    forget_bias : float, optional
        As for LSTM.
    peepholes : bool, default False
        As for LSTM.
    layer_norm : bool, default False
        As for LSTM.
    coupled_gates : bool, default False
        As for LSTM.
    cell_clip : float, optional
        As for LSTM.
    gate_clip : float, optional
        As for LSTM.
    activation : str or tuple, default "tanh"
        As for LSTM.
    recurrent_activation : str or tuple, default "sigmoid"
        As for LSTM.
    cell_activation : str or tuple, default "tanh"
        As for LSTM.

    See Also
    --------
    LSTM : Many steps, layers and directions.

    Notes
    -----
    Parameters: weight_ih (4H, I), weight_hh (4H, H), bias_ih, bias_hh (4H), and depending on the options
    weight_peephole (3H), norm_ih_weight, norm_hh_weight (4H), norm_c_weight, norm_c_bias (H).

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> cell = lf.LSTMCell(3, 16, seed=0)
    >>> h, c = cell(np.ones((2, 3)))
    >>> h, c = cell(np.ones((2, 3)), (h, c))
    >>> h.shape, c.shape
    ((2, 16), (2, 16))
    """

    _is_cell = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
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
    ) -> None:
        self._set_up(
            input_size=input_size,
            hidden_size=hidden_size,
            bias=bias,
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
        )

    def _read_x(self, x: Any) -> tuple[Array, Layout]:
        return _layout.read_cell_input(x, self._dtype, self._input_size)

    def __call__(self, x: ArrayLike, state: StateLike | None = None, *, num_threads: int | None = None) -> State:
        """Run one step for inference.

        Parameters
        ----------
        x : array_like of shape (B, input_size) or (input_size,)
            Input.
        state : (h, c), optional
            State before the step, each (B, H) or (H,); None, for both or one of them: zero.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        h, c : ndarray of shape (B, H) or (H,)
            State after the step.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        state_after: State = self._infer(x, state, None, None, num_threads)[1]
        return state_after

    def forward(
        self, x: ArrayLike, state: StateLike | None = None, *, num_threads: int | None = None
    ) -> tuple[State, Tape]:
        """Run one step for training: returns a tape for `backward` as well.

        Parameters
        ----------
        x : array_like of shape (B, input_size) or (input_size,)
            Input. Do not modify it before `backward`.
        state : (h, c), optional
            State before the step, each (B, H) or (H,); None, for both or one of them: zero.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        state : (h, c)
            State after the step.
        tape : Tape
            Input of `backward`.
        """
        return self._forward(x, state, num_threads=num_threads)[1:]

    def backward(self, tape: Tape, d_state: StateLike | None, *, num_threads: int | None = None) -> Gradients:
        """Backpropagate through one step.

        Parameters
        ----------
        tape : Tape
            From `forward`.
        d_state : (d_h, d_c) or None
            Gradients of the loss with respect to the new state; None, for both or one of them: zero.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        Gradients
            Mapping from parameter names to arrays; d_x, d_h_0 and d_c_0 are attributes.

        Examples
        --------
        >>> import numpy as np
        >>> import lstm_fast as lf
        >>> cell = lf.LSTMCell(3, 16, seed=0)
        >>> (h, c), tape = cell.forward(np.ones((2, 3)))
        >>> cell.backward(tape, (np.ones_like(h), None)).d_c_0.shape
        (2, 16)
        """
        return self._backward(tape, None, d_state, num_threads=num_threads)
