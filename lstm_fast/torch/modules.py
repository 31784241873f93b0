"""LSTM and LSTMCell: PyTorch's classes with a forward computed by the core."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .._layout import Layout, layout_of
from . import compiled, fallback
from .episodes import Episodes, check_resets, read_resets
from .fast import Fast
from .shapes import Sizes, TensorLayout

CELL_NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


class LSTM(Fast, nn.LSTM):
    """`torch.nn.LSTM`, computed by lstm_fast: the same constructor, parameters, shapes, errors and results.

    As in PyTorch, the same call is used for training and inference; autograd decides. (`lstm_fast.LSTM`, the NumPy
    layer, distinguishes them: there `lstm(x)` is inference and `lstm.forward(x)` training.)

    Parameters
    ----------
    *args
        Arguments of `torch.nn.LSTM`: input_size, hidden_size and num_layers.
    compute_dtype : {None, "bfloat16", "bfloat16_amx"}, default None
        Format to which the operands of products are rounded in float32 calls, as in `lstm_fast.LSTM`. Parameters,
        results and gradients stay float32.
    **kwargs
        Arguments of `torch.nn.LSTM`: bias, batch_first, dropout, bidirectional, proj_size, device and dtype.

    Warns
    -----
    FallbackWarning
        If a call falls back to PyTorch's own kernel, once per process and reason.

    See Also
    --------
    accelerate : Convert the modules of an existing model.

    Notes
    -----
    lstm_fast computes float32 and float64 on the CPU, with at most min(lstm_fast.get_num_threads(),
    torch.get_num_threads()) threads. Under torch.autocast("cpu", dtype=torch.bfloat16), modules with float32 parameters
    compute with their compute_dtype or else "bfloat16", for float32 or bfloat16 inputs, and return the same dtypes as
    PyTorch.
    Anything else (other devices and dtypes, autocast to float16, torch.jit, torch.export, torch.func, forward-mode
    differentiation, subclasses of Tensor) falls back to PyTorch's kernel, as do higher-order and batched gradients,
    which raise a RuntimeError with dropout. Dropout uses the generator of torch.manual_seed, but its masks differ from
    PyTorch's.

    Changes to the parameters are always detected, no matter how they were made: each call compares all parameters with
    its packed copy, unless they were declared constant with `accelerate(module, frozen=True)`.

    Under torch.compile the module is one opaque operator if torch._dynamo.config.allow_rnn is set; otherwise, and with
    a PackedSequence, it causes a graph break, like PyTorch's own LSTM.

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

    def __init__(
        self, *args: Any, compute_dtype: Literal["bfloat16", "bfloat16_amx"] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._set_compute_dtype(compute_dtype)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor, for repr.

        Returns
        -------
        str
            Like that of `torch.nn.LSTM`, plus compute_dtype unless it is None.
        """
        return self._with_compute_dtype(super().extra_repr())

    def _sizes(self) -> Sizes:
        return Sizes(
            self.input_size, self.hidden_size, self.num_layers, 1 + self.bidirectional, self.bias, self.proj_size
        )

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def _axes(self, x: Any) -> str:
        return layout_of(isinstance(x, Tensor) and x.dim() == 2, self.batch_first).axes

    def _dropout_now(self) -> float:
        return self.dropout if self.training and self.num_layers > 1 else 0.0

    def _arrange(self, output: Tensor, h_n: Tensor, c_n: Tensor) -> Any:
        return output, (h_n, c_n)

    def _check_resets(self, resets: Any, x: Any) -> None:
        check_resets(resets, x.shape[:-1], self._axes(x))

    def _check_states(self, x: Tensor, states: Sequence[Tensor], batch_sizes: Tensor) -> None:
        """PyTorch checks these only for padded sequences; with packed ones its kernel would read out of bounds."""
        expected = self.get_expected_hidden_size(x, batch_sizes), self.get_expected_cell_size(x, batch_sizes)
        for k, (state, size) in enumerate(zip(states, expected, strict=True)):
            self.check_hidden_size(state, size, f"Expected hidden[{k}] size {{}}, got {{}}")

    @compiled.skip
    def _fast_path(self, call: Callable[..., Any], input: Any, hx: Any) -> Any:
        if (self.training and self.dropout) or not fallback.is_plain_eager():
            return None
        parameters, names = None if self._is_frozen else self._parameters, self._flat_weights_names
        if type(input) is not PackedSequence:
            return call(parameters, names, input, hx, self.batch_first)
        data, batch_sizes, sorted_indices, unsorted_indices = input
        try:
            states = hx and self.permute_hidden(hx, sorted_indices)
        except (AttributeError, IndexError, RuntimeError, TypeError):
            return None  # PyTorch raises the appropriate error
        result = call(parameters, names, data, states, False, False, batch_sizes)
        if result is None:
            return None
        output, state = result
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), self.permute_hidden(
            state, unsorted_indices
        )

    @compiled.skip
    def _any_call(self, input: Any, hx: Any, compute_dtype: str | None = None, resets: Any = None) -> Any:
        self._update_flat_weights()
        tensors, is_packed = cast(list[Tensor], self._flat_weights), isinstance(input, PackedSequence)
        x, batch_sizes, sorted_indices, unsorted_indices = input if is_packed else (input, None, None, None)
        states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,) if hx is not None else ()
        axes = "NI" if is_packed else self._axes(x)
        flags = None if resets is None else read_resets(resets, x, axes, batch_sizes, sorted_indices)
        if fallback.reason_now() or not self._takes(x, states, tensors, axes, batch_sizes):
            if batch_sizes is not None and [isinstance(t, Tensor) and t.dim() for t in states] == [3, 3]:
                self._check_states(x, states, batch_sizes)
            if flags is None or not self._fits(x, states, tensors, axes, batch_sizes):  # an error, or no steps
                return self._by_pytorch(input, hx, (x, *states, *tensors))
            return self._episodes_by_pytorch(input, states, flags, (x, *states, *tensors))
        states = self.permute_hidden(states, sorted_indices) if states else ()
        tensor_layout, dropout = TensorLayout(axes, batch_sizes, flags), self._dropout_now()
        output, h_n, c_n = self._compute(x, states, tensors, tensor_layout, dropout, compute_dtype)
        state = self.permute_hidden((h_n, c_n), unsorted_indices)
        if batch_sizes is not None:
            return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), state
        return output, state

    def _episodes_by_pytorch(self, input: Any, states: Sequence[Tensor], flags: np.ndarray, tensors: Any) -> Any:
        """Run PyTorch's own forward over the episodes between resets, as separate sequences."""

        def kernel(data: Tensor, batch_sizes: Tensor, states: Any) -> tuple[Tensor, Tensor, Tensor]:
            packed, (h_n, c_n) = self._by_pytorch(PackedSequence(data, batch_sizes), states, tensors)
            return packed.data, h_n, c_n

        D = 1 + self.bidirectional
        if isinstance(input, PackedSequence):
            x, batch_sizes, sorted_indices, unsorted_indices = input
            states = self.permute_hidden((states[0], states[1]), sorted_indices) if states else ()
            output, h_n, c_n = Episodes(flags, batch_sizes).run(kernel, x, states, D)
            state = self.permute_hidden((h_n, c_n), unsorted_indices)
            return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), state
        layout = Layout(self._axes(input))
        steps = layout.to_steps(input)
        output, h_n, c_n = Episodes(flags).run(kernel, steps.flatten(0, 1), [*map(layout.to_states, states)], D)
        output, h_n, c_n = layout.from_core(output.reshape(*steps.shape[:2], -1), h_n, c_n)
        return output, (h_n, c_n)


