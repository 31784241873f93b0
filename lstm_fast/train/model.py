"""SequenceModel: an LSTM or RNN and a linear head."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _architecture, _arguments, _core, _safetensors, _threads
from .._errors import network_type
from .._inference import Network
from .._options import Fixed
from .._parameters import EditableParameterized, NamedArrays, ParameterTable
from ..modules import LSTM, RNN
from .data import Sequences
from .head import READOUTS, Head, read_out, read_out_backward
from .losses import Loss

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


class ModelGradients(NamedArrays):
    """Gradients of a SequenceModel: a mapping from the names of `state_dict` to arrays.

    Attributes
    ----------
    flat : ndarray
        The contiguous buffer behind the mapping, in the layout of `flat_parameters`.
    """

    def __repr__(self) -> str:
        return f"<ModelGradients of {', '.join(self)}>"


class SequenceModel(EditableParameterized):
    """A recurrent network and a linear head that reads it out.

    Sequences come as an array in the layout of the network, (B, T, I) with batch_first, else (T, B, I), or as a list of
    (T, I) arrays of any lengths. Predictions have the shape (B, out_features); for "all" they are in the layout of x,
    and padded for a list.

    Parameters
    ----------
    lstm : LSTM or RNN
        It becomes the model's, and changes when the model is trained.
    out_features : int
        Numbers of a prediction.
    readout : {"last", "all", "mean"}, default "last"
        What the head reads: "last", h of the last layer after the last step of each sequence, of both directions;
        "mean", the mean of the outputs over the steps of each sequence; "all", the output of every step.
    seed : int, optional
        Of the initial parameters of the head, uniform within ``(D * R) ** -0.5`` as in PyTorch.

    See Also
    --------
    fit : Trains a model.
    load : Reads a model from a file.

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

    lstm = Fixed["LSTM | RNN"]("The network.", _network)
    out_features = Fixed[int]("Numbers of a prediction.", _arguments.positive_integer)
    readout = Fixed[str]("What the head reads: last, all or mean.", _readout)

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
        """The linear layer with its parameters as they are now."""
        return self._head

    @property
    def dtype(self) -> DType:
        """Type of parameters and predictions: float32 or float64."""
        return self._dtype

    @property
    def flat_parameters(self) -> Array:
        """A copy of all parameters in one array: those of the network, the head's weight, its bias."""
        return np.concatenate([self._lstm.flat_parameters, self._head.flat])

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that stand for the parameters as they are now: others after each change."""
        return (*self._lstm.parameter_version, self._head)

    def _install(self, flat: Array) -> None:
        n, (O, n_inputs) = len(self._lstm.flat_parameters), self._head.weight.shape
        self._lstm.load_flat_parameters(flat[:n], copy=False)
        self._head = Head(flat[n:], n_inputs, O)

    # ---- calls ----

    def predict(
        self, x: Any, lengths: ArrayLike | None = None, *, batch_size: int = 256, num_threads: int | None = None
    ) -> Array:
        """Predictions.

        Parameters
        ----------
        x : array_like or list of array_like
            Sequences: (B, T, I) with batch_first, else (T, B, I), or a list of (T, I) arrays.
        lengths : array_like of int of shape (B,), optional
            Steps of each sequence, as of LSTM; a list of arrays has its own.
        batch_size : int, default 256
            Sequences that are run at a time.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`.

        Returns
        -------
        ndarray of shape (B, out_features)
            For "all", in the layout of x: (B, T, out_features) or (T, B, out_features).

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.
        """
        data = Sequences(self._lstm, x, lengths)
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        parts = [
            self._forward(*data.batch(np.arange(begin, min(begin + batch_size, data.n))), num_threads)
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
        """Predictions for live sequences, one step or block at a time.

        Parameters
        ----------
        batch_size : int, default 1
            Number of sequences.

        Returns
        -------
        ModelStream
            At the initial state, with the parameters as they are now.

        Raises
        ------
        ValueError
            For readout "mean", which is known only at the end, and for a bidirectional network.
        """
        from .streaming import ModelStream

        return ModelStream(self, _arguments.positive_integer("batch_size", batch_size))

    def _forward(self, x: Array, lengths: Array | None, num_threads: int | None) -> Array:
        """x (T, B, I): predictions (B, O), for "all" (T, B, O)."""
        lstm, layout = self._lstm, self._lstm.layout
        output, state = lstm(layout.from_steps(x), lengths=lengths, num_threads=num_threads)
        features = read_out(self._readout, layout.to_steps(output), self._last_h(state), lengths)
        return self._head.apply(features, _threads.resolve(num_threads))

    def _last_h(self, state: Any) -> Array:
        """h_n of the last layer, (D, B, R)."""
        h_n: Array = state[0] if self._lstm.has_cell_state else state
        return h_n[-self._lstm.num_directions :]

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
        """Loss of one batch, and its gradients with respect to all parameters.

        Parameters
        ----------
        x : array_like or list of array_like
            Sequences, as in `predict`.
        y : array_like or list of array_like
            Targets (B, out_features), or (B,) if that is 1; for "all" with an axis of steps, in the layout of x; for
            "cross_entropy" the indices of classes, without the last axis; for ("quantile", levels) one target for each
            len(levels) outputs.
        lengths : array_like of int of shape (B,), optional
            Steps of each sequence; a list of arrays has its own.
        loss : str or tuple, default "mse"
            "mse", "mae", "huber" or ("huber", delta), "quantile" or ("quantile", levels), "cross_entropy", "bce" (on
            logits).
        sample_weight : array_like of shape (B,), optional
            Weight of each sequence, not negative.
        mask : array_like of bool, optional
            For "all": which steps count, in the layout of x. Padding never does.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on.
        num_threads : int, optional
            Upper limit; None: `get_num_threads()`.

        Returns
        -------
        loss : float
            Mean over the sequences (for "all": over the steps), weighted if there are weights.
        gradients : ModelGradients
            By the names of `state_dict`, all in one buffer, `flat`.

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.
        """
        data = Sequences(self._lstm, x, lengths)
        data.read_targets(self, Loss(loss), y, sample_weight, mask)
        return self._loss_and_grads(data, np.arange(data.n), training, num_threads)

    def _loss_and_grads(
        self,
        data: Sequences,
        rows: Array,
        training: bool = True,
        num_threads: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[float, ModelGradients]:
        """Of these sequences of data; rng draws the masks, None: the network's own."""
        assert data.loss is not None
        lstm, layout, n_threads = self._lstm, self._lstm.layout, _threads.resolve(num_threads)
        (x, lengths), (y, weights) = data.batch(rows), data.targets(rows)
        output, state, tape = lstm.forward(
            layout.from_steps(x), lengths=lengths, training=training, rng=rng, num_threads=num_threads
        )
        output, h_n = layout.to_steps(output), self._last_h(state)
        features = read_out(self._readout, output, h_n, lengths)
        of_rows = features.reshape(-1, features.shape[-1])
        p = _core.linear(self._head.weight, self._head.bias, of_rows, n_threads)
        loss, d_p = data.loss(p, y, weights)
        d_rows, d_weight, d_bias = _core.linear_backward(
            self._head.weight, of_rows, d_p.astype(features.dtype), n_threads
        )
        d_output, d_h = read_out_backward(self._readout, d_rows.reshape(features.shape), output, h_n, lengths)
        d_state: Any = None
        if d_h is not None:
            D = lstm.num_directions
            d_h_n = np.zeros((lstm.num_layers * D, *d_h.shape[1:]), features.dtype)
            d_h_n[-D:] = d_h
            d_state = (d_h_n, None) if lstm.has_cell_state else d_h_n
        gradients = lstm.backward(
            tape,
            None if d_output is None else layout.from_steps(d_output),
            d_state,
            compute_d_x=False,
            num_threads=num_threads,
        )
        return loss, ModelGradients(np.concatenate([gradients.flat, d_weight.ravel(), d_bias]), self._table)

    # ---- files ----

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the model to a safetensors file, atomically.

        Parameters
        ----------
        path : path
            The file: parameters under the names of `state_dict`, the model's description in the metadata.
        """
        _safetensors.write(path, self.state_dict(), {"file": "model", "model": self.description()})

    def description(self) -> dict[str, Any]:
        """Kind, sizes and options of the model, without its parameters.

        Returns
        -------
        dict
            For JSON: the configuration in the model's file.
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
