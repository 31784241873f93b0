"""Draw the plots of the gallery, each from a network that is run or trained here.

    python docs/gallery.py [FOLDER]

    unit.png, unrolled.png   one LSTM unit, with weights that can be followed by hand, reads four days of a company
    gates.png, history.png   an LSTM of 4 units learns to add the two marked numbers of a sequence
    forecast.png             sunspots, 11 years ahead, with prediction intervals
    gradient_flow.png        a plain RNN and two LSTMs with their initial weights

Fixed seeds make the plots reproducible. It takes less than a minute.
"""

import argparse
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

import lstm_fast as lf
from lstm_fast.tour.unit import COMPANIES, make_unit

DPI = 100


def unit():
    """One step of the unit."""
    return lf.plot.unit(make_unit(), 1.0, (1.0, 2.0))


def unrolled():
    """The unit over four days."""
    values, _ = COMPANIES["B"]
    return lf.plot.unrolled(make_unit(), values, labels=[f"day {k}" for k in range(1, 5)])


def adding(T=40, n=4000):
    """Train on the adding problem: the model, its history, one sequence (T, 2) and the two marked steps in it."""
    rng = np.random.default_rng(0)
    x = np.zeros((n, T, 2), np.float32)
    x[:, :, 0] = rng.random((n, T))
    marks = np.stack([rng.integers(0, T // 2, n), rng.integers(T // 2, T, n)], axis=1)
    x[np.arange(n)[:, None], marks, 1] = 1
    y = (x[:, :, 0] * x[:, :, 1]).sum(axis=1)
    model = lf.train.SequenceModel(lf.LSTM(2, 4, batch_first=True, seed=0, forget_bias=2.0), 1, seed=0)
    history = lf.train.fit(
        model,
        x,
        y,
        optimizer=lf.train.AdamW(lr=1e-2, weight_decay=0.1),
        epochs=30,
        batch_size=50,
        validation=0.2,
        clip_norm=1.0,
        early_stopping=10,
        lr_schedule="cosine",
        seed=0,
    )
    return model, history, x[0], marks[0]


def gates(model, x, marks):
    """The gates while the model adds."""
    title = f"Inside an LSTM that adds two numbers of a sequence, those of steps {marks[0]} and {marks[1]}"
    return lf.plot.gates(model.lstm.trace(x), title=title)


def history(history):
    """The training of the model that adds."""
    return lf.plot.history(history, loss="squared error\n(no unit)", title="Learning to add two numbers out of forty")


def forecast(window=44, horizon=11, levels=(0.05, 0.25, 0.5, 0.75, 0.95)):
    """A forecast of 11 years, trained on the years to 1986."""
    years, values = lf.datasets.sunspots()
    split = int(np.flatnonzero(years == 1987)[0])  # the first year after the forecast origin
    mean, spread = values[:split].mean(), values[:split].std()
    scaled = (values - mean) / spread
    windows = np.lib.stride_tricks.sliding_window_view(scaled[:split], window + horizon)
    model = lf.train.SequenceModel(lf.LSTM(1, 16, batch_first=True, seed=0), horizon * len(levels), seed=0)
    lf.train.fit(
        model,
        windows[:, :window, None],
        windows[:, window:],
        loss=("quantile", levels),
        optimizer=lf.train.Adam(lr=5e-3),
        epochs=60,
        batch_size=32,
        clip_norm=1.0,
        seed=0,
    )
    p = model.predict(scaled[None, split - window : split, None]).reshape(horizon, len(levels))
    p = np.maximum(0, np.sort(p, axis=1) * spread + mean)  # quantiles sorted, and no negative sunspot numbers
    past = slice(split - 3 * horizon, split)
    return lf.plot.forecast(
        values[past],
        p[:, 2],
        values[split : split + horizon],
        {0.9: (p[:, 0], p[:, 4]), 0.5: (p[:, 1], p[:, 3])},
        years[split - 3 * horizon : split + horizon],
        baselines={"11 years earlier": values[split - horizon : split]},
        label="LSTM",
        title="Sunspots, one cycle ahead",
        xlabel="year",
        ylabel="sunspots (yearly mean number)",
    )


def gradient_flow(T=100):
    """Three untrained networks."""
    x = np.random.default_rng(0).standard_normal((T, 8, 16))
    networks = {
        "LSTM, forget_bias=3": lf.LSTM(16, 32, seed=0, forget_bias=3),
        "LSTM": lf.LSTM(16, 32, seed=0),
        "plain RNN": lf.RNN(16, 32, seed=0),
    }
    return lf.plot.gradient_flow(networks, x)


def save(figure, path):
    """Write a PNG, with 128 colors unless it has heat maps: half the size."""
    whole = BytesIO()
    figure.savefig(whole, dpi=DPI)
    image = Image.open(whole).convert("RGB")
    has_maps = any(panel.images for ax in figure.axes for panel in ax.child_axes)
    image = image if has_maps else image.quantize(128, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("gallery"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    model, curve, x, marks = adding()
    axes = {
        "unit": unit(),
        "unrolled": unrolled(),
        "gates": gates(model, x, marks),
        "history": history(curve),
        "forecast": forecast(),
        "gradient_flow": gradient_flow(),
    }
    for name, ax in axes.items():
        path = folder / f"{name}.png"
        save(ax.figure, path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
