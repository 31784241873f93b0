"""Interactive, self-contained web page that computes the steps of an LSTM, explains each number and allows changes.

    _arrays.py      arrays and text as JSON inside HTML
    _model.py       an LSTM and its sequences as data; the limits of a page
    _source.py      the LSTM, input and names of a model or an estimator
    _page.py        template, style, scripts and data in one file
    learning.py     the unit that learns in the page
    pages.py        html: the page of any small LSTM, model or estimator
    companies.py    the page of the tour's unit and its two companies

Each file uses only those above it. The page itself is in page/: template.html, style.css and scripts, of which core.js
holds the formulas of lstm_fast.reference and the others draw. It has no dependencies and makes no request.
"""

from .companies import companies
from .pages import html

__all__ = ["html", "companies"]
