"""QuantizedModel: an inference-only copy of a SequenceModel with a low-precision LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from .._errors import network_type
from .._options import Fixed
from ..quantized import QuantizedLSTM
from .head import Head
from .predictor import Predictor, check_readout

if TYPE_CHECKING:
    from .._types import Array


def _network(name: str, value: Any) -> QuantizedLSTM:
    if not isinstance(value, QuantizedLSTM):
        raise TypeError(f"{name} must be a QuantizedLSTM, got {network_type(value)}")
    return value


class QuantizedModel(Predictor):
    """Inference-only copy of a SequenceModel, from ``model.quantized(format)``.

    `predict`, `stream` and `save` work as for SequenceModel, and `load` reads its files. The head is float32.

    Parameters
    ----------
    lstm : QuantizedLSTM
        Network.
    head : Head
        Linear head, float32.
    readout : {"last", "all", "mean"}
        Features of the head, as in SequenceModel.

    See Also
    --------
    SequenceModel.quantized : Creates one.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> model = lf.train.SequenceModel(lf.LSTM(3, 16, seed=0), 2, seed=0)
    >>> small, x = model.quantized("int8"), np.ones((5, 8, 3))
    >>> bool(np.abs(small.predict(x) - model.predict(x)).max() < 1e-2)
    True
    """

    lstm = Fixed("Recurrent network.", _network)

    _network_classes = (QuantizedLSTM,)

    def __init__(self, lstm: QuantizedLSTM, head: Head, readout: str = "last") -> None:
        self._lstm, self._readout = _network("lstm", lstm), check_readout("readout", readout)
        if not isinstance(head, Head) or head.weight.shape[1] != lstm.output_size or head.weight.dtype != lstm.dtype:
            raise ValueError(f"head must be a float32 Head of {lstm.output_size} inputs, got {head!r}")
        self._head, self._dtype, self._out_features = head, lstm.dtype, len(head.bias)

    @property
    def format(self) -> str:
        """Format of the LSTM."""
        format: str = self._lstm.format
        return format

    @property
    def nbytes(self) -> int:
        """Bytes of the stored parameters, head included."""
        return int(self._lstm.nbytes + self._head.flat.nbytes)

    def parameters(self) -> dict[str, Array]:
        """Return the parameters as they are stored.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays: parameters of the QuantizedLSTM under "lstm.", "head.weight" and "head.bias".
        """
        of_lstm = {f"lstm.{name}": value for name, value in self._lstm.parameters().items()}
        return of_lstm | {"head.weight": self._head.weight, "head.bias": self._head.bias}

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters as they are stored.

        Returns
        -------
        dict of str to ndarray
            As `parameters`.
        """
        return {name: value.copy() for name, value in self.parameters().items()}

    def description(self) -> dict[str, Any]:
        """Return kind, format, sizes and options of the model, without its parameters.

        Returns
        -------
        dict of str to object
            JSON-compatible, as in the model's file.
        """
        return super().description() | {"format": self._lstm.format, "inputs": self._lstm.inputs}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in (
                *("loss_and_grads", "edit", "load_state_dict", "load_flat_parameters", "flat_parameters", "quantized"),
                "parameter_version",
            ):
                raise AttributeError(
                    f"a quantized model is for inference only and has no {name}: train the original SequenceModel, "
                    "and quantize it again"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
