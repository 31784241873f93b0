"""A forecast, the observations before it, and what actually happened."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from numpy.typing import ArrayLike

from .. import _arguments
from ._canvas import STYLES, ink, legend, new_or_given_axes, plain_ticks, set_labels
from ._panels import stacked_panels
from ._steps import Array
from ._text import SMALL

MOST_SERIES = 8
FLOAT64 = np.dtype(np.float64)
Band: TypeAlias = tuple[ArrayLike, ArrayLike] | ArrayLike
_Bands: TypeAlias = dict[float | None, tuple[Array, Array]]


def forecast(
    y_past: ArrayLike | None,
    prediction: ArrayLike,
    truth: ArrayLike | None = None,
    interval: Band | Mapping[float, Band] | None = None,
    index: ArrayLike | None = None,
    *,
    baselines: Mapping[str, ArrayLike] | None = None,
    label: str = "forecast",
    xlabel: str = "step",
    ylabel: str | Sequence[str] = "value",
    names: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the observations, the forecast with its prediction interval, and the truth.

    Parameters
    ----------
    y_past : array_like of shape (n,) or (n, n_series), or None
        The observations before the forecast origin.
    prediction : array_like of shape (horizon,) or (horizon, n_series)
        The forecast; at most eight series.
    truth : array_like like prediction, optional
        What actually happened; shorter than the forecast where the rest is not known yet.
    interval : pair of array_like, array_like or mapping, optional
        Prediction interval: (low, high), each like prediction; or one array of the shape of prediction and 2; or a
        mapping from levels (0.9: nine tenths of the true values are expected within) to such intervals, drawn as nested
        bands.
    index : array_like of n + horizon numbers or datetime64, optional
        Positions of the observations and the forecast. By default 0, 1, ...
    baselines : mapping of str to array_like like prediction, optional
        Forecasts to compare with, by name.
    label : str, default "forecast"
        Name of the forecast in the legend.
    xlabel : str, default "step"
        Label of the x axis.
    ylabel : str or sequence of str, default "value"
        Label of the y axis, with the unit; a sequence has one for each series.
    names : sequence of str, optional
        Names of the series. By default "series 0", ...
    title : str, optional
        Title of the plot.
    ax : Axes, optional
        By default the Axes of a new Figure. For several series it is hidden and divided into panels.

    Returns
    -------
    Axes
        For several series the panels are its child_axes, one above the other, labeled with the names.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers, or ax is not an Axes.
    ValueError
        If a shape, level or number of names is wrong, or low is above high.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> y = np.sin(np.arange(40.0) / 3)
    >>> p = y[33:] + 0.1
    >>> ax = lf.plot.forecast(y[:33], p, y[33:], {0.8: (p - 0.3, p + 0.3)}, baselines={"last value": [y[32]] * 7})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['80 % interval', 'observed', 'forecast', 'last value', 'truth']
    """
    y = _read_prediction(prediction)
    horizon, n_series = y.shape
    past = np.empty((0, n_series)) if y_past is None else _columns("y_past", y_past, n_series)
    actual = None if truth is None else _columns("truth", truth, n_series, most=horizon)
    lines = {str(label): y} | {
        str(name): _columns(f"baselines[{name!r}]", values, n_series, exactly=horizon)
        for name, values in (baselines or {}).items()
    }
    if len(lines) >= len(STYLES):
        raise ValueError(f"baselines must be at most {len(STYLES) - 2}, got {len(lines) - 1}")
    bands = _read_interval(interval, y.shape)
    positions = _read_index(index, len(past) + horizon)
    titles = _one_per_series("names", names or [f"series {k}" for k in range(n_series)], n_series)
    ylabels = [ylabel] * n_series if isinstance(ylabel, str) else _one_per_series("ylabel", ylabel, n_series)
    if n_series == 1:
        ax = new_or_given_axes(ax, 8, 4.5, title)
        panels = [ax]
        set_labels(ax, xlabel, ylabels[0])
    else:
        ax = new_or_given_axes(ax, 8, 1.5 + 2 * n_series, title, is_blank=True)
        panels = stacked_panels(ax, titles)
        set_labels(panels[-1], xlabel, size=SMALL)
    for k, panel in enumerate(panels):
        _draw(
            panel,
            positions,
            past[:, k],
            {name: a[:, k] for name, a in lines.items()},
            None if actual is None else actual[:, k],
            {level: (low[:, k], high[:, k]) for level, (low, high) in bands.items()},
        )
        if n_series > 1:
            set_labels(panel, ylabel=f"{titles[k]}\n{ylabels[k]}", size=SMALL)
    legend(panels[0])
    return ax


