"""LSTM and LSTMCell: PyTorch's classes, whose forward the core computes."""

import torch
from torch import Tensor, is_grad_enabled, nn
from torch.compiler import is_compiling
from torch.nn.utils.rnn import PackedSequence

from . import autograd, call, compiled, fallback, memory, packing, weights
from .forms import Form, Sizes, parameter_shapes, state_shape

CELL_NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


class _Fast:
    """What both modules share: packed copies of the parameters, and the ways to the core and to PyTorch's own forward."""

    _packed: weights.Packed | None = None  # made by the first call
    is_frozen = False  # the caller promised not to write parameters: accelerate(frozen=True)

    def forward(self, input, hx=None):
        """As PyTorch's."""
        if is_compiling():
            return compiled.forward(self, input, hx)
        if self._packed is not None and not is_grad_enabled():
            result = self._short_cut(input, hx)
            if result is not None:
                return result
        if isinstance(input, torch.fx.Proxy):  # to torch.fx, PyTorch's modules are leaves
            return input.tracer.create_proxy("call_module", input.tracer.path_of_module(self), (input, hx), {})
        return self._any_call(input, hx)

    def flatten_parameters(self):
        """Forgets the packed copies of the parameters, so that the next call makes new ones; and what PyTorch's does."""
        self._forget()
        if hasattr(super(), "flatten_parameters"):
            super().flatten_parameters()

    def _apply(self, fn, recurse=True):
        self._forget()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args, **kwargs):
        self._forget()
        super()._load_from_state_dict(*args, **kwargs)

    def _forget(self):
        self.__dict__.pop("_packed", None)

    def _takes(self, x, states, tensors, axes, batch_sizes=None):
        """Whether the core computes this; if not, PyTorch does, or raises its error."""
        return all(
            isinstance(t, Tensor) and fallback.reason_of(t) is None and t.dtype is x.dtype
            for t in (x, *states, *tensors)
        ) and self._fits(x, states, tensors, axes, batch_sizes)

    def _fits(self, x, states, tensors, axes, batch_sizes=None):
        """Whether all shapes are right, and none is empty."""
        I, H, L, D, _, P = sizes = self._sizes()
        if (
            [t.shape for t in tensors] != parameter_shapes(sizes)
            or x.dim() != len(axes)
            or x.shape[-1] != I
            or not x.numel()
        ):
            return False
        if batch_sizes is not None and not packing.is_valid(batch_sizes.detach().cpu().numpy(), len(x)):
            return False
        B = int(batch_sizes[0]) if batch_sizes is not None else x.shape[axes.index("B")] if "B" in axes else 1
        return len(states) == 0 or [t.shape for t in states] == [state_shape(axes, L * D, B, n) for n in (P or H, H)]

    def _compute(self, x, states, tensors, form, dropout=0.0):
        """output, h_n, c_n of arguments that the core takes, with a gradient where one is wanted."""
        packed = weights.packed(self._packed, self._sizes(), tensors, is_frozen=self.is_frozen)
        self.__dict__["_packed"] = packed
        h_0, c_0 = states or (None, None)
        seed = memory.random_seed() if dropout else 0
        if is_grad_enabled() and any(t.requires_grad for t in (x, *states, *tensors)):
            options = autograd.Options(packed, form, dropout, seed)
            return autograd.LSTMFunction.apply(options, autograd.saved(x, form.axes), h_0, c_0, *tensors)
        return call.forward(packed, x, h_0, c_0, form, dropout=dropout, seed=seed)[:3]

    def _by_pytorch(self, input, hx, tensors):
        """PyTorch's own forward. If it raises nothing, a warning says why it was called."""
        result = super().forward(input, hx)
        fallback.warn(fallback.reason_now() or next(filter(None, map(fallback.reason_of, tensors)), None))
        return result

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "_packed"}

    def freeze(self, is_frozen):
        """Takes the caller's promise not to write parameters, or gives it back."""
        self._forget()
        self.__dict__.pop("is_frozen", None)
        if is_frozen:
            self.is_frozen = True

    def restored(self):
        """This object as PyTorch's class: what restore() does to each."""
        self.freeze(False)
        self.__class__ = self._pytorch_class
        return self

    def __prepare_scriptable__(self):
        """torch.jit.script would compile forward, so this object becomes PyTorch's (and PyTorch puts it into the model)."""
        fallback.warn("torch.jit.script, which makes the modules PyTorch's again (as restore does),")
        return self.restored()


