"""compare_formats: error, size and time of a network in each format, on the caller's data."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import network_type
from .modules import LSTM

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, StateLike
    from .train import SequenceModel

# Format and inputs of each row after the float32 one.
CANDIDATES = (
    ("float16", "float32"),
    ("bfloat16", "float32"),
    ("bfloat16_amx", "float32"),
    ("int8", "float32"),
    ("int8", "int16"),
    ("int8", "int8"),
)
ROUNDS, SECONDS_OF_ROUND = 5, 0.02


class FormatRow(NamedTuple):
    """One format in a `FormatComparison`.

    Parameters
    ----------
    format : str
        "float32", "float16", "bfloat16", "bfloat16_amx" or "int8".
    inputs : str
        With "int8": how the first layer multiplies x.
    max_error, rms_error : float
        Largest and root mean square difference of the output from float32; NaN if the format is not supported.
    metric : float or None
        The caller's metric.
    nbytes : int
        Size of the stored parameters in bytes.
    seconds : float
        Time of a call.
    reason : str or None
        Why the network does not support this format; all numbers are then missing.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> rows = lf.compare_formats(lf.LSTM(3, 16, seed=0), np.ones((5, 2, 3)))
    >>> rows[0].format, rows[0].max_error
    ('float32', 0.0)
    """

    format: str
    inputs: str
    max_error: float
    rms_error: float
    metric: float | None
    nbytes: int
    seconds: float
    reason: str | None = None

    @property
    def name(self) -> str:
        """Format, and inputs unless they are float32."""
        return self.format if self.inputs == "float32" else f"{self.format}, inputs={self.inputs!r}"


class FormatComparison(tuple[FormatRow, ...]):
    """Error, size and time of a network in each format: a tuple of `FormatRow`, float32 first, which prints as a table.

    Parameters
    ----------
    iterable : iterable of FormatRow
        The rows, from `compare_formats`.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> comparison = lf.compare_formats(lf.LSTM(3, 16, seed=0), np.ones((5, 2, 3)))
    >>> [row.name for row in comparison]
    ['float32', 'float16', 'bfloat16', 'bfloat16_amx', 'int8', "int8, inputs='int16'", "int8, inputs='int8'"]
    >>> comparison["float16"].nbytes * 2 == comparison["float32"].nbytes
    True
    """

    def __getitem__(self, key: Any) -> Any:
        """Return a row by position or by name, or a tuple of rows for a slice."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for row in self:
            if row.name == key:
                return row
        raise KeyError(f"{key!r} is not one of {', '.join(row.name for row in self)}")

    def __repr__(self) -> str:
        has_metric = any(row.metric is not None for row in self)
        header = [
            "format",
            "bytes",
            "of float32",
            "time",
            "of float32",
            "max error",
            "rms error",
            *["metric"] * has_metric,
        ]
        lines = [header, *(self._cells(row, has_metric) for row in self if row.reason is None)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
        text = [
            "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])
            for line in lines
        ]
        return "\n".join([*text, *(f"{row.name:{widths[0]}}  {row.reason}" for row in self if row.reason is not None)])

    __str__ = __repr__

    def _cells(self, row: FormatRow, has_metric: bool) -> list[str]:
        full = self[0]
        cells = [
            row.name,
            f"{row.nbytes:,}",
            f"{row.nbytes / full.nbytes:.0%}",
            _duration(row.seconds),
            f"{row.seconds / full.seconds:.0%}",
            f"{row.max_error:.1e}",
            f"{row.rms_error:.1e}",
        ]
        return [*cells, f"{row.metric:.6g}"] if has_metric else cells


def _duration(seconds: float) -> str:
    for unit, words in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {words}"
    return f"{seconds * 1e6:.3g} us"


def compare_formats(
    lstm: LSTM | SequenceModel,
    x: Any,
    metric: Callable[[Array], float] | None = None,
    *,
    state: StateLike | None = None,
    lengths: ArrayLike | None = None,
    num_threads: int | None = None,
) -> FormatComparison:
    """Compare the formats of ``lstm.quantized`` with float32, and with each other, on data.

    Parameters
    ----------
    lstm : LSTM or SequenceModel
        Trained network or model, of dtype float32.
    x : array_like
        Representative input of a call, or of `SequenceModel.predict`.
    metric : callable, optional
        A figure of merit such as accuracy: metric(y), where y is the output of the network or the predictions of the
        model.
    state : (h_0, c_0), optional
        Initial state of the calls; not for a SequenceModel.
    lengths : array_like of int of shape (B,), optional
        Length of each sequence.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.

    Returns
    -------
    FormatComparison
        A `FormatRow` for float32 and each format, with its error (of the output or the predictions), metric, size and
        time of a call (the minimum over several interleaved rounds). It prints as a table. The row of an unsupported
        format has the reason.

    Raises
    ------
    TypeError, ValueError
        If the network is neither an LSTM nor a SequenceModel of one, is not float32, or an argument is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm, x = lf.LSTM(3, 64, seed=0), np.random.default_rng(0).standard_normal((50, 1, 3))
    >>> comparison = lf.compare_formats(lstm, x, metric=lambda output: output[-1].mean())
    >>> print(comparison)  # doctest: +SKIP
    >>> bool(comparison["bfloat16"].max_error < 1e-2)
    True
    """
    options: dict[str, Any] = {"lengths": lengths, "num_threads": num_threads}
    is_model = hasattr(lstm, "predict")
    network: Any = lstm.lstm if is_model else lstm  # type: ignore[union-attr]
    if not isinstance(network, LSTM):
        raise TypeError(f"lstm must be an LSTM or a SequenceModel of one, got {network_type(lstm)}")
    if network.dtype != np.float32:
        raise ValueError(f"dtype must be float32 to be quantized, got {network.dtype.name}")
    if is_model and state is not None:
        raise ValueError("state must be None for a SequenceModel, which starts from the network's own")
    if not is_model:
        options["state"] = state
    if network.compute_dtype is not None:
        lstm = _in_float32(lstm)

    def run(one: Any) -> Array:
        result: Array = one.predict(x, **options) if is_model else one(x, **options)[0]
        return result

    copies, reasons = _quantized_copies(lstm)
    outputs = [None if one is None else run(one) for one in (lstm, *copies)]
    times = _times([None if one is None else lambda one=one: run(one) for one in (lstm, *copies)])  # type: ignore[misc]
    exact = outputs[0]
    assert exact is not None
    n_numbers = _count(exact, lengths)
    sizes = [lstm.flat_parameters.nbytes, *(0 if one is None else one.nbytes for one in copies)]
    rows = []
    for name, output, size, seconds, reason in zip(
        [("float32", "float32"), *CANDIDATES], outputs, sizes, times, [None, *reasons], strict=True
    ):
        if output is None:
            rows.append(FormatRow(*name, np.nan, np.nan, None, 0, np.nan, reason))
            continue
        differences = np.abs(output.astype(np.float64) - exact)
        largest, rms = differences.max(initial=0), np.sqrt(np.sum(differences**2) / max(1, n_numbers))
        merit = None if metric is None else float(metric(output))
        rows.append(FormatRow(*name, float(largest), float(rms), merit, size, seconds))
    return FormatComparison(rows)


def _quantized_copies(lstm: LSTM | SequenceModel) -> tuple[list[Any], list[str | None]]:
    """Return a copy in each of CANDIDATES, or None and the reason why the format is not supported."""
    copies: list[Any] = []
    reasons: list[str | None] = []
    for format, inputs in CANDIDATES:
        try:
            copies.append(lstm.quantized(format, inputs=inputs))  # type: ignore[arg-type]
            reasons.append(None)
        except ValueError as error:
            copies.append(None)
            reasons.append(str(error))
    return copies, reasons


def _in_float32(lstm: LSTM | SequenceModel) -> LSTM | SequenceModel:
    """Return a copy of a network or model without its compute_dtype."""
    if isinstance(lstm, LSTM):
        copy: Any = type(lstm)(**lstm.config() | {"compute_dtype": None})
    else:
        copy = type(lstm)(_in_float32(lstm.lstm), lstm.out_features, lstm.readout)  # type: ignore[arg-type]
    copy.load_flat_parameters(lstm.flat_parameters)
    return copy  # type: ignore[no-any-return]


def _count(output: Array, lengths: ArrayLike | None) -> int:
    """Return the number of output values outside the padding."""
    if lengths is None or (output.ndim == 2 and np.ndim(lengths) > 0):  # one number, or one row, for each sequence
        return output.size
    return int(np.sum(lengths)) * int(output.shape[-1])


def _times(calls: list[Callable[[], Any] | None]) -> list[float]:
    """Return the shortest time of each call, over rounds of many calls."""
    repeats = [0 if call is None else max(1, int(SECONDS_OF_ROUND / max(_time(call, 1), 1e-7))) for call in calls]
    shortest = [np.inf] * len(calls)
    for _ in range(ROUNDS):
        for k, (call, n) in enumerate(zip(calls, repeats, strict=True)):
            if call is not None:
                shortest[k] = min(shortest[k], _time(call, n))
    return shortest


def _time(call: Callable[[], Any], n: int) -> float:
    begin = perf_counter()
    for _ in range(n):
        call()
    return (perf_counter() - begin) / n
