"""Keras' files, read with h5py and zipfile alone: .keras, .weights.h5 and whole models in HDF5 (.h5).

    .keras          zip of config.json, metadata.json and model.weights.h5
    .weights.h5     layers/lstm/cell/vars/{0, 1, 2}: kernel (I, 4H), recurrent_kernel (H, 4H), bias (4H); Bidirectional has
                    forward_layer and backward_layer before cell; `vars` of a layer has its name as an attribute
    .h5             attributes model_config and keras_version; model_weights/<layer>/<its weight_names>. The weights alone, as
                    they were before Keras 2.13: the same without model_weights and model_config

Found by their shapes, and by the configuration where there is one. Everything is checked before it is used: links out of the
file are not followed, and nothing is allocated that is not in the file.
"""

import io
import json
import re
import warnings
import zipfile
from collections import defaultdict

import numpy as np

from .._errors import FormatError
from .._files import open_regular
from .configs import DEEPEST, cells_of, default_config, walk
from .layers import Layer, check_config, network

WEIGHTS = "model.weights.h5"
LEAST_BOMB, MOST_EXPANSION = 16 << 20, 20  # Keras stores members as they are; compressed weights hardly shrink


def names(path):
    """Names of the LSTM layers in a Keras file, those of nested models as "model/layer"."""
    return [layer.name for layer in _read(path)]


def load(path, name=None, **config):
    """The LSTM of a layer in a Keras file: .keras, .weights.h5, or a whole model as .h5. Keras is not needed.

    Parameters
    ----------
    path : file written by Keras 3, or by Keras 2, whose hard_sigmoid is another (of .weights.h5 this cannot be told)
    name : str, or a list of them, optional
        One of names(path), or the last part of one; may be left out if there is one layer. Layers of a list follow each
        other and become one LSTM of several layers.
    config : entries of the layer's configuration to use instead of the file's: activation, recurrent_activation,
        recurrent_dropout, go_backwards, merge_mode. A file of weights alone, and a .keras file of a model class of one's
        own, has no configuration: Keras' defaults are taken for these (tanh, sigmoid, 0, False, "concat"), sizes and
        directions are those of the weights.

    Returns
    -------
    LSTM with batch_first=True, float64 if the weights are, else float32 (float16 and bfloat16 widened). See the notes of
    lf.keras for what of Keras' layer it gives.

    Raises
    ------
    FormatError : the file is damaged, or of another kind
    ValueError : there is no such layer, or it is one that LSTM cannot be; the message names what
    """
    layers = _read(path)
    wanted = name if isinstance(name, (list, tuple)) else [name]
    if not wanted:
        raise ValueError("name must not be an empty list")
    chosen = [_choose(layers, one, path) for one in wanted]
    check_config(config)
    if "recurrent_activation" not in config and (uncertain := [layer.name for layer in chosen if layer.is_uncertain]):
        warnings.warn(
            f"{path} does not say whether recurrent_activation of {', '.join(uncertain)} was 'hard_sigmoid' (the default in "
            "TensorFlow 1) or 'sigmoid' (in TensorFlow 2), which is taken: pass recurrent_activation to be sure",
            stacklevel=2,
        )
    try:
        return network(chosen, config)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise FormatError(f"{path} has a configuration that cannot be read: {error!r}") from None


def _choose(layers, name, path):
    if not layers:
        raise FormatError(f"{path} must hold an LSTM layer, got none")
    have = [layer.name for layer in layers]
    if name is None:
        if len(layers) > 1:
            raise ValueError(f"name must be one of the LSTM layers in {path}: {', '.join(have)}")
        return layers[0]
    fitting = [layer for layer in layers if layer.name == name] or [
        layer for layer in layers if layer.name.split("/")[-1] == name
    ]
    if len(fitting) != 1:
        raise ValueError(f"name must be one of the LSTM layers in {path}: {', '.join(have)}; got {name!r}")
    return fitting[0]


def _read(path):
    """The LSTM layers of a file, with their weights, as a list of Layer."""
    try:
        import h5py
    except ImportError:
        raise ImportError('Keras files need the package h5py: pip install "lstm_fast[keras]"') from None
    with open_regular(path) as file:
        try:
            config, version = None, "3"
            if zipfile.is_zipfile(file):
                file, config, version = _unzip(file)
            with h5py.File(file, "r") as h5:
                if "model_weights" in h5:
                    return _whole_model(h5)
                return _old_weights(h5) if "layer_names" in h5.attrs else _weights(h5, config, version.startswith("2"))
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None
        except Exception as error:  # h5py and HDF5 raise almost anything for a damaged file
            raise FormatError(f"{path} is not a Keras file, or damaged: {error!r}") from None


