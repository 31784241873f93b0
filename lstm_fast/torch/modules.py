"""LSTM and LSTMCell: PyTorch's classes, whose forward the core computes."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, is_grad_enabled, nn
from torch.compiler import is_compiling
from torch.nn.utils.rnn import PackedSequence

from . import autograd, call, compiled, fallback, memory, packing, weights
from .forms import Form, Sizes, parameter_shapes, state_shape

CELL_NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh"

Self = TypeVar("Self", bound="Fast")
Results = tuple[Tensor, Tensor, Tensor]  # output, h_n, c_n


class Fast(nn.Module):
    """Common to both modules: the packed copy of the parameters, and the dispatch to the core or to PyTorch."""

    _pytorch_class: type[nn.Module]
    _packed: weights.Packed | None = None  # made by the first call
    _is_frozen = False  # the caller promised not to write parameters: accelerate(frozen=True)

    def forward(self, input: Any, hx: Any = None) -> Any:
        if is_compiling():
            return compiled.forward(self, input, hx)
        if self._packed is not None and not is_grad_enabled():
            result = self._fast_path(self._packed.calls.call, input, hx)
            if result is not None:
                return result
        if isinstance(input, torch.fx.Proxy):  # PyTorch's modules are leaves to torch.fx
            tracer: Any = input.tracer
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (input, hx), {})
        return self._any_call(input, hx)

    def flatten_parameters(self) -> None:
        """Do what PyTorch's does, and drop the packed copy of the parameters: the next call packs them again."""
        self._forget()
        if isinstance(self, nn.RNNBase):
            super().flatten_parameters()  # type: ignore[misc]

    def _set_frozen(self, is_frozen: bool) -> None:
        """Take the caller's promise not to write parameters, or give it back."""
        self._forget()
        self.__dict__.pop("_is_frozen", None)
        if is_frozen:
            self._is_frozen = True

    def _restore(self) -> nn.Module:
        """This object as PyTorch's class: what restore() does to each module."""
        self._set_frozen(False)
        self.__class__ = self._pytorch_class  # type: ignore[assignment]
        return self

    # Private names only below: an accelerated subclass has attributes of its own.

    def _sizes(self) -> Sizes:
        raise NotImplementedError

    def _tensors(self) -> list[Tensor]:
        """The parameters as PyTorch would use them now, in its order."""
        raise NotImplementedError

    def _axes(self, x: Any) -> str:
        raise NotImplementedError

    def _dropout_now(self) -> float:
        raise NotImplementedError

    def _arrange(self, output: Tensor, h_n: Tensor, c_n: Tensor) -> Any:
        """The results as the caller gets them."""
        raise NotImplementedError

    def _fast_path(self, call: Callable[..., Any], input: Any, hx: Any) -> Any:
        """The usual call without gradients, with as little as possible around it; None for any other."""
        raise NotImplementedError

    def _any_call(self, input: Any, hx: Any) -> Any:
        raise NotImplementedError

    # The way to the core.

    def _fits(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        tensors: Sequence[Tensor],
        axes: str,
        batch_sizes: Tensor | None = None,
    ) -> bool:
        """Whether all shapes are right, and none is empty."""
        _, H, L, D, _, P = sizes = self._sizes()
        if (
            [t.shape for t in tensors] != parameter_shapes(sizes)
            or x.dim() != len(axes)
            or x.shape[-1] != sizes.input_size
            or not x.numel()
        ):
            return False
        if batch_sizes is not None and not packing.is_valid(batch_sizes.detach().cpu().numpy(), len(x)):
            return False
        B = int(batch_sizes[0]) if batch_sizes is not None else x.shape[axes.index("B")] if "B" in axes else 1
        return len(states) == 0 or [t.shape for t in states] == [state_shape(axes, L * D, B, n) for n in (P or H, H)]

    def _takes(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        tensors: Sequence[Tensor],
        axes: str,
        batch_sizes: Tensor | None = None,
    ) -> bool:
        """Whether the core computes this; if not, PyTorch does, or raises its error."""
        return all(
            isinstance(t, Tensor) and fallback.reason_of(t) is None and t.dtype is x.dtype
            for t in (x, *states, *tensors)
        ) and self._fits(x, states, tensors, axes, batch_sizes)

    def _compute(
        self, x: Tensor, states: Sequence[Tensor], tensors: Sequence[Tensor], form: Form, dropout: float
    ) -> Results:
        """The results for arguments that the core takes, with a gradient where one is required."""
        packed = weights.packed(self._packed, self._sizes(), tensors, is_frozen=self._is_frozen)
        self.__dict__["_packed"] = packed
        h_0, c_0 = states or (None, None)
        seed = memory.random_seed() if dropout else 0
        if is_grad_enabled() and any(t.requires_grad for t in (x, *states, *tensors)):
            options = autograd.Options(packed, form, dropout, seed)
            return autograd.apply(options, autograd.saved(x, form.axes), h_0, c_0, tensors)
        return call.forward(packed, x, h_0, c_0, form, dropout=dropout, seed=seed)[:3]

    def _by_pytorch(self, input: Any, hx: Any, tensors: Sequence[Any]) -> Any:
        """PyTorch's own forward. If it raises nothing, a warning says why it was called."""
        result = super().forward(input, hx)
        fallback.warn(fallback.reason_now() or next(filter(None, map(fallback.reason_of, tensors)), None))
        return result

    # Where packed copies must not live on.

    def _forget(self) -> None:
        self.__dict__.pop("_packed", None)

    def _apply(self: Self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        self._forget()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._forget()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name != "_packed"}

    def __prepare_scriptable__(self) -> nn.Module:
        """torch.jit.script would compile our forward, so this object becomes PyTorch's and is scripted as such."""
        fallback.warn("torch.jit.script, which restores the modules")
        return self._restore()


