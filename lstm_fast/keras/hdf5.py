"""Shared by the readers of HDF5 files: datasets as arrays, groups without links, detection of LSTM cells.

Links out of a file are not followed, and nothing is allocated that is not in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import FormatError

if TYPE_CHECKING:
    import h5py

    from .._types import Array


def array(dataset: h5py.Dataset) -> Array:
    """Return the numbers of a dataset; float16 and bfloat16 are widened to float32."""
    if dataset.external or dataset.id.get_storage_size() < dataset.nbytes:
        raise FormatError(
            f"{dataset.name} must be stored plainly, as Keras does, got {dataset.nbytes} bytes of which "
            f"{dataset.id.get_storage_size()} are in the file"
        )
    numbers: Array = dataset[()]
    if dataset.attrs.get("dtype") == "bfloat16" and numbers.dtype.itemsize == 2:
        return (numbers.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if numbers.dtype.kind != "f":
        raise FormatError(f"{dataset.name} must hold floating-point numbers, got {numbers.dtype}")
    return numbers.astype(np.float64 if numbers.dtype.itemsize > 4 else np.float32)


def is_cell(datasets: Sequence[h5py.Dataset]) -> bool:
    """Return whether datasets are the variables of an LSTM. A GRU's have 3H columns, a plain RNN's H."""
    kernel, recurrent, *bias = datasets
    if len(kernel.shape) != 2 or len(recurrent.shape) != 2 or len(bias) > 1:
        return False
    H, G = recurrent.shape
    return bool(H > 0 and G == 4 * H and kernel.shape[1] == G and all(b.shape in ((G,), (2 * G,)) for b in bias))


def children(group: h5py.Group) -> dict[str, Any]:
    """Return groups and datasets in a group; soft and external links are skipped."""
    import h5py

    return {key: group[key] for key in group if isinstance(group.get(key, getlink=True), h5py.HardLink)}


def follow(group: h5py.Group, path: str) -> Any:
    """Return the target of a path of hard links."""
    for key in path.split("/"):
        group = children(group)[key]
    return group


def strings(group: h5py.Group, name: str) -> list[str]:
    """Return an attribute that is a list of strings. Keras splits a long one into several attributes."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [text.decode() if isinstance(text, bytes) else str(text) for part in parts for text in part]
