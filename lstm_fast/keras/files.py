"""Reading Keras files (.keras, .weights.h5 and .h5) without Keras, using h5py and zipfile.

A .keras file is a zip archive of config.json, metadata.json and model.weights.h5. Layers are found by the shapes of
their weights and, if present, by the configuration.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from os import PathLike
from typing import IO, TYPE_CHECKING, Any

from .._errors import FormatError
from .._files import open_regular
from . import legacy_h5, weights_h5
from .layers import Layer, check_config, network

if TYPE_CHECKING:
    from ..modules import LSTM
    from .configs import Config

WEIGHTS = "model.weights.h5"
# Keras stores members uncompressed, and weights hardly compress: a larger ratio is a decompression bomb.
MAX_EXPANSION, MAX_SMALL_MEMBER = 20, 16 << 20


def names(path: str | PathLike[str]) -> list[str]:
    """List the LSTM layers in a Keras file.

    Parameters
    ----------
    path : str or path
        A .keras, .weights.h5 or .h5 file.

    Returns
    -------
    list of str
        Names for `load`, in the order of the model; nested layers are named "model/layer".

    Raises
    ------
    FormatError
        If the file is damaged or of another kind.

    Examples
    --------
    >>> import keras
    >>> import lstm_fast as lf
    >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(8, name="encoder"), keras.layers.Dense(1)])
    >>> model.save("model.keras")
    >>> lf.keras.names("model.keras")
    ['encoder']
    """
    return [layer.name for layer in _read(path)]


def load(path: str | PathLike[str], name: str | Sequence[str] | None = None, **config: Any) -> LSTM:
    """Load an LSTM layer from a Keras file. Keras itself is not needed.

    Parameters
    ----------
    path : str or path
        A .keras, .weights.h5 or .h5 file of Keras 3 or Keras 2. Keras 2 defines hard_sigmoid differently; a .weights.h5
        file does not record the version of Keras, and is assumed to be from Keras 3.
    name : str or list of str, optional
        One of `names(path)`, or the last part of one; not needed if there is one LSTM layer. A list of consecutive
        layers becomes one LSTM with several layers.
    **config
        Entries that replace the layer's configuration in the file: activation, recurrent_activation,
        recurrent_dropout, go_backwards, merge_mode. Files with weights only, and .keras files of a custom model class,
        have no configuration: Keras' defaults are used (tanh, sigmoid, 0, False, "concat"; before Keras 2.3
        hard_sigmoid for recurrent_activation), with the sizes and directions of the weights.

    Returns
    -------
    LSTM
        With batch_first=True; float64 if the weights are, else float32 (float16 and bfloat16 are widened). See the
        notes of lstm_fast.keras for the correspondence of options.

    Raises
    ------
    FormatError
        If the file is damaged or of another kind.
    ValueError
        If no such layer exists or lf.LSTM does not support it; the message gives the reason and the alternative.

    Examples
    --------
    >>> import keras
    >>> import lstm_fast as lf
    >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(8, name="encoder"), keras.layers.Dense(1)])
    >>> model.save("model.keras")
    >>> lf.keras.load("model.keras", "encoder")
    LSTM(3, 8, batch_first=True)
    """
    layers = _read(path)
    names = [name] if name is None or isinstance(name, str) else list(name)
    if not names:
        raise ValueError("name must not be an empty list")
    chosen = [_choose(layers, one, path) for one in names]
    check_config(config)
    if "recurrent_activation" not in config and (uncertain := [layer.name for layer in chosen if layer.is_uncertain]):
        warnings.warn(
            f"{path} does not say whether recurrent_activation of {', '.join(uncertain)} was 'hard_sigmoid' (the "
            "default in TensorFlow 1) or 'sigmoid' (in TensorFlow 2), which is used: pass recurrent_activation",
            stacklevel=2,
        )
    try:
        return network(chosen, config)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise FormatError(f"{path} has a configuration that cannot be read: {error!r}") from None


def _choose(layers: list[Layer], name: str | None, path: str | PathLike[str]) -> Layer:
    if not layers:
        raise FormatError(f"{path} must hold an LSTM layer, got none")
    have = ", ".join(layer.name for layer in layers)
    if name is None:
        if len(layers) > 1:
            raise ValueError(f"name must be one of the LSTM layers in {path}: {have}")
        return layers[0]
    by_name = [layer for layer in layers if layer.name == name]
    by_last_part = [layer for layer in layers if layer.name.split("/")[-1] == name]
    found = by_name or by_last_part
    if len(found) != 1:
        raise ValueError(f"name must be one of the LSTM layers in {path}: {have}; got {name!r}")
    return found[0]


def _read(path: str | PathLike[str]) -> list[Layer]:
    """The LSTM layers of a file, with their weights."""
    try:
        import h5py
    except ImportError:
        raise ImportError('Keras files need the package h5py: pip install "lstm_fast[keras]"') from None
    with open_regular(path) as file:
        try:
            if zipfile.is_zipfile(file):
                weights, config, version = _unzip(file)
                with h5py.File(weights, "r") as h5:
                    return weights_h5.layers_of(h5, config, version.startswith("2"))
            with h5py.File(file, "r") as h5:
                if "model_weights" in h5:
                    return legacy_h5.layers_of_model(h5)
                if "layer_names" in h5.attrs:
                    return legacy_h5.layers_of_weights(h5)
                return weights_h5.layers_of(h5, None, False)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None
        except Exception as error:  # h5py and HDF5 raise almost anything for a damaged file
            raise FormatError(f"{path} is not a Keras file, or damaged: {error!r}") from None


def _unzip(file: IO[bytes]) -> tuple[io.BytesIO, Config, str]:
    """The weights, the configuration and the version of Keras in a .keras file."""
    with zipfile.ZipFile(file) as archive:

        def member(name: str) -> bytes:
            info = archive.getinfo(name)
            if info.file_size > max(MAX_SMALL_MEMBER, MAX_EXPANSION * info.compress_size):
                raise FormatError(
                    f"{name} must not be more than {MAX_EXPANSION} times its compressed size, got "
                    f"{info.file_size} bytes from {info.compress_size}"
                )
            return archive.read(name)

        config = json.loads(member("config.json"))
        return io.BytesIO(member(WEIGHTS)), config, json.loads(member("metadata.json"))["keras_version"]
