"""What holds parameters and their gradients: one version, its editable copy, the gradients of a call."""

from collections.abc import Mapping
from functools import cached_property

from . import _arguments


def views(flat, places):
    """Arrays by name of a flat one. places: (name, slice, shape) of each."""
    return {name: flat[place].reshape(shape) for name, place, shape in places}


class Named(Mapping):
    """Arrays by parameter name, and flat, the contiguous buffer behind them."""

    def __init__(self, flat, places):
        self.flat, self._places = flat, places

    @cached_property
    def _views(self):  # (a tenth of a training call of one unit, and who has the flat buffer does not need them)
        return views(self.flat, self._places)

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    def __getitem__(self, name):
        return self._views[name]

    def __iter__(self):
        return iter(self._views)

    def __len__(self):
        return len(self._views)


class Gradients(Named):
    """Gradients of one backward call: a mapping from parameter names to arrays, in the order of parameters().

    d_x, d_h_0, d_c_0 : gradients of the arguments (d_c_0 is None for a plain RNN, d_x if it was not wanted)
    flat : the contiguous buffer behind the mapping, in the layout of flat_parameters
    """

    def __init__(self, d_x, d_h_0, d_c_0, flat, places):
        super().__init__(flat, places)
        self.d_x, self.d_h_0, self.d_c_0 = d_x, d_h_0, d_c_0

    def __repr__(self):
        return f"<Gradients of {', '.join(self)}>"


class EditableParameters(Named):
    """What `with module.edit() as p` gives: arrays to write into; p[name] = value writes all of one, and p.flat is the
    buffer behind them, in the layout of flat_parameters and Gradients.flat."""

    def __setitem__(self, name, value):
        if name not in self._views:
            raise KeyError(f"{name!r} is not one of {', '.join(self._views)}")
        view = self._views[name]
        view[...] = _arguments.shaped(
            name, _arguments.real_array(name, value, view.dtype), view.shape, "of the parameter"
        )


class Version:
    """One immutable version of the parameters: a flat read-only buffer, named views of it, and the packed weights."""

    def __init__(self, flat, views, weights):
        flat.flags.writeable = False
        for view in views.values():
            view.flags.writeable = False
        self.flat, self.views, self.weights = flat, views, weights
