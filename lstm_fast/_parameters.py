"""Base classes of objects with named parameters, which can be replaced all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import _arguments
from ._parameter_arrays import EditableArrays, ParameterTable

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, DType


class ChangedMeanwhile(RuntimeError):
    """The parameters were changed by another edit in the meantime, whose changes would be lost."""


def changed_meanwhile() -> ChangedMeanwhile:
    """Return the error to raise for ChangedMeanwhile."""
    return ChangedMeanwhile(
        "the parameters were changed during this edit() block, which was therefore not applied: edits of one object "
        "must not overlap"
    )


class Parameterized:
    """Base class of objects with named parameters in one flat buffer."""

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
        """Split a buffer in the layout of `flat_parameters` into views by parameter name.

        Parameters
        ----------
        flat : ndarray of the shape of `flat_parameters`
            Parameters, gradients, moments, or the like.

        Returns
        -------
        dict of str to ndarray
            Views of `flat`, in the shapes of the parameters.
        """
        return self._table.views(_arguments.shaped("flat", flat, self._table.flat_shape, "of flat_parameters"))

    def parameters(self) -> dict[str, Array]:
        """Return the current parameters, under PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays. They keep their values when the parameters are changed later.
        """
        views = self._table.views(self.flat_parameters)
        for view in views.values():
            view.flags.writeable = False
        return views

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters, under PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Input of `load_state_dict`, here and (as tensors) in PyTorch.
        """
        return {name: view.copy() for name, view in self.parameters().items()}


class EditableParameterized(Parameterized):
    """Base class of objects whose parameters can be replaced, all of them at once."""

    _dtype: DType

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        raise NotImplementedError

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        """Make a flat array, which must not be modified afterwards, the new version of the parameters.

        If the expected version is no longer current, raise changed_meanwhile() and change nothing.
        """
        raise NotImplementedError

    def load_flat_parameters(
        self, flat: ArrayLike, *, copy: bool = True, expected_version: tuple[object, ...] | None = None
    ) -> None:
        """Replace all parameters by those in a flat array.

        Parameters
        ----------
        flat : array_like of the shape of `flat_parameters`
            All parameters, in the order of `parameter_names`.
        copy : bool, default True
            False: keep the array itself if possible, which saves a copy in a training loop. It becomes read-only.
        expected_version : tuple, optional
            A `parameter_version`: only replace the parameters if they are still these.

        Raises
        ------
        ValueError
            If the shape does not match; the parameters are unchanged then.
        RuntimeError
            If the parameters are no longer those of expected_version; they are unchanged then.
        """
        array = _arguments.real_array("flat", flat, self._dtype)
        _arguments.shaped("flat", array, self._table.flat_shape, "of flat_parameters")
        self._install(array.copy() if copy or not array.flags.c_contiguous else array, expected_version)

    @contextmanager
    def edit(self) -> Iterator[EditableArrays]:
        """Change parameters in place: ``with module.edit() as p: p["bias_ih_l0"][:] = 0``.

        All changes take effect when the block is left. An exception inside the block discards them.

        Yields
        ------
        EditableArrays
            Writable arrays by parameter name, and `flat`, their buffer.

        Raises
        ------
        RuntimeError
            On leaving, if the parameters were changed in the meantime by another `edit` block, `load_state_dict` or an
            optimizer. The changes of this block are discarded then.
        """
        before = self.parameter_version
        flat = self.flat_parameters.copy()
        yield EditableArrays(flat, self._table)
        # A copy, so that references kept to arrays of p cannot modify the parameters.
        self._install(flat.copy(), before)

    def load_state_dict(self, state_dict: Mapping[str, ArrayLike]) -> None:
        """Replace all parameters by those in a mapping.

        Parameters
        ----------
        state_dict : mapping from parameter names to array_like
            As from `state_dict`, or from the `state_dict` of a PyTorch module.

        Raises
        ------
        TypeError, ValueError
            If a name is missing or unexpected, or a shape does not match; the parameters are unchanged then.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping from names to arrays, got {type(state_dict).__name__}")
        missing = [name for name in self._table.names if name not in state_dict]
        unexpected = [str(name) for name in state_dict if name not in self._table.shapes]
        if missing or unexpected:
            first = f".{self._table.names[0]}"
            owners = [name.removesuffix(first) for name in unexpected if name.endswith(first)]
            hint = f" (pass the state_dict of {' or '.join(owners)} alone)" if owners else ""
            raise ValueError(
                "state_dict must have the keys of parameters(): "
                f"missing {missing or 'none'}, unexpected {unexpected or 'none'}{hint}"
            )
        flat = self.flat_parameters.copy()
        p = EditableArrays(flat, self._table)
        for name in self._table.names:
            p[name] = state_dict[name]
        self._install(flat)
