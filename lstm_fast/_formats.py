"""Low-precision formats: how they store the parameters of an LSTM, and which networks they do not support.

    float16     all parameters in float16
    bfloat16    matrices in bfloat16, as uint16: NumPy has no such dtype; all else in float32; so does bfloat16_amx,
                whose sums are in another order
    int8        matrices in int8, with scale_ih and scale_hh, a float32 for each row; all else in float32, and with
                inputs="float32" also weight_ih of the first layer (not with "int16" and "int8", bits of x)

lstm_fast/reference/formats.py defines how numbers are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._options import not_supported
from ._parameter_arrays import ParameterTable

if TYPE_CHECKING:
    from ._types import Array, DType

FORMATS = ("float16", "bfloat16", "bfloat16_amx", "int8")
BFLOAT16 = ("bfloat16", "bfloat16_amx")  # stored in the same way
INPUTS = ("float32", "int16", "int8")
INPUT_BITS = {"float32": 0, "int16": 16, "int8": 8}  # as the core names them

ALIGNMENT = 4  # bytes; parameters begin at multiples of the size of a float32

# Activations with values from -1 to 1; scaled_tanh has |alpha|.
BOUNDED = ("sigmoid", "tanh", "hard_sigmoid", "softsign")


def check_format(name: str, value: Any) -> str:
    """Validate the option."""
    if value not in FORMATS:
        raise ValueError(f"{name} must be {_or(FORMATS)}, got {value!r}")
    return value  # type: ignore[no-any-return]


def check_inputs(name: str, value: Any) -> str:
    """Validate the option."""
    if value not in INPUTS:
        raise ValueError(f"{name} must be {_or(INPUTS)}, got {value!r}")
    return value  # type: ignore[no-any-return]


def check_options(format: Any, inputs: Any) -> None:
    """Validate both options together."""
    check_format("format", format)
    check_inputs("inputs", inputs)
    if inputs != "float32" and format != "int8":
        raise ValueError(f"inputs must be 'float32' with format={format!r}, got {inputs!r}")


def _or(names: tuple[str, ...]) -> str:
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}"


# ---- storage ---------------------------------------------------------------------------------------------------------


class StoredTable(ParameterTable):
    """Parameters of several dtypes in a buffer of bytes. Slices are of bytes."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, DType]) -> None:
        super().__init__(shapes)
        self.dtypes, self.size = dict(dtypes), 0
        for name, shape in shapes.items():
            begin = -(-self.size // ALIGNMENT) * ALIGNMENT
            self.size = begin + prod(shape) * dtypes[name].itemsize
            self.slices[name] = slice(begin, self.size)

    def views(self, flat: Array) -> dict[str, Array]:
        """Return views of a flat buffer, by name."""
        if flat.dtype != np.uint8:
            raise ValueError(f"flat must be uint8, the bytes of stored parameters, got {flat.dtype}")
        return {name: flat[self.slices[name]].view(self.dtypes[name]).reshape(self.shapes[name]) for name in self.names}


def table_of(shapes: Mapping[str, tuple[int, ...]], format: str, inputs: str) -> ParameterTable:
    """The table of a network with parameters of these shapes, in a format."""
    if format == "float16":
        return ParameterTable(shapes)
    stored: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, DType] = {}
    for name, shape in shapes.items():
        is_float32 = len(shape) < 2 or (format == "int8" and inputs == "float32" and _is_of_first_layer(name))
        stored[name] = shape
        dtypes[name] = np.dtype(np.float32 if is_float32 else np.uint16 if format in BFLOAT16 else np.int8)
        if dtypes[name] == np.int8:
            stored[scale_name(name)], dtypes[scale_name(name)] = shape[:1], np.dtype(np.float32)
    return StoredTable(stored, dtypes)


def _is_of_first_layer(name: str) -> bool:
    return name in ("weight_ih_l0", "weight_ih_l0_reverse")


def scale_name(name: str) -> str:
    """The name of the scales of a matrix."""
    return name.replace("weight_", "scale_", 1)


def encode(table: ParameterTable, format: str, parameters: Mapping[str, Array]) -> Array:
    """Round the float32 parameters of a network; return the buffer of the table."""
    from .reference.formats import quantize_rows, to_bfloat16

    if not isinstance(table, StoredTable):
        return np.concatenate([parameters[name].ravel() for name in table.names]).astype(np.float16)
    flat = np.zeros(table.size, np.uint8)
    stored = table.views(flat)
    for name, value in parameters.items():
        if table.dtypes[name] == np.uint16:
            stored[name][...] = to_bfloat16(value)
        elif table.dtypes[name] == np.int8:
            stored[name][...], stored[scale_name(name)][...] = quantize_rows(value)
        else:
            stored[name][...] = value
    return flat