class LSTM(Fast, nn.LSTM):
    """`torch.nn.LSTM`, computed by lstm_fast: the same constructor, parameters, shapes, errors and results.

    As in PyTorch, calling the module serves for training and inference; autograd decides. (`lstm_fast.LSTM`, the NumPy
    layer, tells them apart: there `lstm(x)` is inference and `lstm.forward(x)` training.)

    Parameters
    ----------
    *args, **kwargs
        Those of `torch.nn.LSTM`: input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
        proj_size, device and dtype.

    Warns
    -----
    FallbackWarning
        If a call falls back to PyTorch's own kernel, once a process for each reason.

    See Also
    --------
    accelerate : Convert the modules of an existing model.

    Notes
    -----
    Computed are float32 and float64 on the CPU, on at most min(lstm_fast.get_num_threads(), torch.get_num_threads())
    threads. Anything else (other devices and dtypes, autocast, torch.jit, torch.export, torch.func, forward-mode
    differentiation, subclasses of Tensor) falls back to PyTorch's kernel, as do gradients of higher order and batched
    gradients, which with dropout are a RuntimeError. Dropout draws from the generator of torch.manual_seed, but other
    masks than PyTorch's.

    A call computes with the parameters as they are when it is made, however they were written: it compares all of them
    with its packed copy, unless `accelerate(module, frozen=True)` promised that they are not written.

    Under torch.compile the module is one opaque operator if torch._dynamo.config.allow_rnn is set; otherwise, and with
    a PackedSequence, it is a graph break, as PyTorch's own LSTM is.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> lstm = lstm_fast.torch.LSTM(8, 16, batch_first=True)
    >>> output, (h_n, c_n) = lstm(torch.randn(4, 10, 8))
    >>> output.shape, h_n.shape
    (torch.Size([4, 10, 16]), torch.Size([1, 4, 16]))
    >>> output.sum().backward()
    >>> lstm.weight_hh_l0.grad.shape
    torch.Size([64, 16])
    """

    _pytorch_class = nn.LSTM

    def _sizes(self) -> Sizes:
        return Sizes(
            self.input_size, self.hidden_size, self.num_layers, 1 + self.bidirectional, self.bias, self.proj_size
        )

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def _axes(self, x: Any) -> str:
        return "TI" if isinstance(x, Tensor) and x.dim() == 2 else "BTI" if self.batch_first else "TBI"

    def _dropout_now(self) -> float:
        return self.dropout if self.training and self.num_layers > 1 else 0.0

    def _arrange(self, output: Tensor, h_n: Tensor, c_n: Tensor) -> Any:
        return output, (h_n, c_n)

    def _check_states(self, x: Tensor, states: Sequence[Tensor], batch_sizes: Tensor) -> None:
        """PyTorch checks these for padded sequences only; with packed ones its kernel reads past the end."""
        expected = self.get_expected_hidden_size(x, batch_sizes), self.get_expected_cell_size(x, batch_sizes)
        for k, (state, size) in enumerate(zip(states, expected, strict=True)):
            self.check_hidden_size(state, size, f"Expected hidden[{k}] size {{}}, got {{}}")

    @compiled.skip
    def _fast_path(self, call: Callable[..., Any], input: Any, hx: Any) -> Any:
        if (self.training and self.dropout) or not fallback.is_usual():
            return None
        parameters, names = None if self._is_frozen else self._parameters, self._flat_weights_names
        if type(input) is not PackedSequence:
            return call(parameters, names, input, hx, self.batch_first)
        data, batch_sizes, sorted_indices, unsorted_indices = input
        try:
            states = hx and self.permute_hidden(hx, sorted_indices)
        except (AttributeError, IndexError, RuntimeError, TypeError):
            return None  # PyTorch says what is wrong with them
        result = call(parameters, names, data, states, False, False, batch_sizes)
        if result is None:
            return None
        output, state = result
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), self.permute_hidden(
            state, unsorted_indices
        )

    @compiled.skip
    def _any_call(self, input: Any, hx: Any) -> Any:
        self._update_flat_weights()
        tensors, is_packed = cast(list[Tensor], self._flat_weights), isinstance(input, PackedSequence)
        x, batch_sizes, sorted_indices, unsorted_indices = input if is_packed else (input, None, None, None)
        states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,) if hx is not None else ()
        axes = "NI" if is_packed else self._axes(x)
        if fallback.reason_now() or not self._takes(x, states, tensors, axes, batch_sizes):
            if batch_sizes is not None and [isinstance(t, Tensor) and t.dim() for t in states] == [3, 3]:
                self._check_states(x, states, batch_sizes)
            return self._by_pytorch(input, hx, (x, *states, *tensors))
        states = self.permute_hidden(states, sorted_indices) if states else ()
        output, h_n, c_n = self._compute(x, states, tensors, Form(axes, batch_sizes), self._dropout_now())
        state = self.permute_hidden((h_n, c_n), unsorted_indices)
        if batch_sizes is not None:
            return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), state
        return output, state


