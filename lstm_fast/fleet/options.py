"""Options of a fleet, shared by all of its models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._options import options_of
from ..modules import LSTM

PER_MODEL = ("seed", "forget_bias")  # may differ: they determine initial parameters and masks


class Option:
    """A read-only option that all models share."""

    def __init__(self, name: str) -> None:
        self.name, self.__doc__ = name, f"The {name} of every model."

    def __get__(self, owner: Any, cls: type) -> Any:
        return self if owner is None else getattr(owner._lstm, self.name)

    def __set__(self, owner: Any, value: Any) -> None:
        raise AttributeError(f"{self.name} is fixed at construction: create a new Fleet of LSTMs with another one")


class Options:
    """The options of the models, as attributes: all options of an LSTM except PER_MODEL, and the derived sizes."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


for _name in (*options_of(LSTM), "num_directions", "h_size", "output_size"):
    if _name not in PER_MODEL:
        setattr(Options, _name, Option(_name))


def check_same(what: str, model: LSTM, other: LSTM, of_other: str) -> None:
    """Raise a ValueError unless a model has the options of another."""
    own, expected = model.config(), other.config()
    for name, value in expected.items():
        if name not in PER_MODEL and own.get(name) != value:
            raise ValueError(
                f"models must have one shape: {name} of {what} must be {value!r}, as in {of_other}, got "
                f"{own.get(name)!r}"
            )