def _unzip(file):
    with zipfile.ZipFile(file) as archive:

        def member(name):
            info = archive.getinfo(name)
            if info.file_size > max(LEAST_BOMB, MOST_EXPANSION * info.compress_size):
                raise FormatError(
                    f"{name} must not be more than {MOST_EXPANSION} times its compressed size, got "
                    f"{info.file_size} bytes from {info.compress_size}"
                )
            return archive.read(name)

        config = json.loads(member("config.json"))
        return io.BytesIO(member(WEIGHTS)), config, json.loads(member("metadata.json"))["keras_version"]


# ---- arrays ----


def _array(dataset):
    """A dataset's numbers, float16 and bfloat16 widened."""
    if dataset.external or dataset.id.get_storage_size() < dataset.nbytes:
        raise FormatError(
            f"{dataset.name} must be stored plainly, as Keras does, got {dataset.nbytes} bytes of which "
            f"{dataset.id.get_storage_size()} are in the file"
        )
    array = dataset[()]
    if dataset.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2:
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind != "f":
        raise FormatError(f"{dataset.name} must hold floating numbers, got {array.dtype}")
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)


def _is_cell(kernel, recurrent, *bias):
    """Whether datasets have the shapes of an LSTM's variables (a GRU's have 3H columns, a plain RNN's H)."""
    if len(kernel.shape) != 2 or len(recurrent.shape) != 2 or len(bias) > 1:
        return False
    H, G = recurrent.shape
    return H > 0 and G == 4 * H and kernel.shape[1] == G and all(b.shape in ((G,), (2 * G,)) for b in bias)


def _children(group):
    """Groups and datasets in a group, but not what links lead to elsewhere."""
    import h5py

    return {key: group[key] for key in group if isinstance(group.get(key, getlink=True), h5py.HardLink)}


# ---- .weights.h5 ----


def _weights(h5, config, is_keras_2):
    import h5py

    cells, labels, seen, todo = {}, {}, set(), [("", h5)]
    while todo:
        path, group = todo.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen or path.count("/") > 4 * DEEPEST:
            continue
        seen.add(address)
        children = _children(group)
        variables = children.pop("vars", None)
        if isinstance(variables, h5py.Group):
            labels[path] = variables.attrs.get("name", path.split("/")[-1])
            arrays = _children(variables)
            if set(arrays) in ({"0", "1"}, {"0", "1", "2"}) and all(
                isinstance(a, h5py.Dataset) for a in arrays.values()
            ):
                arrays = [arrays[key] for key in sorted(arrays)]
                if _is_cell(*arrays):
                    cells[path] = [_array(dataset) for dataset in arrays]
        todo += [
            (f"{path}/{key}".lstrip("/"), child) for key, child in children.items() if isinstance(child, h5py.Group)
        ]
    configs = {path: (name, layer) for path, name, layer in walk(config)} if config is not None else {}
    layers = {}
    for path, (kind, own) in _by_layer(cells).items():
        # Keras 2.12 and 2.13 have another word for layers.
        name, layer = configs.get(path.replace("_layer_checkpoint_dependencies", "layers"), (None, None))
        if layer is None:
            name, layer = _labels(path, labels), default_config(kind, len(own))
        if cells_of(layer):
            layers[path] = Layer("/".join(map(str, name)), layer["class_name"], layer["config"], own, is_keras_2)
    order = {path: k for k, path in enumerate(configs)}
    ordered = sorted(layers, key=lambda path: (order.get(path, len(order)), _natural(path)))
    return _unique([layers[path] for path in ordered], ordered)


def _natural(path):
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", path)]


def _by_layer(cells):
    """(kind, weights of the cells) of each layer, by its path, from cells by theirs."""
    layers = {}
    for path in sorted(cells, key=_natural):
        if of_two := re.fullmatch(r"(.*?)/?(forward|backward)_layer/cell", path):
            layer = of_two[1]
            pair = [cells.get(f"{layer}/{way}_layer/cell".lstrip("/")) for way in ("forward", "backward")]
            if None not in pair:
                layers[layer] = "Bidirectional", pair
        elif of_many := re.fullmatch(r"(.*?)/?cell/cells/[^/]+", path):
            layers.setdefault(of_many[1], ("RNN", []))[1].append(cells[path])
        else:
            layers["" if path == "cell" else path.removesuffix("/cell")] = "LSTM", [cells[path]]
    return layers


def _labels(path, labels):
    """Names of the layers on the way to a group; its own key where it has none."""
    parts = path.split("/")
    ways = ["/".join(parts[: k + 1]) for k in range(len(parts))]
    return [labels[way] for way in ways[:-1] if way in labels] + [labels.get(path, parts[-1])]


