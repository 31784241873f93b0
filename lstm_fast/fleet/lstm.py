"""FleetLSTM: one model of a fleet, an LSTM that shares the parameters of the fleet."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .._options import Setting
from .._parameter_arrays import Version
from .._parameters import ChangedMeanwhile, changed_meanwhile
from ..modules import LSTM

if TYPE_CHECKING:
    from .._types import Array
    from .models import FleetModels


OF_MODEL = ("_rng", "_seed", "_forget_bias")


class FleetLSTM(LSTM):
    """Model k of a fleet: an LSTM whose parameters are row k of the fleet's.

    A change to either is visible in both. Copies and pickles are independent LSTMs.
    """

    saved_as: ClassVar[type] = LSTM  # class name in files

    if TYPE_CHECKING:
        _fleet: FleetModels
        _k: int

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Return an independent LSTM, for type(lstm)(**lstm.config())."""
        return LSTM(*args, **options)

    @classmethod
    def of(cls, fleet: FleetModels, k: int) -> FleetLSTM:
        """Return model k of a fleet."""
        member: FleetLSTM = object.__new__(cls)
        options = {name: value for name, value in vars(fleet._lstm).items() if name != "_version"}
        own = {"_fleet": fleet, "_k": k, "_latest": (None, None)}
        member.__dict__.update({name: value for name, value in options.items() if name not in OF_MODEL} | own)
        return member

    # What differs between models is the fleet's, which replaces it in fleet[k] = lstm.

    @property
    def _rng(self) -> np.random.Generator:  # type: ignore[override]
        return self._fleet._rngs[self._k]

    @property
    def _seed(self) -> Any:
        return self._fleet._seeds[self._k]

    @property
    def _forget_bias(self) -> float | None:  # type: ignore[override]
        return self._fleet._forget_biases[self._k]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), Setting):
            raise AttributeError(
                f"{name} is an option of the whole fleet: create a new Fleet of LSTMs with another one"
            )
        super().__setattr__(name, value)

    @property
    def _version(self) -> Version[Any]:  # type: ignore[override]
        """The current parameters of row k, packed; a new object only after this row has changed."""
        of_fleet, own = self.__dict__["_latest"]
        now = self._fleet._version
        if of_fleet is not now:
            row = now.flat[self._k]
            if own is None or row.tobytes() != own.flat.tobytes():
                own = self._make_version(np.array(row))
            self.__dict__["_latest"] = now, own
        return own  # type: ignore[no-any-return]

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        while True:
            before = self._fleet._version
            if expected_version is not None and self._version is not expected_version[0]:
                raise changed_meanwhile()
            changed = np.array(before.flat)
            changed[self._k] = flat
            try:
                return self._fleet._install(changed, (before,))
            except ChangedMeanwhile:  # another model has changed meanwhile: retry
                continue

    def _at(self, version: Version[Any]) -> LSTM:
        other = object.__new__(LSTM)
        of_model = {name: getattr(self, name) for name in OF_MODEL}
        other.__dict__.update(self._state() | of_model | {"_version": version})
        return other

    def _state(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_fleet", "_k", "_latest")}

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._state()
        of_model = {name: copy.deepcopy(getattr(self, name)) for name in OF_MODEL}
        return _detached, (state | of_model | {"_version": np.array(self._version.flat)},)

    def __repr__(self) -> str:
        return "LSTM" + super().__repr__().removeprefix(type(self).__name__)


def _detached(state: dict[str, Any]) -> LSTM:
    """Restore a copied or pickled model, which no longer belongs to a fleet."""
    lstm = LSTM.__new__(LSTM)
    lstm.__setstate__(state)
    return lstm
