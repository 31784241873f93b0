"""The tour in order: each section computes through its own file, prints what came out, and adds a picture."""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.random  # now: NumPy would load it with the first network, and Ctrl-C could come in the midst of that

import lstm_fast as lf

from . import gradients, speed, sunspots, training, unit

SPAN = 50
RNN_WEIGHTS = (2.0, 0.5)
FORGET_BIASES = (0.0, 2.0, 4.6, 7.0)
PICTURED_BIAS = 4.6
POINTS = ((unit.sigmoid, 10, 5), (unit.sigmoid, -5, 2), (unit.tanh, 2, 2), (unit.tanh, -5, 0))  # x, decimals

say = partial(print, flush=True)  # at once, also into a pipe


def heading(number, title):
    say(f"\n{number}. {title}\n{'-' * (len(title) + 3)}")


class Gallery:
    """Saves pictures as PNG, if they are wanted (out is not None) and matplotlib is there."""

    def __init__(self, out):
        self.pictures, self.is_wanted = None, out is not None
        if self.is_wanted:
            try:
                from . import pictures
            except ImportError:
                return
            self.pictures, self.out = pictures, Path(out)
            self.out.mkdir(parents=True, exist_ok=True)  # now, so that a wrong name is noticed at once

    def add(self, name, *data):
        if self.pictures:
            path = self.out / f"{name}.png"
            self.pictures.save(name, path, *data)
            say(f"   picture: {path}")

    def close(self):
        if self.pictures:
            say(f"\nThe pictures are in {self.out.resolve()}")
        elif self.is_wanted:
            say('\nNo pictures: matplotlib is not installed. To get them: pip install "lstm_fast[tour]"')


