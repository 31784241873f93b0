"""SequenceModel: an LSTM or RNN with a linear head."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _architecture, _arguments, _safetensors
from .._errors import network_type
from .._inference import Network
from .._options import Fixed
from .._parameters import EditableParameterized, ParameterTable
from ..modules import LSTM, RNN
from .data import Sequences
from .head import READOUTS, Head
from .losses import Loss
from .passes import ModelGradients, loss_and_gradients, predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._types import Array, ArrayLike, DType, Seed
    from .streaming import ModelStream


def _network(name: str, value: Any) -> LSTM | RNN:
    if not isinstance(value, Network) or value.parameter_suffixes == ("",):
        raise TypeError(f"{name} must be an LSTM or RNN, got {network_type(value)}")
    return value  # type: ignore[return-value]


def _readout(name: str, value: Any) -> str:
    if value not in READOUTS:
        raise ValueError(f"{name} must be one of {', '.join(READOUTS)}, got {value!r}")
    return value  # type: ignore[no-any-return]


class SequenceModel(EditableParameterized):
    """Recurrent network with a linear head.

    Sequences are an array (T, B, I), (B, T, I) if the network has batch_first, or a list of (T, I) arrays of any
    lengths. Predictions have the shape (B, out_features), with readout "all" the axes of x, padded for a list.

    Parameters
    ----------
    lstm : LSTM or RNN
        Network. Training the model changes its parameters.
    out_features : int
        Number of outputs.
    readout : {"last", "all", "mean"}, default "last"
        Features of the head: "last", h of the last layer after the last step of each sequence, of both directions;
        "mean", the mean of the output over the steps of each sequence; "all", the output of every step.
    seed : int, optional
        Seed of the initial parameters of the head, uniform within ``(D * R) ** -0.5`` as in PyTorch.

    See Also
    --------
    fit : Train a model.
    load : Read a model from a file.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> model = lf.train.SequenceModel(lf.LSTM(3, 16, batch_first=True, seed=0), 2, seed=0)
    >>> model.predict(np.ones((8, 5, 3))).shape
    (8, 2)
    >>> loss, gradients = model.loss_and_grads(np.ones((8, 5, 3)), np.zeros((8, 2)))
    >>> gradients["head.weight"].shape
    (2, 16)
    """

    lstm = Fixed("Recurrent network.", _network)
    out_features = Fixed("Number of outputs.", _arguments.positive_integer)
    readout = Fixed("Features of the head: last, all or mean.", _readout)

    def __init__(self, lstm: LSTM | RNN, out_features: int, readout: str = "last", *, seed: Seed = None) -> None:
        self._lstm, self._readout = _network("lstm", lstm), _readout("readout", readout)
        self._out_features, self._dtype = _arguments.positive_integer("out_features", out_features), lstm.dtype
        n_inputs, O = lstm.output_size, self._out_features
        bound = n_inputs**-0.5
        flat = np.random.default_rng(seed).uniform(-bound, bound, (n_inputs + 1) * O).astype(self._dtype)
        self._head = Head(flat, n_inputs, O)
        shapes = {f"lstm.{name}": shape for name, shape in lstm.parameter_shapes.items()}
        self._table = ParameterTable(shapes | {"head.weight": (O, n_inputs), "head.bias": (O,)})

    # ---- parameters ----

    @property
    def head(self) -> Head:
        """Linear head with the current parameters."""
        return self._head

    @property
    def dtype(self) -> DType:
        """Type of parameters and predictions: float32 or float64."""
        return self._dtype

    @property
    def flat_parameters(self) -> Array:
        """Copy of all parameters in one array: network, weight of the head, bias of the head."""
        return np.concatenate([self._lstm.flat_parameters, self._head.flat])

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        return (*self._lstm.parameter_version, self._head)

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        n, (O, n_inputs) = len(self._lstm.flat_parameters), self._head.weight.shape
        head = Head(flat[n:], n_inputs, O)  # before anything changes
        of_lstm = None if expected_version is None else expected_version[:-1]
        self._lstm.load_flat_parameters(flat[:n], copy=False, expected_version=of_lstm)
        self._head = head

    # ---- calls ----

    def predict(
        self, x: Any, lengths: ArrayLike | None = None, *, batch_size: int = 256, num_threads: int | None = None
    ) -> Array:
        """Predict the outputs for sequences.

        Parameters
        ----------
        x : array_like or list of array_like
            Sequences (T, B, I), (B, T, I) with batch_first, or a list of (T, I) arrays.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence, as for LSTM; not for a list of arrays.
        batch_size : int, default 256
            Number of sequences to run at a time.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        ndarray of shape (B, out_features)
            With readout "all", the axes of x: (T, B, out_features) or (B, T, out_features).

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        data = Sequences(self._lstm, x, lengths)
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        parts = [
            predictions(self, *data.batch(np.arange(begin, min(begin + batch_size, data.n))), num_threads)
            for begin in range(0, data.n, batch_size)
        ]
        if not parts:
            return np.empty((0, self._out_features), self.dtype)
        if self._readout != "all":
            return np.concatenate(parts)
        rows = np.zeros((data.n, data.T, self._out_features), self.dtype)
        for k, part in enumerate(parts):
            rows[k * batch_size : k * batch_size + part.shape[1], : part.shape[0]] = part.swapaxes(0, 1)
        result: Array = data.result_layout.from_rows(rows)
        return result

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

    def loss_and_grads(
        self,
        x: Any,
        y: Any,
        *,
        lengths: ArrayLike | None = None,
        loss: str | Sequence[Any] = "mse",
        sample_weight: ArrayLike | None = None,
        mask: Any = None,
        training: bool = True,
        num_threads: int | None = None,
    ) -> tuple[float, ModelGradients]:
        """Compute the loss of one batch and its gradients.

        Parameters
        ----------
        x : array_like or list of array_like
            Sequences, as in `predict`.
        y : array_like or list of array_like
            Targets (B, out_features), or (B,) if out_features is 1; with readout "all" also an axis of steps, as in x.
            For "cross_entropy", class indices without the last axis; for ("quantile", levels), one target per
            len(levels) outputs.
        lengths : array_like of int of shape (B,), optional
            Length of each sequence; not for a list of arrays.
        loss : str or tuple, default "mse"
            "mse", "mae", "huber", ("huber", delta), "quantile", ("quantile", levels), "cross_entropy" or "bce" (with
            logits).
        sample_weight : array_like of shape (B,), optional
            Nonnegative weight of each sequence.
        mask : array_like of bool, optional
            With readout "all": steps that contribute to the loss, with the axes of x. Padding never does.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        loss : float
            Weighted mean over the sequences, with readout "all" over the steps.
        gradients : ModelGradients
            Mapping from parameter names to arrays, in one buffer, `flat`.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        data = Sequences(self._lstm, x, lengths)
        data.read_targets(self, Loss(loss), y, sample_weight, mask)
        return loss_and_gradients(self, data, np.arange(data.n), training, num_threads)

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
        _architecture.check_type("model.lstm", self.lstm, (LSTM, RNN))
        return {
            "kind": type(self.lstm).__name__,
            "dtype": self.lstm.dtype.name,
            "out_features": self.out_features,
            "readout": self.readout,
            "network": _architecture.options(self.lstm),
        }

    def __repr__(self) -> str:
        return f"SequenceModel({self._lstm!r}, {self._out_features}, readout={self._readout!r})"
