"""Settings of the documentation."""

import re
import tomllib
from pathlib import Path

import attrs
from sphinx import addnodes

from aritma_auth.version import __version__

project = "aritma-auth"
author = "The aritma-auth developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]
myst_heading_anchors = 2
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = ["pages.js"]
html_title = "aritma-auth"
pygments_dark_style = "github-dark"
html_show_copyright = False
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
default_role = "literal"
napoleon_use_ivar = True
napoleon_custom_sections = [("Spec", "notes"), ("Source", "notes")]
nitpicky = False
SEARCH = tomllib.loads(Path(__file__).with_name("search.toml").read_text())


def show_defaults(_app, _what, _name, described, _options, signature, returned):
    """Show the defaults of a class that attrs has made; its own text of them is about attrs."""
    if not signature or "attr_dict" not in signature:
        return None
    values = {field.name: field.default for field in attrs.fields(described)}
    own = re.compile(r"attr_dict\['(\w+)'\]\.default")
    return own.sub(lambda found: repr(values[found[1]]), signature), returned


def index_words(_app, name, source):
    """Enter into the index, below the title, the words by which people search for a page."""
    words = [word for word, page in SEARCH.items() if page == name]
    entries = "".join(f"\n```{{index}} ! {word}\n```\n" for word in words)
    source[0] = re.sub(r"^# .*\n", lambda title: title[0] + entries, source[0], count=1)


def point_at_titles(_app, page):
    """Let those entries lead to their section, whose text the search then shows."""
    for index in page.findall(addnodes.index):
        if index.parent.get("ids") and any("main" in entry for entry in index["entries"]):
            index["entries"] = [
                (kind, word, index.parent["ids"][0], main, key)
                for kind, word, _, main, key in index["entries"]
            ]


def setup(app):
    """Tell Sphinx about the functions above."""
    app.connect("source-read", index_words)
    app.connect("doctree-read", point_at_titles)
    app.connect("autodoc-process-signature", show_defaults)
