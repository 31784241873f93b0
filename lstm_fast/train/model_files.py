"""Files of models: safetensors, with the configuration in the metadata.

Files are written atomically, and read completely before anything is modified; a damaged or foreign file raises a
FormatError. The size of a network is determined by the shapes of the tensors, not by the configuration.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _architecture, _safetensors
from .._errors import FormatError
from .._safetensors_format import Tensor
from ..modules import LSTM, RNN
from ..quantized import QuantizedLSTM
from .fleets import FleetModel
from .head import Head
from .model import SequenceModel
from .quantized import QuantizedModel

if TYPE_CHECKING:
    pass

CLASSES: dict[str, tuple[type[LSTM] | type[RNN], int]] = {"LSTM": (LSTM, 4), "RNN": (RNN, 1)}  # and their gates
MISFITS = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)  # raised by invalid content


def load(path: str | PathLike[str]) -> SequenceModel | QuantizedModel | FleetModel:
    """Load a model from a file that `save` of a SequenceModel, QuantizedModel or FleetModel wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    SequenceModel, QuantizedModel or FleetModel
        With the same architecture and parameters.

    Raises
    ------
    FormatError
        If the file is damaged, or was not written by one of them.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> model = lf.train.SequenceModel(lf.LSTM(2, 8, seed=0), out_features=1, seed=0)
    >>> model.save("model.safetensors")
    >>> lf.train.load("model.safetensors")
    SequenceModel(LSTM(2, 8), 1, readout='last')
    """
    file, config = read(path, "model")
    try:
        if "n_models" in config:
            return _build_fleet(file.tensors, config)
        return _build(file.tensors, config["model"])
    except MISFITS as error:
        raise misfit(path, error) from None


def _build(tensors: dict[str, Tensor], description: dict[str, Any]) -> SequenceModel | QuantizedModel:
    """A model with the sizes of the tensors, which the description must have too."""
    cls, n_gates = CLASSES[description["kind"]]
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    parameters = _architecture.by_prefix(name for name in shapes if name.startswith("lstm."))
    sizes, _ = _architecture.infer("lstm.", parameters.get("lstm.", {}), shapes, n_gates)
    (n_outputs,) = shapes["head.bias"]
    network = {name: _safetensors.values(value) for name, value in description["network"].items()}
    claimed = {name: network[name] for name in sizes} | {"out_features": description["out_features"]}
    for name, size in (sizes | {"out_features": n_outputs}).items():
        if claimed[name] != size:
            raise ValueError(f"{name} must be {size}, as the tensors have it, got {claimed[name]!r:.100}")
    if "format" in description:
        of_lstm = {name.removeprefix("lstm."): one.stored(name) for name, one in tensors.items() if name[0] == "l"}
        form, inputs = description["format"], description["inputs"]
        lstm = QuantizedLSTM.of_stored(network | {"dtype": description["dtype"]}, form, inputs, of_lstm)
        flat = np.concatenate([tensors[name].array(name).ravel() for name in ("head.weight", "head.bias")])
        return QuantizedModel(lstm, Head(flat, lstm.output_size, n_outputs), description["readout"])
    model = SequenceModel(cls(**network, dtype=description["dtype"]), n_outputs, description["readout"])
    model.load_state_dict({name: tensor.array(name) for name, tensor in tensors.items()})
    return model


def _build_fleet(tensors: dict[str, Tensor], config: dict[str, Any]) -> FleetModel:
    """A fleet of models like the first, with the parameters of each."""
    K = config["n_models"]
    if type(K) is not int or K < 1 or any(not one.shape or one.shape[0] != K for one in tensors.values()):
        raise ValueError(f"the first axis of all tensors must be the number of models, {K!r:.100}")
    first = {
        name: one._replace(shape=one.shape[1:], data=one.data[: len(one.data) // K]) for name, one in tensors.items()
    }
    pattern = _build(first, config["model"])
    if not isinstance(pattern, SequenceModel):
        raise ValueError("its models must not be quantized")
    model = FleetModel.from_models([pattern] * K)
    model.load_state_dict({name: tensor.array(name) for name, tensor in tensors.items()})
    model.fleet.draw_new_masks()
    return model


def read(path: str | PathLike[str], kind: str) -> tuple[_safetensors.File, dict[str, Any]]:
    """Read a file of the given kind, "model" or "run", and return it with its configuration."""
    file = _safetensors.read(path)
    if file.config is None:
        raise FormatError(f"{path} must be written by lstm_fast, got another safetensors file")
    if file.config.get("file") != kind:
        raise FormatError(f"{path} must hold a {kind}, got a {file.config.get('file')!s:.100}")
    return file, file.config


def misfit(path: str | PathLike[str], error: Exception) -> FormatError:
    return FormatError(f"{path} does not fit together: {error!r:.500}")


# ---- runs of fit ----
