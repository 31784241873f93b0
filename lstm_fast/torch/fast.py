"""Base class of LSTM and LSTMCell: packed copies of the parameters, and dispatch to the core or to PyTorch."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, is_grad_enabled, nn
from torch.compiler import is_compiling

from .. import _variants
from .._layout import Layout
from .._packing import PackedLayout
from . import autocast, autograd, call, compiled, fallback, memory, weights
from .shapes import Sizes, TensorLayout, parameter_shapes

Self = TypeVar("Self", bound="Fast")
Results = tuple[Tensor, Tensor, Tensor]  # output, h_n, c_n
COPIES = "_packed", "_quantized", "_rounded"  # attributes with packed copies of the parameters


def _options(resets: Any) -> dict[str, Any]:
    """Keyword arguments of a call; none without resets, which PyTorch's class does not have."""
    return {} if resets is None else {"resets": resets}


class Fast(nn.Module):
    """Base class of both modules: packed copies of the parameters, and dispatch to the core or to PyTorch."""

    _pytorch_class: type[nn.Module]
    _packed: weights.Packed | None = None  # set by the first call
    _is_frozen = False  # parameters are declared constant: accelerate(frozen=True)
    _quantization: weights.Quantization | None = None  # for inference: accelerate(format=...)
    _quantized: weights.Packed | None = None  # set by the first call that uses it
    _compute_dtype: str | None = None  # the constructor argument
    _rounded: weights.Packed | None = None  # set by the first call under autocast that uses it

    def forward(self, input: Any, hx: Any = None, *, resets: Tensor | None = None) -> Any:
        """Compute the module as PyTorch's class does. Call the module itself instead, so that its hooks run.

        The results have a gradient if gradients are enabled and required by an argument or a parameter. The only other
        difference between training and inference is dropout, switched by PyTorch's `train()` and `eval()`.

        Parameters
        ----------
        input : torch.Tensor or PackedSequence
            LSTM: (T, B, I), (B, T, I) with batch_first, (T, I) unbatched, or packed. LSTMCell: (B, I) or (I,).
        hx : tuple of torch.Tensor, optional
            (h_0, c_0). LSTM: (num_layers * D, B, n), never batch-first, or (num_layers * D, n) unbatched. LSTMCell:
            (B, n) or (n,). Zero by default.
        resets : torch.Tensor of bool, optional
            For an LSTM only: (T, B), (B, T) if batch_first, (T,) unbatched; (T, B) with a PackedSequence, its sequences
            in the caller's order. True where a sequence restarts: its states are zero before that step, as at the
            first step of an episode. No gradient crosses the boundary; a reverse direction restarts there as well.

        Returns
        -------
        tuple
            LSTM: output, (h_n, c_n). LSTMCell: h_1, c_1.

        Raises
        ------
        RuntimeError, ValueError or TypeError
            For invalid arguments, as PyTorch's class does. ValueError or TypeError for resets of another dtype
            or shape, and for any under torch.export, torch.jit.trace and transforms of torch.func.

        Examples
        --------
        >>> import torch, lstm_fast
        >>> lstm = lstm_fast.torch.LSTM(8, 16)
        >>> output, (h_n, c_n) = lstm(torch.randn(10, 4, 8))
        >>> output, (h_n, c_n) = lstm(torch.randn(10, 4, 8), (h_n, c_n))
        >>> output.shape, c_n.shape
        (torch.Size([10, 4, 16]), torch.Size([1, 4, 16]))
        >>> output, _ = lstm(torch.randn(10, 4, 8), (h_n, c_n), resets=torch.rand(10, 4) < 0.1)
        """
        if is_compiling():
            return compiled.forward(self, input, hx, resets)
        if resets is None and not is_grad_enabled():
            packed = self._packed if self._quantization is None or self.training else self._quantized
            if packed is not None:
                if packed.quantization is not None and hx is not None:
                    packed.quantization.check_h(hx)
                result = self._fast_path(packed.calls.call, input, hx)
                if result is not None:
                    return result
        if isinstance(input, torch.fx.Proxy):  # PyTorch's modules are leaves to torch.fx
            tracer: Any = input.tracer
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (input, hx), _options(resets))
        if autocast.takes(self, input, hx):
            return autocast.call(self, input, hx, resets)
        return self._any_call(input, hx, None, resets)

    def flatten_parameters(self) -> None:
        """Discard the packed copies of the parameters, in addition to what PyTorch's method does.

        Needed only if parameters have changed despite `accelerate(module, frozen=True)`.

        Examples
        --------
        >>> import torch, lstm_fast
        >>> lstm = lstm_fast.torch.accelerate(torch.nn.LSTM(8, 16), frozen=True)
        >>> with torch.no_grad():
        ...     before = lstm(torch.ones(1, 8))[0]
        ...     _ = lstm.bias_ih_l0.fill_(1.0)
        ...     lstm.flatten_parameters()
        ...     after = lstm(torch.ones(1, 8))[0]
        >>> torch.equal(before, after)
        False
        """
        self._forget()
        if isinstance(self, nn.RNNBase):
            super().flatten_parameters()  # type: ignore[misc]

    def _set_options(
        self, is_frozen: bool, quantization: weights.Quantization | None, compute_dtype: str | None
    ) -> None:
        """Set the options of accelerate. Without a compute_dtype, the constructor's remains."""
        self._forget()
        for name in ("_is_frozen", "_quantization"):
            self.__dict__.pop(name, None)
        if is_frozen:
            self._is_frozen = True
        if quantization is not None:
            self._quantization = quantization
        if compute_dtype is not None:
            self._compute_dtype = compute_dtype

    def _set_compute_dtype(self, compute_dtype: str | None) -> None:
        """Validate and set the constructor argument."""
        if _variants.compute_dtype("compute_dtype", compute_dtype) is None:
            return
        dtype = self._tensors()[0].dtype
        if dtype is not torch.float32:
            raise ValueError(
                f"compute_dtype must be None with dtype {str(dtype).removeprefix('torch.')}, got {compute_dtype!r}: it "
                "rounds the operands of float32 products"
            )
        self._compute_dtype = compute_dtype

    def _with_compute_dtype(self, extra_repr: str) -> str:
        return extra_repr if self._compute_dtype is None else f"{extra_repr}, compute_dtype={self._compute_dtype!r}"

    def _restore(self) -> nn.Module:
        """Turn this object back into PyTorch's class, for restore()."""
        self._set_options(False, None, None)
        self.__dict__.pop("_compute_dtype", None)
        self.__class__ = self._pytorch_class  # type: ignore[assignment]
        return self

    # Only private names below, so as not to clash with the attributes of an accelerated subclass.

    def _sizes(self) -> Sizes:
        raise NotImplementedError

    def _tensors(self) -> list[Tensor]:
        """The parameters that PyTorch would use now, in its order."""
        raise NotImplementedError

    def _axes(self, x: Any) -> str:
        raise NotImplementedError

    def _dropout_now(self) -> float:
        raise NotImplementedError

    def _arrange(self, output: Tensor, h_n: Tensor, c_n: Tensor) -> Any:
        """The results in the form returned to the caller."""
        raise NotImplementedError

    def _fast_path(self, call: Callable[..., Any], input: Any, hx: Any) -> Any:
        """A plain call without gradients, with as little overhead as possible; None if the call is anything else."""
        raise NotImplementedError

    def _check_resets(self, resets: Any, x: Any) -> None:
        """Raise for resets that do not match x, while a graph is traced."""
        raise NotImplementedError

    def _any_call(self, input: Any, hx: Any, compute_dtype: str | None = None, resets: Any = None) -> Any:
        """Any call. compute_dtype: used if the module has none."""
        raise NotImplementedError

    # Dispatch to the core.

    def _fits(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        tensors: Sequence[Tensor],
        axes: str,
        batch_sizes: Tensor | None = None,
    ) -> bool:
        """Whether all shapes are valid and nothing is empty."""
        sizes = self._sizes()
        if (
            [t.shape for t in tensors] != parameter_shapes(sizes)
            or x.dim() != len(axes)
            or x.shape[-1] != sizes.input_size
            or not x.numel()
        ):
            return False
        if batch_sizes is not None:
            if not PackedLayout.is_valid(batch_sizes.detach().cpu().numpy(), len(x)):
                return False
            axes, B = "TBI", int(batch_sizes[0])
        else:
            B = x.shape[axes.index("B")] if "B" in axes else 1
        shapes = [Layout(axes).state_shape(sizes.num_states, B, n) for n in sizes.state_sizes]
        return len(states) == 0 or [t.shape for t in states] == shapes

    def _takes(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        tensors: Sequence[Tensor],
        axes: str,
        batch_sizes: Tensor | None = None,
    ) -> bool:
        """Whether the core computes this call; otherwise PyTorch does, or raises an error."""
        return all(
            isinstance(t, Tensor) and fallback.reason_of(t) is None and t.dtype is x.dtype
            for t in (x, *states, *tensors)
        ) and self._fits(x, states, tensors, axes, batch_sizes)

    def _quantizes(self, x: Tensor) -> bool:
        """Whether a call on x without gradients uses the format given to accelerate."""
        return self._quantization is not None and not self.training and x.dtype is torch.float32

    def _compute(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        tensors: Sequence[Tensor],
        tensor_layout: TensorLayout,
        dropout: float,
        compute_dtype: str | None = None,
    ) -> Results:
        """The results for arguments supported by the core, with gradients where required."""
        h_0, c_0 = states or (None, None)
        has_gradient = is_grad_enabled() and any(t.requires_grad for t in (x, *states, *tensors))
        if not has_gradient and self._quantizes(x):
            assert self._quantization is not None
            if states:
                self._quantization.check_h(states)
            quantized = weights.packed(
                self._quantized, self._sizes(), tensors, self._quantization, is_frozen=self._is_frozen
            )
            self.__dict__["_quantized"] = quantized
            return call.forward(quantized, x, h_0, c_0, tensor_layout)[:3]
        packed = self._pack(tensors, compute_dtype if x.dtype is torch.float32 else None)
        seed = memory.random_seed() if dropout else 0
        if has_gradient:
            options = autograd.Options(packed, tensor_layout, dropout, seed)
            return autograd.apply(options, autograd.saved(x, tensor_layout.axes), h_0, c_0, tensors)
        return call.forward(packed, x, h_0, c_0, tensor_layout, dropout=dropout, seed=seed)[:3]

    def _pack(self, tensors: Sequence[Tensor], compute_dtype: str | None) -> weights.Packed:
        """The packed copy for this call: that with the module's own compute_dtype, or that for autocast."""
        own = self._compute_dtype if tensors[0].dtype is torch.float32 else None
        name, compute_dtype = ("_packed", own) if compute_dtype in (None, own) else ("_rounded", compute_dtype)
        packed = weights.packed(
            getattr(self, name), self._sizes(), tensors, None, compute_dtype, is_frozen=self._is_frozen
        )
        self.__dict__[name] = packed
        return packed

    def _by_pytorch(self, input: Any, hx: Any, tensors: Sequence[Any]) -> Any:
        """PyTorch's own forward. Unless it raises, a warning explains why it was called."""
        result = super().forward(input, hx)
        fallback.warn(fallback.reason_now() or next(filter(None, map(fallback.reason_of, tensors)), None))
        return result

    # Operations that invalidate the packed copies.

    def _forget(self) -> None:
        for name in COPIES:
            self.__dict__.pop(name, None)

    def _apply(self: Self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        self._forget()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._forget()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name not in COPIES}

    def __prepare_scriptable__(self) -> nn.Module:
        """Restore this object to PyTorch's class first, because torch.jit.script would compile our forward."""
        fallback.warn("torch.jit.script, which restores the modules")
        return self._restore()
