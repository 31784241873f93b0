"""Constructor options as attributes: fixed ones, which are read-only, and settings, which can be changed.

The declaration of an option, a Fixed or Setting in a class body, is the only list of it: the configuration of a
network, the arguments of the core, the options of a fleet, and what formats and bridges support follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

# Parts of the package that do not take every option: low-precision formats, files of ONNX, layers of Keras, and the
# page of lstm_fast.explain. A network with an option that a part does not support is refused by name.
PARTS = ("formats", "onnx", "keras", "page")


class Fixed(Generic[T]):
    """Read-only option: parameters or kernels depend on it.

    check(name, value) returns the value to store, in the attribute _name, or raises. default is the value that repr
    omits, and the value in classes whose constructor does not have the option. Code of the package reads _name, which
    avoids a Python call.

    supported_by lists the PARTS that take the option, or whose results it does not affect. to_core(name, value)
    returns the argument of the core for an option of the cell; None for any other option.
    """

    def __init__(
        self,
        doc: str,
        check: Callable[[str, Any], T],
        default: Any = None,
        *,
        supported_by: tuple[str, ...] = (),
        to_core: Callable[[str, T], Any] | None = None,
    ) -> None:
        self.__doc__, self.check, self.default = doc, check, default
        self.supported_by, self.to_core = supported_by, to_core

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.slot = name, f"_{name}"
        setattr(owner, self.slot, self.default)

    @overload
    def __get__(self, owner: None, cls: type) -> Fixed[T]: ...
    @overload
    def __get__(self, owner: object, cls: type) -> T: ...
    def __get__(self, owner: Any, cls: type) -> Any:
        return self if owner is None else getattr(owner, self.slot)

    def __set__(self, owner: Any, value: T) -> None:
        kind = type(owner).__name__
        raise AttributeError(f"{self.name} is fixed at construction: create a new {kind} with {self.name}={value!r}")

    def __delete__(self, owner: Any) -> None:
        raise AttributeError(f"{self.name} of the {type(owner).__name__} cannot be deleted")


class Setting(Fixed[T]):
    """Option that may be changed between calls; new values are validated like those of the constructor."""

    def __set__(self, owner: Any, value: T) -> None:
        if self.name not in owner._option_names:
            raise AttributeError(f"{type(owner).__name__} has no option {self.name}")
        setattr(owner, self.slot, self.check(self.name, value))


def options_of(cls: type) -> dict[str, Fixed[Any]]:
    """Return the options of a class and its bases, by name."""
    bases = reversed(cls.__mro__)
    return {name: option for base in bases for name, option in vars(base).items() if isinstance(option, Fixed)}


def not_supported(part: str, network: Any, cls: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, default and value of each option of a class that a network has set and a part does not support."""
    for name, option in options_of(cls).items():
        value = getattr(network, name, option.default)
        if part not in option.supported_by and value != option.default:
            yield name, option.default, value
