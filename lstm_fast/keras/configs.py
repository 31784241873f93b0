"""Keras configurations, {"class_name": ..., "config": {...}}: the layers of a model, and the LSTM cells of a layer."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

from .._errors import FormatError

Config: TypeAlias = dict[str, Any]

MAX_DEPTH = 100


def cells_of(layer: Config) -> tuple[list[Config], int] | None:
    """Return the configurations of the LSTM cells in a serialized layer, and its directions; None for other layers."""
    class_name, config = layer["class_name"], layer["config"]
    if class_name in ("LSTM", "CuDNNLSTM"):
        return [config], 1
    if class_name == "RNN":
        cell = config["cell"]
        cells = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
        if any(cell["class_name"] != "LSTMCell" for cell in cells):
            return None
        return [cell["config"] | {"go_backwards": config.get("go_backwards", False)} for cell in cells], 1
    if class_name == "Bidirectional":
        forward = cells_of(config["layer"])
        if config.get("backward_layer"):
            backward = cells_of(config["backward_layer"])
        else:  # Keras 2 wrote none if it was derived from the forward layer
            backward = forward and ([cell | {"go_backwards": not cell.get("go_backwards")} for cell in forward[0]], 1)
        if not forward or not backward or len(forward[0]) != 1 or len(backward[0]) != 1:
            return None
        return forward[0] + backward[0], 2
    return None


def walk(
    layer: Config, path: tuple[str, ...] = (), name: tuple[str, ...] = (), depth: int = 0
) -> Iterator[tuple[str, tuple[str, ...], Config]]:
    """Iterate over the layers of a model, nested ones included: (group path, names from the outermost on, layer)."""
    if depth > MAX_DEPTH:
        raise FormatError(f"layers must be nested at most {MAX_DEPTH} deep")
    yield "/".join(path), name, layer
    config = layer["config"]
    if isinstance(config, list):  # a Sequential of Keras up to 2.2.2
        config = {"layers": config}
    if not isinstance(config, dict):
        if not path:
            raise FormatError(f"the configuration must describe a model, got {layer!r:.100}")
        return  # an operation, not a layer
    used: dict[str, int] = defaultdict(int)
    inner: list[tuple[tuple[str, ...], Config]] = []
    for child in config.get("layers") or ():
        inner.append((("layers", _key(child["class_name"], used)), child))
    for attribute, key in (("layer", "forward_layer"), ("backward_layer", "backward_layer")):
        if isinstance(config.get(attribute), dict):
            is_direction = layer["class_name"] == "Bidirectional"
            inner.append(((key if is_direction else attribute,), config[attribute]))
    for place, child in inner:
        own = child["config"].get("name") if isinstance(child.get("config"), dict) else None
        yield from walk(child, path + place, (*name, own or child.get("name") or place[-1]), depth + 1)


def _key(class_name: str, used: dict[str, int]) -> str:
    """Return the name of a layer's group among its siblings, following Keras: lstm, lstm_1, time_distributed."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    key = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    used[key] += 1
    return key if used[key] == 1 else f"{key}_{used[key] - 1}"


def default_config(class_name: str, n_cells: int, **config: Any) -> Config:
    """Return serialized layer for weights without a configuration; config: the known entries of its cells."""
    lstm = {"class_name": "LSTM", "config": config}
    if class_name == "Bidirectional":
        return {"class_name": class_name, "config": {"layer": lstm}}
    if class_name == "RNN":
        cells = {"cells": [{"class_name": "LSTMCell", "config": config}] * n_cells}
        return {"class_name": class_name, "config": {"cell": {"class_name": "StackedRNNCells", "config": cells}}}
    return lstm
