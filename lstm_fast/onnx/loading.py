"""names and load: the LSTM nodes of a file, and an LSTM from one node or a stack of nodes."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from .._errors import FormatError, type_name
from .._files import open_regular
from ..quantized import QuantizedLSTM
from . import node as _node
from .graph import Reader
from .quantized import exact_rows
from .stack import Layer, layers_from

if TYPE_CHECKING:
    from ..modules import LSTM
    from .stack import Initial

Source: TypeAlias = str | PathLike[str] | bytes | bytearray | memoryview | onnx.ModelProto

METADATA = "lstm_fast"  # key under which save stores options for training, and those not expressed by nodes:
REMEMBERED = ("batch_first", "dropout", "recurrent_dropout", "zoneout", "learn_initial_state")
UNLESS_DEFAULT = {"compute_dtype": None, "index_input": False}  # likewise, but only other values


def names(path_or_bytes: Source) -> list[str]:
    """List the LSTM nodes of an ONNX model.

    Parameters
    ----------
    path_or_bytes : path, bytes or onnx.ModelProto
        The model.

    Returns
    -------
    list of str
        Names of the LSTM and DynamicQuantizeLSTM nodes in the order of the file, including those in bodies of If, Loop
        and Scan and in functions. A node without a name is called LSTM_0, for instance, by its position in this list;
        repeated names get the suffixes ":1", ":2", ...

    Raises
    ------
    FormatError
        If the file is damaged.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lf.onnx.save(lf.LSTM(3, 8, num_layers=2, seed=0), "lstm.onnx")
    >>> lf.onnx.names("lstm.onnx")
    ['lstm_l0', 'lstm_l1']
    """
    return [found.name for found in _read(path_or_bytes).nodes()]


def load(
    path_or_bytes: Source, name: str | None = None, *, external_data: bool = False, dequantize: bool = False
) -> LSTM | QuantizedLSTM:
    """Load an LSTM from an ONNX model.

    layout=1 becomes batch_first=True; peepholes, clip, input_forget and activations become the options peepholes,
    gate_clip, coupled_gates and activation, recurrent_activation, cell_activation; direction "reverse" becomes a
    ReverseLSTM. DynamicQuantizeLSTM nodes, produced by onnxruntime.quantization.quantize_dynamic, become a
    QuantizedLSTM with format "int8" and inputs="int8"; its weights equal those of the file if int8 can represent them
    (-127 to 127 after subtracting the zero point), else the nearest values. Other 8-bit weights are dequantized.
    Constant initial states become the learned initial state (the same for every sequence); states that the graph
    computes or takes as inputs must be passed by the caller.

    Parameters
    ----------
    path_or_bytes : path, bytes or onnx.ModelProto
        The model.
    name : str, optional
        One of `names(path_or_bytes)`: only that node. None: the first node, with the nodes stacked on it as the layers
        of one LSTM (as PyTorch exports an nn.LSTM with num_layers: they differ only in their weights, and each reads
        the unmodified output of the previous one).
    external_data : bool, default False
        Whether weights may be in other files of the model's folder.
    dequantize : bool, default False
        Whether DynamicQuantizeLSTM nodes become a float32 LSTM, which rounds neither x nor h.

    Returns
    -------
    LSTM or QuantizedLSTM
        An LSTM has dtype float64 if the weights do, else float32 (16-bit weights are widened).

    Raises
    ------
    FormatError
        If the file is damaged or uses an unsupported feature; the message names the attribute or operator.
    ValueError
        If no node has this name; the message lists the names.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 8, num_layers=2, peepholes=True, seed=0)
    >>> lf.onnx.save(lstm, "lstm.onnx")
    >>> same = lf.onnx.load("lstm.onnx")
    >>> same
    LSTM(3, 8, num_layers=2, peepholes=True)
    >>> bool((same.flat_parameters == lstm.flat_parameters).all())
    True
    """
    reader = _read(path_or_bytes, external_data)
    nodes = reader.nodes()
    if not nodes:
        raise FormatError("the model has no LSTM node")
    chosen = [found for found in nodes if name is None or found.name == name]
    if not chosen:
        raise ValueError(f"name must be one of {', '.join(found.name for found in nodes)}, got {name!r}")
    layers = layers_from(chosen[0], nodes) if name is None else [Layer(chosen[0])]
    options: dict[str, Any] = {"batch_first": layers[0].description.layout == 1}
    if name is None and len(layers) == len(nodes):
        options |= _remembered(reader.model)
    states = [layer.initial() for layer in layers]
    is_learned = options.pop("learn_initial_state", False) or any(
        value is not None and value.any() for layer in states for direction in layer for value in direction.values()
    )
    initial = [_with_zeros(state, layers[0].description.hidden_size) for state in states] if is_learned else None
    network: LSTM = _node.build([layer.description for layer in layers], initial, **options)  # type: ignore[assignment]
    return network if dequantize or not all(layer.quantized for layer in layers) else _in_int8(network, layers)


def _in_int8(network: LSTM, layers: list[Layer]) -> QuantizedLSTM:
    """Return the quantized network, with the integers of its nodes where int8 can represent them."""
    try:
        stored = network.quantized("int8", inputs="int8").state_dict()
        for k, layer in enumerate(layers):
            for kind, arguments in layer.quantized.items():
                for d, (is_exact, q, scale) in enumerate(exact_rows(*arguments)):
                    suffix = f"{kind}_l{k}{('', '_reverse')[d]}"
                    stored["weight_" + suffix][is_exact], stored["scale_" + suffix][is_exact] = q, scale
        return QuantizedLSTM.of_stored(network.config(), "int8", "int8", stored)
    except ValueError as error:
        raise FormatError(f"{error}: pass dequantize=True for an LSTM of float32") from None


def _with_zeros(state: Initial, H: int) -> list[dict[str, Any]]:
    """Return the initial states of a layer, zero if they are not constant."""
    return [{name: np.zeros(H) if value is None else value for name, value in one.items()} for one in state]


def _remembered(model: onnx.ModelProto) -> dict[str, Any]:
    """Return constructor arguments that save stored in the metadata."""
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA]
    if not texts:
        return {}
    try:
        options = json.loads(texts[0])
        names = (*REMEMBERED, *(name for name in UNLESS_DEFAULT if name in options))
        return {name: tuple(options[name]) if isinstance(options[name], list) else options[name] for name in names}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"metadata {METADATA} is damaged: {error!r}") from None


def _read(source: Source, external_data: bool = False) -> Reader:
    if isinstance(source, onnx.ModelProto):
        return _reader(source, source.ByteSize(), None, external_data)
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name, folder = bytes(source), "the data", None
    elif isinstance(source, (str, PathLike)):
        with open_regular(source) as file:
            data, name, folder = file.read(), str(source), Path(source).parent
    else:
        raise TypeError(f"path_or_bytes must be a path or bytes, got {type_name(source)}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise FormatError(f"{name} is not an ONNX model, or is damaged: {error}") from None
    return _reader(model, len(data), folder, external_data)


def _reader(model: onnx.ModelProto, n_bytes: int, folder: Path | None, external_data: bool) -> Reader:
    if external_data and folder is None:
        raise ValueError("external_data=True needs the path of a file: external data are in its folder")
    if not model.HasField("graph"):
        raise FormatError("the data is not an ONNX model, or is damaged: it has no graph")
    return Reader(model, n_bytes, folder if external_data else None)
