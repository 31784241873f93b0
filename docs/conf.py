"""The documentation site: sphinx-build -W -n -b html docs docs/_build/html

Pages are plain Markdown that can also be read on a forge: links are relative paths of files. `rewrite_links` maps those
that leave docs/, `INCLUDED` names the files outside of docs/ that are pages of the site.
"""

import posixpath
import re
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import lstm_fast as lf  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT.get("urls", {}).get("Source")
INCLUDED = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
    "examples": "examples/README.md",
    "examples_formats": "examples/FORMATS.md",
    "examples_results": "examples/RESULTS.md",
    "benchmarks": "benchmarks/README.md",
    "c_core": "csrc/README.md",
}
NOT_LINKS = r"(?:[a-z]+:|#|/)"

project, author, release = PROJECT["name"], PROJECT["authors"][0]["name"], PROJECT["version"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "README.md", "tutorials"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = "lstm_fast"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = html_show_copyright = html_show_sphinx = False
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. ", True

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
default_role = "code"
nitpicky = True


sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figures",),
    "reset_modules": (),
    "capture_repr": (),
    "abort_on_example_error": True,
    "min_reported_time": 1e9,
    "show_memory": False,
    "write_computation_times": False,
    "plot_gallery": True,
    "show_signature": False,
    "download_all_examples": False,
}


def rewrite(text, folder):
    """Text of a page in a folder of the repository, its links as those of the site."""

    def replace(match):
        path, _, anchor = match[2].partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        pages = {source: f"/{name}.md" for name, source in INCLUDED.items()}
        if path.startswith("docs/") and path.endswith((".md", ".rst", ".png")):
            target = path.removeprefix("docs")
        elif path in pages:
            target = pages[path]
        elif REPOSITORY:
            target = f"{REPOSITORY}/blob/main/{path}"
        else:
            return match[0] if match[1].startswith("!") else match[1][1:-1]
        return f"{match[1]}({target}{'#' + anchor if anchor else ''})"

    return re.sub(rf"(!?\[[^\]]*\])\((?!{NOT_LINKS})([^)\s]+)\)", replace, text)


def rewrite_links(app, docname, source):
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return
    folder = page.parent.relative_to(ROOT).as_posix()
    if docname in INCLUDED:
        app.env.note_dependency(str(ROOT / INCLUDED[docname]))
        source[0], folder = (ROOT / INCLUDED[docname]).read_text(), posixpath.dirname(INCLUDED[docname])
    source[0] = rewrite(source[0], folder)


def skip_foreign(app, what, name, obj, skip, options):
    """Members inherited from other packages (torch.nn.Module, BaseEstimator, dict) are documented there."""
    module = getattr(getattr(obj, "fget", obj), "__module__", None) or ""
    return True if callable(getattr(obj, "fget", obj)) and not module.startswith("lstm_fast") else None


def mathml(self, node):
    """Formulas as MathML, which browsers display without a script."""
    display = isinstance(node, nodes.math_block)
    self.body.append(tex2mathml(node.astext(), as_block=display))
    raise nodes.SkipNode


def write_companies(app, error):
    if error is None and app.builder.format == "html":
        lf.explain.companies(Path(app.outdir) / "companies.html")


def setup(app):
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("source-read", rewrite_links)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("build-finished", write_companies)
