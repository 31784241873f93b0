"""The sections in order."""

from pathlib import Path

import numpy.random  # noqa: F401  (eagerly: Ctrl-C could interrupt a lazy import halfway)

import lstm_fast as lf

from . import learning, speed, story, sunspots
from .gallery import Gallery, say


def tell(seed: int = 0, out: str | Path | None = None, quick: bool = False) -> None:
    """Print the whole tour.

    Parameters
    ----------
    seed : int, default 0
        Seed of all random weights.
    out : path, optional
        Folder for the pictures; None means no pictures.
    quick : bool, default False
        Fewer training steps and shorter timings.
    """
    gallery = Gallery(out)
    say(f"lstm_fast {lf.__version__}: how an LSTM works, with numbers computed as you read.")
    story.tell_gradients(gallery)
    story.tell_activations(gallery)
    story.tell_unit(gallery)
    story.tell_companies(gallery)
    learning.tell_training(gallery, seed)
    learning.tell_sunspots(gallery, seed, sunspots.STEPS // 2 if quick else sunspots.STEPS)
    learning.tell_speed(speed.SECONDS / 20 if quick else speed.SECONDS)
    gallery.close()