def _draw(ax: Axes, index: Array, past: Array, lines: dict[str, Array], truth: Array | None, bands: _Bands) -> None:
    """Draw one series."""
    n, horizon = len(past), len(next(iter(lines.values())))
    ahead, markersize = index[n:], 4 if horizon <= 60 else 0
    for k, (level, (low, high)) in enumerate(bands.items()):  # the widest first
        options: dict[str, Any] = {
            "color": "C0",
            "label": "interval" if level is None else f"{100 * level:.3g} % interval",
            "zorder": 1,
        }
        if horizon > 1:
            ax.fill_between(ahead, low, high, alpha=min(0.9, 0.18 + 0.22 * k), linewidth=0, **options)
        else:
            ax.plot([ahead[0]] * 2, [low[0], high[0]], linewidth=2 + 2 * k, marker="_", markersize=12, **options)
    if n:
        ax.plot(index[:n], past, color=ink(), label="observed", marker="o" if n == 1 else "", markersize=4)
        origin = index[n - 1] + (index[n] - index[n - 1]) / 2
        ax.axvline(origin, color=ink(), linewidth=0.8, linestyle=":", zorder=1)
    for k, (name, values) in enumerate(lines.items()):
        style, marker = STYLES[k + 1] if k else ("--", "o")
        ax.plot(
            ahead, values, color=f"C{k}", linestyle=style, marker=marker, markersize=markersize, label=name, zorder=3
        )
    if truth is not None:
        ax.plot(
            ahead[: len(truth)],
            truth,
            color=ink(),
            marker="o",
            markerfacecolor=ax.get_facecolor(),
            markersize=1.2 * markersize,
            linewidth=1.2,
            label="truth",
            zorder=2.5,
        )
    plain_ticks(ax.yaxis)
    if index.dtype.kind == "M":
        locator = AutoDateLocator(minticks=2, maxticks=7)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    else:
        plain_ticks(ax.xaxis, integer=index.dtype.kind in "iu")


# ---- arguments -------------------------------------------------------------------------------------------------------


def _read_prediction(prediction: ArrayLike) -> Array:
    """Return the forecast as an array (horizon, n_series)."""
    y: Array = _arguments.real_array("prediction", prediction, FLOAT64)
    if y.ndim not in (1, 2) or not y.size:
        raise ValueError(f"prediction must have shape (horizon,) or (horizon, n_series), not empty, got {y.shape}")
    y = y.reshape(len(y), -1)
    if y.shape[1] > MOST_SERIES:
        raise ValueError(f"prediction must have at most {MOST_SERIES} series to be drawn, got {y.shape[1]}")
    return y


def _columns(
    name: str, values: ArrayLike, n_series: int, *, most: int | None = None, exactly: int | None = None
) -> Array:
    """Read an array (n, n_series) and validate its number of rows: at most `most`, or `exactly`."""
    columns: Array = _arguments.real_array(name, values, FLOAT64)
    columns = columns[:, None] if columns.ndim == 1 and n_series == 1 else columns
    n = f"{exactly}" if exactly is not None else f"up to {most}" if most is not None else "n"
    is_long = (exactly is not None and len(columns) != exactly) or (most is not None and len(columns) > most)
    if columns.ndim != 2 or columns.shape[1] != n_series or is_long:
        shapes = f"({n},) or ({n}, 1)" if n_series == 1 else f"({n}, {n_series})"
        raise ValueError(f"{name} must have shape {shapes}, got {columns.shape}")
    return columns


def _read_interval(interval: Any, shape: tuple[int, ...]) -> _Bands:
    """Return (low, high) by level, the widest first; the level is None if it is not known."""
    if not isinstance(interval, Mapping):
        return {} if interval is None else {None: _read_band(interval, shape)}
    for level in interval:
        if not isinstance(level, Real) or not 0 < float(level) < 1:
            raise ValueError(f"interval: levels must be numbers between 0 and 1, got {level!r}")
    return {level: _read_band(interval[level], shape) for level in sorted(interval, reverse=True)}


def _read_band(band: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return low and high, each (horizon, n_series)."""
    horizon, n_series = shape
    if isinstance(band, tuple) and len(band) == 2:
        low, high = (
            _columns(f"interval: {name}", values, n_series, exactly=horizon)
            for name, values in zip(("low", "high"), band)
        )
    else:
        both: Array = _arguments.real_array("interval", band, FLOAT64)
        if both.shape not in ((*shape, 2), *([(horizon, 2)] if n_series == 1 else [])):
            shapes = f"({horizon}, 2)" if n_series == 1 else f"{(*shape, 2)}"
            raise ValueError(f"interval must be a tuple (low, high) or an array of shape {shapes}, got {both.shape}")
        low, high = np.moveaxis(both.reshape(*shape, 2), -1, 0)
    if (low > high).any():
        raise ValueError(
            f"interval: low must not be above high, got {low[low > high][0]:g} and {high[low > high][0]:g}"
        )
    return low, high


def _read_index(index: ArrayLike | None, n: int) -> Array:
    positions = np.arange(n) if index is None else np.asarray(index)
    if positions.shape != (n,) or positions.dtype.kind not in "iufM":
        raise ValueError(
            f"index must hold numbers or datetime64 for the observations and the forecast, shape ({n},), "
            f"got {positions.dtype} {positions.shape}"
        )
    return positions


def _one_per_series(name: str, texts: str | Sequence[str], n: int) -> list[str]:
    texts = [texts] if isinstance(texts, str) else list(texts)
    if len(texts) != n:
        raise ValueError(f"{name} must have one entry for each of {n} series, got {len(texts)}")
    return [str(text) for text in texts]
