"""Draw the plots that README.md and the guides show: those of the gallery's scripts, docs/tutorials.

    python docs/gallery.py [FOLDER]

A script's variable that holds the Axes of a plot is the name of its file. Fixed seeds make the plots reproducible. It
takes less than a minute.
"""

import argparse
import runpy
from io import BytesIO
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
DPI = 100
PLOTS = {
    "plot_1_unit": ("unit", "unrolled"),
    "plot_2_gradient_flow": ("gradient_flow",),
    "plot_3_adding": ("gates", "history"),
    "plot_4_sunspots": ("forecast",),
}


def save(figure, path):
    """Write a PNG, with 128 colors unless it has heat maps: half the size."""
    whole = BytesIO()
    figure.savefig(whole, dpi=DPI)
    image = Image.open(whole).convert("RGB")
    has_maps = any(panel.images for ax in figure.axes for panel in ax.child_axes)
    image = image if has_maps else image.quantize(128, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS / "gallery")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for script, names in PLOTS.items():
        variables = runpy.run_path(str(DOCS / "tutorials" / f"{script}.py"))
        for name in names:
            path = folder / f"{name}.png"
            save(variables[name].figure, path)
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
