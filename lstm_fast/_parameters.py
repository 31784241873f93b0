"""Parameters: where each lies in one flat buffer, arrays by name over such a buffer, and objects that have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from . import _arguments

if TYPE_CHECKING:
    from . import _core
    from ._types import Array, ArrayLike, DType


class ParameterTable:
    """Names, shapes and slices of parameters that lie one after the other in a flat buffer."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes, self.names = dict(shapes), tuple(shapes)
        self.slices, self.size = {}, 0
        for name, shape in shapes.items():
            begin, self.size = self.size, self.size + prod(shape)
            self.slices[name] = slice(begin, self.size)

    def views(self, flat: Array) -> dict[str, Array]:
        """Arrays by name of a flat one."""
        slices = self.slices
        return {name: flat[slices[name]].reshape(shape) for name, shape in self.shapes.items()}


class NamedArrays(Mapping[str, "Array"]):
    """A mapping from parameter names to arrays, views of one contiguous buffer.

    Attributes
    ----------
    flat : ndarray
        The buffer, in the layout of `flat_parameters`.
    """

    def __init__(self, flat: Array, table: ParameterTable) -> None:
        self.flat, self._table = flat, table

    @cached_property
    def _views(self) -> dict[str, Array]:
        # Made on demand: a tenth of a training call of one unit, and callers that use `flat` never need them.
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
    """Gradients of one backward call: a mapping from parameter names to arrays.

    Attributes
    ----------
    d_x : ndarray or None
        Gradient with respect to x, in its shape; None with ``compute_d_x=False``.
    d_h_0, d_c_0 : ndarray
        Gradients with respect to the states that the sequences began with, given or not. d_c_0 is None for a plain RNN.
    flat : ndarray
        The contiguous buffer behind the mapping, in the layout of `flat_parameters`.
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
    """The arrays that `edit` gives: they can be written to, and ``p[name] = value`` writes all of one.

    Attributes
    ----------
    flat : ndarray
        The buffer behind them, in the layout of `flat_parameters`.
    """

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        if name not in self._views:
            raise KeyError(f"{name!r} is not one of {', '.join(self)}")
        write(name, self._views[name], value)


def write(name: str, parameter: Array, value: Any) -> None:
    """Writes a value of the same shape, whatever its dtype."""
    value = _arguments.real_array(name, value, parameter.dtype)
    parameter[...] = _arguments.shaped(name, value, parameter.shape, "of the parameter")


class Version:
    """One immutable version of a network's parameters: a flat buffer, named views of it, the packed weights."""

    def __init__(self, flat: Array, views: dict[str, Array], weights: _core.Weights) -> None:
        flat.flags.writeable = False
        for view in views.values():
            view.flags.writeable = False
        self.flat, self.views, self.weights = flat, views, weights


class Parameterized:
    """An object with named parameters in one flat buffer."""

    _table: ParameterTable

    @property
    def flat_parameters(self) -> Array:
        """All parameters in one contiguous array, in the order of `parameters`."""
        raise NotImplementedError

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `flat_parameters`."""
        return self._table.names

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter, by name."""
        return dict(self._table.shapes)

    @property
    def parameter_slices(self) -> dict[str, slice]:
        """Slice of each parameter in `flat_parameters`, by name."""
        return dict(self._table.slices)

    def unflatten(self, flat: Array) -> dict[str, Array]:
        """Views by parameter name of a buffer in the layout of `flat_parameters`.

        Parameters
        ----------
        flat : ndarray of the shape of `flat_parameters`
            Parameters, gradients or anything else with one number for each parameter.

        Returns
        -------
        dict of str to ndarray
            Views of `flat`, in the shapes of the parameters.
        """
        return self._table.views(_arguments.shaped("flat", flat, (self._table.size,), "of flat_parameters"))

    def parameters(self) -> dict[str, Array]:
        """The parameters as they are now, by PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays, which keep showing this version when the parameters change.
        """
        views = self._table.views(self.flat_parameters)
        for view in views.values():
            view.flags.writeable = False
        return views

    def state_dict(self) -> dict[str, Array]:
        """Copies of the parameters, by PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            What `load_state_dict` takes, here and (as tensors) in PyTorch.
        """
        return {name: view.copy() for name, view in self.parameters().items()}


class EditableParameterized(Parameterized):
    """The same with parameters that can be replaced, always all at once."""

    _dtype: DType

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that stand for the parameters as they are now: others after each change."""
        raise NotImplementedError

    def _install(self, flat: Array) -> None:
        """Takes over a flat array, which is not written to afterwards, as the new version of the parameters."""
        raise NotImplementedError

    def load_flat_parameters(self, flat: ArrayLike, *, copy: bool = True) -> None:
        """Replaces all parameters by those in a flat array.

        Parameters
        ----------
        flat : array_like of the shape of `flat_parameters`
            All parameters, in the order of `parameter_names`.
        copy : bool, default True
            False: take the array itself if possible, which saves a copy in a training loop; do not write to it
            afterwards.

        Raises
        ------
        ValueError
            For another shape; nothing is changed then.
        """
        array = _arguments.real_array("flat", flat, self._dtype)
        _arguments.shaped("flat", array, (self._table.size,), "of flat_parameters")
        self._install(array.copy() if copy or not array.flags.c_contiguous else array)

    @contextmanager
    def edit(self) -> Iterator[EditableArrays]:
        """Context manager for changing parameters: ``with module.edit() as p: p["bias_ih_l0"][:] = 0``.

        The changes take effect together when the block is left; an exception inside it discards them all.

        Yields
        ------
        EditableArrays
            Writable arrays by parameter name, and `flat`, the buffer behind them.

        Raises
        ------
        RuntimeError
            On leaving, if the parameters were changed meanwhile, by another `edit` block, `load_state_dict` or an
            optimizer: this block would undo that change.
        """
        before = self.parameter_version
        flat = self.flat_parameters.copy()
        yield EditableArrays(flat, self._table)
        if any(now is not then for now, then in zip(self.parameter_version, before, strict=True)):
            raise RuntimeError(
                "the parameters were changed during this edit() block, which was therefore not applied: edits of one "
                "object must not overlap"
            )
        self._install(flat.copy())  # a copy, so that arrays of p that outlive the block cannot modify the parameters

    def load_state_dict(self, state_dict: Mapping[str, ArrayLike]) -> None:
        """Replaces all parameters by those in a mapping.

        Parameters
        ----------
        state_dict : mapping from parameter names to array_like
            As from `state_dict`, or from the `state_dict` of a PyTorch module.

        Raises
        ------
        TypeError, ValueError
            If a name is missing or unexpected, or a shape does not fit; nothing is changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping from names to arrays, got {type(state_dict).__name__}")
        missing = [name for name in self._table.names if name not in state_dict]
        unexpected = [str(name) for name in state_dict if name not in self._table.shapes]
        if missing or unexpected:
            raise ValueError(
                "state_dict must have the keys of parameters(): "
                f"missing {missing or 'none'}, unexpected {unexpected or 'none'}"
            )
        flat = self.flat_parameters.copy()
        p = EditableArrays(flat, self._table)
        for name in self._table.names:
            p[name] = state_dict[name]
        self._install(flat)
