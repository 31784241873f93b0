"""Curves over epochs (training history) and over steps (gradient flow)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .. import Gradients
from ..modules import LSTM, RNN
from ._canvas import STYLES, ink, legend, needs_log_scale, new_or_given_axes, plain_ticks, set_labels
from ._panels import stacked_panels
from ._steps import Array, within
from ._text import SMALL

if TYPE_CHECKING:
    from ..train import History, SequenceModel

PANELS = {"loss": "loss", "gradient_norm": "gradient\nnorm", "learning_rate": "learning\nrate"}


def history(history: "History", *, loss: str = "loss", title: str | None = None, ax: Axes | None = None) -> Axes:
    """Plot a training history: loss and validation loss with the best epoch, gradient norm, learning rate.

    Parameters
    ----------
    history : History
        The result of lf.train.fit.
    loss : str, default "loss"
        Label of the loss axis, including its unit.
    title : str, optional
        Title of the plot.
    ax : Axes, optional
        Axes to hide and divide into panels. By default, the Axes of a new Figure.

    Returns
    -------
    Axes
        The panels are its child_axes, one above the other, labeled "loss", "gradient_norm" and "learning_rate". Epochs
        count from 0. Scales are logarithmic where the values span more than a factor of 30.

    Raises
    ------
    TypeError
        If history is not a History or ax not an Axes.
    ValueError
        If the history has no epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> x = np.random.default_rng(0).standard_normal((20, 5, 1))
    >>> model = lf.train.SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)
    >>> ax = lf.plot.history(lf.train.fit(model, x, x.sum(axis=1), epochs=3, seed=0), loss="squared error")
    >>> [panel.get_label() for panel in ax.child_axes]
    ['loss', 'gradient_norm', 'learning_rate']
    """
    series = {
        name: getattr(history, name, None) for name in ("loss", "validation_loss", "gradient_norm", "learning_rate")
    }
    if any(values is None for values in series.values()):
        raise TypeError(f"history must be a History, got {type(history).__name__}")
    curves: dict[str, Array] = {
        name: np.asarray(values, float) for name, values in series.items() if values is not None and len(values)
    }
    if "loss" not in curves:
        raise ValueError("history must have at least one epoch, got none")
    ax = new_or_given_axes(ax, 8, 5.5, title, is_blank=True)
    names = [name for name in PANELS if name in curves]
    panels = dict(zip(names, stacked_panels(ax, names, [2.4 if name == "loss" else 1 for name in names])))
    for name, panel in panels.items():
        lines = (name, "validation_loss") if name == "loss" else (name,)
        _epochs(panel, {line: curves[line] for line in lines if line in curves})
        panel.set_ylabel(PANELS[name], fontsize=SMALL)
        if history.best_epoch is not None:
            panel.axvline(history.best_epoch, color=ink(), linewidth=0.8, linestyle=":", zorder=1)
    set_labels(panels["loss"], ylabel=loss, size=SMALL)
    if history.best_epoch is not None:
        best = curves.get("validation_loss", curves["loss"])[history.best_epoch]
        panels["loss"].plot(
            history.best_epoch,
            best,
            "o",
            markersize=9,
            markerfacecolor="none",
            color=ink(),
            label=f"best: epoch {history.best_epoch}, {best:.4g}",
        )
    legend(panels["loss"])
    panels[names[-1]].set_xlabel("epoch", fontsize=SMALL)
    return ax


def _epochs(panel: Axes, lines: dict[str, Array]) -> None:
    n = len(next(iter(lines.values())))
    for (name, values), (style, marker) in zip(lines.items(), STYLES):
        panel.plot(
            range(len(values)),
            values,
            linestyle=style,
            marker=marker if n <= 30 else "",
            markersize=4,
            label={"loss": "training", "validation_loss": "validation"}.get(name, name),
        )
    values = np.concatenate(list(lines.values()))
    values = values[np.isfinite(values)]
    if needs_log_scale(values):
        panel.set_yscale("log")
    else:
        plain_ticks(panel.yaxis)
        if values.size and values.min() == values.max():  # a constant: show zero rather than magnify rounding
            low, high = sorted((0.0, 1.3 * values[0])) if values[0] else (-1, 1)
            panel.set_ylim(low, high)
            panel.set_yticks(sorted({0.0, values[0]}))
    plain_ticks(panel.xaxis, integer=True)


# ---- gradient flow ---------------------------------------------------------------------------------------------------


def gradient_flow(
    flows: "Mapping[str, LSTM | RNN | SequenceModel | Gradients | ArrayLike]",
    x: ArrayLike | None = None,
    *,
    layer: int = -1,
    direction: int = 0,
    title: str | None = "How far the gradient of the last step reaches",
    ax: Axes | None = None,
) -> Axes:
    """Norm of the gradient that reaches each step, against the distance to the last step; log scale.

    Parameters
    ----------
    flows : mapping of str to module, gradients or norms
        Up to eight curves by name. Each is an LSTM, an RNN or a SequenceModel, which is run over x and receives a
        gradient of norm 1 at its last output; or the result of backward with recorded norms; or an array of norms (T,)
        in the order of time.
    x : array_like, optional
        The sequences, as the modules take them; required with modules. The norms are averaged over a batch.
    layer, direction : int, default -1, 0
        Which layer and direction of modules and gradients.
    title : str or None
        Title of the plot.
    ax : Axes, optional
        By default the Axes of a new Figure.

    Returns
    -------
    Axes
        One line for each of the flows.

    Raises
    ------
    TypeError
        If one of the flows has another type or shape, or ax is not an Axes.
    ValueError
        If there are no or too many flows, x is missing, or norms are negative, not finite or all zero.

    Notes
    -----
    The state of an LSTM is the pair h and c: its norm is sqrt(d_h^2 + d_c^2). A line ends where the gradient has
    vanished completely, because a log scale cannot show zero.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> x = np.random.default_rng(0).standard_normal((100, 8, 16))
    >>> networks = {"LSTM, forget_bias=3": lf.LSTM(16, 32, seed=0, forget_bias=3), "plain RNN": lf.RNN(16, 32, seed=0)}
    >>> ax = lf.plot.gradient_flow(networks, x)
    >>> [bool(line.get_ydata()[0] > 1e-10) for line in ax.lines]  # after a hundred steps
    [True, False]
    """
    if not isinstance(flows, Mapping) or not 1 <= len(flows) <= len(STYLES):
        raise ValueError(
            f"flows must be a dict of 1 to {len(STYLES)} names with modules, gradients or norms, got "
            + (f"{len(flows)}" if isinstance(flows, Mapping) else type(flows).__name__)
        )
    lines = {str(name): _norms(str(name), flow, x, layer, direction) for name, flow in flows.items()}
    ax = new_or_given_axes(ax, 8, 5, title)
    longest = max(len(norms) for norms in lines.values())
    for (name, norms), (style, marker) in zip(lines.items(), STYLES):
        ax.plot(
            np.arange(len(norms))[::-1],
            norms,
            linestyle=style,
            marker=marker,
            label=name,
            markersize=5,
            markevery=max(1, longest // 8),
        )
    ax.set_yscale("log", nonpositive="mask")
    ax.set(xlabel="steps back from the last one", ylabel="norm of the gradient (1 at the last step)")
    if not all(np.isclose(norms[-1], 1) for norms in lines.values()):
        ax.set_ylabel("norm of the gradient")
    values = np.concatenate(list(lines.values()))
    values = values[values > 0]
    if not values.max() > 10 * values.min():
        ax.set_ylim(values.min() / 10, values.max() * 10)
    plain_ticks(ax.xaxis, integer=True)
    legend(ax)
    return ax


def _norms(name: str, flow: Any, x: ArrayLike | None, layer: int, direction: int) -> Array:
    """The norms (T,) of a flow."""
    flow = getattr(flow, "lstm", flow)
    if isinstance(flow, (LSTM, RNN)):
        flow = _gradients(name, flow, x)
    if hasattr(flow, "d_x") or hasattr(flow, "d_h_norms"):
        d_h, d_c = getattr(flow, "d_h_norms", None), getattr(flow, "d_c_norms", None)
        if d_h is None:
            raise ValueError(f"flows: the gradients of {name!r} must come from backward(..., record_norms=True)")
        layer, direction = within("layer", layer, d_h.shape[0]), within("direction", direction, d_h.shape[1])
        flow = d_h[layer, direction] if d_c is None else np.hypot(d_h, d_c)[layer, direction]
        flow = flow.mean(axis=1)
        flow = flow[::-1] if direction else flow
    try:
        norms = np.asarray(flow, float)
    except (TypeError, ValueError):
        norms = np.empty(0)
    if norms.ndim != 1 or not norms.size:
        raise TypeError(
            f"flows: {name!r} must be a module, gradients or norms of shape (T,), got {type(flow).__name__}"
            + (f" of shape {norms.shape}" if norms.ndim != 1 else "")
        )
    if not np.isfinite(norms).all() or norms.min() < 0 or not norms.max() > 0:
        raise ValueError(f"flows: the norms of {name!r} must be finite, not negative and not all zero")
    return norms


def _gradients(name: str, module: LSTM | RNN, x: ArrayLike | None) -> Gradients:
    """Gradients of a module run over x, from a gradient of norm 1 at the last output of each direction."""
    if x is None:
        raise ValueError(f"x must be given: {name!r} is a module, to be run over it")
    output, _, tape = module.forward(x, training=False)
    d_output, R = np.zeros_like(output), module.h_size
    steps = module.layout.to_steps(d_output) if output.ndim == 3 else d_output  # a view, time first
    steps[-1, ..., :R] = R**-0.5
    if module.bidirectional:  # the reverse direction ends at the first step
        steps[0, ..., R:] = R**-0.5
    return module.backward(tape, d_output, record_norms=True)
