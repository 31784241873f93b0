"""Progress bar of fit (tqdm)."""

from __future__ import annotations

from typing import Any


class NoBar:
    """Disabled progress bar."""

    def set_postfix(self, **_: Any) -> None:
        """Do nothing."""

    def update(self, _: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def progress_bar(is_shown: bool, total: int | None, done: int) -> Any:
    """Create a bar over `total` steps (None: unknown), `done` of them completed."""
    if not is_shown:
        return NoBar()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install tqdm") from None
    return tqdm(total=total, initial=done, unit="step", unit_scale=True)
