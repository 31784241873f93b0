"""Draw docs/gallery/imports.png, the import graph of the parts of the package: python docs/imports.py

Transitive arrows are omitted. The metadata of the picture hold the graph, which tests/test_site.py compares.
"""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "lstm_fast"
PICTURE = Path(__file__).resolve().parent / "gallery" / "imports.png"
PARTS = {
    "__main__": "command line",
    "_core": "_core (binding, C core)",
    "_vectors": "command line",
    "weights": "weights",
    "datasets": "datasets",
    "dask": "dask",
}
LAYERS = "layers, functions, streams"


def part(name):
    """The part that a module or subpackage belongs to: itself, or the layers, which the other files make up."""
    return name if (ROOT / name / "__init__.py").exists() and name != "modules" else PARTS.get(name, LAYERS)


def top_level(path):
    """Modules and subpackages of lstm_fast that a file imports, except for annotations."""
    here = path.relative_to(ROOT).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    for_types = {inner for block in blocks for inner in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in for_types:
            base = [*here[: len(here) + 1 - node.level], *(node.module or "").split(".")] if node.level else []
            if (node.module or "").split(".")[0] == "lstm_fast":
                base = node.module.split(".")[1:] or [alias.name for alias in node.names]
            base = [name for name in base if name]
            if base or node.level:
                yield from base[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lf":
            yield node.attr  # of import lstm_fast as lf


def graph():
    """{part: parts that it imports}, without those that follow from others."""
    found = {part(name): set() for name in ("_core", *(p.stem for p in ROOT.glob("*.py") if p.stem != "__init__"))}
    found |= {part(path.parent.name): set() for path in ROOT.glob("*/__init__.py")}
    for path in ROOT.rglob("*.py"):
        if path != ROOT / "__init__.py":
            source = part(path.relative_to(ROOT).parts[0].removesuffix(".py"))
            found[source] |= {part(name) for name in top_level(path) if part(name) in found} - {source}

    def reach(name):
        return set().union(*({other} | reach(other) for other in found[name])) if found[name] else set()

    return {name: sorted(to - set().union(*map(reach, to))) for name, to in sorted(found.items())}


def draw(edges, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def level(name):
        return 1 + max(map(level, edges[name]), default=-1)

    rows = {}
    for name in edges:
        above = [level(other) for other in edges if name in edges[other]]
        rows.setdefault(min(above, default=level(name) + 1) - 1, []).append(name)
    at = {}
    for row, names in sorted(rows.items()):  # each part roughly above those that it imports
        names.sort(key=lambda name: sum(at[to][0] for to in edges[name]) / max(len(edges[name]), 1))
        at |= {name: ((k + 0.5) * 10 / len(names), row) for k, name in enumerate(names)}
    figure, axes = plt.subplots(figsize=(9, 1.1 * len(rows)), layout="constrained")
    for name, to in edges.items():
        for other in to:
            (x, y), (x_to, y_to) = at[name], at[other]
            arrow = dict(arrowstyle="->", color="0.45", shrinkA=0, shrinkB=0)
            axes.annotate("", (x_to, y_to + 0.17), (x, y - 0.17), arrowprops=arrow)
    for name, (x, y) in at.items():
        axes.text(x, y, name, ha="center", va="center", bbox=dict(boxstyle="round,pad=0.4", fc="0.95", ec="0.3"))
    axes.set(xlim=(0, 10), ylim=(-0.4, len(rows) - 0.6))
    axes.axis("off")
    figure.savefig(path, dpi=110, metadata={"Description": json.dumps(edges), "Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(graph(), PICTURE)
