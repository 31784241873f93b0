"""Sections 5 to 7 as text: training, a forecast, and speed."""

import numpy as np

import lstm_fast as lf
from lstm_fast.reference import GATES

from . import speed, sunspots, training, unit
from .gallery import Gallery, heading, say
from .story import say_days, say_predictions


def _say_losses(losses: list[float]) -> None:
    for k in np.unique(np.linspace(0, len(losses) - 1, 6).astype(int)):
        say(f"   after {k:4} steps: loss {losses[k]:.4f}")


def _say_weights(before: dict[str, unit.GateWeights], after: dict[str, unit.GateWeights]) -> None:
    say(f"   {'weights of':14}" + "".join(f"{name:>20}" for name in ("short-term memory", "input", "bias")))
    for gate in "figo":
        pairs = (f"{old:6.2f} -> {new:6.2f}" for old, new in zip(before[gate], after[gate]))
        say(f"   {GATES[gate]:14}" + "".join(f"{pair:>20}" for pair in pairs))


def tell_training(gallery: Gallery, seed: int) -> None:
    """Print section 5."""
    heading(5, "Where do such weights come from? The unit learns them")
    say(
        "Now the unit starts from random weights and learns both companies by\n"
        "backpropagation through time: predict day 5, measure the error, carry its gradient\n"
        "back through all four days, change the weights a little (Adam), and repeat. The\n"
        "loss is the sum of both squared errors. h = o * tanh(c) approaches 1 but never\n"
        f"reaches it, so errors below {training.BOUND} count as learned.\n"
    )
    result = training.train_unit(seed)
    for number, losses in enumerate(result.losses[:-1], start=1):
        say(
            f"   Draw {number} of random weights got stuck: loss {losses[-1]:.4f} after {len(losses)} steps.\n"
            "   A unit this small can end on a plateau; training starts again from a new draw:"
        )
    _say_losses(result.losses[-1])
    days = unit.company_days(result.unit)
    say(f"   {'Learned' if result.is_done else 'Not learned'} after {len(result.losses[-1]) - 1} steps.")
    say_predictions(days)
    say("\nThe unit found its own weights; many others solve the task too (before -> after):\n")
    _say_weights(result.first_weights, unit.gate_weights(result.unit))
    say()
    say_days(days)
    gallery.add("5_training", result, training.BOUND)


def tell_sunspots(gallery: Gallery, seed: int, steps: int) -> None:
    """Print section 6."""
    heading(6, "A real series: sunspots, one year ahead")
    years, values = lf.datasets.sunspots()
    window, last_year = sunspots.WINDOW, sunspots.LAST_TRAINING_YEAR
    say(
        f"Yearly sunspot numbers, {years[0]}-{years[-1]}. Trained on the years to {last_year}; each later\n"
        f"year is forecast from the {window} years before it. Two baselines to beat: persistence\n"
        f"(next year equals this one) and AR({window}), a weighted sum of those {window} years, fitted by\n"
        "least squares.\n"
    )
    result = sunspots.forecast(seed, steps)
    say(f"   loss (scaled, squared): {result.losses[0]:.3f} at first, {result.losses[-1]:.3f} after {steps} steps")
    say(f"\n   forecasts of {result.years[0]}-{result.years[-1]}{'':10} RMSE (sunspots)")
    errors = {name: sunspots.rmse(getattr(result, name), result.truth) for name in ("persistence", "ar", "lstm")}
    for name, text in (
        ("persistence", "persistence"),
        ("ar", f"AR({window})"),
        ("lstm", f"LSTM, hidden size {sunspots.HIDDEN_SIZE}"),
    ):
        say(f"   {text:32} {errors[name]:15.1f}")
    of_persistence, of_ar = (f"{errors['lstm'] / errors[other]:.0%}" for other in ("persistence", "ar"))
    say(
        f"\nThe LSTM was told nothing about cycles. Its error is {of_persistence} of persistence's and\n"
        f"{of_ar} of that of AR({window}), a model that suits this series well. Training stops after\n"
        f"{steps} steps: with {np.sum(years <= last_year)} years to learn from, the network would soon memorize them."
    )
    gallery.add("6_sunspots", years, values, result, errors)


def tell_speed(seconds: float) -> None:
    """Print section 7."""
    heading(7, "How fast is that?")
    say("One LSTM layer. Each library runs in its own process for a few seconds.\n")
    for line in speed.table(seconds=seconds):
        say(f"   {line}")
