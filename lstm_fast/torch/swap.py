"""accelerate and restore: the LSTMs of an existing model, swapped in place."""

import warnings
from typing import TypeVar

from torch import nn

from .classes import fast_class, modules_of, reason_to_leave
from .modules import LSTM, LSTMCell
from .reports import report

Module = TypeVar("Module", bound=nn.Module)


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
    for one in modules_of(module):
        fast = fast_class(type(one))
        if fast is not None and reason_to_leave(one) is None:
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
    for one in modules_of(module):
        if isinstance(one, (LSTM, LSTMCell)):
            one._restore()
    return module
