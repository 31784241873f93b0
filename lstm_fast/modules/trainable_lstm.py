"""TrainableLSTM: base class of LSTM, with training, trace and low-precision copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from .._lstm import LSTMNetwork
from .._options import Setting
from .._recurrent import Recurrent
from .._variants import zoneout_of_lstm

if TYPE_CHECKING:
    from .._parameter_arrays import Gradients
    from .._tape import Tape
    from .._trace import Trace
    from .._types import Array, ArrayLike, State, StateLike
    from ..quantized import QuantizedLSTM


class TrainableLSTM(LSTMNetwork, Recurrent):
    """Methods of LSTM other than inference."""

    zoneout = Setting(
        "Zoneout of h, or (of h, of c), in training.", zoneout_of_lstm, 0.0, supported_by=("formats", "onnx", "page")
    )

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
        """Run the network for training: returns a tape for `backward` as well.

        For inference call the network itself, ``lstm(x)``, which is faster.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As in a plain call. Do not modify it before `backward`: the tape references it.
        state : (h_0, c_0), optional
            As in a plain call.
        lengths : array_like of int of shape (B,), optional
            As in a plain call.
        resets : array_like of bool of shape (T, B), optional
            As in a plain call.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on.
        recompute_gates : bool, default False
            Keep only h and c, a third of the memory. `backward` then recomputes the gates chunk by chunk, bit for bit,
            which makes a training step 20 to 35 % slower.
        rng : numpy.random.Generator, optional
            Generator for the dropout and zoneout masks; None means the generator of the network.
        num_threads : int, optional
            As in a plain call.

        Returns
        -------
        output : ndarray of shape (T, B, D * R)
            As from a plain call.
        state : (h_n, c_n)
            As from a plain call.
        tape : Tape
            Input of `backward`.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.

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
        compute_d_x: bool | None = None,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Backpropagate through time.

        Parameters
        ----------
        tape : Tape
            From `forward`, with the parameters of that call. It can be used again.
        d_output : array_like of the shape of output, or None
            Gradient of the loss with respect to output; None: zero. Padding is not read; d_x is zero there.
        d_state : (d_h_n, d_c_n), optional
            Gradients of the loss with respect to the last state; None, for both or one of them: zero.
        compute_d_x : bool, optional
            Whether to compute d_x; None: unless x are symbols, which have no gradient. Skipping it makes a training
            step 5 to 15 % faster.
        record_norms : bool, default False
            Whether to record the norms of the gradients with respect to h and c after each step, as d_h_norms and
            d_c_norms, float64 of shape (num_layers, D, T, B). Those of h include d_output; those of c are what later
            steps propagate back.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        Gradients
            Mapping from parameter names to arrays, in one buffer, `flat`; d_x, d_h_0 and d_c_0 are attributes.

        Raises
        ------
        TypeError
            If the tape is from a network with other options.
        ValueError
            If a shape is wrong; the message names the argument.
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
        """Return gates, cell state and hidden state of every step of an inference call.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As in a plain call; without batch axis, B is 1.
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
            Arrays i, f, g, o, c of shape (num_layers, D, T, B, H) and h with R instead of H, also with batch_first.
            Steps are in the order of time in both directions; padding is zero.

        Examples
        --------
        >>> import numpy as np
        >>> import lstm_fast as lf
        >>> trace = lf.LSTM(3, 16, seed=0).trace(np.ones((5, 2, 3)))
        >>> trace.f.shape
        (1, 1, 5, 2, 16)
        """
        from .._trace import trace

        return trace(self, x, state, lengths, resets, num_threads)

    def quantized(
        self,
        format: Literal["float16", "bfloat16", "bfloat16_amx", "int8"] = "float16",
        *,
        inputs: Literal["float32", "int16", "int8"] = "float32",
    ) -> QuantizedLSTM:
        """Return a low-precision copy for inference.

        Parameters
        ----------
        format : {"float16", "bfloat16", "bfloat16_amx", "int8"}, default "float16"
            Format of the weights; see `QuantizedLSTM` for what is rounded, `compare_formats` for accuracy and speed.
            "bfloat16_amx" is bfloat16 with the order of sums that is fast on Intel processors with AMX.
        inputs : {"float32", "int16", "int8"}, default "float32"
            With "int8": whether the first layer multiplies x in float32, which is most accurate, or with W_ih in int8
            and x in 16 or 8 bits.

        Returns
        -------
        QuantizedLSTM
            Copy of the current parameters in that format.

        Raises
        ------
        ValueError
            If the dtype is not float32, a parameter is not finite or overflows the format, or the format does not
            have one of the options.

        Examples
        --------
        >>> import lstm_fast as lf
        >>> lf.LSTM(3, 16, seed=0).quantized("float16")
        QuantizedLSTM(3, 16, format='float16')
        """
        from ..quantized import QuantizedLSTM

        return QuantizedLSTM(self, format, inputs)
