"""Weights in the format of Keras 3 and of late Keras 2: .weights.h5, also inside a .keras file.

A cell is the group .../cell/vars with the datasets 0, 1 and 2: kernel (I, 4H), recurrent_kernel (H, 4H), bias (4H,). A
Bidirectional has forward_layer and backward_layer before cell, an RNN of several cells has cell/cells/<each>. The group
vars of a layer has the layer's name as an attribute.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from . import hdf5
from .configs import MAX_DEPTH, Config, cells_of, default_config, walk
from .layers import Layer, with_unique_names

if TYPE_CHECKING:
    import h5py

    from .._types import Array

Cells: TypeAlias = "dict[str, list[Array]]"  # variables of each cell, by the path of its group


def layers_of(h5: h5py.File, config: Config | None, is_keras_2: bool) -> list[Layer]:
    """Return LSTM layers of a file, in the order of the configuration if present, else of their paths."""
    cells, labels = _find(h5)
    configs = {path: (name, layer) for path, name, layer in walk(config)} if config is not None else {}
    layers = {}
    for path, (class_name, own) in _by_layer(cells).items():
        # Keras 2.12 and 2.13 use another name for layers.
        found = configs.get(path.replace("_layer_checkpoint_dependencies", "layers"))
        name, layer = found or (_names(path, labels), default_config(class_name, len(own)))
        if cells_of(layer):
            layers[path] = Layer("/".join(map(str, name)), layer["class_name"], layer["config"], own, is_keras_2)
    order = {path: k for k, path in enumerate(configs)}
    paths = sorted(layers, key=lambda path: (order.get(path, len(order)), _natural(path)))
    return with_unique_names([layers[path] for path in paths], paths)


def _find(h5: h5py.File) -> tuple[Cells, dict[str, str]]:
    """Return the cells in a file, and the names of its layers, by path."""
    import h5py

    cells, labels, seen, todo = {}, {}, set(), [("", h5)]
    while todo:
        path, group = todo.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen or path.count("/") > 4 * MAX_DEPTH:
            continue
        seen.add(address)
        inner = hdf5.children(group)
        variables = inner.pop("vars", None)
        if isinstance(variables, h5py.Group):
            labels[path] = variables.attrs.get("name", path.split("/")[-1])
            datasets = hdf5.children(variables)
            if set(datasets) in ({"0", "1"}, {"0", "1", "2"}):
                ordered = [datasets[key] for key in sorted(datasets)]
                if all(isinstance(one, h5py.Dataset) for one in ordered) and hdf5.is_cell(ordered):
                    cells[path] = [hdf5.array(dataset) for dataset in ordered]
        todo += [(f"{path}/{key}".lstrip("/"), child) for key, child in inner.items() if isinstance(child, h5py.Group)]
    return cells, labels


def _natural(path: str) -> list[tuple[int, str]]:
    """Return the natural sort key: lstm_2 before lstm_10."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", path)]


def _by_layer(cells: Cells) -> dict[str, tuple[str, list[list[Array]]]]:
    """Return {path of a layer: (class, its cells)}."""
    layers: dict[str, tuple[str, list[list[Array]]]] = {}
    for path in sorted(cells, key=_natural):
        if two := re.fullmatch(r"(.*?)/?(forward|backward)_layer/cell", path):
            directions = [cells.get(f"{two[1]}/{way}_layer/cell".lstrip("/")) for way in ("forward", "backward")]
            pair = [cell for cell in directions if cell is not None]
            if len(pair) == 2:
                layers[two[1]] = "Bidirectional", pair
        elif many := re.fullmatch(r"(.*?)/?cell/cells/[^/]+", path):
            layers.setdefault(many[1], ("RNN", []))[1].append(cells[path])
        else:
            layers["" if path == "cell" else path.removesuffix("/cell")] = "LSTM", [cells[path]]
    return layers


def _names(path: str, labels: dict[str, str]) -> list[str]:
    """Return the names of the enclosing layers and of the layer itself, which defaults to its key."""
    parts = path.split("/")
    outer = ("/".join(parts[: k + 1]) for k in range(len(parts) - 1))
    return [labels[one] for one in outer if one in labels] + [labels.get(path, parts[-1])]
