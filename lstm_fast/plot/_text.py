"""Fitting text: width in points, truncation, wrapping, compact numbers."""

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

SMALL = "small"  # relative to the caller's font size


def font_points(size: float | str) -> float:
    """Return a named font size of matplotlib, such as "small", in points."""
    return float(FontProperties(size=size).get_size_in_points())


def text_width(text: str, size: float | str) -> float:
    """Return the width in points of the longest line."""
    font = FontProperties(size=size)
    widths = (text_to_path.get_text_width_height_descent(line or " ", font, False)[0] for line in str(text).split("\n"))
    return float(max(widths))


def shortened(text: str, size: float | str, width: float) -> str:
    """Truncate text to a width in points, with an ellipsis."""
    text = str(text)
    if text_width(text, size) <= width:
        return text
    while len(text) > 1 and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, size: float | str, width: float) -> str:
    """Wrap text to at most two lines of a width in points; lines that are still too wide are truncated."""
    lines = str(text).split("\n")
    if len(lines) == 1:
        first, *others = lines[0].split(" ")
        while others and text_width(f"{first} {others[0]}", size) <= width:
            first = f"{first} {others.pop(0)}"
        lines = [first, " ".join(others)] if others else [first]
    return "\n".join(shortened(line, size, width) for line in lines)


def minus_signs(text: str) -> str:
    """Replace hyphens with minus signs, which are as wide as a plus."""
    return text.replace("-", "\N{MINUS SIGN}")


def number(value: float, digits: int = 5) -> str:
    """Format a number compactly."""
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < min(1e5, 10**digits):
        return minus_signs(f"{value:.{digits}g}")
    mantissa, exponent = f"{value:.{min(digits, 4) - 1}e}".split("e")
    return minus_signs(f"{float(mantissa):g}e{int(exponent)}")


def decimals(value: float, digits: int = 3) -> str:
    """Format with three decimals if they are informative, else with significant digits; integers as integers."""
    value = float(value)
    if value == round(value) and abs(value) < 1000:
        value = abs(value) if value == 0 else value  # no negative zero
        return minus_signs(f"{value:.0f}")
    return minus_signs(f"{value:.3f}") if 0.001 <= abs(value) < 100 else number(value, digits)
