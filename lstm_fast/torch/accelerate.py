"""The LSTMs of a model that exists: made fast in place, and PyTorch's again."""

from functools import cache

from torch import nn

from .modules import LSTM, LSTMCell

_FAST = {nn.LSTM: LSTM, nn.LSTMCell: LSTMCell}


def accelerate(module):
    """Lets lstm_fast compute every torch.nn.LSTM and torch.nn.LSTMCell in a tree of modules, in place.

    The modules stay the same objects with another class, lstm_fast.torch.LSTM or LSTMCell: parameters (an optimizer made
    before goes on), state_dict, hooks, training flags, names and sharing stay as they are. restore() undoes it.

    Left alone: subclasses that have a forward of their own, modules whose parameters are not plain (parametrizations,
    weight_norm, pruning), quantized ones, and what is already compiled by torch.jit.

    Parameters
    ----------
    module : torch.nn.Module, which may be an LSTM itself

    Returns
    -------
    module
    """
    for one in _modules(module):
        fast = _fast_class(type(one))
        if fast is not None and _has_plain_parameters(one):
            one.__class__ = fast
    return module


def restore(module):
    """Undoes accelerate, as torch.jit.script does; what was made as lstm_fast.torch.LSTM or LSTMCell becomes torch.nn's.

    Returns the module.
    """
    for one in _modules(module):
        if isinstance(one, (LSTM, LSTMCell)):
            one.restored()
    return module


def _modules(module):
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    return list(module.modules())


def _has_plain_parameters(module):
    names = getattr(module, "_flat_weights_names", None) or (
        "weight_ih",
        "weight_hh",
        *("bias_ih", "bias_hh") * bool(module.bias),
    )
    return all(module._parameters.get(name) is not None for name in names) and "parametrizations" not in module._modules


@cache
def _fast_class(cls):
    """The class for instances of cls; None if they are to be left alone."""
    for pytorch, fast in _FAST.items():
        if cls is pytorch:
            return fast
        if (
            issubclass(cls, pytorch)
            and not issubclass(cls, fast)
            and cls.forward is pytorch.forward
            and cls.__call__ is nn.Module.__call__
        ):
            return type(
                cls.__name__,
                (_Subclass, fast, cls),
                {
                    "__module__": cls.__module__,
                    "__qualname__": cls.__qualname__,
                    "__doc__": cls.__doc__,
                    "_pytorch_class": cls,
                },
            )
    return None


class _Subclass:
    """Of a subclass of PyTorch's class that was made fast: pickled by the class that can be imported."""

    def __reduce_ex__(self, protocol):
        return _unpickled, (self._pytorch_class,), self.__getstate__()


def _unpickled(cls):
    fast = _fast_class(cls)
    return fast.__new__(fast)
