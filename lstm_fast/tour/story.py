"""Sections 1 to 4 as text: each computes its numbers, prints them and adds a picture."""

import numpy as np

from lstm_fast.reference import GATES

from . import gradients, unit
from .gallery import Gallery, heading, say

SPAN = 50
RNN_WEIGHTS = (2.0, 0.5)
FORGET_BIASES = (0.0, 2.0, 4.6, 7.0)
PICTURED_BIAS = 4.6
POINTS = ((unit.sigmoid, 10, 5), (unit.sigmoid, -5, 2), (unit.tanh, 2, 2), (unit.tanh, -5, 0))  # x, decimals


def tell_gradients(gallery: Gallery) -> None:
    """Print section 1."""
    heading(1, f"Why a plain RNN cannot learn over {SPAN} steps, and an LSTM can")
    say(
        "A plain RNN feeds its last value back through a weight. Unrolled over "
        f"{SPAN} steps,\n"
        f"the first input has been multiplied by that weight {SPAN} times, and so has its\n"
        "gradient, which training follows. An LSTM instead multiplies its long-term memory\n"
        "by the forget gate f, a number from 0 to 1 that it can keep close to 1.\n"
    )
    say(
        f"   {'':26} {'factor per':12} {'input of 1':>12} {'gradient of the last':>22}\n"
        f"   {'':26} {'step':12} {f'{SPAN} steps on':>12} {'value by that input':>22}"
    )
    rows = {f"plain RNN, weight {w:g}": gradients.rnn_span(w, SPAN) for w in RNN_WEIGHTS}
    rows |= {f"LSTM, forget-gate bias {b:g}": gradients.lstm_span(b, SPAN) for b in FORGET_BIASES}
    for name, (factor, memory, gradient) in rows.items():
        exponent = np.log(gradient) / np.log(factor)
        say(f"   {name:26} {factor:<12.3f} {memory:12.4e} {gradient:12.4e} = {factor:.4g}^{exponent:.0f}")
    say(
        "\nWith weight 2 the gradient explodes: a single training step would ruin all weights.\n"
        "With weight 0.5 it vanishes: the first input teaches nothing. The LSTM's gradient\n"
        "survives as long as the forget gate is open. Half open (f = 0.5) it vanishes too;\n"
        "but f is learned and may differ from step to step: the unit decides for itself how\n"
        "long it remembers."
    )
    steps = range(1, SPAN + 1)
    gallery.add(
        "1_gradients",
        {w: [gradients.rnn_span(w, n).gradient for n in steps] for w in RNN_WEIGHTS},
        [gradients.lstm_span(PICTURED_BIAS, n) for n in steps],
    )


def tell_activations(gallery: Gallery) -> None:
    """Print section 2."""
    heading(2, "The two activation functions inside the unit")
    say(
        "sigmoid maps any number to the range from 0 to 1: how far a gate is open.\n"
        "tanh maps any number to the range from -1 to 1: a value that may be remembered.\n"
    )
    for function, x, decimals in POINTS:
        y = function([x])[0]
        say(f"   {function.__name__:7} ({x:3}) = {y:10.7f}, rounded {y:.{decimals}f}")
    gallery.add("2_activations", unit.sigmoid, unit.tanh, POINTS)


def _sum_text(weights: unit.GateWeights, h_prev: float, x: float) -> str:
    """Return a pre-activation, written out as a sum."""
    text = f"{h_prev:g}*{weights.h:.2f}"
    for factor, value in ((f"{x:g}*", weights.x), ("", weights.bias)):
        text += f" {'-' if value < 0 else '+'} {factor}{abs(value):.2f}"
    return text


def tell_unit(gallery: Gallery, x: float = 1.0, h_prev: float = 1.0, c_prev: float = 2.0) -> None:
    """Print section 3."""
    heading(3, "One step of one LSTM unit, by hand")
    say(
        f"long-term memory c_prev = {c_prev:g}, short-term memory h_prev = {h_prev:g}, input x = {x:g}\n"
        "Each gate computes h_prev * weight + x * weight + bias and applies its activation.\n"
    )
    an_lstm = unit.make_unit()
    weights, n = unit.gate_weights(an_lstm), unit.step(an_lstm, x, h_prev, c_prev)

    def say_gate(gate: str, meaning: str) -> None:
        function, pre = "tanh" if gate == "g" else "sigmoid", n["pre_" + gate]
        say(
            f"   {GATES[gate]:12} pre_{gate} = {_sum_text(weights[gate], h_prev, x)} = {pre:.2f}\n"
            f"   {'':12} {gate} = {function}(pre_{gate}) = {n[gate]:.3f}: {meaning}"
        )

    kept, added = n["f"] * c_prev, n["i"] * n["g"]
    say_gate("f", f"{n['f']:.1%} of the long-term memory is kept")
    say_gate("i", f"{n['i']:.1%} of the candidate is added")
    say_gate("g", "a possible new memory")
    say(
        f"   {'long-term':12} c = f * c_prev + i * g = {n['f']:.3f}*{c_prev:g} + {n['i']:.3f}*{n['g']:.3f}"
        f" = {kept:.3f} + {added:.3f} = {n['c']:.2f}"
    )
    say_gate("o", f"{n['o']:.1%} of the long-term memory is passed on")
    say(f"   {'short-term':12} h = o * tanh(c) = {n['o']:.3f}*{unit.tanh([n['c']])[0]:.3f} = {n['h']:.3f}")
    gallery.add("3_unit", an_lstm, x, h_prev, c_prev)


def say_days(days: dict[str, dict[str, unit.Array]]) -> None:
    """Print the numbers of each day of both companies."""
    names = " ".join(f"{name:>7}" for name in "xfigoch")
    for company, of_day in days.items():
        say(f"   Company {company:10}{names}")
        for day, row in enumerate(zip(*of_day.values()), start=1):
            say(f"   {f'day {day}':18}" + " ".join(f"{number:7.3f}" for number in row))


def say_predictions(days: dict[str, dict[str, unit.Array]]) -> None:
    """Print the predictions for day 5 next to the truth."""
    for company, (_, truth) in unit.COMPANIES.items():
        h = days[company]["h"][-1]
        say(f"   Company {company}, day 5: predicted {h:.3f}, rounded {abs(round(h)):.0f}; truth {truth:.0f}")


def tell_companies(gallery: Gallery) -> None:
    """Print section 4."""
    heading(4, "The same unit reads four days of two companies")
    say(
        "Both companies have the same values on days 2, 3 and 4. Only day 1 differs, and\n"
        "day 1 alone tells what day 5 will bring: the unit must remember it. Both memories\n"
        "start at 0; the short-term memory h after day 4 is the prediction for day 5.\n"
    )
    days = unit.company_days(unit.make_unit())
    say_days(days)
    say_predictions(days)
    gallery.add("4_companies", days, {company: truth for company, (_, truth) in unit.COMPANIES.items()})
