"""Lines over epochs and over steps: a training, the reach of gradients."""

from collections.abc import Mapping

import numpy as np

from .._recurrent import Recurrent
from ._canvas import SMALL, STYLES, axes, ink, legend, plain_ticks, rows, set_labels, wants_log
from ._steps import within

PANELS = {"loss": "loss", "gradient_norm": "gradient\nnorm", "learning_rate": "learning\nrate"}


def history(history, *, loss="loss", title=None, ax=None):
    """A training by epoch (from 0): loss and validation loss with the best epoch, norm of the gradient, learning rate.

    Scales are logarithmic where the values span more than a factor of 30.

    Parameters
    ----------
    history : lf.train.History
    loss : what the loss is, with its unit: the label of its axis
    title : str, optional
    ax : Axes, hidden and divided into panels above each other, ax.child_axes: "loss", "gradient_norm", "learning_rate"

    Returns
    -------
    Axes
    """
    series = {
        name: getattr(history, name, None) for name in ("loss", "validation_loss", "gradient_norm", "learning_rate")
    }
    if any(values is None for values in series.values()):
        raise TypeError(f"history must be a History, got {type(history).__name__}")
    series = {name: np.asarray(values, float) for name, values in series.items() if len(values)}
    if "loss" not in series:
        raise ValueError("history must have at least one epoch, got none")
    ax = axes(ax, 8, 5.5, title, is_area=True)
    names = [name for name in PANELS if name in series]
    panels = dict(zip(names, rows(ax, names, [2.4 if name == "loss" else 1 for name in names])))
    for name, panel in panels.items():
        lines = (name, "validation_loss") if name == "loss" else (name,)
        _epochs(panel, {line: series[line] for line in lines if line in series})
        panel.set_ylabel(PANELS[name], fontsize=SMALL)
        if history.best_epoch is not None:
            panel.axvline(history.best_epoch, color=ink(), linewidth=0.8, linestyle=":", zorder=1)
    set_labels(panels["loss"], ylabel=loss, size=SMALL)
    if history.best_epoch is not None:
        watched = series.get("validation_loss", series["loss"])
        best = watched[history.best_epoch]
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


def _epochs(panel, lines):
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
    if wants_log(values):
        panel.set_yscale("log")
    else:
        plain_ticks(panel.yaxis)
        if values.size and values.min() == values.max():  # a constant: from zero, not magnified
            panel.set_ylim(*sorted((0.0, 1.3 * values[0])) if values[0] else (-1, 1))
            panel.set_yticks(sorted({0.0, values[0]}))
    plain_ticks(panel.xaxis, integer=True)


# ---- gradient flow ----


def gradient_flow(
    flows, x=None, *, layer=-1, direction=0, title="How far the gradient of the last step reaches", ax=None
):
    """Norm of the gradient that reaches each step, against the steps from there to the last one; log scale.

    Parameters
    ----------
    flows : dict from names to any of
        a module (RNN, LSTM) or a SequenceModel, which runs over x and is handed a gradient of length 1 at the last output;
        what backward(..., record_norms=True) gives;
        norms (T,) in the order of time, the last step last
    x : for modules: the sequences, as the module takes them. Of a batch the mean is drawn
    layer, direction : of modules and gradients (the last layer)
    title : str or None
    ax : Axes; None: one of a new Figure

    Returns
    -------
    Axes

    Notes
    -----
    The state of an LSTM is h and c: its norm is sqrt(d_h^2 + d_c^2). Zeros, where a gradient has vanished altogether, have no
    place on a log scale: there the line ends.
    """
    if not isinstance(flows, Mapping) or not 1 <= len(flows) <= len(STYLES):
        raise ValueError(
            f"flows must be a dict of 1 to {len(STYLES)} names with modules, gradients or norms, got "
            + (f"{len(flows)}" if isinstance(flows, Mapping) else type(flows).__name__)
        )
    lines = {str(name): _norms(str(name), flow, x, layer, direction) for name, flow in flows.items()}
    ax = axes(ax, 8, 5, title)
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


def _norms(name, flow, x, layer, direction):
    """Norms (T,) of a flow."""
    flow = getattr(flow, "lstm", flow)
    if isinstance(flow, Recurrent):
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


def _gradients(name, module, x):
    if x is None:
        raise ValueError(f"x must be given: {name!r} is a module, which runs over it")
    output, _, tape = module.forward(x, training=False)
    d_output = np.zeros_like(output)
    R = module.h_size
    last = (slice(None), -1) if module.batch_first and output.ndim == 3 else -1
    d_output[last][..., :R] = R**-0.5
    if module.bidirectional:  # the second direction ends at the first step
        d_output[(slice(None), 0) if module.batch_first and output.ndim == 3 else 0][..., R:] = R**-0.5
    return module.backward(tape, d_output, record_norms=True)
