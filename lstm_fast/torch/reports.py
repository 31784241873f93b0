"""Reports of which recurrent modules of a model are accelerated, and why the others are not."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from . import fallback, policies
from .classes import modules_of, reason_to_leave
from .modules import LSTM, LSTMCell


class ModuleReport(NamedTuple):
    """One recurrent module of a model, in the result of `report`.

    Parameters
    ----------
    name : str
        As in `named_modules()`; "" for the root.
    kind : str
        Name of its class.
    is_accelerated : bool
        Whether it is an lstm_fast.torch.LSTM or LSTMCell; a recurrent policy of sb3-contrib: whether it processes
        sequences in one call.
    is_frozen : bool
        Whether it was accelerated with frozen=True.
    reason : str or None
        Why it was left unchanged or, if it is accelerated, why its calls still fall back to PyTorch.
    format : str or None
        Format of its weights in inference, if it was accelerated with one.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> (one,) = lstm_fast.torch.report(torch.nn.LSTM(8, 16))
    >>> one.kind, one.is_accelerated, one.reason
    ('LSTM', False, 'not accelerated yet')
    """

    name: str
    kind: str
    is_accelerated: bool
    is_frozen: bool
    reason: str | None
    format: str | None = None

    def __str__(self) -> str:
        if not self.is_accelerated:
            return f"left: {self.reason}"
        falls_back = f", but falls back to PyTorch: {self.reason}" if self.reason else ""
        options = ", ".join(["frozen"] * self.is_frozen + ([] if self.format is None else [self.format]))
        return f"accelerated{f' ({options})' if options else ''}{falls_back}"


class Report(tuple[ModuleReport, ...]):
    """The recurrent modules of a model, a tuple of `ModuleReport`. Prints as one line for each.

    Parameters
    ----------
    iterable : iterable of ModuleReport
        The modules, from `report`.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> print(lstm_fast.torch.report(torch.nn.Sequential(torch.nn.LSTM(8, 16), torch.nn.LSTMCell(16, 4))))
    0  LSTM      left: not accelerated yet
    1  LSTMCell  left: not accelerated yet
    """

    @property
    def accelerated(self) -> list[str]:
        """Names of the modules that lstm_fast computes.

        Returns
        -------
        list of str
            As in `named_modules()`.

        Examples
        --------
        >>> import torch, lstm_fast
        >>> model = lstm_fast.torch.accelerate(torch.nn.Sequential(torch.nn.LSTM(8, 16)))
        >>> lstm_fast.torch.report(model).accelerated
        ['0']
        """
        return [one.name for one in self if one.is_accelerated]

    @property
    def left(self) -> dict[str, str]:
        """The modules that lstm_fast does not compute.

        Returns
        -------
        dict of str to str
            The reasons, by the names of `named_modules()`.

        Examples
        --------
        >>> import torch, lstm_fast
        >>> lstm_fast.torch.report(torch.nn.Sequential(torch.nn.GRU(8, 16))).left
        {'0': 'lstm_fast computes LSTM and LSTMCell only'}
        """
        return {one.name: one.reason or "" for one in self if not one.is_accelerated}

    def __str__(self) -> str:
        names = [one.name or "(root)" for one in self]
        widths = [max(map(len, column), default=0) for column in (names, [one.kind for one in self])]
        return "\n".join(
            f"{name:{widths[0]}}  {one.kind:{widths[1]}}  {one}" for name, one in zip(names, self, strict=True)
        )


def report(module: nn.Module) -> Report:
    """List the recurrent modules of a model: which are accelerated, and why the others are not.

    Parameters
    ----------
    module : torch.nn.Module
        The model, before or after `accelerate`.

    Returns
    -------
    Report
        A tuple with one `ModuleReport` for each recurrent module, with the properties `accelerated` (names) and `left`
        (a dict of names and reasons). Prints as a table.

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
    {'decoder': 'Doubled overrides forward'}
    """
    modules_of(module)
    return Report(_reports(module))


def _reports(module: nn.Module) -> Iterator[ModuleReport]:
    for name, one in module.named_modules():
        kind = getattr(one, "original_name", type(one).__name__)  # set if torch.jit compiled the module
        if policies.is_policy(one):
            is_accelerated = policies.is_accelerated(one)
            reason = None if is_accelerated else policies.reason_to_leave_policy(one) or "not accelerated yet"
            yield ModuleReport(name, kind, is_accelerated, False, reason)
            continue
        if isinstance(one, (LSTM, LSTMCell)):
            reasons = (fallback.reason_of(parameter) for parameter in one.parameters())
            format = None if one._quantization is None else one._quantization.format
            yield ModuleReport(name, kind, True, one._is_frozen, next(filter(None, reasons), None), format)
        elif isinstance(one, (nn.RNNBase, nn.RNNCellBase)) or "LSTM" in kind:
            reason = reason_to_leave(one) or "not accelerated yet"
            yield ModuleReport(name, kind, False, False, reason)
