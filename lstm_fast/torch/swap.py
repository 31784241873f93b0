"""accelerate and restore: the LSTMs of an existing model, swapped in place."""

import warnings
from typing import Literal, TypeVar

from torch import nn

from .. import _formats, _variants
from . import policies
from .classes import fast_class, modules_of, reason_to_leave
from .modules import LSTM, LSTMCell
from .reports import report
from .weights import Quantization

Module = TypeVar("Module", bound=nn.Module)


def accelerate(
    module: Module,
    *,
    frozen: bool = False,
    format: Literal["float16", "bfloat16", "bfloat16_amx", "int8"] | None = None,
    inputs: Literal["float32", "int16", "int8"] = "float32",
    compute_dtype: Literal["bfloat16", "bfloat16_amx"] | None = None,
) -> Module:
    """Accelerate every torch.nn.LSTM and torch.nn.LSTMCell of a model, in place.

    The modules remain the same objects, but their class becomes lstm_fast.torch.LSTM or LSTMCell: parameters (existing
    optimizers keep working), state_dict, hooks, training flags, names and sharing are unchanged. `restore` undoes it;
    `report` lists which modules are accelerated, and why the others are not.

    Subclasses that override forward, modules whose parameters are computed (parametrizations, weight_norm, pruning),
    quantized modules, and those compiled by torch.jit are left unchanged.

    Recurrent policies of sb3-contrib (RecurrentPPO) process their sequences in one call with `resets` instead of a
    loop over steps: `accelerate(model.policy)`.

    Parameters
    ----------
    module : torch.nn.Module
        The model; it may itself be an LSTM.
    frozen : bool, default False
        Declare that the weights will not change. By default each call compares all weights with its packed copy, so
        that it detects every change; with frozen=True it does not read them. `flatten_parameters()` of a module,
        `load_state_dict`, `to` and another call of accelerate make the next call read the weights again regardless.
        Graphs of torch.compile always read the weights.
    format : {"float16", "bfloat16", "bfloat16_amx", "int8"}, optional
        Format of the weights in inference, as in `lstm_fast.LSTM.quantized`: in calls of float32 modules in eval mode
        that compute no gradient (under torch.no_grad() or torch.inference_mode(), or if nothing requires one). The
        weights are rounded again when they change. (Comparing them takes longer than a single step of a large layer:
        use frozen=True there.) All other calls ignore the format. None: float32.
    inputs : {"float32", "int16", "int8"}, default "float32"
        With "int8": how the first layer multiplies its input.
    compute_dtype : {None, "bfloat16", "bfloat16_amx"}, default None
        Format to which the operands of products are rounded in all float32 calls that format does not apply to, in
        training and inference, as in `lstm_fast.LSTM`. It also replaces "bfloat16" under torch.autocast. None: what the
        modules were constructed with.

    Returns
    -------
    torch.nn.Module
        `module` itself.

    Raises
    ------
    TypeError
        If module is not a torch.nn.Module.
    ValueError
        For an unknown format or compute_dtype, or an LSTM that the format does not support: "int8" excludes proj_size.
        The model is then unchanged.

    Warns
    -----
    UserWarning
        If the model has no module that lstm_fast can compute.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> model = torch.nn.Sequential(torch.nn.LSTM(8, 16), torch.nn.GRU(16, 4))
    >>> model = lstm_fast.torch.accelerate(model)
    >>> print(lstm_fast.torch.report(model))
    0  LSTM  accelerated
    1  GRU   left: lstm_fast computes LSTM and LSTMCell only
    """
    quantization = _quantization(module, format, inputs)
    _variants.compute_dtype("compute_dtype", compute_dtype)
    for one in modules_of(module):
        fast = fast_class(type(one))
        if fast is not None and reason_to_leave(one) is None:
            one.__class__ = fast
        if isinstance(one, (LSTM, LSTMCell)):
            one._set_options(frozen, quantization, compute_dtype)
        if policies.is_policy(one):
            policies.accelerate_policy(one)
    done = report(module)
    if not done.accelerated:
        left = "".join(f"\n  {line}" for line in str(done).splitlines())
        warnings.warn(
            f"accelerate found no torch.nn.LSTM or LSTMCell to compute{':' if left else ''}{left}", stacklevel=2
        )
    return module


def _quantization(module: nn.Module, format: str | None, inputs: str) -> Quantization | None:
    """Validate the arguments of accelerate."""
    if format is None:
        if inputs != "float32":
            raise ValueError(f"inputs must be 'float32' without a format, got {inputs!r}")
        return None
    _formats.check_options(format, inputs)
    for name, one in module.named_modules() if isinstance(module, nn.Module) else ():
        if format == "int8" and isinstance(one, nn.LSTM) and one.proj_size and reason_to_leave(one) is None:
            raise ValueError(
                f"proj_size of {name or 'the module'} must be 0 with format='int8', which needs h within [-1, 1], got "
                f"{one.proj_size}: use 'bfloat16' or 'float16'"
            )
    return Quantization(format, inputs)


def restore(module: Module) -> Module:
    """Undo `accelerate`: turn every lstm_fast.torch.LSTM and LSTMCell of a model into PyTorch's own, in place.

    Required before tools that check for the exact type torch.nn.LSTM, such as torch.ao.quantization.quantize_dynamic.

    Parameters
    ----------
    module : torch.nn.Module
        The model; modules constructed as lstm_fast.torch.LSTM or LSTMCell are converted as well.

    Returns
    -------
    torch.nn.Module
        `module` itself.

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
        if policies.is_policy(one):
            policies.restore_policy(one)
    return module
