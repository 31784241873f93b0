"""QuantizedLSTM: an inference-only copy of an LSTM with 16-bit weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ._lstm import LSTMNetwork
from ._options import Fixed
from ._parameters import Version
from ._trace import Trace, trace

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, State, StateLike

FORMATS = ("float16",)


def _format(name: str, value: Any) -> str:
    if value not in FORMATS:
        raise ValueError(f"{name} must be 'float16', got {value!r}")
    return value  # type: ignore[no-any-return]


class QuantizedLSTM(LSTMNetwork):
    """Inference-only copy of an LSTM with float16 weights, from ``lstm.quantized("float16")``.

    Weights are rounded to float16 once (a relative error of 5e-4 at most) and converted back to float32 as they are
    read; arithmetic is float32. Outputs differ from those of float32 weights by about 2e-3 at most, and have the bits
    of a float32 LSTM with the rounded weights. Calls, streams and traces work as for LSTM. It cannot be trained or
    edited.

    Parameters
    ----------
    lstm : LSTM
        Network to copy, of dtype float32.
    format : {"float16"}
        Format of the weights.

    See Also
    --------
    LSTM.quantized : Creates one.

    Notes
    -----
    It is faster where memory bandwidth is the limit: with one sequence 1.6 times at H = 256 and 512, 1.9
    times at 1024 (one step, AVX2, one thread), with two to eight sequences 1.3 to 1.1 times at H = 512. Where
    arithmetic is the limit, for H up to 64 or many sequences, it is not faster, and possibly a few percent slower.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 16, seed=0)
    >>> small = lstm.quantized("float16")
    >>> small.flat_parameters.nbytes / lstm.flat_parameters.nbytes
    0.5
    >>> x = np.ones((5, 2, 3))
    >>> bool(np.abs(small(x)[0] - lstm(x)[0]).max() < 2e-3)
    True
    """

    format = Fixed("Format of the weights.", _format, "float16")

    def __init__(self, lstm: LSTMNetwork, format: str = "float16") -> None:
        self._format = _format("format", format)
        if lstm.dtype != np.float32:
            raise ValueError(f"dtype must be float32 to be quantized, got {lstm.dtype.name}")
        for name, value in lstm.parameters().items():
            if not (np.abs(value) <= np.finfo(np.float16).max).all():
                raise ValueError(f"{name} must be finite and at most 65504 to be stored as float16")
        config = lstm.config()
        for name, value in config.items():
            setattr(self, "_" + name, value)
        self._option_names = tuple(config)
        self._lay_out()
        self._install(lstm.flat_parameters.astype(np.float16))

    def _make_version(self, flat: Array) -> Version:
        views = self._table.views(flat)
        arrays = [  # matrices stay float16
            tuple([array if array is None or array.ndim == 2 else array.astype(np.float32) for array in of])
            for of in self._by_direction(views)
        ]
        return Version(flat, views, self._pack(arrays, format=self._format))

    def __call__(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, State]:
        """Run the network for inference, as LSTM does.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As for LSTM, like all other arguments.
        state : (h_0, c_0), optional
            Initial state.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence.
        resets : array_like of bool of shape (T, B), optional
            True at the first step of a new episode.
        num_threads : int, optional
            Maximum number of threads.

        Returns
        -------
        output : ndarray of shape (T, B, D * R)
            h of the last layer at every step, float32.
        state : (h_n, c_n)
            Last state.
        """
        return self._infer(x, state, lengths, resets, num_threads)

    def trace(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Trace:
        """Return gates, cell state and hidden state of every step, as LSTM.trace does.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size)
            As for LSTM, like all other arguments.
        state : (h_0, c_0), optional
            Initial state.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence.
        resets : array_like of bool of shape (T, B), optional
            True at the first step of a new episode.
        num_threads : int, optional
            Maximum number of threads.

        Returns
        -------
        Trace
            Arrays of every step.
        """
        return trace(self, x, state, lengths, resets, num_threads)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in ("forward", "backward", "edit", "load_state_dict", "load_flat_parameters", "quantized"):
                raise AttributeError(
                    f"a quantized LSTM is for inference and has no {name}: "
                    "train or edit the LSTM that it was made from, and quantize again"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"{super().__repr__()}  # weights of float16"
