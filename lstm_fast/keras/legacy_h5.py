"""HDF5 files in the legacy format: used before Keras 2.13, still written for .h5.

A whole model has the attributes model_config and keras_version, and a group model_weights/<layer> whose attribute
weight_names lists the datasets in it. A weights-only file has the same layout without model_weights and model_config.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from .._errors import FormatError
from . import hdf5
from .configs import cells_of, default_config, walk
from .layers import Layer, is_cudnn, with_unique_names

if TYPE_CHECKING:
    import h5py

    from .._types import Array


def layers_of_model(h5: h5py.File) -> list[Layer]:
    """The LSTM layers of a whole model, in the order of its configuration.

    A layer's cells are the weights of its outermost layer whose path contains the layer's name.
    """
    version, layers = _version(h5), []
    model, weights = json.loads(h5.attrs["model_config"]), h5["model_weights"]
    if isinstance(model["config"], list):  # up to 2.2.2; a nested Sequential is named only by its weights
        for layer, own in zip(model["config"], hdf5.strings(weights, "layer_names")):
            layer.setdefault("name", own)
    for path, name, layer in walk(model):
        read = cells_of(layer) if name and path.split("/")[-1] not in ("forward_layer", "backward_layer") else None
        if not read:
            continue
        cells = [
            cell
            for place, cell in _cells(hdf5.follow(weights, name[0])).items()
            if len(name) == 1 or name[-1] in place.split("/")
        ]
        label = "/".join(name)
        if len(cells) != len(read[0]):
            raise FormatError(f"layer {label!r} must have weights of {len(read[0])} LSTM cells, got {len(cells)}")
        layers.append(Layer(label, layer["class_name"], layer["config"], cells, version.startswith("2")))
    return with_unique_names(layers, [layer.name for layer in layers])


def layers_of_weights(h5: h5py.File) -> list[Layer]:
    """LSTM layers of a file without a configuration, by the paths of their cells."""
    activation, is_uncertain = _default_recurrent_activation(_version(h5))
    layers = []
    for top in hdf5.strings(h5, "layer_names"):
        found: dict[tuple[str, bool], list[list[Array]]] = defaultdict(list)
        for path, cell in _cells(hdf5.follow(h5, top)).items():
            *way, _ = path.split("/")
            is_two = bool(way) and way[-1].startswith(("forward_", "backward_"))
            way = [part for part in way if not part.startswith(("forward_", "backward_", "stacked_rnn_cells"))]
            way = way[way.index(top) :] if top in way else [top, *way]
            found["/".join(way), is_two].append(cell)
        for (name, is_two), cells in found.items():
            class_name = "Bidirectional" if is_two else "LSTM" if len(cells) == 1 else "RNN"
            is_known = is_cudnn(cells[0])  # always sigmoid
            config = default_config(class_name, len(cells), **{} if is_known else {"recurrent_activation": activation})
            layers.append(Layer(name, class_name, config["config"], cells, True, is_uncertain and not is_known))
    return with_unique_names(layers, [f"{k}:{layer.name}" for k, layer in enumerate(layers)])


def _cells(group: h5py.Group) -> dict[str, list[Array]]:
    """LSTM cells in weight_names by path: kernel, recurrent_kernel and optional bias."""
    found: dict[str, dict[str, h5py.Dataset]] = defaultdict(dict)
    for name in hdf5.strings(group, "weight_names"):
        path, _, variable = name.rpartition("/")
        found[path][variable.split(":")[0]] = hdf5.follow(group, name)
    cells = {}
    for path, variables in found.items():
        datasets = [variables[key] for key in ("kernel", "recurrent_kernel", "bias") if key in variables]
        if len(datasets) > 1 and hdf5.is_cell(datasets):
            cells[path] = [hdf5.array(dataset) for dataset in datasets]
    return cells


def _version(h5: h5py.File) -> str:
    version = h5.attrs.get("keras_version", "")
    version = version.decode() if isinstance(version, bytes) else str(version)
    if version.startswith(("0", "1")):
        raise FormatError(f"a file of Keras {version} must be read and saved by Keras 2.0 to 2.2, which converts it")
    return version


def _default_recurrent_activation(version: str) -> tuple[str, bool]:
    """Default of LSTM in a release, and whether it is ambiguous: Keras 2.3 and TensorFlow 2.0 changed it."""
    release = tuple(map(int, re.findall(r"\d+", version)[:2]))
    is_uncertain = version == "2.2.4-tf"  # TensorFlow 1.13 to 2.1
    return "hard_sigmoid" if (2, 0) <= release < (2, 3) and not is_uncertain else "sigmoid", is_uncertain
