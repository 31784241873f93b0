"""An LSTM to touch: a self-contained web page that computes an LSTM's steps, explains each number and can be changed.

    _arrays.py      arrays and text as JSON inside HTML
    _model.py       an LSTM and its sequences as data; what a page can show
    _page.py        template, style, scripts and data in one file
    learning.py     the unit that learns in the page
    pages.py        html: the page of any small LSTM
    companies.py    the page of the tour's unit and its two companies
    page/           the page itself: template.html, style.css, JavaScript

Each file uses only those above it. The page has no dependencies and makes no request: page/core.js holds the formulas
of lstm_fast.reference, the other scripts draw.
"""

from .companies import companies
from .pages import html

__all__ = ["html", "companies"]
