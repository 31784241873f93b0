"""Parameters as arrays: slices of a flat buffer, mappings over it, immutable versions of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _arguments

if TYPE_CHECKING:
    from . import _core
    from ._types import Array, ArrayLike


class ParameterTable:
    """Names, shapes and slices of parameters in a flat buffer, without gaps."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes, self.names = dict(shapes), tuple(shapes)
        self.slices, self.size = {}, 0
        for name, shape in shapes.items():
            begin, self.size = self.size, self.size + prod(shape)
            self.slices[name] = slice(begin, self.size)

    @property
    def flat_shape(self) -> tuple[int, ...]:
        """Shape of the flat buffer."""
        return (self.size,)

    def views(self, flat: Array) -> dict[str, Array]:
        """Return views of a flat buffer, by name."""
        slices = self.slices
        return {name: flat[slices[name]].reshape(shape) for name, shape in self.shapes.items()}


class NamedArrays(Mapping[str, "Array"]):
    """Mapping from parameter names to arrays, which are views of one contiguous buffer.

    Attributes
    ----------
    flat : ndarray
        The buffer, in the layout of `flat_parameters`.
    """

    def __init__(self, flat: Array, table: ParameterTable) -> None:
        self.flat, self._table = flat, table

    @cached_property
    def _views(self) -> dict[str, Array]:
        # Built on demand: a tenth of a training call of one unit, and callers that use `flat` never need them.
        return self._table.views(self.flat)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    def __getitem__(self, name: str) -> Array:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names)

    def __len__(self) -> int:
        return len(self._table.names)


class Gradients(NamedArrays):
    """Gradients from one backward call: a mapping from parameter names to arrays.

    Attributes
    ----------
    d_x : ndarray or None
        Gradient with respect to x, in its shape; None with ``compute_d_x=False``.
    d_h_0, d_c_0 : ndarray
        Gradients with respect to the initial state, given or not. d_c_0 is None for a plain RNN.
    flat : ndarray
        Contiguous buffer of all parameter gradients, in the layout of `flat_parameters`.
    d_h_norms, d_c_norms : ndarray of shape (num_layers, D, T, B) or None
        Norms of the gradients with respect to h and c after each step; None without ``record_norms=True``.
    """

    d_h_norms: Array | None = None
    d_c_norms: Array | None = None

    def __init__(
        self, d_x: Array | None, d_h_0: Array, d_c_0: Array | None, flat: Array, table: ParameterTable
    ) -> None:
        super().__init__(flat, table)
        self.d_x, self.d_h_0, self.d_c_0 = d_x, d_h_0, d_c_0

    def __repr__(self) -> str:
        return f"<Gradients of {', '.join(self)}>"


class EditableArrays(NamedArrays):
    """Writable parameters inside an `edit` block; ``p[name] = value`` overwrites a whole array.

    Attributes
    ----------
    flat : ndarray
        Contiguous buffer of all parameters, in the layout of `flat_parameters`.
    """

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        if name not in self._views:
            raise KeyError(f"{name!r} is not one of {', '.join(self)}")
        write(name, self._views[name], value)


def write(name: str, parameter: Array, value: Any) -> None:
    """Overwrite a parameter by a value of the same shape and any dtype, but uint16: the bits of bfloat16 numbers."""
    _arguments.reject_bits(name, value)
    value = _arguments.real_array(name, value, parameter.dtype)
    parameter[...] = _arguments.shaped(name, value, parameter.shape, "of the parameter")


Packed = TypeVar("Packed", bound="_core.Weights | _core.FleetWeights")


class Version(Generic[Packed]):
    """Immutable version of a network's parameters: flat buffer, views by name, packed weights."""

    def __init__(self, flat: Array, views: dict[str, Array], weights: Packed) -> None:
        flat.flags.writeable = False
        for view in views.values():
            view.flags.writeable = False
        self.flat, self.views, self.weights = flat, views, weights
