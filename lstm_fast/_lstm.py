"""LSTMNetwork: base class of networks with LSTM cells, with the options of the cell."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments, _core, _variants
from ._inference import Network
from ._options import PARTS, Fixed

if TYPE_CHECKING:
    from ._types import Array

PLAIN = _variants.PLAIN


def _forget_bias(name: str, value: Any) -> float | None:
    if value is not None and (not isinstance(value, Real) or isinstance(value, bool)):
        raise ValueError(f"{name} must be a number or None, got {value!r}")
    return value  # type: ignore[return-value]


def _unchanged(name: str, value: Any) -> Any:
    return value


def _zero_for_none(name: str, value: float | None) -> float:
    return value or 0


class LSTMNetwork(Network):
    """Base class of LSTM, LSTMCell and QuantizedLSTM."""

    forget_bias = Fixed("Initial bias of the forget gates; None: uniform.", _forget_bias, supported_by=PARTS)
    compute_dtype = Fixed(
        "Format to which operands of products are rounded, or None.",
        _variants.compute_dtype,
        supported_by=("formats", "onnx", "keras"),  # it does not change the results of these parts
    )

    # Options of the cell. Each changes one of the formulas of lstm_fast.reference.
    peepholes = Fixed(
        "Whether the gates read the cell state.",
        _arguments.flag,
        False,
        supported_by=("formats", "onnx", "page"),
        to_core=_unchanged,
    )
    layer_norm = Fixed(
        "Whether products and cell state are normalized.",
        _arguments.flag,
        False,
        supported_by=("formats", "page"),
        to_core=_unchanged,
    )
    coupled_gates = Fixed(
        "Whether f = 1 - i.", _arguments.flag, False, supported_by=("formats", "onnx", "page"), to_core=_unchanged
    )
    cell_clip = Fixed(
        "Bound of the cell state, or None.", _variants.clip, supported_by=("formats", "page"), to_core=_zero_for_none
    )
    gate_clip = Fixed(
        "Bound of the pre-activations, or None.",
        _variants.clip,
        supported_by=("formats", "onnx", "page"),
        to_core=_zero_for_none,
    )
    activation = Fixed(
        "Activation of g.",
        _variants.checked_activation,
        PLAIN["activation"],
        supported_by=PARTS,
        to_core=_variants.activation,
    )
    recurrent_activation = Fixed(
        "Activation of i, f and o.",
        _variants.checked_activation,
        PLAIN["recurrent_activation"],
        supported_by=PARTS,
        to_core=_variants.activation,
    )
    cell_activation = Fixed(
        "Activation of the cell state.",
        _variants.checked_activation,
        PLAIN["cell_activation"],
        supported_by=PARTS,
        to_core=_variants.activation,
    )

    if TYPE_CHECKING:
        _forget_bias: float | None
        _compute_dtype: str | None
        _peepholes: bool
        _layer_norm: bool
        _coupled_gates: bool
        _cell_clip: float | None
        _gate_clip: float | None

    def _check_combination(self) -> None:
        self._proj_size = _variants.projection(self._proj_size, self._hidden_size)
        if self._compute_dtype is not None and self._dtype != np.float32:
            raise ValueError(
                f"compute_dtype must be None with dtype {self._dtype.name}, got {self._compute_dtype!r}: it rounds the "
                "operands of float32 products"
            )
        if self._forget_bias is None:
            return
        if not self._bias:
            raise ValueError("forget_bias must be None with bias=False")
        if self._coupled_gates:
            raise ValueError("forget_bias must be None with coupled_gates=True: the forget gate f = 1 - i has no bias")

    def _cell_name(self) -> str:
        return "lstm"

    def _cell_options(self) -> dict[str, Any]:
        return {"proj_size": self._proj_size, **super()._cell_options()}

    def _lay_out(self) -> None:
        super()._lay_out()
        self._signature = (*self._signature, self._compute_dtype)

    def _pack(self, arrays: list[tuple[Array | None, ...]], **options: Any) -> _core.Weights:
        return super()._pack(arrays, compute_dtype=self._compute_dtype, **options)

    def _initialize(self, parameters: dict[str, Array]) -> None:
        super()._initialize(parameters)
        if self._forget_bias is not None:
            forget = slice(self._hidden_size, 2 * self._hidden_size)
            for suffix in self.parameter_suffixes:
                parameters["bias_ih" + suffix][forget] = self._forget_bias
                parameters["bias_hh" + suffix][forget] = 0
