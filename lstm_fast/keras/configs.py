"""Keras' configurations, {"class_name": ..., "config": {...}}: the layers of a model, and the LSTM cells of a layer."""

import re
from collections import defaultdict

from .._errors import FormatError

DEEPEST = 100


def cells_of(layer):
    """(configurations of the LSTM cells, number of directions) of a serialised layer; None if there are others in it."""
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
        # Keras 2 wrote no backward_layer where it was made from the forward one.
        backward = (
            cells_of(config["backward_layer"])
            if config.get("backward_layer")
            else forward and ([cell | {"go_backwards": not cell.get("go_backwards", False)} for cell in forward[0]], 1)
        )
        if not forward or not backward or len(forward[0]) != 1 or len(backward[0]) != 1:
            return None
        return forward[0] + backward[0], 2
    return None


def _key(class_name, used):
    """The name of a layer's group among its siblings, as Keras makes it: lstm, lstm_1, time_distributed."""
    key = re.sub(
        r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    ).lower()
    used[key] += 1
    return key if used[key] == 1 else f"{key}_{used[key] - 1}"


def walk(layer, path=(), name=(), depth=0):
    """(path of the group, names from the outermost model on, serialised layer) of a model's layers and theirs."""
    if depth > DEEPEST:
        raise FormatError(f"layers must be nested at most {DEEPEST} deep")
    yield "/".join(path), name, layer
    config = layer["config"]
    if isinstance(config, list):  # a Sequential of Keras up to 2.2.2
        config = {"layers": config}
    if not isinstance(config, dict):
        if not path:
            raise FormatError(f"the configuration must be that of a model, got {layer!r:.100}")
        return  # an operation, not a layer
    used, inner = defaultdict(int), []
    for child in config.get("layers") or ():
        inner.append((("layers", _key(child["class_name"], used)), child))
    for attribute, key in (("layer", "forward_layer"), ("backward_layer", "backward_layer")):
        if isinstance(config.get(attribute), dict):
            inner.append(((key if layer["class_name"] == "Bidirectional" else attribute,), config[attribute]))
    for place, child in inner:
        own = child["config"].get("name") if isinstance(child.get("config"), dict) else None
        yield from walk(child, path + place, (*name, own or child.get("name") or place[-1]), depth + 1)


def default_config(kind, n, **config):
    """A serialised layer of which nothing but its kind, its number of cells and these entries of its cells is known."""
    lstm = {"class_name": "LSTM", "config": config}
    if kind == "Bidirectional":
        return {"class_name": kind, "config": {"layer": lstm}}
    if kind == "RNN":
        cells = [{"class_name": "LSTMCell", "config": config}] * n
        return {"class_name": kind, "config": {"cell": {"class_name": "StackedRNNCells", "config": {"cells": cells}}}}
    return lstm
