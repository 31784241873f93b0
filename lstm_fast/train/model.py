"""SequenceModel: an LSTM or RNN with a linear head."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .. import _arguments
from .._errors import network_type
from .._inference import Network
from .._options import Fixed
from .._parameter_arrays import ParameterTable
from .._parameters import EditableParameterized
from .._structure import at_version
from ..fleet import Fleet
from ..modules import LSTM, RNN
from .data import Sequences
from .head import Head
from .losses import Loss, LossSpec
from .moments import Moments
from .passes import ModelGradients, loss_and_gradients
from .predictor import Predictor, check_readout
from .quantized import QuantizedModel

if TYPE_CHECKING:
    from .._types import Array, ArrayLike, Seed


def _network(name: str, value: Any) -> LSTM | RNN:
    if not isinstance(value, Network) or value.parameter_suffixes == ("",):
        raise TypeError(f"{name} must be an LSTM or RNN, got {network_type(value)}")
    if value.flat_parameters.dtype == np.uint8:
        raise TypeError(
            f"{name} must have parameters of one dtype, got {value!r}: make the model of the LSTM that it was made "
            "from, and call model.quantized(format)"
        )
    return value  # type: ignore[return-value]


class Frozen(Predictor):
    """A SequenceModel for one call: the parameters of one moment."""

    if TYPE_CHECKING:
        _table: ParameterTable


class SequenceModel(Predictor, EditableParameterized):
    """Recurrent network with a linear head.

    Sequences are an array (T, B, I), (B, T, I) if the network has batch_first, or a list of (T, I) arrays of any
    lengths; of a network with index_input, integers without the last axis. Predictions have the shape
    (B, out_features), with readout "all" the axes of x, padded for a list.

    Parameters
    ----------
    lstm : LSTM or RNN
        Network. Training the model changes its parameters. For a `Fleet`, the result is a `FleetModel`.
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
    SequenceModel.quantized : A low-precision copy for inference.

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
    _of_fleet: ClassVar[Any] = None  # FleetModel, which is built from this class

    def __new__(cls, lstm: Any = None, out_features: int = 0, readout: str = "last", *, seed: Any = None) -> Any:
        """Return a FleetModel for a Fleet: the models of a fleet are made as one is."""
        if isinstance(lstm, Fleet) and cls is SequenceModel:
            return cls._of_fleet(lstm, out_features, readout, seed=seed)
        return super().__new__(cls)

    def __init__(self, lstm: LSTM | RNN, out_features: int, readout: str = "last", *, seed: Seed = None) -> None:
        self._lstm, self._readout = _network("lstm", lstm), check_readout("readout", readout)
        self._out_features, self._dtype = _arguments.positive_integer("out_features", out_features), lstm.dtype
        n_inputs, O = lstm.output_size, self._out_features
        bound = n_inputs**-0.5
        rng = _arguments.seeded(np.random.default_rng, seed)
        flat = rng.uniform(-bound, bound, (n_inputs + 1) * O).astype(self._dtype)
        self._moments = Moments(lstm, Head(flat, n_inputs, O))
        shapes = {f"lstm.{name}": shape for name, shape in lstm.parameter_shapes.items()}
        self._table = ParameterTable(shapes | {"head.weight": (O, n_inputs), "head.bias": (O,)})

    # ---- parameters ----

    def _moment(self) -> tuple[Any, Head]:
        return self._moments.now()

    @property
    def _head(self) -> Head:  # type: ignore[override]
        return self._moment()[1]

    def _frozen(self) -> Frozen:
        frozen = object.__new__(Frozen)
        version, head = self._moment()
        frozen.__dict__.update(self.__dict__, _lstm=at_version(self._lstm, version), _head=head)
        return frozen

    @property
    def flat_parameters(self) -> Array:
        """Copy of all parameters in one array: network, weight of the head, bias of the head."""
        version, head = self._moment()
        return np.concatenate([version.flat, head.flat])

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        return self._moment()

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        n, (O, n_inputs) = self._lstm._table.size, self._head.weight.shape
        head = Head(flat[n:], n_inputs, O)  # may raise: before anything is modified
        self._moments.replace(
            head,
            lambda expected: self._lstm.load_flat_parameters(flat[:n], copy=False, expected_version=expected),
            expected_version,
        )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_lstm": (frozen := self._frozen())._lstm, "_head": frozen._head}
        del state["_moments"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        head = state.pop("_head")
        self.__dict__.update(state, _moments=Moments(state["_lstm"], head))

    def __copy__(self) -> SequenceModel:
        return copy.deepcopy(self)  # training changes the network in place: a copy has its own

    # ---- calls ----

    def loss_and_grads(
        self,
        x: Any,
        y: Any,
        *,
        lengths: ArrayLike | None = None,
        loss: LossSpec = "mse",
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
        loss : str, tuple or callable, default "mse"
            "mse", "mae", "huber", ("huber", delta), "quantile", ("quantile", levels), "cross_entropy" or "bce" (with
            logits). Or a function (prediction, target) -> (loss, d_prediction) on float64 arrays, one row for each
            sequence, with readout "all" for each step that counts: prediction (n, out_features), target (n, K) for y
            with K numbers a row. It returns the loss of each row, (n,), and d_prediction (n, out_features), the
            gradient of each row's own loss: weights and the mean over rows are applied outside. Or it returns one
            number, the loss of these rows, and its gradient; rows must have equal weights then.
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
        data, model = Sequences(self._lstm, x, lengths), self._frozen()
        data.read_targets(self, Loss(loss), y, sample_weight, mask)
        assert data.loss is not None
        rows = np.arange(data.n)
        (steps, lengths), targets = data.batch(rows), data.targets(rows)
        step = loss_and_gradients(
            model, data.loss, steps, *targets, lengths=lengths, training=training, num_threads=num_threads
        )
        return step.loss, step.gradients

    # ---- fewer bits ----

    def quantized(
        self,
        format: Literal["float16", "bfloat16", "bfloat16_amx", "int8"] = "float16",
        *,
        inputs: Literal["float32", "int16", "int8"] = "float32",
    ) -> QuantizedModel:
        """Return an inference-only copy with a low-precision LSTM.

        Parameters
        ----------
        format : {"float16", "bfloat16", "bfloat16_amx", "int8"}, default "float16"
            Format of the LSTM, as in `LSTM.quantized`. The head stays float32.
        inputs : {"float32", "int16", "int8"}, default "float32"
            With "int8": how the first layer multiplies x.

        Returns
        -------
        QuantizedModel
            With the current parameters.

        Raises
        ------
        TypeError
            If the network is not an LSTM.
        ValueError
            As in `LSTM.quantized`.

        Examples
        --------
        >>> import lstm_fast as lf
        >>> lf.train.SequenceModel(lf.LSTM(3, 16, seed=0), 2, seed=0).quantized("int8")
        QuantizedModel(QuantizedLSTM(3, 16, format='int8'), 2, readout='last')
        """
        if not isinstance(self._lstm, LSTM):
            raise TypeError(f"model.lstm must be an LSTM to be quantized, got {type(self._lstm).__name__}")
        model = self._frozen()
        return QuantizedModel(model._lstm.quantized(format, inputs=inputs), model._head, self._readout)