class LSTMCell(Fast, nn.LSTMCell):
    """`torch.nn.LSTMCell`, computed by lstm_fast; see `LSTM`. For many steps, one call of `LSTM` is faster.

    Parameters
    ----------
    input_size : int
        Features of a step, I.
    hidden_size : int
        Hidden units, H.
    bias : bool, default True
        Whether to add bias_ih and bias_hh.
    device, dtype : optional
        Device and dtype of the parameters.
    compute_dtype : {None, "bfloat16", "bfloat16_amx"}, default None
        See `LSTM`.

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

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        compute_dtype: Literal["bfloat16", "bfloat16_amx"] | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self._set_compute_dtype(compute_dtype)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor, for repr.

        Returns
        -------
        str
            Like that of `torch.nn.LSTMCell`, plus compute_dtype unless it is None.
        """
        return self._with_compute_dtype(super().extra_repr())

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

    def _check_resets(self, resets: Any, x: Any) -> None:
        raise TypeError("resets must be None for an LSTMCell: pass zero states for the sequences that restart")

    @compiled.skip
    def _fast_path(self, call: Callable[..., Any], input: Any, hx: Any) -> Any:
        if not fallback.is_plain_eager():
            return None
        parameters = None if self._is_frozen else self._parameters
        return call(parameters, CELL_NAMES[: 4 if self.bias else 2], input, hx, False, True)

    @compiled.skip
    def _any_call(self, input: Any, hx: Any, compute_dtype: str | None = None, resets: Any = None) -> Any:
        if resets is not None:
            self._check_resets(resets, input)
        tensors = self._tensors()
        states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,) if hx is not None else ()
        axes = self._axes(input)
        if fallback.reason_now() or not self._takes(input, states, tensors, axes):
            return self._by_pytorch(input, hx, (input, *states, *tensors))
        return self._arrange(*self._compute(input, states, tensors, TensorLayout(axes), 0.0, compute_dtype))
