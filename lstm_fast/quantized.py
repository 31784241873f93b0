"""Fewer bytes per weight, for inference: LSTM.quantized makes these."""

import numpy as np

from . import _core
from ._parameters import Version
from .modules import LSTM


class QuantizedLSTM(LSTM):
    """An inference-only copy of an LSTM with its weights stored as float16, made by lstm.quantized("float16").

    Weights are rounded to float16 once (11 bits: half a part in a thousand), widened again as they are read, and computed
    with in float32: outputs stay within about 2e-3 of those of float32, and are to the bit those of a float32 LSTM with
    the rounded weights. Calls, streams and trace work as before; training and edits are refused (edit the LSTM and
    quantize again).

    Faster where reading weights is the limit: with one sequence 1.6 times at H = 256 and 512, 1.9 at 1024 (one step, AVX2,
    one thread), with two to eight sequences of H = 512 1.3 to 1.1 times. No faster, and possibly a few percent slower, where
    arithmetic is: H of 64 and less, or many sequences.
    """

    def __init__(self, lstm, number="float16"):
        if number != "float16":
            raise ValueError(f"number must be 'float16', got {number!r}")
        if lstm.dtype != np.float32:
            raise ValueError(f"dtype must be float32 to be quantized, got {lstm.dtype.name}")
        self.__dict__.update({name: value for name, value in lstm.__dict__.items() if name != "_version"})
        for name, value in lstm.parameters().items():
            if not (np.abs(value) <= np.finfo(np.float16).max).all():
                raise ValueError(f"{name} must be finite and at most 65504 to be stored as float16")
        self._install(lstm.flat_parameters.astype(np.float16))

    def _make_version(self, flat):
        views = self._views(flat)
        arrays = [
            tuple(array if array is None or array.ndim == 2 else array.astype(np.float32) for array in of)
            for of in self._by_direction(views)
        ]  # matrices stay float16
        weights = _core.Weights(
            self._cell_name(),
            self.dtype,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self._n_directions,
            arrays,
            **self._cell,
        )
        return Version(flat, views, weights)

    def _refuse(self, *args, **kwargs):
        raise TypeError(
            "a quantized LSTM is for inference: train or edit the LSTM that it was made of, and quantize again"
        )

    forward = backward = edit = load_state_dict = quantized = _refuse

    def __repr__(self):
        return f"{super().__repr__()}  # weights of float16"
