"""accelerate and restore: the LSTMs of an existing model swapped in place, and a report of which ones were."""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from torch import nn

from . import fallback
from .modules import CELL_NAMES, LSTM, LSTMCell

Module = TypeVar("Module", bound=nn.Module)

_FAST: dict[type[nn.Module], type[nn.Module]] = {nn.LSTM: LSTM, nn.LSTMCell: LSTMCell}
_fast_classes: dict[type[nn.Module], type[nn.Module] | None] = {}


def accelerate(module: Module, *, frozen: bool = False) -> Module:
    """Let lstm_fast compute every torch.nn.LSTM and torch.nn.LSTMCell in a module tree, in place.

    The modules stay the same objects and get another class, lstm_fast.torch.LSTM or LSTMCell: parameters (existing
    optimizers keep working), state_dict, hooks, training flags, names and sharing are unchanged. `restore` undoes it;
    `report` lists which modules were taken, which were left and why.

    Left alone are subclasses with a forward of their own, modules whose parameters are computed (parametrizations,
    weight_norm, pruning), quantized modules, and those compiled by torch.jit.

    Parameters
    ----------
    module : torch.nn.Module
        The model; it may itself be an LSTM.
    frozen : bool, default False
        Promise that the weights are not written from now on. By default each call compares all weights with its packed
        copy, so that it notices every write; with frozen=True it does not look at them. `flatten_parameters()` of a
        module, `load_state_dict`, `to` and another call of accelerate make the next call read the weights again,
        whatever was promised. Graphs of torch.compile look at the weights in any case.

    Returns
    -------
    torch.nn.Module
        The same object.

    Raises
    ------
    TypeError
        If module is not a torch.nn.Module.

    Warns
    -----
    UserWarning
        If the tree has no module that lstm_fast can compute.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> model = torch.nn.Sequential(torch.nn.LSTM(8, 16), torch.nn.GRU(16, 4))
    >>> model = lstm_fast.torch.accelerate(model)
    >>> print(lstm_fast.torch.report(model))
    0  LSTM  accelerated
    1  GRU   left: lstm_fast computes LSTM and LSTMCell only
    """
    for one in _modules(module):
        fast = _fast_class(type(one))
        if fast is not None and _reason_to_leave(one) is None:
            one.__class__ = fast
        if isinstance(one, (LSTM, LSTMCell)):
            one._set_frozen(frozen)
    done = report(module)
    if not done.accelerated:
        left = "".join(f"\n  {line}" for line in str(done).splitlines())
        warnings.warn(
            f"accelerate found no torch.nn.LSTM or LSTMCell to compute{':' if left else ''}{left}", stacklevel=2
        )
    return module


def restore(module: Module) -> Module:
    """Undo `accelerate`: turn every lstm_fast.torch.LSTM and LSTMCell in a module tree into PyTorch's own, in place.

    Do this before tools that look for torch.nn.LSTM by its exact type, torch.ao.quantization.quantize_dynamic among
    them.

    Parameters
    ----------
    module : torch.nn.Module
        The model; modules that were made as lstm_fast.torch.LSTM or LSTMCell are converted as well.

    Returns
    -------
    torch.nn.Module
        The same object.

    Raises
    ------
    TypeError
        If module is not a torch.nn.Module.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> model = lstm_fast.torch.accelerate(torch.nn.LSTM(8, 16))
    >>> type(lstm_fast.torch.restore(model)) is torch.nn.LSTM
    True
    """
    for one in _modules(module):
        if isinstance(one, (LSTM, LSTMCell)):
            one._restore()
    return module


class ModuleReport(NamedTuple):
    """One recurrent module of a tree.

    Attributes
    ----------
    name : str
        As in `named_modules()`; "" for the root.
    kind : str
        Name of its class.
    is_accelerated : bool
        Whether it is an lstm_fast.torch.LSTM or LSTMCell.
    is_frozen : bool
        Whether it was accelerated with frozen=True.
    reason : str or None
        Why it was left; if it is accelerated, why its calls fall back to PyTorch all the same.
    """

    name: str
    kind: str
    is_accelerated: bool
    is_frozen: bool
    reason: str | None

    def __str__(self) -> str:
        if not self.is_accelerated:
            return f"left: {self.reason}"
        falls_back = f", but falls back to PyTorch: {self.reason}" if self.reason else ""
        return f"accelerated{' (frozen)' if self.is_frozen else ''}{falls_back}"


