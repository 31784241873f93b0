"""Template, style, scripts and data in one file."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from ._arrays import script_json

# In order of concatenation; each uses only those above it.
SCRIPTS = (
    "core.js",
    "data.js",
    "quantities.js",
    "explanations.js",
    "dom.js",
    "edits.js",
    "numbers.js",
    "maps.js",
    "diagram.js",
    "sources.js",
    "charts.js",
    "hands.js",
    "span.js",
    "learning.js",
    "main.js",
)


@cache
def read(name: str) -> str:
    """Return the text of a file of page/."""
    return files(__package__).joinpath("page", name).read_text("utf8")


def assemble(data: dict[str, Any], title: str, text: str) -> bytes:
    """Return the page as UTF-8."""
    script = "\n".join(read(name) for name in SCRIPTS)
    parts = {
        "TITLE": escape(title),
        "TEXT": escape(text),
        "STYLE": read("style.css"),
        "DATA": script_json(data),
        "SCRIPT": f'(() => {{\n"use strict";\n{script}}})();',
    }
    # One pass over the template, so that inserted text is not searched for placeholders.
    head, *rest = read("template.html").split("{{")
    pieces = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        pieces += [parts[name], after]
    return "".join(pieces).encode("utf8")
