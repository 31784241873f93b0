"""How far our times of the same row differ between runs."""

from statistics import median

from .table import size_text, time_text
from .verdict import ours

ALLOWED = 0.1  # of the median: the bar


def _key(row):
    names = "regime", "kind", "T", "B", "I", "H", "num_threads"
    return *(row[name] for name in names), row.get("layers", 1), row["ours"]


def lines(files):
    """A line for each row that all files have: the median and the range of the medians, widest first."""
    times = [{_key(row): ours(row) for row in results["rows"] if ours(row)} for results in files]
    shapes = {_key(row): row for row in files[0]["rows"]}
    common = [key for key in shapes if all(key in one for one in times)]

    def width(key):
        found = [one[key] for one in times]
        return (max(found) - min(found)) / median(found)

    wide = [key for key in common if width(key) > ALLOWED]
    yield f"{len(files)} runs, {len(common)} rows in all of them; {len(wide)} differ by more than {ALLOWED:.0%}"
    for key in sorted(common, key=width, reverse=True):
        row, found = shapes[key], [one[key] for one in times]
        yield (
            f"{row['regime']:18} {row['ours']:20} {row['kind']:8} T={row['T']} B={row['B']} I={row['I']} "
            f"H={size_text(row)}: {time_text(min(found))} to {time_text(max(found))}, {width(key):.1%}"
        )
