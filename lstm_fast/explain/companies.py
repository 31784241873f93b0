"""The page of the tour's unit and its two companies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tour.unit import COMPANIES, company_values, make_unit
from .pages import html

if TYPE_CHECKING:
    from .._files import AnyPath

TEXT = (
    "Two companies have the same values on days 2, 3 and 4; only day 1 differs, and day 1 alone tells what day 5 will "
    "bring. This unit reads four days and must remember the first: its short-term memory h after day 4 is its "
    "prediction for day 5, 0 for company A and 1 for company B."
)


def companies(path: AnyPath) -> None:
    """Write the page of the tour's LSTM unit, which reads four days of two companies: the command lstm-fast explain.

    Parameters
    ----------
    path : path
        File to write, atomically.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> lf.explain.companies("explain.html")
    """
    x, _ = company_values()
    html(make_unit(), x, path, names=[f"Company {name}" for name in COMPANIES], text=TEXT)
