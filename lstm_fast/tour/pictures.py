"""The pictures as PNG files. Curves differ in line style and marker, so that the pictures are legible in grayscale."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from cycler import cycler
from matplotlib import style
from matplotlib.figure import Figure

import lstm_fast as lf

from .gradients import Span
from .sunspots import Forecasts
from .training import Training
from .unit import Array

BLACK, BLUE, ORANGE = "black", "#0b5394", "#d2691e"
STYLE = {
    "font.size": 11,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 120,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, BLACK]),
}
SHOWN_BEFORE = 22  # years shown before the first forecast: two solar cycles


def save(name: str, path: Path, *data: Any) -> None:
    """Draw the picture called name from its data and write it to path."""
    with style.context(["default", STYLE]):  # independent of the user's settings
        PICTURES[name](*data).savefig(path)


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def gradient_flow(rnn_gradients: dict[float, list[float]], lstm_spans: list[Span]) -> Figure:
    """Draw the gradients over 1, 2, ... steps, of plain RNNs with different feedback weights and of an LSTM."""
    figure, ax = _figure(9, 5)
    gradients = {f"LSTM, f = {lstm_spans[0].factor:.2f}": [span.gradient for span in lstm_spans]}
    gradients |= {f"plain RNN, weight {weight:g}": values for weight, values in rnn_gradients.items()}
    flows = {f"{name}: {values[-1]:.2g}": [*reversed(values), 1.0] for name, values in gradients.items()}
    lf.plot.gradient_flow(flows, title="Gradient of the last value with respect to the first input", ax=ax)
    ax.set(xlabel="number of steps between the input and the last value", ylabel="gradient (no unit), log scale")
    return figure


def activations(
    sigmoid: Callable[[Any], Array], tanh: Callable[[Any], Array], points: Sequence[tuple[Any, float, int]]
) -> Figure:
    """Draw both functions; points (function, x, decimals) are marked with their rounded values."""
    figure, axes = _figure(10, 4.2, 1, 2)
    x = np.linspace(-11, 11, 441)
    titles = "sigmoid: how far a gate is open", "tanh: a value from -1 to 1"
    for ax, function, title in zip(axes, (sigmoid, tanh), titles):
        ax.plot(x, function(x), color=BLUE)
        for _, at, decimals in (point for point in points if point[0] is function):
            y = function([at])[0]
            ax.plot(at, y, "o", color=BLACK, markersize=8)
            ax.annotate(
                f"{function.__name__}({at})\n= {y:.{decimals}f}",
                (at, y),
                textcoords="offset points",
                xytext=(0, -42 if at > 0 else 12),
                ha="left" if 0 < at < 5 else "right",
            )
        ax.set(
            xlabel="x: the pre-activation of the gate (no unit)",
            ylabel=f"{function.__name__}(x) (no unit)",
            title=title,
        )
    return figure


def companies(days: dict[str, dict[str, Array]], truths: dict[str, float]) -> Figure:
    """Draw small multiples of x, c and h by day; the last h is the prediction for day 5, shown next to the truth."""
    figure, axes = _figure(9, 7.5, 3, len(days), sharex=True, sharey="row")
    rows = (
        ("x", "input x\n(value of the company)", "s"),
        ("c", "long-term memory c\n(no unit)", "D"),
        ("h", "short-term memory h\n(no unit)", "o"),
    )
    for column, (company, of_day) in enumerate(days.items()):
        for row, (name, label, marker) in enumerate(rows):
            ax, values = axes[row, column], of_day[name]
            numbers = range(1, len(values) + 1)
            ax.plot(numbers, values, color=BLUE, marker=marker, markersize=7)
            for day, value, following in zip(numbers, values, [*values[1:], values[-1]]):
                ax.annotate(
                    f"{value:.3g}" if name == "x" else f"{value:.3f}",
                    (day, value),
                    fontsize=10,
                    textcoords="offset points",
                    xytext=(5, -16 if following > value else 7),
                )
            if column == 0:
                ax.set_ylabel(label)
            ax.margins(x=0.12, y=0.3)
        axes[0, column].set_title(f"Company {company}")
        next_day = len(values) + 1
        ax.plot([next_day - 1, next_day], [values[-1]] * 2, color=BLUE, linestyle=":")
        ax.plot(next_day, values[-1], "o", color=BLUE, markerfacecolor="white", markersize=14, label="prediction")
        ax.plot(next_day, truths[company], "x", color=BLACK, markersize=8, markeredgewidth=2, label="truth")
        ax.set(xlabel="day", xticks=range(1, next_day + 1))
    axes[2, 0].legend(loc="upper left")
    return figure


def loss(training: Training, bound: float) -> Figure:
    """Draw the loss at every step, one line for each draw of random weights."""
    figure, ax = _figure(8, 4.5)
    draws = training.losses
    for number, losses in enumerate(draws, start=1):
        is_last = number == len(draws)
        ax.semilogy(
            losses,
            color=BLUE if is_last else "0.5",
            linestyle="-" if is_last else "--",
            label=f"draw {number} of random weights" + ("" if is_last else ": stuck on a plateau"),
        )
    if training.is_done:
        ax.plot(len(draws[-1]) - 1, draws[-1][-1], "o", color=BLACK, label=f"both errors below {bound}")
    ax.set(
        xlabel="training step",
        ylabel="sum of both squared errors (no unit), log scale",
        title="The unit learns both companies",
    )
    ax.legend()
    return figure


def sunspots(years: Array, values: Array, forecasts: Forecasts, errors: dict[str, float]) -> Figure:
    """Draw the whole series with the split (top) and the forecast years (bottom)."""
    figure, (whole, test) = _figure(11, 7.5, 2, 1)
    whole.plot(years, values, color=BLACK, linewidth=1)
    split = forecasts.years[0] - 0.5
    whole.axvline(split, color=ORANGE, linestyle="--")
    top = values.max() * 1.12
    whole.text(split - 2, top, f"training: to {forecasts.years[0] - 1}", ha="right", va="top", color=ORANGE)
    whole.text(split + 2, top, f"forecast: from {forecasts.years[0]}", ha="left", va="top", color=ORANGE)
    whole.set(
        ylabel="sunspots (yearly mean number)",
        xlabel="year",
        ylim=(0, top * 1.02),
        xlim=(years[0], years[-1]),
        title="Yearly sunspot numbers: the whole series",
    )
    past = years < forecasts.years[0]
    lf.plot.forecast(
        values[past][-SHOWN_BEFORE:],
        forecasts.lstm,
        forecasts.truth,
        index=np.concatenate([years[past][-SHOWN_BEFORE:], forecasts.years]),
        baselines={f"persistence, RMSE {errors['persistence']:.1f}": forecasts.persistence},
        label=f"LSTM, RMSE {errors['lstm']:.1f}",
        title="One year ahead",
        ax=test,
        ylabel="sunspots (yearly mean number)",
        xlabel="year",
    )
    return figure


def unit(an_lstm: lf.LSTM, x: float, h_prev: float, c_prev: float) -> Figure:
    """Draw one step of the unit as a diagram."""
    return cast(Figure, lf.plot.unit(an_lstm, x, (h_prev, c_prev), title="One step of the LSTM unit").figure)


PICTURES: dict[str, Callable[..., Figure]] = {
    "1_gradients": gradient_flow,
    "2_activations": activations,
    "3_unit": unit,
    "4_companies": companies,
    "5_training": loss,
    "6_sunspots": sunspots,
}