def core_options(format: str, inputs: str) -> dict[str, Any]:
    """Arguments of _core.Weights for a format."""
    return {"format": format, "input_bits": INPUT_BITS[inputs]}


def by_direction(stored: Mapping[str, Array], suffixes: Sequence[str], format: str) -> list[tuple[Array | None, ...]]:
    """Stored parameters as the core takes them: a tuple for each suffix, in the order of _core.PARAMETERS."""
    arrays = [tuple([stored.get(name + suffix) for name in _core.PARAMETERS]) for suffix in suffixes]
    if format != "float16":
        return arrays
    return [  # its vectors are stored in 16 bits, but the core takes them in float32
        tuple([array if array is None or array.ndim == 2 else array.astype(np.float32) for array in of])
        for of in arrays
    ]


def arrays_in_format(
    parameters: Mapping[str, Array], suffixes: Sequence[str], format: str, inputs: str
) -> list[tuple[Array | None, ...]]:
    """Round the float32 parameters of a network; return them as the core takes them."""
    check_parameters(format, parameters)
    table = table_of({name: value.shape for name, value in parameters.items()}, format, inputs)
    return by_direction(table.views(encode(table, format, parameters)), suffixes, format)


def decode(stored: Mapping[str, Array]) -> dict[str, Array]:
    """Stored parameters as float32, without the scales."""
    from .reference.formats import from_bfloat16

    result: dict[str, Array] = {}
    for name, value in stored.items():
        if name.startswith("scale_"):
            continue
        if value.dtype == np.uint16:
            value = from_bfloat16(value)
        elif value.dtype == np.int8:
            with np.errstate(invalid="ignore", over="ignore"):
                value = value * stored[scale_name(name)][:, None]
        result[name] = value.astype(np.float32)
    return result


# ---- limits of the formats -------------------------------------------------------------------------------------------


def check_network(format: str, network: Any) -> None:
    """Raise an error for a network with options that the format does not support."""
    if network.dtype != np.float32:
        raise ValueError(f"dtype must be float32 to be quantized, got {network.dtype.name}")
    for name, default, value in not_supported("formats", network, type(network)):
        raise ValueError(f"{name} must be {default!r} with format={format!r}, got {value!r}")
    if format != "int8":
        return
    if network.proj_size:
        raise ValueError(
            f"proj_size must be 0 with format='int8', which needs h within [-1, 1], got {network.proj_size}: use "
            "'bfloat16' or 'float16'"
        )
    for name in ("recurrent_activation", "cell_activation"):
        spec = getattr(network, name)
        kind, *parameters = (spec,) if isinstance(spec, str) else spec
        is_bounded = kind in BOUNDED or (kind == "scaled_tanh" and abs((*parameters, 1.0)[0]) <= 1)
        if not is_bounded:
            raise ValueError(
                f"{name} must have values within [-1, 1] with format='int8' ({', '.join(BOUNDED)}, or scaled_tanh with "
                f"|alpha| <= 1), got {spec!r}: use 'bfloat16' or 'float16'"
            )


def check_parameters(format: str, parameters: Mapping[str, Array]) -> None:
    """Raise unless the format can store these float32 parameters."""
    if format == "float16":
        largest, words = float(np.finfo(np.float16).max), " and at most 65504"
    else:
        largest, words = float(np.finfo(np.float32).max), ""
    if format in BFLOAT16:
        largest, words = 2.0**127 * (2 - 2.0**-8), " and at most 3.39e38"  # the next bfloat16 is infinity
    for name, value in parameters.items():
        if not (np.abs(value) <= largest).all():
            raise ValueError(f"{name} must be finite{words} to be stored as {format}")
        if name.startswith("h_0_"):
            check_h(format, name, value)


def check_h(format: str, name: str, h: Array) -> None:
    """Raise unless the format can represent this hidden state."""
    if format == "int8" and not (np.abs(h) <= 1).all():
        wrong = h[~(np.abs(h) <= 1)].ravel()[0]
        raise ValueError(f"{name} must lie within [-1, 1] with format='int8', got {wrong}")
