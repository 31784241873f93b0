"""The plots of the gallery's scripts, for sphinx-gallery: lf.plot draws without pyplot, whose figures it would find."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scrape(block, block_vars, gallery_conf):
    """RST of the figures of the Axes and Figures that a block has assigned to variables."""
    drawn = block_vars.setdefault("drawn", [])
    values = block_vars["example_globals"].values()
    paths = []
    for figure in [value.figure if isinstance(value, Axes) else value for value in values]:
        if isinstance(figure, Figure) and not any(figure is one for one in drawn):
            drawn.append(figure)
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=100)
    return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper():
    return scrape
