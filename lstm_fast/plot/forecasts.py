"""A forecast beside what came before it and what came true."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from .._arguments import real_array
from ._canvas import SMALL, STYLES, axes, ink, legend, plain_ticks, rows, set_labels

MOST_SERIES = 8


def forecast(
    y_past,
    prediction,
    truth=None,
    interval=None,
    index=None,
    *,
    baselines=None,
    label="forecast",
    xlabel="step",
    ylabel="value",
    names=None,
    title=None,
    ax=None,
):
    """What was known, the forecast with its interval, and the truth.

    Parameters
    ----------
    y_past : (n,) or (n, n_series), what was known; None: nothing
    prediction : (horizon,) or (horizon, n_series)
    truth : as prediction, or shorter where the rest is not known yet
    interval : (low, high), a tuple of arrays like prediction; or one array of the shape of prediction and 2; or a dict from
        levels (0.9: nine tenths of the truth are expected within) to such: nested bands
    index : where the n + horizon values stand: numbers or datetime64. None: 0, 1, ...
    baselines : dict from names to forecasts like prediction, to compare with
    label : of the forecast in the legend
    xlabel, ylabel : with units; ylabel may be a list, one for each series
    names : of the series
    title : str, optional
    ax : Axes; None: one of a new Figure. For several series it is hidden and divided into one panel each, above each other:
        ax.child_axes

    Returns
    -------
    Axes
    """
    prediction = _read_prediction(prediction)
    horizon, n_series = prediction.shape
    past = np.empty((0, n_series)) if y_past is None else _columns("y_past", y_past, n_series)
    truth = None if truth is None else _columns("truth", truth, n_series, horizon)
    lines = {str(label): prediction} | {
        str(name): _columns(f"baselines[{name!r}]", values, n_series, horizon, True)
        for name, values in (baselines or {}).items()
    }
    if len(lines) >= len(STYLES):
        raise ValueError(f"baselines must be at most {len(STYLES) - 2}, got {len(lines) - 1}")
    bands = _read_interval(interval, prediction.shape)
    index = _read_index(index, len(past) + horizon)
    names = _words("names", names or [f"series {k}" for k in range(n_series)], n_series)
    ylabels = [ylabel] * n_series if isinstance(ylabel, str) else _words("ylabel", ylabel, n_series)
    if n_series == 1:
        ax = axes(ax, 8, 4.5, title)
        panels = [ax]
        set_labels(ax, xlabel, ylabels[0])
    else:
        ax = axes(ax, 8, 1.5 + 2 * n_series, title, is_area=True)
        panels = rows(ax, names)
        set_labels(panels[-1], xlabel, size=SMALL)
    for k, panel in enumerate(panels):
        _draw(
            panel,
            index,
            past[:, k],
            {name: a[:, k] for name, a in lines.items()},
            None if truth is None else truth[:, k],
            {level: (low[:, k], high[:, k]) for level, (low, high) in bands.items()},
        )
        if n_series > 1:
            set_labels(panel, ylabel=f"{names[k]}\n{ylabels[k]}", size=SMALL)
    legend(panels[0])
    return ax


def _draw(ax, index, past, lines, truth, bands):
    """One series."""
    n, horizon = len(past), len(next(iter(lines.values())))
    ahead, markersize = index[n:], 4 if horizon <= 60 else 0
    for k, (level, (low, high)) in enumerate(bands.items()):  # the widest first
        label = "interval" if level is None else f"{100 * level:.3g} % interval"
        options = {"color": "C0", "label": label, "zorder": 1}
        if horizon > 1:
            ax.fill_between(ahead, low, high, alpha=min(0.9, 0.18 + 0.22 * k), linewidth=0, **options)
        else:
            ax.plot([ahead[0]] * 2, [low[0], high[0]], linewidth=2 + 2 * k, marker="_", markersize=12, **options)
    if n:
        ax.plot(index[:n], past, color=ink(), label="known", marker="o" if n == 1 else "", markersize=4)
        border = index[n - 1] + (index[n] - index[n - 1]) / 2
        ax.axvline(border, color=ink(), linewidth=0.8, linestyle=":", zorder=1)
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
        locator = AutoDateLocator(minticks=2, maxticks=7)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        plain_ticks(ax.xaxis, integer=index.dtype.kind in "iu")


# ---- arguments ----


def _read_prediction(prediction):
    """(horizon, n_series)"""
    prediction = real_array("prediction", prediction, np.float64)
    if prediction.ndim not in (1, 2) or not prediction.size:
        raise ValueError(
            f"prediction must have shape (horizon,) or (horizon, n_series), not empty, got {prediction.shape}"
        )
    prediction = prediction.reshape(len(prediction), -1)
    if prediction.shape[1] > MOST_SERIES:
        raise ValueError(f"prediction must have at most {MOST_SERIES} series to be drawn, got {prediction.shape[1]}")
    return prediction


def _columns(name, values, n_series, horizon=None, is_whole=False):
    """(n, n_series), of at most, or exactly, horizon rows."""
    values = real_array(name, values, np.float64)
    values = values[:, None] if values.ndim == 1 and n_series == 1 else values
    is_long = horizon is not None and (len(values) != horizon if is_whole else len(values) > horizon)
    if values.ndim != 2 or values.shape[1] != n_series or is_long:
        n = "n" if horizon is None else f"{horizon}" if is_whole else f"up to {horizon}"
        words = f"({n},) or ({n}, 1)" if n_series == 1 else f"({n}, {n_series})"
        raise ValueError(f"{name} must have shape {words}, got {values.shape}")
    return values


def _read_interval(interval, shape):
    """Dict from levels, the widest first, to (low, high); the level None is not known."""
    if not isinstance(interval, Mapping):
        return {} if interval is None else {None: _read_band(interval, shape)}
    for level in interval:
        if not isinstance(level, Real) or not 0 < level < 1:
            raise ValueError(f"interval: levels must be numbers between 0 and 1, got {level!r}")
    return {level: _read_band(interval[level], shape) for level in sorted(interval, reverse=True)}


def _read_band(band, shape):
    """(low, high), each (horizon, n_series)."""
    horizon, n_series = shape
    if isinstance(band, tuple) and len(band) == 2:
        low, high = (
            _columns(f"interval: {name}", values, n_series, horizon, True)
            for name, values in zip(("low", "high"), band)
        )
    else:
        both = real_array("interval", band, np.float64)
        if both.shape not in ((*shape, 2), *([(horizon, 2)] if n_series == 1 else [])):
            words = f"({horizon}, 2)" if n_series == 1 else f"{(*shape, 2)}"
            raise ValueError(f"interval must be a tuple (low, high) or an array of shape {words}, got {both.shape}")
        low, high = np.moveaxis(both.reshape(*shape, 2), -1, 0)
    if (low > high).any():
        raise ValueError("interval: low must not be above high")
    return low, high


def _read_index(index, n):
    index = np.arange(n) if index is None else np.asarray(index)
    if index.shape != (n,) or index.dtype.kind not in "iufM":
        raise ValueError(
            f"index must be numbers or datetime64 for the known and the forecast values, shape ({n},), "
            f"got {index.dtype} {index.shape}"
        )
    return index


def _words(name, words, n):
    words = [words] if isinstance(words, str) else list(words)
    if len(words) != n:
        raise ValueError(f"{name} must be one for each of {n} series, got {len(words)}")
    return [str(word) for word in words]
