"""Type aliases of the reference."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # float32, float64 or complex128, unless a docstring says otherwise
Rows: TypeAlias = slice | Array  # an index of sequences along the batch axis
