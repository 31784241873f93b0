"""FleetModels: the models of a fleet, as a sequence, their parameters and their files."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from .._architecture import check_type
from .._parameters import EditableParameterized, changed_meanwhile
from ..modules import LSTM
from . import files
from .calls import FleetVersion, weights_of
from .lstm import FleetLSTM
from .options import PER_MODEL, Options, check_same
from .table import FleetTable

if TYPE_CHECKING:
    from .._types import Array


class FleetModels(Options, EditableParameterized):
    """Base class of Fleet: everything but its calls."""

    def __init__(self, models: Iterable[LSTM]) -> None:
        if not isinstance(models, Iterable):
            raise TypeError(f"models must be a sequence of LSTMs, got {type(models).__name__}")
        models = list(models)
        if not models:
            raise ValueError("models must hold at least one LSTM, got none")
        for k, model in enumerate(models):
            check_type(f"models[{k}]", model, (LSTM,))
            check_same(f"models[{k}]", model, models[0], "models[0]")
        self._seeds = [model.seed for model in models]
        self._forget_biases = [model.forget_bias for model in models]
        self._set_up(models[0], [copy.deepcopy(model._rng) for model in models])
        self._install(np.stack([model.flat_parameters for model in models]))

    def _set_up(self, lstm: LSTM, rngs: list[np.random.Generator]) -> None:
        self._lstm = copy.copy(lstm)  # options, table and core of every model
        self._rngs, self._dtype = rngs, lstm.dtype
        self._table = FleetTable(lstm._table, len(rngs))

    # ---- models ----

    def __len__(self) -> int:
        return len(self._rngs)

    def __iter__(self) -> Iterator[LSTM]:
        return (FleetLSTM.of(self, k) for k in range(len(self)))

    @overload
    def __getitem__(self, k: int) -> LSTM: ...
    @overload
    def __getitem__(self, k: slice) -> Self: ...
    def __getitem__(self, k: int | slice) -> LSTM | Self:
        if isinstance(k, slice):
            return type(self)([FleetLSTM.of(self, one) for one in range(len(self))[k]])
        return FleetLSTM.of(self, range(len(self))[k])

    def __setitem__(self, k: int, model: LSTM) -> None:
        k = range(len(self))[operator.index(k)]
        self.check_fits(model)
        self[k].load_flat_parameters(model.flat_parameters)
        self._rngs[k], self._seeds[k] = copy.deepcopy(model._rng), model.seed
        self._forget_biases[k] = model.forget_bias

    def check_fits(self, model: LSTM) -> None:
        """Raise unless an LSTM can become a model of this fleet.

        Parameters
        ----------
        model : LSTM
            The new model.

        Raises
        ------
        TypeError, ValueError
            If it is not an LSTM, or its options differ from those of the fleet.
        """
        check_type("model", model, (LSTM,))
        check_same("model", model, self._lstm, "the models of the fleet")

    # ---- parameters ----

    @property
    def flat_parameters(self) -> Array:
        """All parameters in one read-only array (K, P): row k is the `flat_parameters` of model k."""
        return self._version.flat

    def parameters(self) -> dict[str, Array]:
        """Return the current parameters, stacked, under PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays of shape (K, ...). They keep their values when the parameters are changed later.
        """
        return dict(self._version.views)

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        return (self._version,)

    def _make_version(self, flat: Array) -> FleetVersion:
        return FleetVersion(flat, self._table.views(flat), weights_of(self._lstm, flat))

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        version = self._make_version(flat)
        if expected_version is not None and self._version is not expected_version[0]:
            raise changed_meanwhile()
        self._version: FleetVersion = version

    # ---- objects ----

    def save(self, path: str | PathLike[str]) -> None:
        """Write all models to a safetensors file, atomically.

        Parameters
        ----------
        path : path
            File to write: parameters (K, ...) under PyTorch's names, the options in the metadata.
        """
        files.save(self._lstm, self.state_dict(), path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read the file of a fleet.

        Parameters
        ----------
        path : path
            A file that `save` wrote.

        Returns
        -------
        Fleet
            Fleet with the options and parameters of the file.

        Raises
        ------
        FormatError
            If the file is damaged, or was not written by `save`.

        Examples
        --------
        >>> import lstm_fast as lf
        >>> lf.Fleet([lf.LSTM(3, 8, seed=k) for k in range(10)]).save("fleet.safetensors")
        >>> lf.Fleet.load("fleet.safetensors")
        Fleet of 10 LSTM(3, 8)
        """
        lstm, arrays = files.load(path)
        fleet = cls([lstm] * len(next(iter(arrays.values()))))
        fleet.load_state_dict(arrays)
        fleet.draw_new_masks()
        return fleet

    def draw_new_masks(self) -> None:
        """Give each model a new random generator for its masks, as for an LSTM created without a seed."""
        self._rngs = [np.random.default_rng() for _ in self._rngs]

    def config(self) -> dict[str, Any]:
        """Return the options that all models share.

        Returns
        -------
        dict of str to object
            Names and values, in the order of the constructor of `LSTM`.
        """
        return {name: value for name, value in self._lstm.config().items() if name not in PER_MODEL}

    def __getstate__(self) -> dict[str, Any]:
        return (
            self.__dict__
            | {"_version": np.array(self._version.flat), "_rngs": copy.deepcopy(self._rngs)}
            | {name: list(getattr(self, name)) for name in ("_seeds", "_forget_biases")}
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        flat = state.pop("_version")
        self.__dict__.update(state)
        self._install(flat)

    def __repr__(self) -> str:
        return f"Fleet of {len(self)} {self._lstm!r}"