def tell(seed=0, out=None, quick=False):
    """The whole tour. Pictures go to the folder `out`, None for none; quick: fewer steps, shorter timings."""
    gallery = Gallery(out)
    say(f"lstm_fast {lf.__version__}: how an LSTM works, in numbers that this machine computes as you read.")
    tell_gradients(gallery)
    tell_activations(gallery)
    tell_unit(gallery)
    tell_companies(gallery)
    tell_training(gallery, seed)
    tell_sunspots(gallery, seed, sunspots.STEPS // 2 if quick else sunspots.STEPS)
    tell_speed(speed.SECONDS / 20 if quick else speed.SECONDS)
    gallery.close()


def tell_gradients(gallery):
    heading(1, f"Why a plain RNN cannot learn over {SPAN} steps, and an LSTM can")
    say(
        f"A plain RNN feeds its last value back, times a weight. Unroll it over {SPAN} steps,\n"
        f"and the first input has been multiplied by that weight {SPAN} times; so has its\n"
        "gradient, which is what training follows. An LSTM multiplies its long-term\n"
        "memory by its forget gate f instead, a number from 0 to 1 that it can hold\n"
        "close to 1.\n"
    )
    say(
        f"   {'':26} {'multiplied':12} {'input 1 is,':>12} {'gradient of the last':>22}\n"
        f"   {'':26} {'each step by':12} {f'{SPAN} steps on':>12} {'value by that input':>22}"
    )
    rows = {f"plain RNN, weight {w:g}": gradients.rnn_span(w, SPAN) for w in RNN_WEIGHTS}
    rows |= {f"LSTM, forget-gate bias {b:g}": gradients.lstm_span(b, SPAN) for b in FORGET_BIASES}
    for name, (factor, memory, gradient) in rows.items():
        exponent = np.log(gradient) / np.log(factor)
        say(f"   {name:26} {factor:<12.3f} {memory:12.4e} {gradient:12.4e} = {factor:.4g}^{exponent:.0f}")
    say(
        "\nWith weight 2 the gradient explodes: one training step with it throws all weights\n"
        "away. With weight 0.5 it vanishes: the first input teaches nothing. The LSTM's\n"
        "gradient lives as long as its forget gate is open. Half open (f = 0.5) it vanishes\n"
        "too; but f is learned, and may differ from step to step: the unit decides for\n"
        "itself how long it remembers."
    )
    steps = range(1, SPAN + 1)
    gallery.add(
        "1_gradients",
        {w: [gradients.rnn_span(w, n).gradient for n in steps] for w in RNN_WEIGHTS},
        [gradients.lstm_span(PICTURED_BIAS, n) for n in steps],
    )


def tell_activations(gallery):
    heading(2, "The two curves inside the unit")
    say(
        "sigmoid turns any number into a share from 0 to 1: how far a gate is open.\n"
        "tanh turns any number into one from -1 to 1: a value that may be remembered.\n"
    )
    for function, x, decimals in POINTS:
        y = function([x])[0]
        say(f"   {function.__name__:7} ({x:3}) = {y:10.7f}, rounded {y:.{decimals}f}")
    gallery.add("2_activations", unit.sigmoid, unit.tanh, POINTS)


def _product_text(weights, h_prev, x):
    """The sum that goes into an activation, as one would write it down."""
    text = f"{h_prev:g}*{weights.h:.2f}"
    for factor, value in ((f"{x:g}*", weights.x), ("", weights.bias)):
        text += f" {'-' if value < 0 else '+'} {factor}{abs(value):.2f}"
    return text


def tell_unit(gallery, x=1.0, h_prev=1.0, c_prev=2.0):
    heading(3, "One step of one LSTM unit, by hand")
    say(
        f"long-term memory c_prev = {c_prev:g}, short-term memory h_prev = {h_prev:g}, input x = {x:g}\n"
        "Each gate adds short-term memory * weight + input * weight + bias, and bends the sum.\n"
    )
    an_lstm = unit.make_unit()
    weights, n = unit.gate_weights(an_lstm), unit.step(an_lstm, x, h_prev, c_prev)

    def say_gate(gate, meaning):
        curve = "tanh" if gate == "g" else "sigmoid"
        pre = n["pre_" + gate]
        say(
            f"   {unit.GATES[gate]:12} {_product_text(weights[gate], h_prev, x)} = {pre:.2f}   "
            f"{gate} = {curve}({pre:.2f}) = {n[gate]:.3f}\n   {'':12} {meaning}"
        )

    kept, added = n["f"] * c_prev, n["i"] * n["g"]
    say_gate("f", f"{n['f']:.1%} of the long-term memory is remembered: {n['f']:.3f}*{c_prev:g} = {kept:.3f}")
    say_gate("i", f"{n['i']:.1%} of the candidate will be added")
    say_gate("g", f"a possible new memory; its share: {n['i']:.3f}*{n['g']:.3f} = {added:.3f}")
    say(f"   new long-term memory   c = f*c_prev + i*g = {kept:.3f} + {added:.3f} = {n['c']:.2f}")
    say_gate("o", f"{n['o']:.1%} of what the long-term memory says will be passed on")
    say(f"   new short-term memory  h = o*tanh(c) = {n['o']:.3f}*{unit.tanh([n['c']])[0]:.3f} = {n['h']:.3f}")
    gallery.add("3_unit", an_lstm, x, h_prev, c_prev)


def _say_days(days):
    names = " ".join(f"{name:>7}" for name in "xfigoch")
    for company, of_day in days.items():
        say(f"   Company {company:10}{names}")
        for day, row in enumerate(zip(*of_day.values()), start=1):
            say(f"   {f'day {day}':18}" + " ".join(f"{number:7.3f}" for number in row))


def _say_predictions(days):
    for company, (_, truth) in unit.COMPANIES.items():
        h = days[company]["h"][-1]
        say(f"   Company {company}, day 5: predicted {h:.3f}, rounded {abs(round(h)):.0f}; truth {truth:.0f}")


def tell_companies(gallery):
    heading(4, "The same unit reads four days of two companies")
    say(
        "Both companies have the same values on days 2, 3 and 4. Only day 1 differs, and\n"
        "only it says what day 5 will bring: the unit must remember it. Memories start\n"
        "at 0; the short-term memory h after day 4 is the prediction for day 5.\n"
    )
    days = unit.company_days(unit.make_unit())
    _say_days(days)
    _say_predictions(days)
    gallery.add("4_companies", days, {company: truth for company, (_, truth) in unit.COMPANIES.items()})


def _say_losses(losses):
    for k in np.unique(np.linspace(0, len(losses) - 1, 6).astype(int)):
        say(f"   after {k:4} steps: loss {losses[k]:.4f}")


def _say_weights(before, after):
    say(f"   {'weights of':14}" + "".join(f"{name:>20}" for name in ("short-term memory", "input", "bias")))
    for gate in "figo":
        pairs = (f"{old:6.2f} -> {new:6.2f}" for old, new in zip(before[gate], after[gate]))
        say(f"   {unit.GATES[gate]:14}" + "".join(f"{pair:>20}" for pair in pairs))


def tell_training(gallery, seed):
    heading(5, "Where do such weights come from? The unit learns them")
    say(
        "Now the unit starts from random weights and learns the two companies by\n"
        "backpropagation through time: predict day 5, measure the error, carry its gradient\n"
        "back through all four days, change the weights a little (Adam), repeat. The loss is\n"
        "the sum of both squared errors. h = o*tanh(c) can come near 1 but never reach it,\n"
        f"so errors below {training.BOUND} count as learned.\n"
    )
    result = training.train_unit(seed)
    for number, losses in enumerate(result.losses[:-1], start=1):
        say(
            f"   Draw {number} of random weights lay on a plateau: loss {losses[-1]:.4f} after {len(losses)} steps.\n"
            "   That happens to a unit as small as this; trained again from a new draw:"
        )
    _say_losses(result.losses[-1])
    days = unit.company_days(result.unit)
    say(f"   {'Learned' if result.is_done else 'Not learned'} after {len(result.losses[-1]) - 1} steps.")
    _say_predictions(days)
    say("\nIt found weights of its own; there are many that solve the task (before -> after):\n")
    _say_weights(result.first_weights, unit.gate_weights(result.unit))
    say()
    _say_days(days)
    gallery.add("5_training", result, training.BOUND)


def tell_sunspots(gallery, seed, steps):
    heading(6, "A real series: sunspots, one year ahead")
    years, values = lf.datasets.sunspots()
    window, last_year = sunspots.WINDOW, sunspots.LAST_TRAINING_YEAR
    say(
        f"Yearly sunspot numbers, {years[0]}-{years[-1]}. Trained to {last_year}; every later year is\n"
        f"forecast from the {window} years before it. Two forecasts to beat: persistence (next\n"
        f"year will be like this one) and AR({window}), a weighted sum of those {window} years, fitted\n"
        "by least squares.\n"
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
    shares = [
        f"{errors['lstm'] / errors[other]:.0%} of {name}'s"
        for other, name in (("persistence", "persistence"), ("ar", f"AR({window})"))
    ]
    say(
        f"\nThe LSTM was told nothing of cycles. Its error is {shares[0]}, and\n"
        f"{shares[1]}, a model that suits this series well. It stops after {steps}\n"
        f"steps: with {np.sum(years <= last_year)} years to learn from, it would soon learn them by heart."
    )
    gallery.add("6_sunspots", years, values, result, errors)


def tell_speed(seconds):
    heading(7, "How fast is that?")
    say("One LSTM layer. Each library runs in a process of its own, for a few seconds.\n")
    for line in speed.table(seconds=seconds):
        say(f"   {line}")
