"""Saves the pictures of the tour if a folder is given and matplotlib is installed."""

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

say = partial(print, flush=True)  # no buffering when piped


class Gallery:
    """A folder of PNG files; without a folder, or without matplotlib, nothing is saved."""

    def __init__(self, out: str | Path | None) -> None:
        self.is_wanted, self.out = out is not None, Path(out or ".")
        self.pictures: ModuleType | None = None
        if self.is_wanted:
            try:
                from . import pictures
            except ImportError:
                return
            self.pictures = pictures
            self.out.mkdir(parents=True, exist_ok=True)  # first, so that an invalid path is reported immediately

    def add(self, name: str, *data: Any) -> None:
        """Draw and save the picture called name."""
        if self.pictures:
            path = self.out / f"{name}.png"
            self.pictures.save(name, path, *data)
            say(f"   picture: {path}")

    def close(self) -> None:
        """Say where the pictures are, or why there are none."""
        if self.pictures:
            say(f"\nThe pictures are in {self.out.resolve()}")
        elif self.is_wanted:
            say('\nNo pictures: matplotlib is not installed. To get them: pip install "lstm_fast[tour]"')


def heading(number: int, title: str) -> None:
    """Print the heading of a section."""
    say(f"\n{number}. {title}\n{'-' * (len(title) + 3)}")