def _unique(layers, paths):
    """Layers of the same name are called by their path in the file."""
    have = [layer.name for layer in layers]
    return [layer if have.count(layer.name) == 1 else layer._replace(name=path) for layer, path in zip(layers, paths)]


# ---- .h5 ----


def _attribute(group, name):
    """A list of strings, which Keras cuts into several attributes if it is long."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [text.decode() if isinstance(text, bytes) else str(text) for part in parts for text in part]


def _follow(group, path):
    """What a path of hard links leads to."""
    for key in path.split("/"):
        group = _children(group)[key]
    return group


def _named_cells(group):
    """{path: [kernel, recurrent_kernel] and the bias if there is one} of the LSTM cells in weight_names, in their order."""
    found = defaultdict(dict)
    for weight in _attribute(group, "weight_names"):
        path, _, variable = weight.rpartition("/")
        found[path][variable.split(":")[0]] = _follow(group, weight)
    cells = {
        path: [cell[key] for key in ("kernel", "recurrent_kernel", "bias") if key in cell]
        for path, cell in found.items()
    }
    return {path: cell for path, cell in cells.items() if len(cell) > 1 and _is_cell(*cell)}


def _whole_model(h5):
    """Layers of the configuration; their cells are those of their top layer's weights whose path has their name in it."""
    version, layers = _version(h5), []
    model = json.loads(h5.attrs["model_config"])
    if isinstance(
        model["config"], list
    ):  # up to 2.2.2, a Sequential in a Sequential has no name but that of its weights
        for layer, name in zip(model["config"], _attribute(h5["model_weights"], "layer_names")):
            layer.setdefault("name", name)
    for path, name, layer in walk(model):
        read = cells_of(layer) if name and path.split("/")[-1] not in ("forward_layer", "backward_layer") else None
        if not read:
            continue
        cells = [
            cell
            for place, cell in _named_cells(_follow(h5["model_weights"], name[0])).items()
            if len(name) == 1 or name[-1] in place.split("/")
        ]
        if len(cells) != len(read[0]):
            raise FormatError(
                f"layer {'/'.join(name)!r} must have weights of {len(read[0])} LSTM cells, got {len(cells)}"
            )
        layers.append(
            Layer(
                "/".join(name),
                layer["class_name"],
                layer["config"],
                [[_array(dataset) for dataset in cell] for cell in cells],
                version.startswith("2"),
            )
        )
    return _unique(layers, [layer.name for layer in layers])


def _version(group):
    version = group.attrs.get("keras_version", "")
    version = version.decode() if isinstance(version, bytes) else str(version)
    if version.startswith(("0", "1")):
        raise FormatError(f"a file of Keras {version} must be read and saved by Keras 2.0 to 2.2, which converts it")
    return version


def _default_recurrent_activation(version):
    """(default of LSTM when the file was written, whether that is uncertain): Keras 2.3 and TensorFlow 2.0 changed it."""
    release = tuple(map(int, re.findall(r"\d+", version)[:2]))
    is_uncertain = version == "2.2.4-tf"  # TensorFlow 1.13 to 2.1
    return "hard_sigmoid" if (2, 0) <= release < (2, 3) and not is_uncertain else "sigmoid", is_uncertain


def _old_weights(h5):
    """Layers of a weights-only file as Keras had it before 2.13, by the paths of their cells."""
    activation, is_uncertain = _default_recurrent_activation(_version(h5))
    layers = []
    for top in _attribute(h5, "layer_names"):
        found = defaultdict(list)
        for path, cell in _named_cells(_follow(h5, top)).items():
            *way, _ = path.split("/")
            is_two = bool(way) and way[-1].startswith(("forward_", "backward_"))
            way = [part for part in way if not part.startswith(("forward_", "backward_", "stacked_rnn_cells"))]
            way = way[way.index(top) :] if top in way else [top, *way]
            found["/".join(way), is_two].append([_array(dataset) for dataset in cell])
        for (name, is_two), cells in found.items():
            kind = "Bidirectional" if is_two else "LSTM" if len(cells) == 1 else "RNN"
            is_cudnn = len(cells[0]) == 3 and cells[0][2].size == 2 * cells[0][1].shape[1]  # and so sigmoid, always
            layer = default_config(kind, len(cells), **{} if is_cudnn else {"recurrent_activation": activation})
            layers.append(Layer(name, kind, layer["config"], cells, True, is_uncertain and not is_cudnn))
    return _unique(layers, [f"{k}:{layer.name}" for k, layer in enumerate(layers)])