class LSTMCell(Fast, nn.LSTMCell):
    """`torch.nn.LSTMCell`, computed by lstm_fast; see `LSTM`. Many steps are faster as one call of `LSTM`.

    Parameters
    ----------
    *args, **kwargs
        Those of `torch.nn.LSTMCell`: input_size, hidden_size, bias, device and dtype.

    Examples
    --------
    >>> import torch, lstm_fast
    >>> cell = lstm_fast.torch.LSTMCell(8, 16)
    >>> h, c = cell(torch.randn(4, 8))
    >>> h, c = cell(torch.randn(4, 8), (h, c))
    >>> h.shape
    torch.Size([4, 16])
    """

    _pytorch_class = nn.LSTMCell

    def _sizes(self) -> Sizes:
        return Sizes(self.input_size, self.hidden_size, 1, 1, self.bias_ih is not None, 0)

    def _tensors(self) -> list[Tensor]:
        return [t for t in (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh) if t is not None]

    def _axes(self, x: Any) -> str:
        return "I" if isinstance(x, Tensor) and x.dim() == 1 else "BI"

    def _dropout_now(self) -> float:
        return 0.0

    def _arrange(self, output: Tensor, h_n: Tensor, c_n: Tensor) -> Any:
        return h_n, c_n

    @compiled.skip
    def _fast_path(self, call: Callable[..., Any], input: Any, hx: Any) -> Any:
        if not fallback.is_usual():
            return None
        parameters = None if self._is_frozen else self._parameters
        return call(parameters, CELL_NAMES[: 4 if self.bias else 2], input, hx, False, True)

    @compiled.skip
    def _any_call(self, input: Any, hx: Any) -> Any:
        tensors = self._tensors()
        states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,) if hx is not None else ()
        axes = self._axes(input)
        if fallback.reason_now() or not self._takes(input, states, tensors, axes):
            return self._by_pytorch(input, hx, (input, *states, *tensors))
        return self._arrange(*self._compute(input, states, tensors, Form(axes), 0.0))
