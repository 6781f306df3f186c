"""Settings of the documentation."""

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