class Report(tuple[ModuleReport, ...]):
    """The recurrent modules of a tree, a tuple of `ModuleReport`; printing it gives one line for each."""

    @property
    def accelerated(self) -> list[str]:
        """Names of the modules that lstm_fast computes."""
        return [one.name for one in self if one.is_accelerated]

    @property
    def left(self) -> dict[str, str]:
        """The reason for each module that was left, by name."""
        return {one.name: one.reason or "" for one in self if not one.is_accelerated}

    def __str__(self) -> str:
        names = [one.name or "(root)" for one in self]
        widths = [max(map(len, column), default=0) for column in (names, [one.kind for one in self])]
        return "\n".join(
            f"{name:{widths[0]}}  {one.kind:{widths[1]}}  {one}" for name, one in zip(names, self, strict=True)
        )


def report(module: nn.Module) -> Report:
    """List the recurrent modules of a tree: which are accelerated, and why the others are not.

    Parameters
    ----------
    module : torch.nn.Module
        The model, before or after `accelerate`.

    Returns
    -------
    Report
        A tuple with one `ModuleReport` for each recurrent module, with the properties `accelerated` (names) and `left`
        (a dict of names and reasons). Printing it gives a table.

    Raises
    ------
    TypeError
        If module is not a torch.nn.Module.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> class Doubled(torch.nn.LSTM):
    ...     def forward(self, input, hx=None):
    ...         return super().forward(2 * input, hx)
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(8, 16), "decoder": Doubled(8, 16)})
    >>> report = lstm_fast.torch.report(lstm_fast.torch.accelerate(model))
    >>> report.accelerated
    ['encoder']
    >>> report.left
    {'decoder': 'Doubled has a forward of its own'}
    """
    _modules(module)
    return Report(_reports(module))


def _reports(module: nn.Module) -> Iterator[ModuleReport]:
    for name, one in module.named_modules():
        kind = getattr(one, "original_name", type(one).__name__)  # of a module compiled by torch.jit
        if isinstance(one, (LSTM, LSTMCell)):
            reasons = (fallback.reason_of(parameter) for parameter in one.parameters())
            yield ModuleReport(name, kind, True, one._is_frozen, next(filter(None, reasons), None))
        elif isinstance(one, (nn.RNNBase, nn.RNNCellBase)) or "LSTM" in kind:
            reason = _reason_to_leave(one) or "not accelerated yet"
            yield ModuleReport(name, kind, False, False, reason)


def _modules(module: object) -> list[nn.Module]:
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    return list(module.modules())


def _reason_to_leave(module: nn.Module) -> str | None:
    cls = type(module)
    if hasattr(module, "original_name"):
        return "it is compiled by torch.jit"
    if not isinstance(module, (nn.LSTM, nn.LSTMCell)):
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            return "lstm_fast computes LSTM and LSTMCell only"
        return f"{cls.__module__}.{cls.__qualname__} is no torch.nn.LSTM or LSTMCell"
    if _fast_class(cls) is None:
        return f"{cls.__name__} has a {'forward' if _has_own_forward(cls) else '__call__'} of its own"
    names = module._flat_weights_names if isinstance(module, nn.LSTM) else list(CELL_NAMES[: 4 if module.bias else 2])
    parameters = dict(module.named_parameters(recurse=False))
    computed = [name for name in names if name not in parameters]
    if computed:
        return f"{', '.join(computed)} is computed before each call (parametrization, weight_norm or pruning)"
    return None


def _has_own_forward(cls: type) -> bool:
    return all(getattr(cls, "forward", None) is not pytorch.forward for pytorch in _FAST)


def _fast_class(cls: type[nn.Module]) -> type[nn.Module] | None:
    """The class for instances of cls; None if they are to be left alone."""
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
    """An accelerated subclass of PyTorch's class: pickled by the class that can be imported."""

    _pytorch_class: type[nn.Module]

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return _unpickled, (self._pytorch_class,), self.__getstate__()


def _unpickled(cls: type[nn.Module]) -> nn.Module:
    fast = _fast_class(cls)
    assert fast is not None
    return fast.__new__(fast)
