"""QuantizedLSTM: an inference-only copy of an LSTM in a format of fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from . import _core, _formats
from ._lstm import LSTMNetwork
from ._options import Fixed
from ._parameter_arrays import Version
from ._trace import Trace, trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._layout import Layout
    from ._types import Array, ArrayLike, State, StateLike
    from .modules import LSTM

FORMATS = _formats.FORMATS


class QuantizedLSTM(LSTMNetwork):
    """Low-precision, inference-only copy of an LSTM, from ``lstm.quantized(format)``.

    Calls, streams and traces work as for LSTM; results are float32. It cannot be trained or edited. The formats, which
    `lstm_fast.reference` defines bit for bit and `compare_formats` compares, are:

    * "float16": parameters are rounded to float16 (relative error at most 5e-4) and widened on load; arithmetic is
      float32. The results have the same bits as a float32 LSTM with the rounded weights.
    * "bfloat16": matrices are rounded to bfloat16 (relative error at most 4e-3), and so are x and h as operands of
      products; sums, c and the cell are float32.
    * "bfloat16_amx": the same, with sums in the order in which Intel's AMX adds them. On processors with AMX_BF16,
      under Linux, batches are several times faster than in float32 and "bfloat16". Other processors compute the same
      bits with float32 arithmetic, batches more slowly than float32.
    * "int8": W_hh, and W_ih of the layers above the first, are int8 with one scale per row; h is int8 with the scale
      1/127 as an operand of products; sums are exact. The first layer multiplies x in float32; with inputs="int16" or
      "int8", its W_ih is int8 and x has 16 or 8 bits, with one scale per step and sequence. c, biases and the cell are
      float32.

    Parameters
    ----------
    lstm : LSTM
        Network to copy, of dtype float32.
    format : {"float16", "bfloat16", "bfloat16_amx", "int8"}, default "float16"
        Format of the weights.
    inputs : {"float32", "int16", "int8"}, default "float32"
        With "int8": how the first layer multiplies x.

    Raises
    ------
    ValueError
        If the dtype is not float32, or a parameter is not finite or overflows the format. With "int8" also for
        proj_size, for activations of the gates or of the cell state with values outside [-1, 1], and for a learned
        h_0 outside [-1, 1].

    See Also
    --------
    LSTM.quantized : Creates one.
    compare_formats : Error, size and time of each format.

    Notes
    -----
    With "int8", h_0 of a call and the h of a stream must lie within [-1, 1], like every h that the network computes.

    "float16" is faster when memory bandwidth is the bottleneck: with one sequence 1.6 times at H = 256 and 512, 1.9
    times at 1024 (one step, AVX2, one thread), with two to eight sequences 1.3 to 1.1 times at H = 512. When
    arithmetic is the bottleneck, for H up to 64 or many sequences, it is not faster, and possibly a few percent slower.

    With several sequences, "bfloat16" is slower than float32 on processors without a fast instruction for it: those
    with AVX2, AVX-512 without BF16 or NEON, and Intel's; on Intel's with AMX, "bfloat16_amx" is 2.5 to 5.6 times as
    fast as float32 for batches of 16 to 64. With AVX2, "int8" with inputs="float32" gains little.
    docs/formats.md has measurements.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 16, seed=0)
    >>> small = lstm.quantized("float16")
    >>> small.nbytes / lstm.flat_parameters.nbytes
    0.5
    >>> x = np.ones((5, 2, 3))
    >>> bool(np.abs(small(x)[0] - lstm(x)[0]).max() < 2e-3)
    True
    """

    format = Fixed("Format of the weights.", _formats.check_format, "float16")
    inputs = Fixed("How the first layer multiplies x.", _formats.check_inputs, "float32")

    def __init__(self, lstm: LSTMNetwork, format: str = "float16", inputs: str = "float32") -> None:
        _formats.check_options(format, inputs)
        self._format, self._inputs = format, inputs
        _formats.check_network(format, lstm)
        parameters = lstm.parameters()
        _formats.check_parameters(format, parameters)
        config = lstm.config()
        config.pop("compute_dtype", None)  # the format determines what is rounded
        for name, value in config.items():
            setattr(self, "_" + name, value)
        self._option_names = tuple(config)
        self._lay_out()
        self._install(_formats.encode(self._table, format, parameters))

    @classmethod
    def of_stored(
        cls, options: Mapping[str, Any], format: str, inputs: str, stored: Mapping[str, Array]
    ) -> QuantizedLSTM:
        """Create a network from parameters that are already in the format.

        Parameters
        ----------
        options : mapping of str to object
            Arguments of LSTM.
        format : {"float16", "bfloat16", "bfloat16_amx", "int8"}
            Format of the parameters.
        inputs : {"float32", "int16", "int8"}
            With "int8": how the first layer multiplies x.
        stored : mapping of str to ndarray
            As returned by `parameters` of such a network.

        Returns
        -------
        QuantizedLSTM
            The network.

        Raises
        ------
        KeyError, ValueError
            If a parameter is missing or does not fit.
        """
        from .modules import LSTM

        network = cls(LSTM(**options), format, inputs)
        flat = np.zeros_like(network.flat_parameters)
        own = network._table.views(flat)
        for name, to in own.items():
            value = stored[name]
            if value.dtype != to.dtype or value.shape != to.shape:
                raise ValueError(f"{name} must be {to.dtype} {to.shape}, got {value.dtype} {value.shape}")
            to[...] = value
            if name.startswith("scale_") and not (value >= 0).all():
                raise ValueError(f"{name} must not be negative")
            if value.dtype == np.int8 and (value == -128).any():
                raise ValueError(f"{name} must be from -127 to 127, got -128")
        _formats.check_parameters(format, _formats.decode(own))
        network._install(flat)
        return network

    def _lay_out(self) -> None:
        super()._lay_out()
        self._table = _formats.table_of(self._table.shapes, self._format, self._inputs)

    def _make_version(self, flat: Array) -> Version[_core.Weights]:
        if flat.ctypes.data % _formats.ALIGNMENT:  # bytes, which pickle may place anywhere
            flat = flat.copy()
        views = self._table.views(flat)
        arrays = _formats.by_direction(views, self.parameter_suffixes, self._format)
        return Version(flat, views, self._pack(arrays, **_formats.core_options(self._format, self._inputs)))

    @property
    def nbytes(self) -> int:
        """Size of the stored parameters in bytes."""
        return sum(value.nbytes for value in self._version.views.values())

    def parameters(self) -> dict[str, Array]:
        """Return the parameters as they are stored, under PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays. With "float16" all are float16. With "bfloat16" the matrices are uint16, the upper halves
            of float32 numbers (``lf.reference.from_bfloat16`` widens them); with "int8" they are int8, with
            scale_ih_l0 and scale_hh_l0, ..., one float32 per row. All other arrays are float32.
        """
        return super().parameters()

    def dequantized(self) -> LSTM:
        """Return a float32 LSTM with the values of the stored weights.

        Returns
        -------
        LSTM
            With "float16" its results have the same bits as this network. In the other formats they differ,
            because it does not round x and h.

        Examples
        --------
        >>> import lstm_fast as lf
        >>> lf.LSTM(3, 16, seed=0).quantized("int8").dequantized()
        LSTM(3, 16)
        """
        from .modules import LSTM

        lstm = LSTM(**self.config())
        lstm.load_state_dict(_formats.decode(self._version.views))
        return lstm

    def _check_h(self, name: str, h: Array) -> None:
        _formats.check_h(self._format, name, h)

    def _read_states(
        self, layout: Layout, state: Any, B: int, names: tuple[str, str]
    ) -> tuple[Array | None, Array | None]:
        h, c = super()._read_states(layout, state, B, names)
        if h is not None:
            self._check_h(names[0], h)
        return h, c

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
            Initial state; with "int8" h_0 must lie within [-1, 1].
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

        Raises
        ------
        ValueError, TypeError
            As for LSTM; with "int8" also if h_0 is not within [-1, 1].
        """
        if self._format == "int8" and type(state) is tuple and len(state) == 2 and type(state[0]) is np.ndarray:
            self._check_h("h_0", state[0])  # the fast path accepts any h_0
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
            Initial state; with "int8" h_0 must lie within [-1, 1].
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
                    f"a quantized LSTM is for inference only and has no {name}: "
                    "train or edit the original LSTM, and quantize it again"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        inputs = f", inputs={self._inputs!r}" if self._inputs != "float32" else ""
        return f"{super().__repr__()[:-1]}, format={self._format!r}{inputs})"
