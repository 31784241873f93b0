"""Arrays and text as JSON inside HTML."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def encode(array: Array, *, may_round: bool = False) -> dict[str, Any]:
    """Return shape, dtype and base85 of the little-endian bytes: float32 if exact or may_round, else float64.

    page/data.js reads it. "/" stands for base85's "<", which HTML would have to escape.
    """
    with np.errstate(over="ignore", under="ignore"):
        small = array.astype(np.float32)
    is_small = may_round or np.array_equal(small, array)
    stored = np.ascontiguousarray(small if is_small else array, "<f4" if is_small else "<f8")
    return {
        "shape": list(stored.shape),
        "dtype": "float32" if is_small else "float64",
        "base85": base64.b85encode(stored.tobytes()).decode("ascii").replace("<", "/"),
    }


def script_json(value: Any) -> str:
    """Return JSON that cannot end the <script> element around it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