class LSTM(_Fast, nn.LSTM):
    """torch.nn.LSTM, computed by lstm_fast: the same constructor, parameters, shapes, errors and results.

    Float32 and float64 on the CPU; anything else (other devices and dtypes, autocast, torch.jit, torch.export, torch.func,
    forward-mode differentiation, subclasses of Tensor) is computed by PyTorch's own kernel, with one FallbackWarning a
    process for each reason. At most min(lstm_fast.get_num_threads(), torch.get_num_threads()) threads.

    Under torch.compile it is one opaque operator if torch._dynamo.config.allow_rnn is set (PyTorch leaves every LSTM out of
    its graphs otherwise); else, and with a PackedSequence, it is a break of the graph.

    Gradients of first order come from lstm_fast, those of higher order from PyTorch (with dropout they are a RuntimeError).
    Dropout draws from the generator of torch.manual_seed, but other masks than PyTorch's.

    Notes
    -----
    Parameters are read as they are at each call. There is one gap: a call without gradients of less than 256 steps (T * B)
    looks at the version of each parameter and at about 64 of its numbers. A write through `.data`, or by a fused optimizer,
    that changed none of them, nor any version, is not seen; flatten_parameters() makes sure that it is.
    """

    _pytorch_class = nn.LSTM

    def _sizes(self):
        return Sizes(
            self.input_size, self.hidden_size, self.num_layers, 1 + self.bidirectional, self.bias, self.proj_size
        )

    def _tensors(self):
        return [getattr(self, name) for name in self._flat_weights_names]

    def _axes(self, x):
        return "TI" if isinstance(x, Tensor) and x.dim() == 2 else "BTI" if self.batch_first else "TBI"

    def _dropout(self):
        return self.dropout if self.training and self.num_layers > 1 else 0.0

    def _results(self, output, h_n, c_n):
        return output, (h_n, c_n)

    def _check_states(self, x, states, batch_sizes):
        """The sizes that PyTorch checks for padded sequences alone: with packed ones it reads memory that is not there."""
        for k, (state, expected) in enumerate(
            zip(
                states,
                (self.get_expected_hidden_size(x, batch_sizes), self.get_expected_cell_size(x, batch_sizes)),
                strict=True,
            )
        ):
            self.check_hidden_size(state, expected, f"Expected hidden[{k}] size {{}}, got {{}}")

    @compiled.skip
    def _short_cut(self, input, hx):
        """The usual call without gradients, with as little as possible around it; None if it is another."""
        if (self.training and self.dropout) or not fallback.is_usual():
            return None
        call = self._packed.calls.call
        parameters, names = None if self.is_frozen else self._parameters, self._flat_weights_names
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
    def _any_call(self, input, hx):
        self._update_flat_weights()
        tensors, is_packed = self._flat_weights, isinstance(input, PackedSequence)
        x, batch_sizes, sorted_indices, unsorted_indices = input if is_packed else (input, None, None, None)
        states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,) if hx is not None else ()
        every = (x, *states, *tensors)
        axes = "NI" if is_packed else self._axes(x)
        if fallback.reason_now() or not self._takes(x, states, tensors, axes, batch_sizes):
            if is_packed and [isinstance(t, Tensor) and t.dim() for t in states] == [3, 3]:
                self._check_states(x, states, batch_sizes)
            return self._by_pytorch(input, hx, every)
        states = self.permute_hidden(states, sorted_indices) if states else ()
        output, *state = self._compute(x, states, tensors, Form(axes, batch_sizes), self._dropout())
        if is_packed:
            output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return output, self.permute_hidden(tuple(state), unsorted_indices)


class LSTMCell(_Fast, nn.LSTMCell):
    """torch.nn.LSTMCell, computed by lstm_fast; LSTM says what that means. Many steps are faster as one call of LSTM."""

    _pytorch_class = nn.LSTMCell

    def _sizes(self):
        return Sizes(self.input_size, self.hidden_size, 1, 1, self.bias_ih is not None, 0)

    def _tensors(self):
        return [t for t in (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh) if t is not None]

    def _axes(self, x):
        return "I" if isinstance(x, Tensor) and x.dim() == 1 else "BI"

    def _dropout(self):
        return 0.0

    def _results(self, output, h, c):
        return h, c

    @compiled.skip
    def _short_cut(self, input, hx):
        if not fallback.is_usual():
            return None
        parameters = None if self.is_frozen else self._parameters
        return self._packed.calls.call(parameters, CELL_NAMES[: 4 if self.bias else 2], input, hx, False, True)

    @compiled.skip
    def _any_call(self, input, hx):
        tensors = self._tensors()
        states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,) if hx is not None else ()
        axes = self._axes(input)
        if fallback.reason_now() or not self._takes(input, states, tensors, axes):
            return self._by_pytorch(input, hx, (input, *states, *tensors))
        return self._results(*self._compute(input, states, tensors, Form(axes)))
