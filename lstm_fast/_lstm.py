"""What the classes with an LSTM cell share: the options of the cell, and the trace."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arguments, _variants
from ._inference import Network
from ._options import Fixed

if TYPE_CHECKING:
    from ._types import Array

PLAIN = _variants.PLAIN


def _forget_bias(name: str, value: Any) -> float | None:
    if value is not None and (not isinstance(value, Real) or isinstance(value, bool)):
        raise ValueError(f"{name} must be a number or None, got {value!r}")
    return value  # type: ignore[return-value]


class LSTMNetwork(Network):
    """A network of LSTM cells. Base of LSTM, LSTMCell and QuantizedLSTM."""

    forget_bias = Fixed[float | None]("Initial bias of every forget gate; None: uniform.", _forget_bias)
    peepholes = Fixed[bool]("Whether gates see the cell state.", _arguments.flag, False)
    layer_norm = Fixed[bool]("Whether gates and cell state are normalised.", _arguments.flag, False)
    coupled_gates = Fixed[bool]("Whether f = 1 - i.", _arguments.flag, False)
    cell_clip = Fixed[float | None]("Bound of c, or None.", _variants.clip)
    gate_clip = Fixed[float | None]("Bound of the arguments of the gates' activations, or None.", _variants.clip)
    activation = Fixed[Any]("Activation of g.", _variants.checked_activation, PLAIN["activation"])
    recurrent_activation = Fixed[Any](
        "Activation of i, f and o.", _variants.checked_activation, PLAIN["recurrent_activation"]
    )
    cell_activation = Fixed[Any]("Activation of c in h.", _variants.checked_activation, PLAIN["cell_activation"])

    if TYPE_CHECKING:
        _peepholes: bool
        _layer_norm: bool
        _coupled_gates: bool
        _cell_clip: float | None
        _gate_clip: float | None

    def _check_combination(self) -> None:
        self._proj_size = _variants.projection(self.proj_size, self.hidden_size)
        if self.forget_bias is None:
            return
        if not self.bias:
            raise ValueError("forget_bias must be None with bias=False")
        if self.coupled_gates:
            raise ValueError("forget_bias must be None with coupled_gates=True: f = 1 - i has no bias of its own")

    def _cell_name(self) -> str:
        return "lstm"

    def _cell_options(self) -> dict[str, Any]:
        return {
            "proj_size": self._proj_size,
            "peepholes": self._peepholes,
            "layer_norm": self._layer_norm,
            "coupled_gates": self._coupled_gates,
            "cell_clip": self._cell_clip or 0,
            "gate_clip": self._gate_clip or 0,
            **{name: _variants.activation(name, getattr(self, name)) for name in PLAIN},
        }

    def _initialise(self, parameters: dict[str, Array]) -> None:
        super()._initialise(parameters)
        if self.forget_bias is not None:
            forget = slice(self.hidden_size, 2 * self.hidden_size)
            for suffix in self.parameter_suffixes:
                parameters["bias_ih" + suffix][forget] = self.forget_bias
                parameters["bias_hh" + suffix][forget] = 0


class Trace(NamedTuple):
    """What happened inside an LSTM at every step: gates, cell state and output.

    Attributes
    ----------
    i, f, g, o : ndarray of shape (num_layers, D, T, B, H)
        Input gate, forget gate, cell candidate and output gate, after their activations.
    c : ndarray of shape (num_layers, D, T, B, H)
        Cell state after each step.
    h : ndarray of shape (num_layers, D, T, B, R)
        Output of each step, R = proj_size or H.
    """

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def trace(network: LSTMNetwork, x: Any, state: Any, lengths: Any, resets: Any, num_threads: int | None) -> Trace:
    """The Trace of a call for inference."""
    tape = network._run(x, state, lengths, resets, num_threads, keep=True)[2]
    assert tape is not None
    L, D, H, R = network.num_layers, network.num_directions, network.hidden_size, network.h_size
    shape = L, D, tape.steps, tape.batch_size
    i, f, g, o, c = np.zeros((5, *shape, H), network.dtype)
    result = Trace(i, f, g, o, c, np.zeros((*shape, R), network.dtype))
    for layer in range(L):
        for direction in range(D):
            gates, cells, outputs = tape.look(layer, direction)
            for r, (row, n) in enumerate(tape.rows()):
                in_time = slice(n - 1, None, -1) if direction and n else slice(n)
                for k, values in enumerate((result.i, result.f, result.g, result.o)):
                    values[layer, direction, :n, row] = gates[:n, r, k][in_time]
                result.c[layer, direction, :n, row] = cells[1 : n + 1, r][in_time]
                result.h[layer, direction, :n, row] = outputs[:n, r, direction * R : (direction + 1) * R]
    return result
