"""Predictor: base class of models with a recurrent network and a linear head, trainable or inference-only."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _architecture, _arguments, _safetensors
from .._options import Fixed
from ..modules import LSTM, RNN
from .chunks import predicted_ends, predicted_steps
from .data import Sequences
from .head import READOUTS, Head

if TYPE_CHECKING:
    from .._types import Array, ArrayLike, DType
    from .streaming import ModelStream


def check_readout(name: str, value: Any) -> str:
    """Validate the readout option."""
    if value not in READOUTS:
        raise ValueError(f"{name} must be one of {', '.join(READOUTS)}, got {value!r}")
    return value  # type: ignore[no-any-return]


class Predictor:
    """Base class of SequenceModel and QuantizedModel: predictions, streams and files."""

    _network_classes: tuple[type, ...] = (LSTM, RNN)  # networks that save supports

    lstm: Fixed[Any] = Fixed("Recurrent network.", _arguments.unchecked)
    out_features = Fixed("Number of outputs.", _arguments.positive_integer)
    readout = Fixed("Features of the head: last, all or mean.", check_readout)

    if TYPE_CHECKING:
        _lstm: Any
        _out_features: int
        _readout: str
        _dtype: DType
        _head: Head

        def state_dict(self) -> dict[str, Array]: ...

    @property
    def head(self) -> Head:
        """Linear head with the current parameters."""
        return self._head

    @property
    def dtype(self) -> DType:
        """Type of predictions: float32 or float64."""
        return self._dtype

    def _moment(self) -> tuple[Any, Head]:
        """Return the version of the network's parameters, and the head that belongs to it."""
        return self._lstm._version, self._head

    def _frozen(self) -> Predictor:
        """Implement `frozen`."""
        return self

    def predict(
        self, x: Any, lengths: ArrayLike | None = None, *, batch_size: int = 256, num_threads: int | None = None
    ) -> Array:
        """Predict the outputs for sequences.

        Parameters
        ----------
        x : array_like or list of array_like
            Sequences (T, B, I), (B, T, I) with batch_first, or a list of (T, I) arrays. With index_input, integers:
            (T, B), (B, T), or a list of (T,) arrays.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence, as for LSTM; not for a list of arrays.
        batch_size : int, default 256
            Number of sequences to run at a time.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        ndarray of shape (B, out_features)
            With readout "all", the axes of x: (T, B, out_features) or (B, T, out_features); zero in the padding.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        data, model = Sequences(self._lstm, x, lengths), self._frozen()
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        is_all = self._readout == "all"
        shape = (data.n, data.T, self._out_features) if is_all else (data.n, self._out_features)
        rows = np.zeros(shape, self.dtype)  # first: too large a result is an error before anything is computed
        for begin in range(0, data.n, batch_size):
            batch = np.arange(begin, min(begin + batch_size, data.n))
            if not is_all:
                rows[batch] = predicted_ends(model, data, batch, num_threads)
                continue
            for step, part in predicted_steps(model, data, batch, num_threads):
                rows[begin : begin + len(batch), step : step + len(part)] = part.swapaxes(0, 1)
        if is_all:
            data.clear_padding(rows)
        return data.result_layout.from_rows(rows) if is_all else rows

    def stream(self, batch_size: int = 1) -> ModelStream:
        """Create a stream: predictions for live sequences, step by step.

        Parameters
        ----------
        batch_size : int, default 1
            Number of sequences.

        Returns
        -------
        ModelStream
            In the initial state, with the current parameters.

        Raises
        ------
        ValueError
            If the readout is "mean" or the network bidirectional: both need whole sequences.
        """
        from .streaming import ModelStream

        return ModelStream(self, _arguments.positive_integer("batch_size", batch_size))

    # ---- files ----

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to a safetensors file, atomically.

        Parameters
        ----------
        path : path
            File to write: parameters under the names of `state_dict`, the architecture in the metadata.
        """
        _safetensors.write(path, self.state_dict(), {"file": "model", "model": self.description()})

    def description(self) -> dict[str, Any]:
        """Return kind, sizes and options of the model, without its parameters.

        Returns
        -------
        dict of str to object
            JSON-compatible, as in the model's file.
        """
        _architecture.check_type("model.lstm", self._lstm, self._network_classes)
        return {
            "kind": "RNN" if isinstance(self._lstm, RNN) else "LSTM",
            "dtype": self._dtype.name,
            "out_features": self._out_features,
            "readout": self._readout,
            "network": _architecture.options(self._lstm),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._lstm!r}, {self._out_features}, readout={self._readout!r})"


def frozen(model: Predictor) -> Predictor:
    """Return a model for one call, whose parameters another thread does not change meanwhile."""
    return model._frozen()
