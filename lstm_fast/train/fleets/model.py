"""FleetModel: K SequenceModels of one shape, trained in one call of fit."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _arguments, _safetensors
from ..._errors import type_name
from ..._parameters import EditableParameterized
from ...fleet import Fleet
from ...fleet.table import FleetTable
from ..model import SequenceModel
from ..moments import Moments
from .data import FleetData
from .passes import predict_all

if TYPE_CHECKING:
    from ..._types import Array, DType


class FleetModel(EditableParameterized):
    """A fleet with a linear head for each model: K `SequenceModel` of one shape, which `fit` trains in one call.

    Parameters
    ----------
    fleet : Fleet
        Networks. Training the model changes their parameters in place.
    out_features : int
        Number of outputs of each model.
    readout : {"last", "all", "mean"}, default "last"
        Features of the heads, as in `SequenceModel`.
    seed : int or sequence of K int, optional
        Seed of the initial parameters of the heads. An integer is used for every model, as in a loop over
        ``SequenceModel(lstm, out_features, seed=seed)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; the message names it.

    See Also
    --------
    fit : Training; x and y have an axis K first, or are lists of K.

    Notes
    -----
    ``model[k]`` is a copy of model k, an independent `SequenceModel`; ``model[k] = trained`` writes it back.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> fleet = lf.Fleet([lf.LSTM(1, 8, batch_first=True, seed=k) for k in range(20)])
    >>> model = lf.train.FleetModel(fleet, 1, seed=0)
    >>> x = np.random.default_rng(0).standard_normal((20, 64, 10, 1))
    >>> histories = lf.train.fit(model, x, x.mean(axis=2), epochs=5, seed=0)
    >>> len(histories), len(histories[0].loss)
    (20, 5)
    >>> model.predict(x).shape
    (20, 64, 1)
    """

    def __init__(
        self, fleet: Fleet, out_features: int, readout: str = "last", *, seed: int | Sequence[int] | None = None
    ) -> None:
        if not isinstance(fleet, Fleet):
            raise TypeError(f"fleet must be a Fleet, got {type_name(fleet)}")
        seeds = seeds_of(seed, len(fleet))
        heads = [SequenceModel(fleet._lstm, out_features, readout, seed=one) for one in seeds]
        self._pattern = heads[0]
        self._fleet, self._dtype = fleet, fleet.dtype
        self._table = FleetTable(self._pattern._table, len(fleet))
        self._moments = Moments(fleet, _read_only(np.stack([one.head.flat for one in heads])))

    @classmethod
    def from_models(cls, models: Iterable[SequenceModel]) -> FleetModel:
        """Create a fleet from copies of models.

        Parameters
        ----------
        models : iterable of SequenceModel
            With LSTMs of the same options, and with the same out_features and readout.

        Returns
        -------
        FleetModel
            With their parameters.

        Raises
        ------
        TypeError, ValueError
            If an entry is not a SequenceModel with an LSTM, or differs from the first.
        """
        models = list(models)
        for k, one in enumerate(models):
            if not isinstance(one, SequenceModel):
                raise TypeError(f"models[{k}] must be a SequenceModel, got {type_name(one)}")
            for name in ("out_features", "readout"):
                if getattr(one, name) != getattr(models[0], name):
                    raise ValueError(
                        f"models must have one shape: {name} of models[{k}] must be {getattr(models[0], name)!r}, got "
                        f"{getattr(one, name)!r}"
                    )
        fleet = Fleet([one.lstm for one in models])  # raises for an RNN
        model = cls(fleet, models[0].out_features, models[0].readout, seed=0)
        model._moments = Moments(fleet, _read_only(np.stack([one.head.flat for one in models])))
        return model

    # ---- models ----

    @property
    def fleet(self) -> Fleet:
        """The networks."""
        return self._fleet

    @property
    def out_features(self) -> int:
        """Number of outputs of each model."""
        return self._pattern.out_features

    @property
    def readout(self) -> str:
        """Features of the heads: last, all or mean."""
        return self._pattern.readout

    @property
    def dtype(self) -> DType:
        """Type of predictions: float32 or float64."""
        return self._dtype

    def __len__(self) -> int:
        return len(self._fleet)

    def __getitem__(self, k: int) -> SequenceModel:
        k = range(len(self))[k]
        model = SequenceModel(copy.copy(self._fleet[k]), self.out_features, self.readout, seed=0)
        model.load_flat_parameters(self.flat_parameters[k])
        return model

    def __iter__(self) -> Iterator[SequenceModel]:
        return (self[k] for k in range(len(self)))

    def __setitem__(self, k: int, model: SequenceModel) -> None:
        if not isinstance(model, SequenceModel):
            raise TypeError(f"model must be a SequenceModel, got {type_name(model)}")
        for name, expected in (("out_features", self.out_features), ("readout", self.readout)):
            if getattr(model, name) != expected:
                raise ValueError(f"{name} of the model must be {expected!r}, got {getattr(model, name)!r}")
        k = range(len(self))[operator.index(k)]
        self._fleet.check_fits(model.lstm)  # raises for an RNN
        _, heads = self._moments.now()
        heads = np.array(heads)
        heads[k] = model.head.flat
        self._moments.replace(_read_only(heads), lambda _: self._fleet.__setitem__(k, model.lstm), None)

    # ---- parameters ----

    @property
    def flat_parameters(self) -> Array:
        """Copy of all parameters in one array (K, P): row k is the `flat_parameters` of model k."""
        version, heads = self._moments.now()
        return np.concatenate([version.flat, heads], axis=1)

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        return self._moments.now()

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        n = self._fleet.flat_parameters.shape[1]
        self._moments.replace(
            _read_only(np.array(flat[:, n:])),
            lambda expected: self._fleet.load_flat_parameters(flat[:, :n], expected_version=expected),
            expected_version,
        )

    def __getstate__(self) -> dict[str, Any]:
        version, heads = self._moments.now()
        fleet = copy.copy(self._fleet)
        fleet.load_flat_parameters(version.flat)
        return self.__dict__ | {"_fleet": fleet, "_moments": Moments(fleet, heads)}

    def __copy__(self) -> FleetModel:
        return copy.deepcopy(self)

    # ---- calls ----

    def predict(
        self, x: Any, lengths: Any = None, *, batch_size: int = 256, num_threads: int | None = None
    ) -> Array | list[Array]:
        """Predict the outputs of every model for its sequences.

        Parameters
        ----------
        x : array_like of shape (K, N, T, I), or sequence of K
            Sequences of each model, with the axes of the networks after K; or for each model what
            `SequenceModel.predict` takes.
        lengths : array_like of int of shape (K, N), or sequence of K, optional
            Length of each sequence; None for a model whose x is a list of arrays.
        batch_size : int, default 256
            Number of sequences of each model to run at a time.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        ndarray of shape (K, N, out_features), or list of K ndarray
            With readout "all", the axes of x. A list if the models have different numbers of sequences or steps.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        data = FleetData(self, x, lengths)
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        results = predict_all(self, data, batch_size, num_threads)
        return np.stack(results) if len({one.shape for one in results}) == 1 else results

    # ---- files ----

    def save(self, path: str | PathLike[str]) -> None:
        """Write all models to a safetensors file, atomically.

        Parameters
        ----------
        path : path
            File to write, for `load`: parameters (K, ...) under the names of `state_dict`, the architecture in the
            metadata.
        """
        config = {"file": "model", "n_models": len(self), "model": self._pattern.description()}
        _safetensors.write(path, self.state_dict(), config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._fleet!r}, {self.out_features}, readout={self.readout!r})"


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def seeds_of(seed: int | Sequence[int] | None, n_models: int) -> list[int | None]:
    """Return the seed of each model from an integer for all, a sequence with one for each, or None."""
    if seed is None or (isinstance(seed, Integral) and not isinstance(seed, bool)):
        return [seed if seed is None else int(seed)] * n_models
    seeds: list[int | None] = []
    given = np.asarray(seed)
    seeds += given.tolist() if given.dtype.kind in "iu" and given.ndim == 1 else []
    if len(seeds) != n_models:
        raise ValueError(f"seed must be an integer, None, or one integer for each of {n_models} models, got {seed!r}")
    return seeds


SequenceModel._of_fleet = FleetModel
