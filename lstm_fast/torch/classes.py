"""Which modules can be accelerated, their new classes, and the reasons why others are left unchanged."""

from typing import Any

from torch import nn

from .modules import CELL_NAMES, LSTM, LSTMCell

_FAST: dict[type[nn.Module], type[nn.Module]] = {nn.LSTM: LSTM, nn.LSTMCell: LSTMCell}
_fast_classes: dict[type[nn.Module], type[nn.Module] | None] = {}


def modules_of(module: object) -> list[nn.Module]:
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    return list(module.modules())


def reason_to_leave(module: nn.Module) -> str | None:
    cls = type(module)
    if hasattr(module, "original_name"):
        return "it is compiled by torch.jit"
    if not isinstance(module, (nn.LSTM, nn.LSTMCell)):
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            return "lstm_fast computes LSTM and LSTMCell only"
        return f"{cls.__module__}.{cls.__qualname__} is no torch.nn.LSTM or LSTMCell"
    if fast_class(cls) is None:
        return f"{cls.__name__} overrides {'forward' if _has_own_forward(cls) else '__call__'}"
    names = module._flat_weights_names if isinstance(module, nn.LSTM) else list(CELL_NAMES[: 4 if module.bias else 2])
    parameters = dict(module.named_parameters(recurse=False))
    computed = [name for name in names if name not in parameters]
    if computed:
        return f"{', '.join(computed)} is computed before each call (parametrization, weight_norm or pruning)"
    return None


def _has_own_forward(cls: type) -> bool:
    return all(getattr(cls, "forward", None) is not pytorch.forward for pytorch in _FAST)


def fast_class(cls: type[nn.Module]) -> type[nn.Module] | None:
    """Return the accelerated class for instances of cls; None if they must be left unchanged."""
    if cls not in _fast_classes:
        _fast_classes[cls] = _make_fast_class(cls)
    return _fast_classes[cls]


def _make_fast_class(cls: type[nn.Module]) -> type[nn.Module] | None:
    for pytorch, fast in _FAST.items():
        if cls is pytorch:
            return fast
        if (
            issubclass(cls, pytorch)
            and not issubclass(cls, fast)
            and not _has_own_forward(cls)
            and cls.__call__ is nn.Module.__call__
        ):
            names = {
                "__module__": cls.__module__,
                "__qualname__": cls.__qualname__,
                "__doc__": cls.__doc__,
                "_pytorch_class": cls,
            }
            return type(cls.__name__, (_Subclass, fast, cls), names)
    return None


class _Subclass:
    """An accelerated subclass of PyTorch's class, pickled as the original class, which can be imported."""

    _pytorch_class: type[nn.Module]

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return _unpickled, (self._pytorch_class,), self.__getstate__()


def _unpickled(cls: type[nn.Module]) -> nn.Module:
    fast = fast_class(cls)
    assert fast is not None
    return fast.__new__(fast)
